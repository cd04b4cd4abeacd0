"""The shop's running containers, made from the pods that the cluster tells of."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

KINDS = ("app.kubernetes.io/component", "app.kubernetes.io/name", "app", "workload")


class UnknownPod(ValueError):
    """The shop has no environment or workload for this pod; the message says what it looked at."""


@dataclass
class ShopPod:
    """One container that serves. asked_ready: what its last readiness probe said; None before the first one.

    requests: answered ones. started_at: by the monotonic clock.
    debts: how much of a fault of each kind is owed, so that a ratio of 0.2 makes exactly every fifth one bad.
    """

    uid: str
    name: str
    env: str
    workload: str
    track: str
    image: str
    has_readiness_probe: bool
    asked_ready: bool | None = None
    debts: dict[str, float] = field(default_factory=dict)
    requests: int = 0
    started_at: float = field(default_factory=time.monotonic)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def in_rotation(self) -> bool:
        return self.asked_ready is True if self.has_readiness_probe else self.asked_ready is not False

    def is_selected(self, selector: Mapping[str, str]) -> bool:
        """By a Service; an empty selector selects nothing."""
        return bool(selector) and selector.items() <= self.labels.items()

    def owes(self, fault: str, ratio: float) -> bool:
        """Whether it is this one's turn to go wrong."""
        debt = self.debts.get(fault, 0.0) + ratio
        # a hair of tolerance, else ten times 0.1 owe nothing
        owed = debt >= 1 - 1e-9
        self.debts[fault] = debt - 1 if owed else debt
        return owed


def read_pod(
    pod: Mapping[str, Any], namespaces: Mapping[str, str], workloads: Sequence[str], track_label: str
) -> ShopPod:
    """namespaces: namespace -> environment. Raises UnknownPod."""
    metadata = pod["metadata"]
    container = pod["spec"]["containers"][0]
    labels: Mapping[str, str] = metadata.get("labels") or {}
    env = namespaces.get(metadata.get("namespace", "default"), "")
    names = [*(labels[kind] for kind in KINDS if kind in labels), container.get("name", "")]
    # the Deployment's name, without the hashes of ReplicaSet and pod
    names.append(metadata["name"].rsplit("-", 2)[0])
    workload = next((name for name in names if name in workloads), "")
    if not env or not workload:
        raise UnknownPod(f"{metadata.get('namespace')}/{metadata['name']}: no environment or workload by {names}")
    return ShopPod(
        uid=str(metadata.get("uid") or metadata["name"]),
        name=metadata["name"],
        env=env,
        workload=workload,
        track=labels.get(track_label, "stable"),
        image=container["image"],
        has_readiness_probe="readinessProbe" in container,
        labels=dict(labels),
    )

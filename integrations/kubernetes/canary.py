"""Canary Deployments: a copy of stable with other images, made, scaled and deleted by the run that owns it.

It must never change or delete a Deployment of somebody else, nor copy a mark by which a GitOps controller knows what is its own.
"""

from __future__ import annotations

import copy
import shlex
from collections.abc import Mapping
from typing import Any

from integrations.kubernetes.calls import STRATEGIC_MERGE, SYSTEM, Json
from integrations.kubernetes.deployments import Deployments, shaped
from integrations.kubernetes.reading import images_differ, unknown_containers
from runbook.errors import Conflict, Permanent
from runbook.ports import CanaryOrder
from runbook.rules.traffic import CANARY, STABLE

_ATTEMPTS = 8
"""A Deployment's controller writes its status all the while: each attempt reads anew and takes milliseconds."""
_COPIED = ("minReadySeconds", "progressDeadlineSeconds", "revisionHistoryLimit", "strategy")
"""Of the spec, beside selector and template. Not `paused`: a canary is to run. Source: kubernetes.io, API reference, DeploymentSpec."""


class KubernetesCanaries:
    """Fulfils `runbook.ports.Canaries`. kubectl: how a person reaches the same place, for remedies."""

    def __init__(self, deployments: Deployments, namespace: str, kubectl: str) -> None:
        self._deployments = deployments
        self._namespace = namespace
        self._kubectl = kubectl

    async def start(self, order: CanaryOrder) -> None:
        """See the port. A creation whose answer got lost is told by the run of what is there."""
        for attempt in range(1, _ATTEMPTS + 1):
            found = await self._deployments.read(order.canary)
            try:
                if found is None:
                    await self._create(order)
                else:
                    await self._bring(found, order)
            except Conflict as error:
                if attempt == _ATTEMPTS or error.code != "kubernetes.conflict":
                    raise
            else:
                return

    async def scale(self, name: str, replicas: int) -> None:
        """See the port. Bound to the version that was read, so that a write that comes late can't undo a newer one.

        Raises Permanent("not_found") without such a Deployment, and Conflict where others changed it each time.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            found = await self._deployments.read(name)
            if found is None:
                raise self._deployments.missing(name)
            if shaped(lambda found=found: _replicas(found)) == replicas:  # type: ignore[misc]
                return
            version = {"resourceVersion": shaped(lambda found=found: found["metadata"]["resourceVersion"])}  # type: ignore[misc]
            try:
                await self._deployments.patch(name, {"metadata": version, "spec": {"replicas": replicas}})
            except Conflict:
                if attempt == _ATTEMPTS:
                    raise
            else:
                return

    async def remove(self, name: str, run: str, prefix: str) -> None:
        """See the port. Its pods end in their own time; until then the Deployment is there, marked as going."""
        found = await self._deployments.read(name)
        if found is None or run_of(found, prefix) != run or is_going(found):
            return
        try:
            await self._deployments.delete(name, shaped(lambda: str(found["metadata"]["uid"])))
        except Conflict:
            # The name belongs to another Deployment by now, or this one is changing: whichever, look again.
            again = await self._deployments.read(name)
            if again is not None and run_of(again, prefix) == run and not is_going(again):
                raise

    async def _create(self, order: CanaryOrder) -> None:
        stable = await self._deployments.read(order.workload)
        if stable is None:
            raise self._deployments.missing(order.workload)
        self._check(stable, order)
        await self._deployments.create(shaped(lambda: manifest(stable, order, self._namespace)))

    async def _bring(self, found: Json, order: CanaryOrder) -> None:
        """To the order's images, and to no fewer replicas than it has."""
        if run_of(found, order.prefix) != order.run or is_going(found):
            raise self._taken(found, order)
        _refuse_unknown(found, order)
        replicas = max(shaped(lambda: _replicas(found)), order.replicas)
        spec: Json = {"replicas": replicas}
        if shaped(lambda: images_differ(found, order.images)):
            spec["template"] = {
                "metadata": {"annotations": dict(order.annotations)},
                "spec": {"containers": [{"name": name, "image": image} for name, image in order.images.items()]},
            }
        elif replicas == _replicas(found):
            return
        version = {"resourceVersion": shaped(lambda: found["metadata"]["resourceVersion"])}
        await self._deployments.patch(order.canary, {"metadata": version, "spec": spec}, STRATEGIC_MERGE)

    def _check(self, stable: Json, order: CanaryOrder) -> None:
        track = f"{order.prefix}/track"
        selector = shaped(lambda: dict(stable["spec"]["selector"].get("matchLabels") or {}))
        labels = shaped(lambda: dict((stable["spec"]["template"].get("metadata") or {}).get("labels") or {}))
        if selector.get(track) != STABLE or labels.get(track) != STABLE:
            cause = f"the Deployment {order.workload} has no `{track}: {STABLE}` in its selector and its pods' labels"
            remedy = "Add it to both in its manifest, and make the Deployment anew: a canary's pods can't be told from its own"
            raise Permanent(SYSTEM, "no_track", cause, remedy)
        _refuse_unknown(stable, order)

    def _taken(self, found: Json, order: CanaryOrder) -> Conflict:
        name = order.canary
        if is_going(found) and run_of(found, order.prefix) == order.run:
            cause = f"the Deployment {name} is still being deleted"
            remedy = f"It goes when its pods have ended; see `{self._kubectl} describe deployment {shlex.quote(name)}`"
        else:
            owner = run_of(found, order.prefix)
            cause = (
                f"there is already a Deployment {name}, and it {f'belongs to {owner}' if owner else 'is not forge’s'}"
            )
            remedy = f"If nobody needs it: `{self._kubectl} delete deployment {shlex.quote(name)}`"
        return Conflict(SYSTEM, "canary_exists", cause, remedy)


def manifest(stable: Json, order: CanaryOrder, namespace: str) -> Json:
    """The canary's Deployment, made of stable's spec: template with probes, resources, volumes and account, and whatever else a template has
    now or later. Of stable's own metadata only the namespace is taken and the labels that the recording rules know a Deployment by (`forge/service`,
    `forge/env`): a GitOps controller knows what is its own by other labels, and would delete what it doesn't find in its repository."""
    spec, track = stable["spec"], f"{order.prefix}/track"
    template: Json = copy.deepcopy(spec["template"])
    about = template.setdefault("metadata", {})
    about.pop("creationTimestamp", None)
    about["labels"] = {**(about.get("labels") or {}), track: CANARY}
    about["annotations"] = {**(about.get("annotations") or {}), **order.annotations}
    for container in template["spec"]["containers"]:
        container["image"] = order.images.get(container["name"], container["image"])
    selector: Json = copy.deepcopy(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), track: CANARY}
    mine = {key: value for key, value in (stable["metadata"].get("labels") or {}).items() if key.startswith("forge/")}
    marks = {**mine, track: CANARY, f"{order.prefix}/run": order.run, "app.kubernetes.io/managed-by": "forge"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": order.canary, "namespace": namespace, "labels": marks, "annotations": dict(order.annotations)},
        "spec": {
            "replicas": order.replicas,
            "selector": selector,
            "template": template,
            **{name: copy.deepcopy(spec[name]) for name in _COPIED if name in spec},
        },
    }  # fmt: skip


def run_of(found: Json, prefix: str) -> str:
    """Whose canary it is; empty where it is nobody's."""
    labels: Mapping[str, Any] = found["metadata"].get("labels") or {}
    return str(labels.get(f"{prefix}/run") or "")


def is_going(found: Json) -> bool:
    return bool(found["metadata"].get("deletionTimestamp"))


def _replicas(found: Json) -> int:
    replicas = found["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _refuse_unknown(found: Json, order: CanaryOrder) -> None:
    if unknown := shaped(lambda: unknown_containers(found, order.images)):
        remedy = f"Correct the names of the containers of {order.workload} in the service's configuration"
        cause = f"the Deployment {order.workload} has no container named {', '.join(unknown)}"
        raise Permanent(SYSTEM, "no_container", cause, remedy)

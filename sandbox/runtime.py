"""What the Kubernetes stand-in asks of whoever plays the containers.

The shop fulfils it; a test may bring ten lines of its own. It says what an image does when it is run and must never
decide what a Deployment, a ReplicaSet or a kubelet does: restarts, back-off and conditions belong to the cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

Pull = Literal["ok", "not_found"]


@dataclass(frozen=True)
class Crash:
    """How a container ends by itself: `after_s` seconds after each start, with the kubelet's terminated state."""

    exit_code: int = 1
    reason: str = "Error"
    message: str = ""
    after_s: float = 0.2


@dataclass(frozen=True)
class Behaviour:
    """What a container of an image does.

    pull: `not_found` is what leads to ErrImagePull and ImagePullBackOff. crash: None runs on for ever.
    start_s: seconds until its startup is complete. ready: whether its readiness probe ever succeeds; one that crashes
    later than it starts is ready for a moment at each start, which is enough for a rollout without `minReadySeconds`.
    """

    pull: Pull = "ok"
    crash: Crash | None = None
    start_s: float = 0.2
    ready: bool = True


class Runtime(Protocol):
    """The containers behind the pods; `pod` and `probe` are the API's JSON objects."""

    async def start(self, pod: dict[str, Any]) -> None:
        """The pod's container has started (again); called once a start."""

    async def stop(self, pod: dict[str, Any]) -> None:
        """The pod's container has ended, by itself or by order; an unknown pod is no error."""

    async def probe(self, pod: dict[str, Any], probe: dict[str, Any]) -> bool:
        """Whether this probe (its JSON from the container's spec) succeeds now."""

    def behaviour(self, image: str, pod: dict[str, Any] | None = None) -> Behaviour:
        """What a container of this image reference does when it is started next. pod: the one that it is of, where one is meant."""

"""Why a pod isn't well, read from its own object and its events: rules without I/O.

They never guess: reason and message are Kubernetes' own words, and a healthy pod yields nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from integrations.kubernetes.calls import Json, moment
from runbook.ports import PodTrouble

_LONGEST_MESSAGE = 1000
# kubernetes/pkg/kubelet/images/types.go and kuberuntime/kuberuntime_container.go
_IMAGE_REASONS = frozenset({
    "ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "RegistryUnavailable",
    "SignatureValidationFailed",
})  # fmt: skip
_CONFIG_REASONS = frozenset({
    "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError", "PreStartHookError",
    "PostStartHookError",
})  # fmt: skip
_MOUNT_REASONS = frozenset({"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"})

_LONGEST_BACK_OFF_S = 300.0  # kubernetes.io, "Pod Lifecycle": capped at five minutes


@dataclass(frozen=True, slots=True)
class Container:
    """One entry of containerStatuses, with what of it the rules read."""

    name: str
    ready: bool
    restarts: int
    waiting: Json
    terminated: Json
    last_terminated: Json
    running_since: datetime | None

    @classmethod
    def of(cls, status: Json) -> Container:
        state, last = status.get("state") or {}, status.get("lastState") or {}
        return cls(
            name=str(status.get("name", "")),
            ready=bool(status.get("ready")),
            restarts=int(status.get("restartCount") or 0),
            waiting=state.get("waiting") or {},
            terminated=state.get("terminated") or {},
            last_terminated=last.get("terminated") or {},
            running_since=moment((state.get("running") or {}).get("startedAt")),
        )

    def crash(self, now: datetime) -> Json:
        """The newest termination that was a failure or that the kubelet answers with a back-off; empty when there is none,
        and when the container has outlived the longest back-off since."""
        if self.running_since and (now - self.running_since).total_seconds() > _LONGEST_BACK_OFF_S:
            return {}
        ended = self.terminated or self.last_terminated
        failed = ended and (ended.get("exitCode") != 0 or self.waiting.get("reason") == "CrashLoopBackOff")
        return ended if failed else {}


def is_suspect(pod: Json) -> bool:
    """Whether its events are worth reading. Pods that end or ended are replaced by their ReplicaSet: not suspect."""
    status = pod.get("status") or {}
    if (pod.get("metadata") or {}).get("deletionTimestamp") or status.get("phase") in ("Succeeded", "Failed"):
        return False
    return not _is_ready(status)


def pod_troubles(pod: Json, events: Sequence[Json], now: datetime) -> tuple[PodTrouble, ...]:
    """The troubles of one pod, without log tails. events: those about this pod, in any order."""
    if not is_suspect(pod):
        return ()
    known = tuple(_container_troubles(pod, events, now))
    return known or (_whole_pod(pod, events, now),)


def needs_log(trouble: PodTrouble) -> bool:
    return trouble.kind in ("crash_loop", "liveness")


def _container_troubles(pod: Json, events: Sequence[Json], now: datetime) -> Iterator[PodTrouble]:
    status = pod.get("status") or {}
    for entry in status.get("initContainerStatuses") or []:
        container = Container.of(entry)
        if container.waiting.get("reason") in (None, "PodInitializing") and not container.crash(now):
            continue
        if (found := _container_trouble(container, events, now)) is not None:
            yield _trouble(pod, now, container, *found)
    for entry in status.get("containerStatuses") or []:
        container = Container.of(entry)
        if container.ready:
            continue
        if (found := _container_trouble(container, events, now)) is not None:
            yield _trouble(pod, now, container, *found)


def _container_trouble(container: Container, events: Sequence[Json], now: datetime) -> tuple[str, str, str] | None:
    """(kind, reason, message), or None where the container alone explains nothing."""
    waiting = str(container.waiting.get("reason") or "")
    if waiting in _IMAGE_REASONS:
        return "image_pull", waiting, str(container.waiting.get("message") or "")
    if waiting in _CONFIG_REASONS:
        return "config", waiting, str(container.waiting.get("message") or "")
    crash = container.crash(now)
    liveness = _newest(events, container.name, "Liveness probe failed")
    if liveness and (crash or container.restarts):
        return "liveness", "Unhealthy", liveness
    if crash:
        return "crash_loop", *_crash_words(crash)
    if waiting in ("ContainerCreating", "PodInitializing"):
        return None
    unhealthy = (
        _newest(events, container.name, "Readiness probe failed")
        or _newest(events, container.name, "Startup probe failed")
        or liveness
    )
    if unhealthy:
        return "not_ready", "Unhealthy", unhealthy
    return None


def _crash_words(ended: Json) -> tuple[str, str]:
    reason = str(ended.get("reason") or "Error")
    how = f"signal {ended['signal']}" if ended.get("signal") else f"exit code {ended.get('exitCode')}"
    message = str(ended.get("message") or "").strip()
    return reason, f"{how}: {message}" if message else how


def _whole_pod(pod: Json, events: Sequence[Json], now: datetime) -> PodTrouble:
    """What the pod's conditions and events say where no container explains it."""
    conditions = {entry.get("type"): entry for entry in (pod.get("status") or {}).get("conditions") or []}
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        reason = str(scheduled.get("reason") or "Unschedulable")
        return _trouble(pod, now, None, "unschedulable", reason, str(scheduled.get("message") or ""))
    for event in sorted(events, key=_when, reverse=True):
        if event.get("reason") in _MOUNT_REASONS:
            return _trouble(pod, now, None, "config", str(event["reason"]), str(event.get("message") or ""))
    ready = conditions.get("Ready") or {}
    reason = str(ready.get("reason") or (pod.get("status") or {}).get("phase") or "NotReady")
    return _trouble(pod, now, None, "not_ready", reason, str(ready.get("message") or ""))


def _trouble(pod: Json, now: datetime, container: Container | None, kind: str, reason: str, message: str) -> PodTrouble:
    return PodTrouble(
        pod=str((pod.get("metadata") or {}).get("name", "")),
        container=container.name if container else "",
        kind=kind,
        reason=reason,
        message=message[:_LONGEST_MESSAGE],
        restarts=container.restarts if container else 0,
        since_s=_since_s(pod, now),
    )


def _since_s(pod: Json, now: datetime) -> float:
    """For how long the pod has not been Ready, in seconds; a clock that runs ahead of ours gives 0."""
    for condition in (pod.get("status") or {}).get("conditions") or []:
        if condition.get("type") == "Ready" and (changed := moment(condition.get("lastTransitionTime"))):
            return max(0.0, (now - changed).total_seconds())
    created = moment((pod.get("metadata") or {}).get("creationTimestamp"))
    return max(0.0, (now - created).total_seconds()) if created else 0.0


def _is_ready(status: Json) -> bool:
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in status.get("conditions") or [])


def _newest(events: Sequence[Json], container: str, words: str) -> str:
    """The message of the newest event about this container that begins with words; empty when there is none."""
    field = f"{{{container}}}"
    about = [
        event
        for event in events
        if str(event.get("message") or "").startswith(words)
        and field in str((event.get("involvedObject") or {}).get("fieldPath") or field)
    ]
    return str(max(about, key=_when)["message"]) if about else ""


def _when(event: Json) -> str:
    """ISO times in UTC sort as text; newer servers fill eventTime or series instead of lastTimestamp."""
    series: Any = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")

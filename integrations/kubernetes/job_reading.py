"""A Job's and its pod's JSON as the port's values: pure. Reasons and messages are Kubernetes' own words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from integrations.kubernetes.calls import Json, moment
from integrations.kubernetes.job_manifest import CONTAINER, key_of
from integrations.kubernetes.reading import condition
from runbook.ports import JobState, PodTrouble

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""What a runtime gives as the start of a container that never started."""
_LONGEST_MESSAGE = 1000
_TOO_LONG = "DeadlineExceeded"


def newest_pod(pods: Sequence[Json]) -> Json | None:
    """With one pod a Job the only one; a node that was lost can leave two."""
    return max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp") or ""), default=None)


def state_of(job: Json, pod: Json | None, trouble: PodTrouble | None) -> JobState:
    """Source of the phases: kubernetes.io, "Jobs", Job termination; the conditions Complete and Failed come when no pod runs any more."""
    metadata = job["metadata"]
    container = _container_state(pod)
    running, ended = container.get("running") or {}, container.get("terminated") or {}
    phase = _phase(job, bool(running or ended))
    reason, message = _why(job, pod, ended) if phase == "failed" else ("", "")
    started = moment(running.get("startedAt") or ended.get("startedAt"))
    return JobState(
        name=str(metadata["name"]),
        key=key_of(metadata),
        phase=phase,
        pod=str(pod["metadata"]["name"]) if pod is not None else "",
        exit_code=int(ended["exitCode"]) if "exitCode" in ended else None,
        reason=reason,
        message=message[:_LONGEST_MESSAGE],
        started_at=None if started == _NEVER else started,
        finished_at=_finished_at(job, ended, phase),
        trouble=trouble if phase in ("pending", "running") else None,
    )


def is_going(job: Json) -> bool:
    return bool(job["metadata"].get("deletionTimestamp"))


def is_concluded(job: Json) -> bool:
    return _holds(job, "Complete") or _holds(job, "Failed")


def creation_failure(events: Sequence[Json]) -> PodTrouble | None:
    """Why the Job controller can't create the pod: a quota, an admission policy, a missing service account."""
    failures = [event for event in events if event.get("reason") == "FailedCreate"]
    if not failures:
        return None
    newest = max(failures, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    message = str(newest.get("message") or "")[:_LONGEST_MESSAGE]
    return PodTrouble(pod="", container="", kind="config", reason="FailedCreate", message=message)


def _phase(job: Json, has_started: bool) -> str:
    if is_going(job):
        return "stopping"
    if _holds(job, "Complete"):
        return "succeeded"
    if _holds(job, "Failed"):
        return "failed"
    return "running" if has_started else "pending"


def _why(job: Json, pod: Json | None, ended: Json) -> tuple[str, str]:
    """(reason, message) of a failure: the nearest to its cause that Kubernetes still tells."""
    failed = condition(job, "Failed") or {}
    reason, message = str(failed.get("reason") or "Failed"), str(failed.get("message") or "")
    if reason == _TOO_LONG:
        return reason, message
    if pod is None:
        return reason, f"{message}; its pod is gone: deleted, evicted, or its node lost".lstrip("; ")
    status = pod.get("status") or {}
    if status.get("reason"):  # Evicted, UnexpectedAdmissionError, NodeLost, …: of the pod as a whole
        return str(status["reason"]), str(status.get("message") or "")
    disrupted = condition(pod, "DisruptionTarget") or {}
    if disrupted.get("status") == "True":
        return str(disrupted.get("reason") or "DisruptionTarget"), str(disrupted.get("message") or "")
    if "exitCode" in ended:
        how = f"signal {ended['signal']}" if ended.get("signal") else f"exit code {ended['exitCode']}"
        words = str(ended.get("message") or "").strip()
        return str(ended.get("reason") or "Error"), f"{how}: {words}" if words else how
    return reason, message


def _finished_at(job: Json, ended: Json, phase: str) -> datetime | None:
    if phase not in ("succeeded", "failed"):
        return moment(ended.get("finishedAt"))
    concluded = (condition(job, "Failed") or condition(job, "Complete") or {}).get("lastTransitionTime")
    return moment(ended.get("finishedAt")) or moment((job.get("status") or {}).get("completionTime") or concluded)


def _container_state(pod: Json | None) -> Json:
    statuses = ((pod or {}).get("status") or {}).get("containerStatuses") or []
    # An injected sidecar has a status of its own.
    state: Json = next((entry.get("state") or {} for entry in statuses if entry.get("name") == CONTAINER), {})
    if not state and len(statuses) == 1:
        state = statuses[0].get("state") or {}
    return state


def _holds(job: Json, kind: str) -> bool:
    return (condition(job, kind) or {}).get("status") == "True"

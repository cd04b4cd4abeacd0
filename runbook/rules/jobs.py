"""Names of Jobs, and when a Job has ended and how. Unknown is not an end, and a Job of another key is somebody else's."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from runbook.ports import JobLog, JobState, PodTrouble

SURE_AFTER_S = 20.0
"""An image that can't be pulled, or a missing secret, for this long is no blip; a third of the minute that workloads have."""
_SURE = frozenset({"image_pull", "config"})
_TAKEN_AWAY = frozenset(
    {
        "Evicted", "NodeLost", "NodeShutdown", "Shutdown", "Terminated", "Preempting", "PreemptionByScheduler",
        "DeletionByTaintManager", "EvictionByEvictionAPI", "DeletionByPodGC", "TerminationByKubelet", "DisruptionTarget",
    }
)  # fmt: skip
"""Reasons of a pod that the cluster ended. Source: kubernetes.io, "Disruptions", pod disruption conditions; the kubelet's own words."""
_SETTLES_WITHIN_S = 30.0
"""How long after its container's end a Job may take to say that it has ended."""
_NAME_LIMIT = 63


class Way(StrEnum):
    """EXITED: the container ended by itself, well or not. LOST: its pod was taken away (evicted, node gone). GONE: the Job was deleted."""

    EXITED = "exited"
    TIMED_OUT = "timed_out"
    NEVER_STARTED = "never_started"
    LOST = "lost"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class End:
    """How a Job ended. state: as it was last seen, None when it never was. trouble: what kept it from starting.

    waited_s: since it was created. timeout_s, start_within_s: what it was given. log: None when it wasn't or couldn't be read; then
    log_error says why.
    """

    job: str
    way: Way
    state: JobState | None
    at: datetime
    waited_s: float
    timeout_s: float
    start_within_s: float
    shown_lines: int
    trouble: PodTrouble | None = None
    log: JobLog | None = None
    log_error: str = ""

    @property
    def well(self) -> bool:
        """Ended by itself with exit code 0."""
        return self.way is Way.EXITED and self.state is not None and self.state.phase == "succeeded"

    @property
    def started(self) -> bool:
        """False when its container was never seen to run; a Job that somebody deleted may have."""
        return self.way is not Way.NEVER_STARTED

    @property
    def duration_s(self) -> float | None:
        """Of the container; None when it never ran or nobody knows."""
        if self.state is None or self.state.started_at is None:
            return None
        return max(((self.state.finished_at or self.at) - self.state.started_at).total_seconds(), 0.0)


def job_name(run: str, index: int, number: int) -> str:
    """`forge-<run>-<index>`, from the second on with `-<number>`: a DNS-1123 label of at most 63 characters, the same for the same Job."""
    tail = f"-{index}" if number < 2 else f"-{index}-{number}"
    label = re.sub(r"[^a-z0-9-]+", "-", run.lower()).strip("-")
    room = _NAME_LIMIT - len("forge-") - len(tail)
    if label != run or len(label) > room:
        mark = hashlib.sha256(run.encode()).hexdigest()[:8]
        label = f"{label[: room - 9]}-{mark}".strip("-")
    return f"forge-{label}{tail}"


def job_number(name: str, run: str, index: int) -> int | None:
    """Which Job of this step has the name; None: it is another's."""
    if name == job_name(run, index, 1):
        return 1
    number = name.rpartition("-")[2]
    if number.isascii() and number.isdigit() and len(number) < 6 and name == job_name(run, index, int(number)):
        return int(number)
    return None


def judge_state(
    state: JobState | None, key: str, now: datetime, created_at: datetime, troubled_s: float, timeout_s: float,
    start_within_s: float,
) -> Way | None:  # fmt: skip
    """None: go on waiting. created_at: when the Job was created. troubled_s: how long its present trouble has lasted."""
    if state is None or state.key != key or state.phase == "stopping":
        return Way.GONE
    if state.phase == "succeeded":
        return Way.EXITED
    if state.phase == "failed":
        return _failed_way(state)
    if state.phase == "running":
        ran_s = (now - (state.started_at or created_at)).total_seconds()
        ended = state.finished_at is not None
        return Way.TIMED_OUT if ran_s >= timeout_s + (_SETTLES_WITHIN_S if ended else 0.0) else None
    if (now - created_at).total_seconds() >= start_within_s:
        return Way.NEVER_STARTED
    sure = state.trouble is not None and state.trouble.kind in _SURE
    return Way.NEVER_STARTED if sure and troubled_s >= min(SURE_AFTER_S, start_within_s) else None


def _failed_way(state: JobState) -> Way:
    if state.reason == "DeadlineExceeded":
        return Way.TIMED_OUT if state.started_at is not None else Way.NEVER_STARTED
    # A pod that is evicted ends with an exit code too: of the signal that ended it.
    return Way.LOST if state.exit_code is None or state.reason in _TAKEN_AWAY else Way.EXITED

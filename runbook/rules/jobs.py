"""What a Job's state says, and the evidence of its end. Never takes a Job that didn't end well by itself for a success."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from runbook.ports import JobLog, JobState, PodTrouble
from runbook.redaction import redacted
from runbook.reports.output import last_lines, one_line
from runbook.rules.workloads import trouble_words
from runbook.verdicts import Evidence, Verdict
from runbook.wording import duration, shortened

SURE_AFTER_S = 20.0
"""An image that can't be pulled, or a missing secret, for this long is no blip; a third of the minute that workloads have."""
_SURE = frozenset({"image_pull", "config"})
_NAME_LIMIT = 63
_MESSAGE_LIMIT = 300

_NEVER_STARTED_REMEDIES = {
    "image_pull": "Check that the digest exists in the registry and that the cluster may pull it",
    "config": "Check the secrets, config maps and quotas that the Job names",
    "unschedulable": "Check the cluster's free capacity and what the Job requests",
}


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
        """False when its container certainly never ran."""
        return self.way is not Way.NEVER_STARTED and not (
            self.state is None or (self.state.phase == "pending" and self.state.started_at is None)
        )

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
        return Way.TIMED_OUT if ran_s >= timeout_s else None
    if (now - created_at).total_seconds() >= start_within_s:
        return Way.NEVER_STARTED
    sure = state.trouble is not None and state.trouble.kind in _SURE
    return Way.NEVER_STARTED if sure and troubled_s >= min(SURE_AFTER_S, start_within_s) else None


def _failed_way(state: JobState) -> Way:
    if state.reason == "DeadlineExceeded":
        return Way.TIMED_OUT if state.started_at is not None else Way.NEVER_STARTED
    return Way.LOST if state.exit_code is None else Way.EXITED


def judge_end(gate: str, end: End) -> Verdict:
    """By exit code and Kubernetes' words alone.

    Codes: `ok`, `job.failed`, `job.oom`, `job.timeout`, `job.never_started`; as ERROR `job.gone`, `job.lost`: those say nothing of the
    release, and a new Job may be tried.
    """
    evidence = end_evidence(end)
    match end.way:
        case Way.EXITED if end.well:
            return Verdict.passed(gate, f"ended well{_after(end)}", *evidence)
        case Way.EXITED:
            return _bad_exit(gate, end, evidence)
        case Way.TIMED_OUT:
            reason = f"still ran after {duration(end.timeout_s)}, its limit, and was stopped"
            remedy = "Read the end of its log for what it waited for; the limit is the Job's timeout"
            return Verdict.failed(gate, "job.timeout", reason + _last_line(end), *evidence, remedy=remedy)
        case Way.NEVER_STARTED:
            return _never_started(gate, end, evidence)
        case Way.LOST:
            reason = f"its pod was lost{_after(end)}: {_own_words(end) or 'Kubernetes gives no reason'}"
            remedy = "Check the node and what evicted the pod; a retry starts it anew"
            return Verdict.error(gate, "job.lost", reason, *evidence, remedy=remedy)
        case Way.GONE:
            when = "while it ran" if end.started else "before it ran"
            reason = f"the Job {end.job} was deleted by somebody else {when}: its result isn't known"
            remedy = "Find out who deletes Jobs here; a retry starts it anew"
            return Verdict.error(gate, "job.gone", reason, *evidence, remedy=remedy)


def _bad_exit(gate: str, end: End, evidence: tuple[Evidence, ...]) -> Verdict:
    state = end.state
    code = state.exit_code if state is not None else None
    if state is not None and state.reason == "OOMKilled":
        reason = f"was killed for using more memory than its limit{_after(end)} (OOMKilled, exit code {code})"
        remedy = "Raise the Job's memory, or make it use less"
        return Verdict.failed(gate, "job.oom", reason + _last_line(end), *evidence, remedy=remedy)
    said = _own_words(end)
    words = f" ({said})" if said and said != "Error" else ""
    reason = f"exited with code {code}{_after(end)}{words}{_last_line(end)}"
    return Verdict.failed(gate, "job.failed", reason, *evidence, remedy="Read its log, mend the cause and try again")


def _never_started(gate: str, end: End, evidence: tuple[Evidence, ...]) -> Verdict:
    trouble = end.trouble
    why = trouble_words(trouble) if trouble is not None else _own_words(end) or "Kubernetes gives no reason"
    reason = f"had not started after {duration(round(end.waited_s))}: {why}"
    remedy = _NEVER_STARTED_REMEDIES.get(trouble.kind if trouble is not None else "", "Look at the Job and its pod")
    return Verdict.failed(gate, "job.never_started", reason, *evidence, remedy=remedy)


def end_evidence(end: End) -> tuple[Evidence, ...]:
    """Result, exit code, duration, and the last lines of the log; what is missing is said."""
    source, state = f"job/{end.job}", end.state
    found = [Evidence(name="result", value=_result(end), source=source)]
    if state is not None and state.exit_code is not None:
        found.append(Evidence(name="exit code", value=state.exit_code, limit=0, source=source))
    if end.duration_s is not None:
        took = Evidence(name="duration", value=round(end.duration_s, 1), limit=end.timeout_s, unit="s", source=source)
        found.append(took)
    where = f"pod/{state.pod}" if state is not None and state.pod else source
    if end.log_error:
        found.append(Evidence(name="log", value=f"can't be read: {end.log_error}", source=where))
    if end.log is not None:
        size = end.log.size_bytes
        if not end.log.complete:
            found.append(Evidence(name="log", value=f"reading broke off after {size} bytes", source=where))
        lines = last_lines(end.log.text, end.shown_lines)
        found.append(Evidence(name="last lines of the log", value=lines or "(no output)", source=where))
    return tuple(found)


def _result(end: End) -> str:
    if end.well:
        return "succeeded"
    said = _own_words(end)
    words = {Way.EXITED: "failed", Way.TIMED_OUT: "timed out", Way.NEVER_STARTED: "never started", Way.LOST: "pod lost",
             Way.GONE: "deleted by somebody else"}[end.way]  # fmt: skip
    return f"{words}: {said}" if said else words


def _own_words(end: End) -> str:
    """Kubernetes' reason and message."""
    if end.state is None:
        return ""
    message = shortened(redacted(end.state.message.strip()), _MESSAGE_LIMIT)
    return ": ".join(word for word in (end.state.reason, message) if word)


def _after(end: End) -> str:
    return f" after {duration(round(end.duration_s, 1))}" if end.duration_s is not None else ""


def _last_line(end: End) -> str:
    line = one_line(last_lines(end.log.text, 1)) if end.log is not None else ""
    return f"; its last line: {line}" if line else ""

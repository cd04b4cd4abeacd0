"""What a Job's end says, with its evidence: result, exit code, duration, the last lines of its log. A Job that was lost or deleted
says nothing of the release, and is never taken for a success."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

from runbook.jobs import JobTemplate
from runbook.redaction import redacted
from runbook.reports.output import last_lines, one_line
from runbook.rules.jobs import End, Way
from runbook.rules.workloads import trouble_words
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration, shortened

_MESSAGE_LIMIT = 300
_LOOKED_THROUGH = 20
_IN_WORDS = re.compile(r"\s*[^\s<{}\[\]\"',].*\w")

_NEVER_STARTED_REMEDIES = {
    "image_pull": "Check that the digest exists in the registry and that the cluster may pull it",
    "config": "Check the secrets, config maps and quotas that the Job names",
    "unschedulable": "Check the cluster's free capacity and what the Job requests",
}


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
            reason = f"the Job {end.job} was deleted by somebody else: its result isn't known"
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
    words = f" ({said})" if said not in ("", "Error", f"Error: exit code {code}") else ""
    reason = f"exited with code {code}{_after(end)}{words}{_last_line(end)}"
    return Verdict.failed(gate, "job.failed", reason, *evidence, remedy="Read its log, mend the cause and try again")


def _never_started(gate: str, end: End, evidence: tuple[Evidence, ...]) -> Verdict:
    trouble = end.trouble
    why = trouble_words(trouble) if trouble is not None else _own_words(end) or "Kubernetes gives no reason"
    reason = f"had not started after {duration(round(end.waited_s))}: {why}"
    remedy = _NEVER_STARTED_REMEDIES.get(trouble.kind if trouble is not None else "", "Look at the Job and its pod")
    return Verdict.failed(gate, "job.never_started", reason, *evidence, remedy=remedy)


def judge_migration(
    gate: str, end: End, direction: str, backward_compatible: bool, down: JobTemplate | None
) -> Verdict:
    """As `judge_end`; what didn't end well says what it may have done to the schema, and how a person gets it back.

    down: of a migration that went up, None where nothing leads back. Runbook: Rollback Procedure 3 and 4.
    """
    verdict = judge_end(gate, end)
    if verdict.outcome is Outcome.PASS:
        return verdict
    if not end.started:
        return replace(verdict, reason=f"{verdict.reason}; it has not touched the schema")
    kind = "" if backward_compatible else ", and the version that ran before does not work on the new one"
    reason = f"{verdict.reason}; the schema may be half changed{kind}"
    if direction == "down":
        way = "Finish the way down by hand, or restore the database to a point in time"
    elif down is None:
        way = "No down Job is declared: mend the schema by hand, or restore the database to a point in time"
    else:
        way = f"Its down Job is {job_words(down)}"
    return replace(verdict, reason=reason, remedy=f"{verdict.remedy}. {way}" if verdict.remedy else way)


def job_words(template: JobTemplate) -> str:
    """What a person would run: `the image of web with: alembic downgrade -1`."""
    before = " before" if template.previous else ""
    image = f"the image of {template.workload}{before}" if template.workload else f"the image {template.image}"
    command = shlex.join((*template.command, *template.args))
    return f"{image} with: {redacted(command)}" if command else image


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
    """The last line in words: the end of a report in XML or JSON tells nobody why."""
    lines = last_lines(end.log.text, _LOOKED_THROUGH).split("\n") if end.log is not None else []
    line = next((one_line(line) for line in reversed(lines) if _IN_WORDS.match(line)), "")
    return f"; its last line: {line}" if line else ""

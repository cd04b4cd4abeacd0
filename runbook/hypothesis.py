"""A root-cause hypothesis, drawn from what a run has measured. Runbook: Rollback Procedure 6. Pure.

It is worded as what it is, with the evidence it rests on and what speaks against it. It decides nothing, and never names a cause that
nothing points to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from runbook import series
from runbook.verdicts import Outcome, Verdict
from runbook.wording import listing, percent, shortened

GUARD = "guard"
"""The kind of a finding that a guard made; every other is its step's."""

_METRIC = re.compile(r"forge:([a-z0-9_]+):")
_LOG = "last lines of the log"
_MOST = 4
_LONGEST = 220

RESOURCES = (series.CPU, series.MEMORY, series.OOM_KILLS, series.RESTARTS, series.DB_CONNECTIONS)
SERVED = (series.ERROR_RATIO, series.LATENCY_P95, series.READINESS_RATIO, series.CORE_SUCCESS)
"""What users feel: bad on stable too, it isn't the new version alone."""

_NO_START = ("crash_loop", "liveness", "not_ready", "deadline_exceeded", "timeout")


@dataclass(frozen=True, slots=True)
class Finding:
    """One verdict of the run with the step that found it. kind: the step's, or `guard`."""

    kind: str
    title: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is known of a run that is rolled back. findings: what set it off first. reason: of the decision; code: its stable code.

    migrations: names of those that had begun.
    """

    version: str
    code: str
    reason: str
    findings: tuple[Finding, ...] = ()
    migrations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """code: what kind, such as `version.errors`, for the next action. text: one sentence. rests_on, against: sentences."""

    code: str
    text: str
    rests_on: tuple[str, ...] = ()
    against: tuple[str, ...] = ()


def hypothesis(case: Case) -> Hypothesis:
    """The most direct explanation first: what doesn't start needs no other."""
    for explain in _EXPLANATIONS:
        found = explain(case)
        if found is not None:
            return found
    return Hypothesis("unknown", f"nothing that was measured points to a cause; it was rolled back because {case.reason or 'somebody asked for it'}",
                      _all_words(_bad(case)))  # fmt: skip


# --- reading the findings ---------------------------------------------------------------------------------------------


def _bad(case: Case) -> list[Finding]:
    seen: set[tuple[str, str]] = set()
    found = []
    for finding in case.findings:
        key = (finding.verdict.gate, finding.verdict.reason)
        if finding.verdict.outcome is Outcome.FAIL and key not in seen:
            seen.add(key)
            found.append(finding)
    return found


def _metrics(verdict: Verdict) -> set[str]:
    return {name for fact in verdict.evidence for name in _METRIC.findall(fact.source)}


def _of_stable(verdict: Verdict) -> bool:
    return verdict.gate.endswith("of stable") or any('track="stable"' in fact.source for fact in verdict.evidence[:1])


def _about(findings: Iterable[Finding], *metrics: str) -> list[Finding]:
    return [finding for finding in findings if _metrics(finding.verdict) & set(metrics)]


def _coded(findings: Iterable[Finding], *prefixes: str) -> list[Finding]:
    return [finding for finding in findings if finding.verdict.code.startswith(prefixes)]


def _words(finding: Finding) -> str:
    return shortened(" ".join(f"{finding.verdict.gate}: {finding.verdict.reason}".split()), _LONGEST)


def _all_words(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(_words(finding) for finding in findings[:_MOST])


def _value(verdict: Verdict, name: str) -> float | None:
    found = next((fact.value for fact in verdict.evidence if fact.name == name), None)
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def _made(code: str, text: str, case: Case, rests_on: Sequence[Finding], *against: str) -> Hypothesis:
    """What fails besides, and isn't part of the explanation, speaks against it or beside it."""
    beside = [finding for finding in _bad(case) if finding not in rests_on]
    return Hypothesis(code, text, _all_words(rests_on), (*(words for words in against if words), *_all_words(beside)))


# --- the explanations, in order ---------------------------------------------------------------------------------------


def _not_started(case: Case) -> Hypothesis | None:
    found = _coded(_bad(case), "rollout.", "endpoints.")
    if not found:
        return None
    when, _, kind = found[0].verdict.code.partition(".")
    own = _own_words(found[0].verdict)
    texts = {
        "image_pull": ("start.image", f"the image of {case.version} can't be pulled: {own}; the version itself never ran"),
        "config": ("start.config", f"{case.version} lacks a secret or a configuration that it needs here: {own}"),
        "unschedulable": ("start.room", f"the cluster has no room for {case.version}: {own}; that says nothing of the version"),
        **dict.fromkeys(
            ("overwritten", "missing", "no_pods", "no_replicas"),
            ("start.foreign", f"somebody else changed the Deployment meanwhile: {own}"),
        ),
    }  # fmt: skip
    if kind in texts:
        code, text = texts[kind]
    elif kind in _NO_START:
        what = "doesn't start" if when == "rollout" else "starts, but doesn't stay up"
        code, text = "start.version", f"the new version {what}: {own}"
    else:
        return None
    started = _value(found[0].verdict, "available")
    wanted = next((f.limit for f in found[0].verdict.evidence if f.name == "available"), None)
    some = f"{started:g} of {wanted} replicas did become Available" if started else ""
    return _made(code, text, case, found, some)


def _own_words(verdict: Verdict) -> str:
    """Kubernetes' words of the container that ended, and the last line that it wrote."""
    reasons = [
        str(f.value)
        for f in verdict.evidence
        if f.name in ("crash_loop", "liveness", "not_ready", "image_pull", "config", "unschedulable")
    ]
    log = next((str(f.value) for f in verdict.evidence if f.name == _LOG), "")
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    told = reasons[0] if reasons else verdict.reason
    if lines and lines[-1] not in told:
        told = f"{told}; its log ends with “{shortened(lines[-1], 160)}”"
    return shortened(" ".join(told.split()), 400)


def _migration(case: Case) -> Hypothesis | None:
    bad = _bad(case)
    failed = [finding for finding in bad if finding.kind == "migrate"]
    if failed:
        first = failed[0]
        return _made("migration.failed", f"{_lowered(first.title)} failed: {_brief(first)}", case, failed)
    harmed = [finding for finding in bad if finding.kind == "verify_migrations"]
    names = listing(case.migrations) or "a migration"
    if harmed:
        text = f"{names} harmed the data, or the verification itself is wrong: {_brief(harmed[0])}"
        return _made("migration.data", text, case, harmed)
    slow = _about(bad, series.DB_SLOW_QUERIES, series.DB_LOCK_WAITS)
    if slow and case.migrations:
        verb = "makes" if len(case.migrations) == 1 else "make"
        return _made("migration.slow", f"{names} {verb} the database slow: {_brief(slow[0])}", case, slow,
                     "the new version's own queries may do the same")  # fmt: skip
    if slow:
        text = f"the new version's queries make the database slow: {_brief(slow[0])}"
        return _made("version.queries", text, case, slow, "something else may use the same database: no migration ran")
    return None


def _router(case: Case) -> Hypothesis | None:
    found = _coded(_bad(case), "traffic.")
    if not found:
        return None
    return _made(
        "router",
        f"the traffic could not be divided, which says nothing of the version: {_brief(found[0])}",
        case,
        found,
    )


def _dependency(case: Case) -> Hypothesis | None:
    bad = _bad(case)
    found = _coded(bad, "dependencies.") or _about(bad, series.DEPENDENCY_TIMEOUTS)
    if not found:
        return None
    names = listing(dict.fromkeys(str(f.name) for finding in found for f in finding.verdict.evidence[:1] if f.name))
    what = f"a dependency answers too late ({names})" if names else "a dependency answers too late"
    ratio = next(iter(_coded(bad, "ratio.")), None)
    doubt = f"a dependency would hurt stable as well, yet {_ratio_words(ratio.verdict)}" if ratio is not None else ""
    return _made("dependency", f"{what}: {_brief(found[0])}", case, found, doubt)


def _both_tracks(case: Case) -> Hypothesis | None:
    bad = _bad(case)
    stable = [finding for finding in _about(bad, *SERVED) if _of_stable(finding.verdict)]
    if not stable:
        return None
    ratio = next(iter(_coded(bad, "ratio.")), None)
    text = (
        f"not (only) the new version: stable suffers too ({_brief(stable[0])}); look at dependencies and the database"
    )
    doubt = _ratio_words(ratio.verdict) if ratio is not None else ""
    return _made("both", text, case, stable, doubt)


def _resources(case: Case) -> Hypothesis | None:
    bad = [finding for finding in _bad(case) if not _of_stable(finding.verdict)]
    short = _about(bad, *RESOURCES)
    if not short:
        return None
    slow = _about(bad, series.LATENCY_P95) or [f for f in bad if "latency" in f.verdict.code]
    killed = _about(short, series.OOM_KILLS)
    what = "needs more memory than it is allowed" if killed else "runs short of resources"
    also = ", which makes it slow" if slow else ""
    errors = _coded(bad, "ratio.", "phase.error")
    doubt = (
        f"{_ratio_words(errors[0].verdict) or _brief(errors[0])}: a fault in the code may be what uses them up"
        if errors
        else ""
    )
    return _made("resources", f"the new version {what}{also}: {_brief(short[0])}", case, [*short, *slow], doubt)


def _errors(case: Case) -> Hypothesis | None:
    bad = [finding for finding in _bad(case) if not _of_stable(finding.verdict)]
    ratio = _coded(bad, "ratio.")
    found = [*ratio, *_coded(bad, "phase.error", "burn."), *_about(bad, series.ERROR_RATIO, series.CORE_SUCCESS)]
    found = list(dict.fromkeys(found))
    if not found:
        return None
    if ratio:
        words, baseline = _ratio_words(ratio[0].verdict), _value(ratio[0].verdict, "baseline's error ratio")
        doubt = f"stable's own error rate was {percent(baseline)}" if baseline is not None and baseline >= 0.01 else ""
        return _made(
            "version.errors", f"the new version itself: {words}, while nothing is wrong with stable", case, found, doubt
        )
    core = _about(found, series.CORE_SUCCESS)
    what = "breaks core transactions" if core else "itself answers with errors"
    return _made("version.errors", f"the new version {what}: {_brief((core or found)[0])}", case, found,
                 "it was not held against stable's errors at the same time")  # fmt: skip


def _slow(case: Case) -> Hypothesis | None:
    bad = [finding for finding in _bad(case) if not _of_stable(finding.verdict)]
    found = [
        finding
        for finding in bad
        if "latency" in finding.verdict.code or finding in _about([finding], series.LATENCY_P95)
    ]
    if not found:
        return None
    return _made(
        "version.slow",
        f"the new version is slower, and its resources don't explain it: {_brief(found[0])}",
        case,
        found,
    )


def _unwell(case: Case) -> Hypothesis | None:
    bad = _bad(case)
    found = [*_coded(bad, "smoke.", "health.", "endpoints."), *_about(bad, series.READINESS_RATIO)]
    if not found:
        return None
    return _made(
        "version.journeys", f"the new version fails what users do: {_brief(found[0])}", case, list(dict.fromkeys(found))
    )


def _person(case: Case) -> Hypothesis | None:
    if case.code not in ("aborted", "rollback.asked") or _bad(case):
        return None
    return Hypothesis("person", f"none from the evidence: no check had failed when a person decided it ({case.reason})")


_EXPLANATIONS: tuple[Callable[[Case], Hypothesis | None], ...] = (
    _not_started,
    _migration,
    _router,
    _dependency,
    _both_tracks,
    _resources,
    _errors,
    _slow,
    _unwell,
    _person,
)


def _ratio_words(verdict: Verdict) -> str:
    """`its errors are 4.1 times stable's (4.1 % against 1 %)`; empty where the verdict has no such numbers."""
    own, other = _value(verdict, "canary's error ratio"), _value(verdict, "baseline's error ratio")
    if own is None:
        return ""
    if not other:
        return f"its error rate is {percent(own)}, and stable's is zero"
    times = own / other
    shown = f"{times:.0f}" if times >= 10 else f"{times:.2g}"
    return f"its errors are {shown} times stable's ({percent(own)} against {percent(other)})"


def _brief(finding: Finding) -> str:
    return shortened(" ".join(finding.verdict.reason.split()), _LONGEST)


def _lowered(title: str) -> str:
    return title[:1].lower() + title[1:]

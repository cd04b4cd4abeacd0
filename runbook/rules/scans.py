"""Whether an image is free of known critical findings. Runbook: Promotion Criteria, "Security scan: no critical findings".

The newest report for the very digest counts, whoever made it. Nothing here is ever clean for want of a report.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from runbook.ports import ScanReport
from runbook.values import FrozenImage
from runbook.verdicts import Evidence, Verdict
from runbook.wording import duration, listing

GATE = "security scan"
CODE_GATE = "code scanning"
FUTURE_TOLERATED = timedelta(minutes=5)
"""Clocks differ by this much at most; a report from further ahead has no age that can be judged."""
_MOST_NAMED = 8
_COUNTED = ("critical", "high", "medium", "low", "unknown")


def image_gate(image: FrozenImage) -> str:
    return f"{GATE}: {image.workload}"


def open_critical(report: ScanReport) -> int:
    """How many: the ids may be fewer, because only the first are kept."""
    return max(report.counts.get("critical", 0), len(report.critical))


def newest_of(reports: Sequence[ScanReport]) -> ScanReport | None:
    """By when the scan was taken; of two taken in the same moment the one with more critical findings."""
    return max(reports, key=lambda report: (report.taken_at, open_critical(report)), default=None)


def judge_image(image: FrozenImage, reports: Sequence[ScanReport], now: datetime, max_age_s: float) -> Verdict:
    """reports: of this image's digest, from all sources; others are not looked at.

    Codes: `scan.critical`, `scan.missing`, `scan.stale`, `scan.future`.
    """
    report = newest_of([each for each in reports if each.subject == image.digest])
    if report is None:
        asked = Evidence(name="report", value=None, source=image.reference)
        reason = f"no security scan of {image.reference} has been received"
        return Verdict.no_data(image_gate(image), "scan.missing", reason, asked, remedy=how_to_send(image))
    return _judged(image_gate(image), image.workload, report, now, max_age_s, how_to_send(image))


def judge_code_scanning(report: ScanReport | None, commit: str, now: datetime, max_age_s: float) -> Verdict:
    """GitHub's analysis of the commit itself, where the policy wants it."""
    remedy = "Let the code scanning workflow run on this commit, and see that code scanning is on for the repository"
    short = commit[:12]
    if report is None or report.subject != commit:
        asked = Evidence(name="analysis", value=None, source=commit)
        reason = f"code scanning has no analysis of {short}"
        return Verdict.no_data(CODE_GATE, "scan.code_missing", reason, asked, remedy=remedy)
    return _judged(CODE_GATE, short, report, now, max_age_s, remedy)


def how_to_send(image: FrozenImage) -> str:
    """What a person does to scan the image and hand the report in; short enough for a message."""
    return f"Scan it, or put its report into the scan folder, then retry: {send_line(image.reference)}"


def send_line(reference: str) -> str:
    """A line for a shell with FORGE_URL and FORGE_CI_TOKEN. reference: `repository@sha256:…`, which the report then names itself."""
    return (
        f'{{ printf \'{{"kind":"scan","report":\'; trivy image -f json {reference}; printf \'}}\'; }} | '
        'curl -sS --fail-with-body "$FORGE_URL/webhooks/ci" -H "Authorization: Bearer $FORGE_CI_TOKEN" '
        '-H "Content-Type: application/json" --data-binary @-'
    )


def _judged(gate: str, what: str, report: ScanReport, now: datetime, max_age_s: float, remedy: str) -> Verdict:
    evidence = _evidence(report, now, max_age_s)
    critical = open_critical(report)
    age_s = (now - report.taken_at).total_seconds()
    if critical:  # known criticals don't get better with age: they count before staleness
        reason = f"{report.tool} finds {_named(report.critical, critical)} in {what}"
        where = f"; see {report.url}" if report.url else ""
        mend = f"Mend or update what is affected and tag the next candidate{where}"
        return Verdict.failed(gate, "scan.critical", reason, *evidence, remedy=mend)
    if age_s < -FUTURE_TOLERATED.total_seconds():
        reason = f"the newest scan of {what} is dated {duration(-age_s)} in the future"
        return Verdict.no_data(gate, "scan.future", reason, *evidence, remedy="Set the clocks right, then scan again")
    if age_s > max_age_s:
        reason = f"the newest scan of {what} is {duration(age_s)} old; at most {duration(max_age_s)} count"
        return Verdict.no_data(gate, "scan.stale", reason, *evidence, remedy=remedy)
    counted = listing(f"{report.counts[name]} {name}" for name in _COUNTED if report.counts.get(name))
    found = f"; it finds {counted}" if counted else ""
    reason = f"{report.tool} finds nothing critical in {what}, {duration(max(age_s, 0.0))} ago{found}"
    return Verdict.passed(gate, reason, *evidence)


def _named(ids: Sequence[str], count: int) -> str:
    shown = list(ids[:_MOST_NAMED])
    if count > len(shown):
        shown.append(f"{count - len(shown)} more" if shown else "unnamed")
    word = "critical finding" if count == 1 else "critical findings"
    return f"{count} {word} ({listing(shown)})"


def _evidence(report: ScanReport, now: datetime, max_age_s: float) -> tuple[Evidence, ...]:
    source = report.url or report.source
    critical = Evidence(
        name="open critical findings",
        value=open_critical(report),
        limit=0,
        unit="count",
        source=source,
        at=report.taken_at,
    )
    age_s = (now - report.taken_at).total_seconds()
    age = Evidence(name="age", value=age_s, limit=max_age_s, unit="s", source=f"{report.tool}, {report.source}")
    others = (
        Evidence(name=f"{name} findings", value=report.counts[name], unit="count", source=source)
        for name in _COUNTED[1:]
        if report.counts.get(name)
    )
    return (critical, age, *others)

"""Whether a test suite has passed: by its exit code and by the tests it reports. Runbook: Staging Deployment 4.

An exit code of 0 never outweighs a failed test, and a suite that ran no test has not passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runbook.rules.job_ends import judge_end
from runbook.rules.jobs import End, Way
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration, listing

if TYPE_CHECKING:
    from runbook.reports.junit import TestReport

_NAMED = 3
_PARTLY = "its JUnit XML is cut off or unreadable in part"


def judge_suite(gate: str, end: End, report: TestReport | None) -> Verdict:
    """report: what its JUnit XML says, None without any. Codes: those of `judge_end`, `suite.failed`, `suite.empty`."""
    ended = judge_end(gate, end)
    counted = replace(ended, evidence=(*_evidence(end, report), *ended.evidence))
    if end.way is not Way.EXITED or ended.code == "job.oom":
        return counted
    if report is None:
        return counted if not end.well else replace(counted, reason=f"{ended.reason}; it printed no JUnit XML")
    if report.bad:
        although = ", though it exited with code 0" if end.well else ""
        reason = f"{_of(report.bad, report.tests)} failed{although}: {_names(report)}"
        return Verdict.failed(gate, "suite.failed", reason, *counted.evidence, remedy="Mend what the tests show")
    if not end.well:
        but = _PARTLY if not report.whole else "none of its tests is reported as failed"
        return replace(counted, reason=f"{ended.reason}; {but}")
    if not report.whole:
        known = f"; of the tests that it shows, {report.ran} passed" if report.ran else ""
        return replace(counted, reason=f"{ended.reason}; {_PARTLY}, so the exit code decides{known}")
    if report.ran == 0:
        reason = f"all {report.tests} tests were skipped" if report.tests else "it ran no test at all"
        remedy = "Check which tests the suite selects"
        return Verdict.failed(gate, "suite.empty", reason, *counted.evidence, remedy=remedy)
    skipped = f", {report.skipped} skipped" if report.skipped else ""
    took = f" in {duration(round(end.duration_s, 1))}" if end.duration_s is not None else ""
    return replace(counted, reason=f"{report.ran} tests passed{skipped}{took}")


def suite_fact(
    name: str, kind: str, outcome: Outcome, end: End, report: TestReport | None
) -> Mapping[str, Any]:  # fmt: skip
    """For the record, as JSON: counts are None where the suite reported none."""
    return {
        "name": name,
        "kind": kind,
        "outcome": outcome.value,
        "tests": report.tests if report else None,
        "failures": report.failures if report else None,
        "errors": report.errors if report else None,
        "skipped": report.skipped if report else None,
        "duration_s": end.duration_s,
        "finished_at": end.at.isoformat(),
    }


def _evidence(end: End, report: TestReport | None) -> tuple[Evidence, ...]:
    if report is None:
        return ()
    source = f"job/{end.job}"
    counts = tuple(
        Evidence(name=name, value=value, limit=limit, unit="count", source=source)
        for name, value, limit in (
            ("tests", report.tests, None),
            ("failed", report.failures, 0),
            ("errors", report.errors, 0),
            ("skipped", report.skipped, None),
        )
    )
    failed = tuple(
        Evidence(name="failed test", value=f"{test.name}: {test.message}" if test.message else test.name, source=source)
        for test in report.failed
    )
    return (*counts, *failed)


def _of(bad: int, tests: int) -> str:
    return f"{bad} of {tests} tests" if tests > 1 else "its only test"


def _names(report: TestReport) -> str:
    named = [test.name for test in report.failed[:_NAMED]]
    more = report.bad - len(named)
    if not named:
        return "their names aren't reported"
    return listing([*named, f"{more} more"] if more > 0 else named)

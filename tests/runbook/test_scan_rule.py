"""Whether an image is free of known critical findings. Runbook: Promotion Criteria, Security scan."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from runbook.ports import ScanReport
from runbook.rules.scans import judge_code_scanning, judge_image, newest_of
from runbook.values import FrozenImage
from runbook.verdicts import Outcome, Verdict
from tests.fakes.clock import NOON
from tests.runbook.fakes import COMMIT, RELEASE

WEEK_S = 7 * 86400.0
IMAGE = RELEASE.images[0]
CLEAN = {"critical": 0, "high": 3, "medium": 0, "low": 12, "unknown": 0}


def report(*critical: str, age_s: float = 3600.0, image: FrozenImage = IMAGE, url: str = "") -> ScanReport:
    taken = NOON - timedelta(seconds=age_s)
    counts = CLEAN | {"critical": len(critical)}
    return ScanReport(image.digest, "trivy 0.69.1", "trivy", taken, NOON, counts, critical, "webhook", url)


def judged(*reports: ScanReport) -> Verdict:
    return judge_image(IMAGE, reports, NOON, WEEK_S)


def test_a_young_report_without_criticals_passes_with_its_counts() -> None:
    verdict = judged(report())
    assert verdict.outcome == Outcome.PASS
    assert verdict.gate == "security scan: web"
    assert verdict.reason == "trivy 0.69.1 finds nothing critical in web, 1 h ago; it finds 3 high and 12 low"
    assert [(each.name, each.value, each.limit) for each in verdict.evidence] == [
        ("open critical findings", 0, 0),
        ("age", 3600.0, WEEK_S),
        ("high findings", 3, None),
        ("low findings", 12, None),
    ]


def test_an_open_critical_finding_fails_and_is_named() -> None:
    verdict = judged(report("CVE-2026-1", "CVE-2026-2", url="https://ci.example/7"))
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "scan.critical")
    assert verdict.reason == "trivy 0.69.1 finds 2 critical findings (CVE-2026-1 and CVE-2026-2) in web"
    assert "https://ci.example/7" in verdict.remedy


def test_many_critical_findings_are_told_shortly() -> None:
    verdict = judged(report(*(f"CVE-{i}" for i in range(20))))
    assert "20 critical findings (CVE-0" in verdict.reason
    assert "CVE-7 and 12 more)" in verdict.reason
    assert "CVE-8" not in verdict.reason


def test_counted_criticals_without_names_fail_too() -> None:
    verdict = judged(replace(report(), counts={"critical": 1}))
    assert verdict.outcome == Outcome.FAIL
    assert "1 critical finding (unnamed)" in verdict.reason


def test_named_criticals_fail_even_where_they_are_not_counted() -> None:
    assert judged(replace(report("CVE-1"), counts={})).outcome == Outcome.FAIL


def test_no_report_is_no_data_and_tells_the_line_to_type() -> None:
    verdict = judged()
    assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, "scan.missing")
    assert IMAGE.reference in verdict.reason
    assert f"trivy image -f json {IMAGE.reference}" in verdict.remedy
    assert '"$FORGE_URL/webhooks/ci"' in verdict.remedy
    assert len(verdict.remedy) < 400, "messages show no more"


def test_a_report_of_another_image_doesnt_count() -> None:
    assert judged(report(image=RELEASE.images[1])).code == "scan.missing"


def test_a_report_as_old_as_the_limit_still_counts_and_an_older_one_is_stale() -> None:
    assert judged(report(age_s=WEEK_S)).outcome == Outcome.PASS
    verdict = judged(report(age_s=WEEK_S + 3600))
    assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, "scan.stale")
    assert "7 d 1 h old; at most 7 d count" in verdict.reason


def test_known_criticals_dont_get_better_with_age() -> None:
    assert judged(report("CVE-1", age_s=30 * 86400)).code == "scan.critical"


def test_a_report_from_the_future_has_no_age() -> None:
    assert judged(report(age_s=-240)).outcome == Outcome.PASS
    assert judged(report(age_s=-360)).code == "scan.future"


def test_the_newest_scan_counts_whoever_took_it() -> None:
    assert judged(report("CVE-1", age_s=7200), report(age_s=60)).outcome == Outcome.PASS
    assert judged(report(age_s=7200), report("CVE-1", age_s=60)).outcome == Outcome.FAIL


def test_of_two_scans_of_one_moment_the_worse_counts() -> None:
    worse, better = report("CVE-1"), report()
    assert newest_of([worse, better]) is newest_of([better, worse]) is worse
    assert newest_of([]) is None


def test_the_commits_own_alerts_fail_too() -> None:
    found = replace(report("py/sql-injection"), subject=COMMIT, tool="CodeQL", source="code scanning")
    verdict = judge_code_scanning(found, COMMIT, NOON, WEEK_S)
    assert (verdict.gate, verdict.code) == ("code scanning", "scan.critical")
    assert "CodeQL finds 1 critical finding (py/sql-injection) in cccccccccccc" in verdict.reason


def test_a_commit_without_an_analysis_is_no_data() -> None:
    verdict = judge_code_scanning(None, COMMIT, NOON, WEEK_S)
    assert (verdict.outcome, verdict.code) == (Outcome.NO_DATA, "scan.code_missing")
    other = replace(report(), subject="d" * 40)
    assert judge_code_scanning(other, COMMIT, NOON, WEEK_S).code == "scan.code_missing"


def test_an_old_analysis_of_the_commit_is_stale() -> None:
    found = replace(report(age_s=WEEK_S + 1), subject=COMMIT)
    assert judge_code_scanning(found, COMMIT, NOON, WEEK_S).code == "scan.stale"

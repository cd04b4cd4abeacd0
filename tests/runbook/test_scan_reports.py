"""Scanners' reports: what counts as open and as critical, and what is refused instead of being taken for clean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runbook.scan_reports import MAX_OBJECTS, MAX_REPORT_BYTES, Format, Unusable, parse_report, report_of
from tests.runbook.scan_samples import (
    DIGEST,
    OTHER,
    TAKEN,
    grype,
    grype_match,
    sarif,
    sarif_result,
    sarif_rule,
    sarif_run,
    text,
    trivy,
    trivy_vulnerability,
)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
TAKEN_AT = datetime(2026, 5, 4, 11, 0, 0, 123456, tzinfo=UTC)


def refused(report: Any, wanted: Format = Format.AUTO) -> Unusable:
    with pytest.raises(Unusable) as caught:
        parse_report(report if isinstance(report, bytes) else text(report), wanted)
    assert caught.value.cause
    assert caught.value.remedy
    return caught.value


# --- Trivy ------------------------------------------------------------------------------------------------------------


def test_trivys_findings_are_counted_by_severity() -> None:
    words = ("CRITICAL", "HIGH", "HIGH", "MEDIUM", "LOW", "UNKNOWN")
    found = parse_report(text(trivy(*(trivy_vulnerability(f"CVE-2026-{i}", word) for i, word in enumerate(words)))))
    assert found.format == "trivy"
    assert found.tool == "trivy 0.69.1"
    assert found.counts == {"critical": 1, "high": 2, "medium": 1, "low": 1, "unknown": 1}
    assert found.critical == ("CVE-2026-0",)
    assert found.taken_at == TAKEN_AT
    assert found.digests == (DIGEST,)


def test_a_clean_image_has_zero_of_everything() -> None:
    assert set(parse_report(text(trivy())).counts.values()) == {0}


def test_a_finding_that_a_newer_version_would_fix_is_open() -> None:
    """Trivy's status `fixed` speaks of the package's maintainers, not of this image."""
    assert parse_report(text(trivy(trivy_vulnerability("CVE-1", "CRITICAL", Status="fixed")))).counts["critical"] == 1


def test_a_vulnerability_that_doesnt_affect_the_image_is_not_open() -> None:
    found = parse_report(text(trivy(trivy_vulnerability("CVE-1", "CRITICAL", Status="not_affected"))))
    assert found.counts["critical"] == 0


def test_critical_misconfigurations_and_secrets_count_too() -> None:
    wrong = {"ID": "DS-0002", "Severity": "CRITICAL", "Status": "FAIL"}
    passed = {"ID": "DS-0001", "Severity": "CRITICAL", "Status": "PASS"}
    secret = {"RuleID": "aws-access-key-id", "Severity": "CRITICAL", "Match": "AKIA****"}
    found = parse_report(text(trivy(Results=[{"Misconfigurations": [wrong, passed]}, {"Secrets": [secret]}])))
    assert found.critical == ("DS-0002", "aws-access-key-id")
    assert found.counts["critical"] == 2


def test_many_critical_findings_are_all_counted_and_the_first_are_named() -> None:
    found = parse_report(text(trivy(*(trivy_vulnerability(f"CVE-{i}", "CRITICAL") for i in range(50)))))
    assert found.counts["critical"] == 50
    assert len(found.critical) == 20


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"SchemaVersion": 1}, "schema 1"),
        ({"SchemaVersion": 3}, "schema 3"),
        ({"ArtifactType": "filesystem"}, "about a filesystem"),
        ({"ArtifactType": "cyclonedx"}, "about a cyclonedx"),
        ({"Results": []}, "no results"),
        ({"Results": None}, "no results"),
        ({"Results": [{"Vulnerabilities": [{"VulnerabilityID": 7}]}]}, "VulnerabilityID"),
        ({"Results": {"Vulnerabilities": []}}, "Results"),
    ],
)
def test_what_is_no_finished_trivy_scan_of_an_image_is_refused(changes: dict[str, Any], cause: str) -> None:
    assert cause in refused(trivy(**changes)).cause


def test_the_list_that_an_ancient_trivy_wrote_is_refused() -> None:
    assert "Trivy before 0.20" in refused([{"Target": "web", "Vulnerabilities": None}]).cause


# --- Grype ------------------------------------------------------------------------------------------------------------


def test_grypes_matches_are_counted_and_ignored_ones_are_not() -> None:
    matches = [grype_match("CVE-1", "Critical"), grype_match("CVE-2", "High"), grype_match("CVE-3", "Negligible")]
    found = parse_report(text(grype(*matches)))
    assert (found.format, found.tool, found.taken_at) == ("grype", "grype 0.104.0", TAKEN_AT)
    assert found.counts == {"critical": 1, "high": 1, "medium": 0, "low": 1, "unknown": 0}
    assert found.critical == ("CVE-1",)


def test_grype_names_the_index_and_the_platforms_manifest() -> None:
    assert parse_report(text(grype())).digests == (DIGEST, OTHER)


@pytest.mark.parametrize(
    "changes",
    [
        {"matches": None},
        {"descriptor": {"name": "syft"}},
        {"descriptor": None},
        {"source": {"type": "directory", "target": "/src"}},
        {"source": {"type": "sbom-file", "target": "web.json"}},
        {"source": None},
    ],
)
def test_what_is_no_grype_scan_of_an_image_is_refused(changes: dict[str, Any]) -> None:
    refused(grype(**changes))


# --- SARIF ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "severity"),
    [("9.8", "critical"), (9.0, "critical"), ("8.9", "high"), ("7.0", "high"), ("6.9", "medium"), ("3.9", "low")],
)
def test_scores_are_read_as_github_reads_them(score: str | float, severity: str) -> None:
    found = parse_report(text(sarif(sarif_run([sarif_rule("CVE-1", score)], sarif_result("CVE-1")))))
    assert found.counts[severity] == 1
    assert found.critical == (("CVE-1",) if severity == "critical" else ())


def test_the_vendors_word_counts_where_it_is_worse_than_the_score() -> None:
    rules = [sarif_rule("CVE-1", "8.1", "CRITICAL")]
    assert parse_report(text(sarif(sarif_run(rules, sarif_result("CVE-1"))))).counts["critical"] == 1


@pytest.mark.parametrize(
    ("changes", "is_open"),
    [
        ({"suppressions": [{"kind": "external"}]}, False),
        ({"suppressions": [{"kind": "external", "status": "accepted"}]}, False),
        ({"suppressions": [{"kind": "external", "status": "underReview"}]}, True),
        ({"suppressions": [{"kind": "inSource"}, {"kind": "external", "status": "rejected"}]}, True),
        ({"suppressions": []}, True),
        ({"baselineState": "new"}, True),
        ({"baselineState": "unchanged"}, True),
        ({"baselineState": "updated"}, True),
        ({"baselineState": "absent"}, False),
        ({"kind": "pass"}, False),
        ({"kind": "notApplicable"}, False),
        ({"kind": "review"}, True),
    ],
)
def test_suppressed_and_resolved_results_are_not_open(changes: dict[str, Any], is_open: bool) -> None:
    found = parse_report(text(sarif(sarif_run([sarif_rule("CVE-1", "9.8")], sarif_result("CVE-1", **changes)))))
    assert found.counts["critical"] == int(is_open)


def test_rules_are_found_in_extensions_and_by_the_beginning_of_an_id() -> None:
    tool = {"driver": {"name": "CodeQL"}, "extensions": [{"name": "queries", "rules": [sarif_rule("py/sql", "9.1")]}]}
    result = sarif_result("py/sql/1", ruleIndex=7)
    assert parse_report(text(sarif(sarif_run([], result, tool=tool)))).critical == ("py/sql/1",)


def test_a_result_with_an_index_alone_has_that_rule() -> None:
    rules = [sarif_rule("CVE-1", "2.0"), sarif_rule("CVE-2", "9.8")]
    result = {"ruleIndex": 1, "level": "error", "message": {"text": "x"}}
    assert parse_report(text(sarif(sarif_run(rules, result)))).critical == ("CVE-2",)


def test_the_id_counts_where_the_index_is_wrong() -> None:
    rules = [sarif_rule("CVE-1", "2.0"), sarif_rule("CVE-2", "9.8")]
    assert parse_report(text(sarif(sarif_run(rules, sarif_result("CVE-2", ruleIndex=0))))).counts["critical"] == 1


def test_several_runs_are_one_report_as_old_as_the_oldest() -> None:
    def run(rule: str, end: str) -> dict[str, Any]:
        invocations = [{"executionSuccessful": True, "endTimeUtc": end}]
        return sarif_run([sarif_rule(rule, "9.8")], sarif_result(rule), invocations=invocations)

    found = parse_report(text(sarif(run("CVE-1", "2026-05-04T10:00:00Z"), run("CVE-2", "2026-05-03T10:00:00Z"))))
    assert found.critical == ("CVE-1", "CVE-2")
    assert found.taken_at == datetime(2026, 5, 3, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("report", "cause"),
    [
        (sarif(version="2.0.0"), "version 2.0.0"),
        (sarif(), "no runs"),
        (sarif(sarif_run([], results=None)), "no results"),
        (sarif(sarif_run([], invocations=[{"executionSuccessful": False}])), "scan failed"),
        (sarif(sarif_run([sarif_rule("R1")], sarif_result("R1"))), "can't be told"),
        (sarif(sarif_run([sarif_rule("R1", "severe")], sarif_result("R1"))), "can't be told"),
        (sarif({"results": []}), "tool"),
        (sarif(sarif_run([], tool={"driver": {"name": "Anchore Container Vulnerability Report (T0)"}})), "suppressed"),
    ],
)
def test_sarif_that_says_nothing_of_criticals_is_refused(report: dict[str, Any], cause: str) -> None:
    assert cause in refused(report).cause


# --- any --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [b"", b"   ", b"null", b"7", b'"clean"', b"{}", b"[]", b"\xff\xfe\x00", b"<html></html>", b'{"Results": NaN}',
     b'{"spdxVersion": "SPDX-2.3", "packages": []}', b'{"version": "2.1.0"}'],
)  # fmt: skip
def test_garbage_is_refused(garbage: bytes) -> None:
    refused(garbage)


@pytest.mark.parametrize("report", [trivy(trivy_vulnerability("CVE-1", "CRITICAL")), grype(), sarif(sarif_run([]))])
def test_a_report_that_was_cut_off_anywhere_is_refused(report: dict[str, Any]) -> None:
    whole = text(report)
    for end in range(0, len(whole) - 1, 7):
        refused(whole[:end])


def test_deep_nesting_is_refused_and_harms_nothing() -> None:
    assert "recursion" in refused(b'{"runs":' + b"[" * 200_000).cause


def test_fifty_megabytes_are_refused_before_they_are_parsed() -> None:
    assert "at most 32 MiB" in refused(b"garbage" * 7_500_000).cause


def test_a_report_at_the_limit_is_read() -> None:
    report = trivy(trivy_vulnerability("CVE-1", "CRITICAL", Description=""))
    padding = MAX_REPORT_BYTES - len(text(report))
    report["Results"][0]["Vulnerabilities"][0]["Description"] = "x" * padding
    assert parse_report(text(report)).counts["critical"] == 1


def test_more_parts_than_fit_into_memory_are_refused() -> None:
    assert "more parts" in refused(b'{"Results":[' + b"{}," * MAX_OBJECTS + b"{}]}").cause


def test_a_refusal_never_quotes_what_was_found() -> None:
    report = trivy(Results=[{"Secrets": [{"RuleID": {"hunter2": "hunter2"}, "Severity": "hunter2"}]}])
    told = refused(report)
    assert "hunter2" not in told.cause + told.remedy


def test_a_named_format_must_be_the_reports() -> None:
    assert parse_report(text(trivy()), Format.TRIVY).format == "trivy"
    assert "it seems to be trivy" in refused(trivy(), Format.GRYPE).cause


def test_the_marks_of_several_formats_are_refused() -> None:
    both = {**trivy(), **grype(grype_match("CVE-1", "Critical"))}
    assert "several formats" in refused(both).cause
    assert parse_report(text(both), Format.GRYPE).counts["critical"] == 1


# --- of which image, from when ------------------------------------------------------------------------------------------


def made(report: dict[str, Any], digest: str = "", taken_at: datetime | None = None, now: datetime = NOON) -> Any:
    return report_of(parse_report(text(report)), digest=digest, taken_at=taken_at, received_at=now, source="webhook")


def test_the_reports_own_digest_and_time_are_taken() -> None:
    report = made(trivy())
    assert (report.subject, report.taken_at, report.received_at) == (DIGEST, TAKEN_AT, NOON)


def test_a_report_about_another_image_is_refused() -> None:
    with pytest.raises(Unusable, match="is about sha256:1111"):
        made(trivy(), "sha256:" + "3" * 64)


def test_a_report_without_a_digest_is_about_what_its_sender_says() -> None:
    report = trivy(ArtifactName="web:v1", Metadata={})
    assert made(report, OTHER).subject == OTHER
    with pytest.raises(Unusable, match="which digest"):
        made(report)


def test_a_report_with_two_digests_must_be_told_apart() -> None:
    assert made(grype(), OTHER).subject == OTHER
    assert made(grype(), DIGEST).subject == DIGEST
    with pytest.raises(Unusable, match="several digests"):
        made(grype())


@pytest.mark.parametrize("digest", ["sha256:12", "web:v1", "sha512:" + "1" * 64, DIGEST.upper()])
def test_what_is_no_digest_names_no_image(digest: str) -> None:
    with pytest.raises(Unusable, match="not named by a digest"):
        made(trivy(), digest)


def test_a_report_without_a_time_has_the_time_that_is_given() -> None:
    report = sarif(sarif_run([]))
    assert made(report, taken_at=NOON).taken_at == NOON
    with pytest.raises(Unusable, match="when the scan was taken"):
        made(report)


def test_the_reports_own_time_goes_before_the_one_that_is_given() -> None:
    assert made(trivy(), taken_at=NOON).taken_at == TAKEN_AT


@pytest.mark.parametrize("created", ["", "yesterday", "0001-01-01T00:00:00Z", "2026-05-04T11:00:00"])
def test_a_time_that_says_nothing_is_none(created: str) -> None:
    assert parse_report(text(trivy(CreatedAt=created))).taken_at is None


def test_a_report_from_the_future_is_refused() -> None:
    assert TAKEN.startswith("2026-05-04T11:00:00")
    assert made(trivy(), now=TAKEN_AT - timedelta(minutes=4)).taken_at == TAKEN_AT
    with pytest.raises(Unusable, match="in the future"):
        made(trivy(), now=TAKEN_AT - timedelta(minutes=6))

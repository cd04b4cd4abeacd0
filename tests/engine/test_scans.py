"""Security scans in the ledger, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from engine.records import ScanRow, Sealed
from engine.scans import LedgerScans
from runbook.ports import ScanReport
from state.store import SqlStore

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
DIGEST = "sha256:" + "1" * 64
COUNTS = {"critical": 1, "high": 2, "medium": 0, "low": 0, "unknown": 0}
REPORT = ScanReport(
    DIGEST, "trivy 0.62.0", "trivy", NOON, NOON + timedelta(minutes=1), COUNTS, ("CVE-2026-1",), "webhook", "https://ci.example/7"
)  # fmt: skip


def _audited(store: SqlStore) -> list[Sealed]:
    return store.read_now(lambda ledger: [each for each in ledger.find(Sealed) if each.action == "scan.received"])


async def test_a_kept_report_is_found_again_as_it_was(store: SqlStore) -> None:
    scans = LedgerScans(store)
    assert await scans.keep(REPORT, "a" * 64)
    assert await scans.newest(DIGEST) == REPORT


async def test_an_image_without_a_report_has_none(store: SqlStore) -> None:
    scans = LedgerScans(store)
    await scans.keep(REPORT, "a" * 64)
    assert await scans.newest("sha256:" + "2" * 64) is None


async def test_the_newest_is_by_when_the_scan_was_taken_and_not_by_when_it_came(store: SqlStore) -> None:
    scans = LedgerScans(store)
    await scans.keep(REPORT, "a" * 64)
    older = replace(REPORT, taken_at=NOON - timedelta(days=1), received_at=NOON + timedelta(hours=2), tool="older")
    await scans.keep(older, "b" * 64)
    assert await scans.newest(DIGEST) == REPORT


async def test_of_two_scans_of_one_moment_the_worse_counts(store: SqlStore) -> None:
    scans = LedgerScans(store)
    await scans.keep(REPORT, "a" * 64)
    await scans.keep(replace(REPORT, counts=COUNTS | {"critical": 0}, critical=()), "b" * 64)
    assert await scans.newest(DIGEST) == REPORT


async def test_a_kept_report_has_its_audit_entry(store: SqlStore) -> None:
    await LedgerScans(store).keep(REPORT, "a" * 64)
    (entry,) = _audited(store)
    assert (entry.actor, entry.subject, entry.at) == ("webhook:ci", DIGEST, REPORT.received_at)
    assert entry.what == "trivy 0.62.0 finds 1 critical"
    assert entry.evidence["critical"] == ["CVE-2026-1"]
    assert entry.evidence["sha256"] == "a" * 64


async def test_the_same_content_twice_changes_nothing(store: SqlStore) -> None:
    scans = LedgerScans(store)
    assert await scans.keep(REPORT, "a" * 64)
    assert not await scans.keep(replace(REPORT, received_at=NOON + timedelta(hours=1)), "a" * 64)
    assert await scans.newest(DIGEST) == REPORT
    assert len(_audited(store)) == 1
    assert store.read_now(lambda ledger: ledger.count(ScanRow)) == 1

"""What may be restored, whether a manifest is the right one, and what the post-restore checks say."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from runbook.backups import (
    BackupKind,
    BackupOrder,
    BackupRecord,
    BackupState,
    Digest,
    Manifest,
    RecoveryWindow,
    RestoreChecks,
    StoredFile,
    WalSegment,
    manifest_of,
    manifest_text,
)
from runbook.rules.comparing import CHECKSUMS_GATE, OBJECTS_GATE
from runbook.rules.restores import (
    INTEGRITY_GATE,
    ROWS_GATE,
    SCHEMA_GATE,
    SEQUENCES_GATE,
    SMOKE_GATE,
    VERSION_GATE,
    Chosen,
    choose_backup,
    judge_manifest,
    judge_restored,
)
from runbook.steps.databases import progress_words
from runbook.verdicts import Outcome, Verdict, decided
from tests.fakes.clock import NOON
from tests.runbook.database_stories import CHECKS
from tests.runbook.fake_databases import SYSTEM, facts_found, made, record

SMOKE = CHECKS.smoke[0]


def found(**changes: Any) -> dict[str, Verdict]:
    facts = facts_found(**{"smoke": {SMOKE: True}, **changes})
    return {verdict.gate: verdict for verdict in judge_restored(facts, CHECKS, major=16)}


# --- post-restore checks ----------------------------------------------------------------------------------------------


def test_a_good_restore_passes_every_check_of_the_runbook() -> None:
    verdicts = found()
    assert list(verdicts) == [
        VERSION_GATE,
        SCHEMA_GATE,
        ROWS_GATE,
        CHECKSUMS_GATE,
        OBJECTS_GATE,
        INTEGRITY_GATE,
        SEQUENCES_GATE,
        SMOKE_GATE,
    ]
    assert decided(verdicts.values()) is Outcome.PASS
    assert verdicts[ROWS_GATE].reason == "every critical table is there: public.orders has 1,200"


@pytest.mark.parametrize(
    ("changes", "gate", "code"),
    [
        ({"version_num": 180001}, VERSION_GATE, "restore.wrong_major"),
        ({"schema_version": ""}, SCHEMA_GATE, "restore.no_schema_version"),
        ({"rows": {"public.orders": None}}, ROWS_GATE, "restore.rows"),
        ({"rows": {}}, ROWS_GATE, "restore.rows"),
        ({"rows": {"public.orders": 999}}, ROWS_GATE, "restore.rows"),
        ({"invalid": ("orders_total_check",)}, INTEGRITY_GATE, "restore.invalid"),
        ({"behind": ("orders_id_seq",)}, SEQUENCES_GATE, "restore.behind"),
        ({"smoke": {SMOKE: False}}, SMOKE_GATE, "restore.smoke"),
        ({"smoke": {SMOKE: "permission denied"}}, SMOKE_GATE, "restore.smoke"),
        ({"smoke": {}}, SMOKE_GATE, "restore.smoke"),
    ],
)
def test_each_flaw_of_a_restore_fails_its_own_check_with_evidence(changes: Any, gate: str, code: str) -> None:
    verdicts = found(**changes)
    assert [v.code for v in verdicts.values() if v.outcome is Outcome.FAIL] == [code]
    assert verdicts[gate].evidence


def test_another_schema_version_than_the_expected_one_fails() -> None:
    facts = facts_found(smoke={SMOKE: True})
    verdicts = judge_restored(facts, CHECKS, major=16, expected_schema="0009")
    assert [v.code for v in verdicts if v.outcome is Outcome.FAIL] == ["restore.other_schema_version"]
    assert decided(judge_restored(facts, CHECKS, major=16, expected_schema="0008")) is Outcome.PASS


def test_what_is_not_configured_is_shown_and_decides_nothing() -> None:
    verdicts = judge_restored(facts_found(), RestoreChecks(), major=16)
    assert [v.gate for v in verdicts if not v.binding] == [
        SCHEMA_GATE,
        ROWS_GATE,
        CHECKSUMS_GATE,
        OBJECTS_GATE,
        SMOKE_GATE,
    ]
    assert decided(verdicts) is Outcome.PASS


def test_a_table_with_a_minimum_is_critical_though_it_isnt_listed() -> None:
    checks = RestoreChecks(minimum_rows={"public.users": 1})
    verdicts = judge_restored(facts_found(), checks, major=16)
    assert [v.reason for v in verdicts if v.outcome is Outcome.FAIL] == ["public.users is not there"]


def test_an_empty_critical_table_is_told_with_its_count() -> None:
    checks = RestoreChecks(tables=("public.orders",))
    (rows,) = [
        v for v in judge_restored(facts_found(rows={"public.orders": 0}), checks, major=16) if v.gate == ROWS_GATE
    ]
    assert (rows.outcome, rows.reason) == (Outcome.PASS, "every critical table is there: public.orders has 0")


# --- which backup -----------------------------------------------------------------------------------------------------


def logical(id: str, hours: float, **changes: Any) -> BackupRecord:
    return replace(record(id), finished_at=NOON - timedelta(hours=hours), **changes)


def base(id: str, hours: float, **changes: Any) -> BackupRecord:
    return logical(id, hours, kind=BackupKind.BASE, **changes)


def wal(number: int, hours: float) -> WalSegment:
    name = f"{1:08X}{0:08X}{number:08X}"
    return WalSegment(
        "shop",
        "prod",
        SYSTEM,
        1,
        name,
        StoredFile(name, Digest(16 << 20, ""), Digest(16 << 20, "")),
        NOON - timedelta(hours=hours),
    )


def chosen(
    *records: BackupRecord, window: RecoveryWindow | None = None, segments: tuple[WalSegment, ...] = (), **asked: Any
) -> str:
    """The id, with the moment where there is one; or the refusal's code."""
    answer = choose_backup(records, segments, window, NOON, **asked)
    if isinstance(answer, Chosen):
        return answer.record.id + (f"@{answer.until:%H:%M}" if answer.until else "")
    return answer.code


def test_the_newest_restorable_one_is_taken() -> None:
    stored = logical("stored", 1, state=BackupState.STORED)
    unpublished = logical("unpublished", 1, manifest="")
    gone = logical("gone", 1, state=BackupState.DELETED)
    assert chosen(stored, unpublished, gone, logical("new", 5), logical("old", 9)) == "new"
    assert chosen(stored, unpublished, gone) == "restore.nothing"


def test_one_from_a_clock_that_was_ahead_comes_last() -> None:
    assert chosen(logical("ahead", -3), logical("real", 5)) == "real"
    assert chosen(logical("ahead", -3)) == "ahead"


def test_a_named_one_is_taken_or_refused_with_why() -> None:
    old = logical("old", 9)
    assert chosen(logical("new", 5), old, wanted="old") == "old"
    assert chosen(old, wanted="other") == "restore.unknown"
    assert chosen(replace(old, state=BackupState.FAILED), wanted="old") == "restore.not_restorable"
    assert chosen(replace(old, manifest=""), wanted="old") == "restore.not_restorable"


def at(hours: float) -> datetime:
    return NOON - timedelta(hours=hours)


def test_a_moment_is_reached_from_the_base_with_the_least_wal() -> None:
    segments = (wal(5, 20), wal(6, 10), wal(7, 1))
    records = (base("b1", 30), base("b2", 15, lsn_end="0/6000148"), logical("l", 3))
    window = RecoveryWindow(at(30), at(1), "b1")
    assert chosen(*records, window=window, segments=segments, at=at(2)) == "b2@10:00"
    assert chosen(*records, window=window, segments=segments, at=at(16)) == "b1@20:00"


def test_while_the_database_is_idle_a_moment_behind_the_last_segment_is_reached_too() -> None:
    window = RecoveryWindow(at(30), at(0.1), "b1", seen_at=at(0.1))
    assert chosen(base("b1", 30), window=window, segments=(wal(5, 20),), at=at(1)) == "b1@11:00"


def test_a_named_base_is_recovered_within_its_time_alone() -> None:
    window = RecoveryWindow(at(30), at(1), "b1")
    assert chosen(base("b1", 30), window=window, wanted="b1", at=at(2)) == "b1@10:00"
    assert chosen(base("b1", 30), window=window, wanted="b1", at=at(31)) == "restore.too_early"
    assert chosen(base("b1", 30), window=window, wanted="b1", at=at(0.5)) == "restore.beyond"
    assert chosen(logical("l", 30), window=window, wanted="l", at=at(2)) == "restore.no_point_in_time"


def test_where_wal_is_missing_the_refusal_names_the_segment() -> None:
    window = RecoveryWindow(at(30), at(9), "b1", gap="000000010000000000000007")
    answer = choose_backup((base("b1", 30),), (), window, NOON, at=at(2))
    assert isinstance(answer, Verdict)
    assert answer.code == "restore.beyond"
    assert "000000010000000000000007" in answer.reason


# --- is it what it says -----------------------------------------------------------------------------------------------


def manifest(**changes: Any) -> Manifest:
    order = BackupOrder("shop-prod-1", BackupKind.LOGICAL, "shop", "prod", "prod-1", "forge")
    return replace(manifest_of(order, "shop", made()), **changes)


def on_record() -> BackupRecord:
    return record("shop-prod-1", manifest=manifest_text(manifest()))


def test_the_manifest_that_was_published_is_authentic() -> None:
    (verdict,) = judge_manifest(manifest(), on_record())
    assert verdict.outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (None, "backups.no_manifest"),
        (manifest(id="shop-prod-0"), "backups.wrong_manifest"),
        (manifest(service="web"), "backups.wrong_manifest"),
        (manifest(environment="staging"), "backups.wrong_manifest"),
        (manifest(kind=BackupKind.BASE), "backups.wrong_manifest"),
        (manifest(system_identifier="1"), "backups.wrong_manifest"),
        (manifest(files=()), "backups.swapped"),
        (manifest(finished_at=NOON), "backups.swapped"),
        (manifest(recipients=("age1other",)), "backups.swapped"),
    ],
)
def test_any_other_manifest_is_refused_though_it_is_signed(given: Manifest | None, code: str) -> None:
    verdicts = judge_manifest(given, on_record())
    assert {v.code for v in verdicts} == {code}
    assert decided(verdicts) is Outcome.FAIL


# --- words ------------------------------------------------------------------------------------------------------------


def test_progress_is_told_as_far_as_it_is_known() -> None:
    from runbook.backups import Progress

    assert progress_words(Progress("dumping", 0, 0, 0, 0)) == "dumping: 0 B"
    assert progress_words(Progress("dumping", 2_000_000, 0, 0, 2)) == "dumping: 2 MB, 1 MB/s"
    assert progress_words(Progress("fetching", 9, 0, 8, 1)) == "fetching: 9 B of about 8 B (99 %), 9 B/s"

"""Backups, drills and archived WAL in the ledger, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from engine.backup_ledger import LedgerBackups
from engine.records import BackupRow, Sealed
from runbook.backups import (
    BackupKind,
    BackupOrder,
    BackupState,
    Digest,
    DrillRecord,
    StoredFile,
    WalSegment,
    manifest_of,
)
from runbook.values import Environment
from state.store import SqlStore
from tests.fakes.clock import NOON, SimulatedClock
from tests.runbook.fake_databases import made, server

ORDER = BackupOrder("shop-prod-1", BackupKind.LOGICAL, "shop", "prod", "prod-1", "T1:UADA")
PROD = Environment.PROD
DRILL = DrillRecord(
    "prod-2", "shop", "prod", ORDER.id, BackupKind.LOGICAL, NOON, NOON + timedelta(minutes=3), True, 180.25, 16
)  # fmt: skip


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def ledger(store: SqlStore, clock: SimulatedClock) -> LedgerBackups:
    return LedgerBackups(store, clock)


def actions(store: SqlStore) -> list[str]:
    return [each.action for each in store.read_now(lambda ledger: ledger.find(Sealed, order="seq"))]


async def whole(ledger: LedgerBackups, order: BackupOrder = ORDER, **changes: Any) -> None:
    given = made(**changes)
    await ledger.began(order)
    await ledger.made(order, given)
    await ledger.published(manifest_of(order, "shop", given))


def segment(number: int, *, name: str = "", at_min: int = 0, system: str = "1") -> WalSegment:
    file = StoredFile(f"wal/{number}", Digest(16 << 20, "aa"), Digest(16 << 20, "bb"))
    at = NOON + timedelta(minutes=at_min)
    return WalSegment("shop", "prod", system, 1, name or f"00000001{0:08X}{number:08X}", file, at)


async def test_a_backup_is_on_record_with_what_its_manifest_says(ledger: LedgerBackups) -> None:
    await whole(ledger)
    record = await ledger.record(ORDER.id)
    assert record is not None
    assert (record.state, record.kind, record.operator) == (BackupState.DECODED, BackupKind.LOGICAL, "T1:UADA")
    assert record.restorable
    assert (record.plain_bytes, record.stored_bytes) == (80_000_000, 80_020_000)
    assert record.finished_at == NOON + timedelta(seconds=30)
    assert await ledger.records("shop", PROD) == (record,)
    assert await ledger.records("shop", Environment.STAGING) == ()


async def test_what_has_no_manifest_is_not_restorable(ledger: LedgerBackups) -> None:
    await ledger.began(ORDER)
    await ledger.made(ORDER, made())
    newest = await ledger.newest("shop", PROD)
    record = await ledger.record(ORDER.id)
    assert record is not None
    assert not record.restorable
    assert newest is not None


REPEATS: dict[str, Callable[[LedgerBackups], Awaitable[None]]] = {
    "began": lambda ledger: ledger.began(ORDER),
    "made": lambda ledger: ledger.made(ORDER, made()),
    "published": lambda ledger: ledger.published(manifest_of(ORDER, "shop", made())),
    "restored": lambda ledger: ledger.proven(ORDER.id, checked=False),
    "verified": lambda ledger: ledger.proven(ORDER.id, checked=True),
    "restored after verified": lambda ledger: ledger.proven(ORDER.id, checked=False),
    "busy": lambda ledger: ledger.busy(ORDER.id, "prod-9"),
    "not busy": lambda ledger: ledger.busy(ORDER.id, ""),
    "planned": lambda ledger: ledger.planned(PROD, "shop", "prod-1", {"delete": ["a"], "keep": ["b"]}),
    "drilled": lambda ledger: ledger.drilled(DRILL),
    "segment": lambda ledger: ledger.segment(segment(5)),
    "failed": lambda ledger: ledger.failed(ORDER.id, "its bytes have changed"),
    "deleted": lambda ledger: ledger.deleted(ORDER.id, "older than 35 d"),
    "forgotten": lambda ledger: ledger.forget_segments((segment(5),)),
    "an unknown one": lambda ledger: ledger.failed("nothing", "no"),
}


async def test_every_change_has_its_audit_entry_once_however_often_it_is_told(
    store: SqlStore, ledger: LedgerBackups
) -> None:
    for call in REPEATS.values():
        await call(ledger)
        before = actions(store), await ledger.records("shop", PROD)
        await call(ledger)
        assert (actions(store), await ledger.records("shop", PROD)) == before
    assert actions(store) == [
        "backup.begun", "backup.decoded", "backup.published", "backup.restored", "backup.verified", "backup.in_use",
        "backup.not_in_use", "retention.planned", "drill.passed", "wal.archived", "backup.failed", "backup.deleted",
        "wal.forgotten",
    ]  # fmt: skip


async def test_a_backup_that_failed_before_it_was_published_is_begun_anew(ledger: LedgerBackups) -> None:
    await ledger.began(ORDER)
    await ledger.failed(ORDER.id, "the connection was lost")
    await ledger.made(ORDER, made())
    record = await ledger.record(ORDER.id)
    assert record is not None
    assert (record.state, record.failure) == (BackupState.FAILED, "the connection was lost")
    await whole(ledger)
    record = await ledger.record(ORDER.id)
    assert record is not None
    assert (record.state, record.failure) == (BackupState.DECODED, "")


async def test_a_published_backup_that_failed_stays_failed(ledger: LedgerBackups) -> None:
    await whole(ledger)
    await ledger.failed(ORDER.id, "its bytes have changed")
    await whole(ledger)
    await ledger.proven(ORDER.id, checked=True)
    record = await ledger.record(ORDER.id)
    assert record is not None
    assert record.state is BackupState.FAILED
    assert await ledger.newest("shop", PROD) is None


async def test_a_dump_that_nobody_decoded_is_stored_and_not_restorable(ledger: LedgerBackups) -> None:
    await whole(ledger, decoded=False)
    newest = await ledger.newest("shop", PROD)
    assert newest is not None
    assert newest.state == "stored"


async def test_the_newest_is_the_newest_restorable_one_with_its_drill(ledger: LedgerBackups) -> None:
    await whole(ledger)
    later = replace(ORDER, id="shop-prod-2")
    await whole(ledger, later, decoded=False, finished_at=NOON + timedelta(hours=1))
    await ledger.drilled(DRILL)
    await ledger.drilled(replace(DRILL, run="prod-3", major=15, finished_at=NOON + timedelta(hours=2)))
    newest = await ledger.newest("shop", PROD)
    assert newest is not None
    assert (newest.id, newest.state, newest.drilled_at) == (ORDER.id, "decoded", DRILL.finished_at)
    assert newest.drill_failed_at is None


async def test_a_drill_that_failed_after_one_that_passed_is_told_with_its_reason(ledger: LedgerBackups) -> None:
    await whole(ledger)
    await ledger.drilled(DRILL)
    bad = replace(DRILL, run="prod-3", passed=False, reason="12 rows are missing", finished_at=NOON + timedelta(days=1))
    await ledger.drilled(bad)
    newest = await ledger.newest("shop", PROD)
    assert newest is not None
    assert (newest.drilled_at, newest.drill_failed_at) == (DRILL.finished_at, bad.finished_at)
    assert newest.drill_failure == "12 rows are missing"
    assert [each.run for each in await ledger.drills("shop", PROD)] == ["prod-3", "prod-2"]


async def test_the_window_of_recovery_begins_with_a_base_backup_and_ends_with_its_wal(ledger: LedgerBackups) -> None:
    order = replace(ORDER, id="shop-prod-base", kind=BackupKind.BASE)
    assert await ledger.window("shop", PROD) is None
    await whole(ledger, order, lsn_start="0/2000028", lsn_end="0/2000100", server=server(system_identifier="1"))
    for number, minutes in ((2, 5), (3, 10)):
        await ledger.segment(segment(number, at_min=minutes))
    window = await ledger.window("shop", PROD)
    assert window is not None
    assert (window.base, window.gap) == (order.id, "")
    assert window.until == NOON + timedelta(minutes=10)
    newest = await ledger.newest("shop", PROD)
    assert newest is not None
    assert newest.recoverable_until == window.until


async def test_old_segments_are_forgotten_and_history_files_are_kept(ledger: LedgerBackups) -> None:
    history = segment(0, name="00000001.history")
    for each in (segment(2), segment(3), segment(4), history):
        await ledger.segment(each)
    await ledger.forget_segments((segment(2), segment(3)))
    assert {each.name for each in await ledger.segments("shop", PROD)} == {segment(4).name, history.name}


async def test_another_servers_segment_of_the_same_name_stays_on_record(ledger: LedgerBackups) -> None:
    mine, other = segment(2), replace(segment(2), system_identifier="another")
    for each in (mine, other):
        await ledger.segment(each)
    await ledger.forget_segments((mine,))
    assert await ledger.segments("shop", PROD) == (other,)


async def test_a_segment_that_was_stored_anew_meanwhile_stays_on_record(ledger: LedgerBackups) -> None:
    was = segment(2)
    now = replace(was, file=replace(was.file, key="another-key.age"))
    for each in (was, now):
        await ledger.segment(each)
    await ledger.forget_segments((was,))
    assert await ledger.segments("shop", PROD) == (now,)


async def test_an_idle_database_moves_its_last_segment_without_a_word_in_the_audit_log(
    store: SqlStore, ledger: LedgerBackups
) -> None:
    await ledger.segment(segment(7))
    await ledger.segment(segment(7, at_min=5))
    (found,) = await ledger.segments("shop", PROD)
    assert found.ended_at == NOON + timedelta(minutes=5)
    assert actions(store) == ["wal.archived"]


async def test_a_segment_comes_back_as_it_was_kept(ledger: LedgerBackups) -> None:
    await ledger.segment(segment(7))
    assert await ledger.segments("shop", PROD) == (segment(7),)


async def test_a_drill_keeps_its_sign_off_when_it_is_told_again(store: SqlStore, ledger: LedgerBackups) -> None:
    await ledger.drilled(DRILL)
    await ledger.drilled(replace(DRILL, signed_off_by="T1:UDOT", signed_off_at=NOON))
    await ledger.drilled(DRILL)
    (found,) = await ledger.drills("shop", PROD)
    assert (found.signed_off_by, found.signed_off_at, found.seconds) == ("T1:UDOT", NOON, 180.25)
    (signed,) = [e for e in store.read_now(lambda inside: inside.find(Sealed)) if e.action == "drill.signed_off"]
    assert signed.actor == "T1:UDOT"


async def test_a_reason_of_any_length_is_kept_in_bounds(store: SqlStore, ledger: LedgerBackups) -> None:
    await ledger.began(ORDER)
    await ledger.failed(ORDER.id, "x" * 50_000)
    (row,) = store.read_now(lambda inside: inside.find(BackupRow))
    assert len(row.failure) == 1_000

"""Retention: 7, 14 and 35 days by the ledger's completion times; never the last that can be restored, whatever the clock says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.backups import RESTORABLE, BackupKind, BackupRecord, BackupState, Digest, StoredFile, WalSegment
from runbook.database_ports import WalFile
from runbook.rules.retention import Retention, may_go, plan_retention
from runbook.rules.wal import first_needed
from tests.fakes.clock import NOON
from tests.runbook.fake_databases import SYSTEM, record

DAY_S = 86_400.0
KEEP_S = 35 * DAY_S
BEGINS = NOON - timedelta(seconds=KEEP_S)


def logical(id: str, days: float, **changes: Any) -> BackupRecord:
    return replace(record(id), finished_at=NOON - timedelta(days=days), **changes)


def base(id: str, days: float, lsn: str = "0/5000028", **changes: Any) -> BackupRecord:
    return logical(id, days, kind=BackupKind.BASE, lsn_start=lsn, **changes)


def segment(number: int, days: float = 1, timeline: int = 1) -> WalSegment:
    name = f"{timeline:08X}{0:08X}{number:08X}"
    file = StoredFile(f"{name}.age", Digest(16 << 20, ""), Digest(16 << 20, ""))
    return WalSegment("shop", "prod", SYSTEM, timeline, name, file, NOON - timedelta(days=days))


def of_server(segment: WalSegment, system: str) -> WalSegment:
    return replace(segment, system_identifier=system)


def stored(segment: WalSegment, days: float, random: str = "0a0b0c0d") -> WalFile:
    return WalFile(segment.system_identifier, f"{segment.name}-{random}.age", 9, NOON - timedelta(days=days))


def on_record(segment: WalSegment, random: str = "0a0b0c0d") -> WalSegment:
    return replace(segment, file=replace(segment.file, key=f"{segment.name}-{random}.age"))


def planned(*records: BackupRecord, segments: Sequence[WalSegment] = (), now: datetime = NOON) -> Retention:
    return plan_retention(records, segments, now, KEEP_S)


def dropped(plan: Retention) -> set[str]:
    return {due.id for due in plan.dropped}


def test_what_is_older_than_the_policy_keeps_goes() -> None:
    plan = planned(logical("new", 1), logical("edge", 35), logical("old", 36.5))
    assert dropped(plan) == {"old"}
    assert plan.dropped[0].why == "36 d 12 h old; 35 d are kept"


def test_the_newest_restorable_and_the_newest_verified_stay_whatever_their_age() -> None:
    plan = planned(
        logical("decoded", 100, state=BackupState.DECODED),
        logical("verified", 200),
        logical("older", 300),
    )
    assert dropped(plan) == {"older"}
    assert {due.id: due.why for due in plan.kept} == {
        "decoded": "the newest restorable logical backup",
        "verified": "the newest verified logical backup",
    }


def test_a_year_ahead_the_clock_leaves_what_can_be_restored() -> None:
    plan = planned(
        logical("stored", 1, state=BackupState.STORED),
        logical("decoded", 2, state=BackupState.DECODED),
        logical("verified", 3),
        base("base", 4),
        now=NOON + timedelta(days=365),
    )
    assert {due.id for due in plan.kept} == {"decoded", "verified", "base"}


def test_a_backup_that_was_made_while_the_clock_was_ahead_shadows_none() -> None:
    plan = planned(logical("ahead", -300), logical("real", 40), logical("older", 41))
    assert dropped(plan) == {"older"}


def test_set_back_the_clock_deletes_nothing() -> None:
    plan = planned(*(logical(f"b{n}", n) for n in range(60)), now=NOON - timedelta(days=365))
    assert not plan.dropped


def test_what_is_held_read_or_being_made_stays() -> None:
    plan = planned(
        logical("new", 1),
        logical("held", 99, held_by="Dana", held_reason="audit"),
        logical("busy", 99, busy="prod-9"),
        logical("running", 99, manifest="", state=BackupState.CREATED),
        logical("made", 99, manifest="", state=BackupState.DECODED),
    )
    assert not plan.dropped
    assert {due.id: due.why for due in plan.kept}["held"] == "held by Dana: audit"


def test_leftovers_of_failed_backups_go_once() -> None:
    failed = logical("failed", 1, state=BackupState.FAILED, failure="disk full", manifest="")
    plan = planned(failed, replace(failed, id="cleared", deleted_at=NOON))
    assert [(due.id, due.why) for due in plan.leftovers] == [("failed", "failed: disk full")]


def test_a_base_backup_stays_as_long_as_recovery_within_the_retention_begins_with_it() -> None:
    plan = planned(base("b1", 50), base("b2", 43), base("b3", 36), base("b4", 29), base("b5", 1))
    assert dropped(plan) == {"b1", "b2"}
    assert {due.id: due.why for due in plan.kept}["b3"] == "recovery to the beginning of the retention starts from it"


def test_a_base_backup_that_was_never_read_back_begins_no_recovery() -> None:
    plan = planned(base("good", 43), base("unread", 36, state=BackupState.STORED), base("new", 1))
    assert dropped(plan) == {"unread"}


def test_wal_before_the_oldest_kept_base_backup_goes() -> None:
    segments = [segment(n) for n in range(1, 12)]
    plan = planned(
        base("old", 50, "0/2000028"), base("kept", 36, "0/5000028"), base("new", 1, "0/A000028"), segments=segments
    )
    assert dropped(plan) == {"old"}
    assert plan.before == {SYSTEM: "000000010000000000000005"}
    assert [s.name[-1] for s in plan.segments] == ["1", "2", "3", "4"]


def test_wal_of_timelines_before_the_oldest_base_goes_and_its_history_stays() -> None:
    history = replace(segment(1), name="00000002.history")
    segments = [segment(7, timeline=1), segment(9, timeline=2), history]
    plan = planned(base("new", 1, "0/8000028", timeline=2), segments=segments)
    assert [s.name for s in plan.segments] == [segments[0].name]


def test_no_wal_goes_while_a_base_backup_is_being_made() -> None:
    running = base("running", 0, "", manifest="", state=BackupState.CREATED)
    plan = planned(running, base("new", 1, "0/A000028"), segments=[segment(1)])
    assert (plan.before, plan.segments) == ({}, ())


def test_wal_that_no_base_backup_can_use_goes_by_its_age() -> None:
    plan = planned(logical("new", 1), segments=[segment(1, 40), segment(2, 36), segment(3, 2)])
    assert [s.name[-1] for s in plan.segments] == ["1", "2"]
    assert len(planned(segments=[segment(1, 40), segment(2, 36)]).segments) == 2


def test_two_servers_segments_of_the_same_names_are_two_servers() -> None:
    """The database moved to another server, whose WAL begins at the beginning again."""
    old = [segment(n) for n in (8, 9)]
    new = [of_server(segment(n), "9999") for n in (1, 2, 3, 8)]
    plan = planned(
        base("old server", 30, "0/9000028"),
        base("new server", 1, "0/3000028", system_identifier="9999"),
        segments=[*old, *new],
    )
    assert plan.before == {SYSTEM: segment(9).name, "9999": segment(3).name}
    assert [(s.system_identifier, s.name[-1]) for s in plan.segments] == [(SYSTEM, "8"), ("9999", "1"), ("9999", "2")]


def test_wal_of_a_server_that_no_kept_base_backup_is_of_goes_by_its_age() -> None:
    gone = [of_server(segment(n, 40), "1111") for n in (90, 91)]
    plan = planned(base("new", 1, "0/A000028"), segments=[*gone, of_server(segment(1, 2), "2222"), segment(11)])
    assert list(plan.segments) == gone


def test_the_double_of_a_segment_that_was_stored_twice_goes_after_a_day() -> None:
    kept = on_record(segment(5))
    files = (stored(kept, 2), stored(kept, 2, "ffffffff"), stored(kept, 0.9, "eeeeeeee"))
    plan = plan_retention((base("new", 3),), (kept,), NOON, KEEP_S, files)
    assert plan.strays == (files[1],)
    assert plan.told()["wal_not_on_record"] == 1


def test_stored_wal_that_no_record_names_stays_as_long_as_backups_do() -> None:
    """All that there is of it, where an older copy of the record was put back."""
    files = (stored(segment(5), 34), stored(segment(6), 36), stored(of_server(segment(7), "9999"), 36))
    plan = plan_retention((base("new", 3),), (on_record(segment(7)),), NOON, KEEP_S, files)
    assert plan.strays == files[1:]


def test_the_dry_run_tells_what_goes_and_what_stays() -> None:
    told = planned(logical("new", 1), logical("old", 99), segments=[segment(1, 40)]).told()
    assert told["delete"] == {"old": "99 d old; 35 d are kept"}
    assert told["keep"] == {"new": "the newest restorable logical backup"}
    assert told["wal_segments"] == 1


def test_what_was_begun_to_be_read_since_the_plan_may_not_go() -> None:
    assert may_go(logical("a", 99))
    assert not may_go(logical("a", 99, busy="prod-9"))
    assert not may_go(logical("a", 99, held_by="Dana"))
    assert not may_go(None)


# --- whatever is on record --------------------------------------------------------------------------------------------

_RECORDS = st.lists(
    st.builds(
        lambda kind, state, age, lsn, published, held, busy, gone: replace(
            record(),
            kind=kind,
            state=state,
            finished_at=None if age is None else NOON - timedelta(hours=age),
            lsn_start=f"0/{lsn:X}000028",
            manifest="{}" if published else "",
            held_by="Dana" if held else "",
            busy="prod-9" if busy else "",
            deleted_at=NOON if gone or state is BackupState.DELETED else None,
        ),
        st.sampled_from(BackupKind),
        st.sampled_from(BackupState),
        st.one_of(st.none(), st.integers(-9_000, 9_000)),
        st.integers(1, 30),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    max_size=12,
).map(lambda records: [replace(each, id=f"b{place}") for place, each in enumerate(records)])
_SHIFTS = st.integers(-400, 400)


def there(records: Sequence[BackupRecord]) -> list[BackupRecord]:
    return [r for r in records if r.restorable and r.deleted_at is None]


@settings(deadline=None)
@given(_RECORDS, _SHIFTS)
def test_something_restorable_is_left_of_each_kind_whatever_the_clock_says(
    records: list[BackupRecord], days: int
) -> None:
    plan = plan_retention(records, (), NOON + timedelta(days=days), KEEP_S)
    left = [r for r in there(records) if r.id not in dropped(plan)]
    for kind in BackupKind:
        before = [r for r in there(records) if r.kind is kind and r.finished_at is not None]
        if before:
            newest = max(before, key=lambda r: (r.finished_at or NOON, r.started_at, r.id))
            assert newest.id in {r.id for r in left}
        verified = [r for r in before if r.state is BackupState.VERIFIED]
        if verified:
            newest = max(verified, key=lambda r: (r.finished_at or NOON, r.started_at, r.id))
            assert newest.id in {r.id for r in left}


@settings(deadline=None)
@given(_RECORDS, _SHIFTS)
def test_held_busy_and_running_ones_are_never_deleted(records: list[BackupRecord], days: int) -> None:
    plan = plan_retention(records, (), NOON + timedelta(days=days), KEEP_S)
    gone = {due.id for due in (*plan.dropped, *plan.leftovers)}
    for each in records:
        is_running = not each.manifest and each.state in (BackupState.CREATED, BackupState.STORED, *RESTORABLE)
        if each.held_by or each.busy or is_running or each.deleted_at is not None:
            assert each.id not in gone


@settings(deadline=None)
@given(_RECORDS, _SHIFTS)
def test_what_is_young_stays_and_what_goes_is_old(records: list[BackupRecord], days: int) -> None:
    now = NOON + timedelta(days=days)
    plan = plan_retention(records, (), now, KEEP_S)
    by_id = {r.id: r for r in records}
    for due in plan.dropped:
        finished = by_id[due.id].finished_at
        assert finished is not None
        assert (now - finished).total_seconds() > KEEP_S


@settings(deadline=None)
@given(_RECORDS, _SHIFTS, st.integers(0, 840))
def test_every_moment_within_the_retention_keeps_the_base_backup_it_starts_from(
    records: list[BackupRecord], days: int, hours: int
) -> None:
    now = NOON + timedelta(days=days)
    moment = now - timedelta(hours=hours)
    plan = plan_retention(records, (), now, KEEP_S)
    starts = [r for r in there(records) if r.kind is BackupKind.BASE and r.finished_at and r.finished_at <= moment]
    if starts:
        best = max(starts, key=lambda r: (r.finished_at or NOON, r.started_at, r.id))
        assert best.id not in dropped(plan)


@settings(deadline=None)
@given(_RECORDS, _SHIFTS, st.integers(1, 40))
def test_no_kept_base_backup_loses_a_segment(records: list[BackupRecord], days: int, many: int) -> None:
    segments = [segment(number) for number in range(1, many)]
    plan = plan_retention(records, segments, NOON + timedelta(days=days), KEEP_S)
    gone = {s.name for s in plan.segments}
    kept = {due.id for due in plan.kept}
    for each in records:
        if each.id in kept and each.kind is BackupKind.BASE and each.manifest:
            assert not {name for name in gone if name >= first_needed(each)}


@settings(deadline=None)
@given(_RECORDS)
def test_a_second_pass_over_the_same_records_says_the_same(records: list[BackupRecord]) -> None:
    once = plan_retention(records, (), NOON, KEEP_S)
    left = [replace(r, deleted_at=NOON) if r.id in dropped(once) else r for r in records]
    assert plan_retention(left, (), NOON, KEEP_S).dropped == ()
    assert plan_retention(list(reversed(records)), (), NOON, KEEP_S).told()["delete"] == once.told()["delete"]

"""The recovery window: what is called unbroken has every segment, across timelines, idle hours and backups without WAL."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.backups import BackupKind, BackupRecord, BackupState, Digest, StoredFile, WalSegment
from runbook.rules.wal import (
    SEGMENT_BYTES,
    base_for,
    first_needed,
    history_timeline,
    is_segment,
    lsn_number,
    recovery_window,
    segment_name,
    segment_number,
    wal_chain,
)
from tests.fakes.clock import NOON
from tests.runbook.fake_databases import SYSTEM, record

MINUTE = timedelta(minutes=1)


def segment(
    number: int, *, timeline: int = 1, name: str = "", size: int = SEGMENT_BYTES, **changes: object
) -> WalSegment:
    """The number-th segment, complete so many minutes after noon."""
    named = name or segment_name(timeline, number, size)
    stored = StoredFile(f"{named}.age", Digest(size, "ab" * 32), Digest(size + 300, "cd" * 32))
    made = WalSegment("shop", "prod", SYSTEM, timeline, named, stored, NOON + number * MINUTE)
    return replace(made, **changes)  # type: ignore[arg-type]


def history(timeline: int) -> WalSegment:
    return segment(0, timeline=timeline, name=f"{timeline:08X}.history")


def base(number: int = 5, **changes: object) -> BackupRecord:
    """A base backup that begins and ends within the number-th segment, finished at that minute."""
    high = f"0/{number * SEGMENT_BYTES:X}"
    made = record(
        f"shop-prod-base-{number}", kind=BackupKind.BASE, state=BackupState.DECODED, timeline=1, finished_at=NOON + number * MINUTE,
        lsn_start=high.replace("000000", "000028"), lsn_end=high.replace("000000", "000100"),
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def test_positions_and_names_are_postgresqls_own() -> None:
    assert lsn_number("16/B374D848") == 0x16B374D848
    assert segment_name(1, lsn_number("16/B374D848") // SEGMENT_BYTES) == "0000000100000016000000B3"
    assert segment_number("0000000100000016000000B3") == 0x16B3
    assert is_segment("0000000100000016000000B3")
    assert not is_segment("0000000100000016000000B3.partial")
    assert not is_segment("00000002.history")
    assert (history_timeline("0000000A.history"), history_timeline("0000000100000016000000B3")) == (10, None)


@given(number=st.integers(0, 2**40 - 1), power=st.integers(20, 30), timeline=st.integers(1, 2**32 - 1))
def test_a_name_and_its_number_are_each_others_inverse(number: int, power: int, timeline: int) -> None:
    number %= 2**64 >> power
    assert segment_number(segment_name(timeline, number, 1 << power), 1 << power) == number


def test_after_the_last_segment_of_a_log_the_next_log_begins() -> None:
    assert [segment_name(1, n) for n in (0xFF, 0x100)] == ["0000000100000000000000FF", "000000010000000100000000"]


def test_unbroken_wal_counts_up_to_its_last_segment() -> None:
    window = recovery_window([base(5)], [segment(n) for n in range(3, 9)])
    assert window is not None
    assert (window.since, window.until, window.gap) == (NOON + 5 * MINUTE, NOON + 8 * MINUTE, "")


def test_a_missing_segment_ends_the_window_and_is_named() -> None:
    window = recovery_window([base(5)], [segment(n) for n in (5, 6, 8, 9)], seen_at=NOON + 60 * MINUTE)
    assert window is not None
    assert (window.until, window.gap, window.seen_at) == (NOON + 6 * MINUTE, segment_name(1, 7), None)


def test_a_base_backup_behind_a_gap_begins_the_window_anew() -> None:
    window = recovery_window([base(5), base(8)], [segment(n) for n in (5, 6, 8, 9)])
    assert window is not None
    assert (window.base, window.since, window.gap) == ("shop-prod-base-8", NOON + 8 * MINUTE, "")


def test_the_oldest_base_backup_with_unbroken_wal_begins_the_window() -> None:
    window = recovery_window([base(8), base(5)], [segment(n) for n in range(5, 12)])
    assert window is not None
    assert (window.base, window.until) == ("shop-prod-base-5", NOON + 11 * MINUTE)


def test_of_a_server_that_was_replaced_nothing_counts_once_its_successor_has_a_window() -> None:
    old, new = [segment(n) for n in range(5, 9)], [segment(n, system_identifier="2") for n in range(3, 12)]
    replaced = recovery_window([base(5)], [*old, *new])
    assert replaced is not None
    assert (replaced.base, replaced.until) == ("shop-prod-base-5", NOON + 8 * MINUTE)
    window = recovery_window([base(5), base(9, system_identifier="2")], [*old, *new], seen_at=NOON + 60 * MINUTE)
    assert window is not None
    assert (window.base, window.until) == ("shop-prod-base-9", NOON + 60 * MINUTE)


def test_an_idle_database_has_no_gap_and_counts_until_it_was_last_seen_idle() -> None:
    seen = NOON + timedelta(hours=9)
    window = recovery_window([base(5)], [segment(5)], seen_at=seen)
    assert window is not None
    assert (window.until, window.seen_at, window.gap) == (seen, seen, "")


@pytest.mark.parametrize(
    "changes",
    [
        {"state": BackupState.STORED},
        {"state": BackupState.DELETED},
        {"state": BackupState.FAILED},
        {"kind": BackupKind.LOGICAL},
        {"finished_at": None},
        {"lsn_end": ""},
        {"system_identifier": "1"},
        {"manifest": ""},
    ],
)
def test_what_is_no_restorable_base_backup_begins_no_window(changes: dict[str, object]) -> None:
    assert recovery_window([base(5, **changes)], [segment(5), segment(6)]) is None


def test_without_the_segment_that_a_base_backup_ends_in_nothing_is_recoverable() -> None:
    assert recovery_window([base(5)], [segment(6), segment(7)]) is None
    assert recovery_window([base(5)], []) is None


def test_wal_goes_on_after_a_promotion_whose_history_is_archived() -> None:
    later = [segment(n, timeline=2) for n in (7, 8)]
    chain = wal_chain(1, base(5).lsn_end, [segment(5), segment(6), history(2), *later])
    assert [s.name for s in chain.segments] == [
        segment_name(1, 5),
        segment_name(1, 6),
        segment_name(2, 7),
        segment_name(2, 8),
    ]
    assert (chain.timeline, chain.gap, [s.name for s in chain.history]) == (2, False, ["00000002.history"])


def test_a_promotion_whose_history_is_missing_is_a_gap() -> None:
    chain = wal_chain(1, base(5).lsn_end, [segment(5), segment(6), segment(7, timeline=2)])
    assert (chain.timeline, chain.missing) == (1, segment_name(1, 7))
    chain = wal_chain(1, base(5).lsn_end, [segment(5), segment(6), segment(8, timeline=2)])
    assert chain.gap


def test_a_branch_that_left_before_the_base_backup_is_not_followed() -> None:
    """The same server, once recovered to an earlier moment for a look: its timeline is another story."""
    chain = wal_chain(1, base(5).lsn_end, [segment(n) for n in (5, 6, 7)] + [history(2), segment(3, timeline=2)])
    assert (chain.timeline, len(chain.segments)) == (1, 3)


def test_doubles_and_any_order_change_nothing() -> None:
    stored = [segment(n) for n in (8, 5, 7, 6, 6, 5)]
    assert len(wal_chain(1, base(5).lsn_end, stored).segments) == 4


def test_another_size_of_segments_is_told_by_the_segments_themselves() -> None:
    small = 1024 * 1024
    start = base(5, lsn_start="0/5000028", lsn_end="0/5000100")
    window = recovery_window([start], [segment(0x50 + n, size=small) for n in range(3)])
    assert window is not None
    assert not window.gap


def test_the_newest_base_backup_before_the_moment_is_chosen() -> None:
    stored = [segment(n) for n in range(5, 20)]
    bases = [base(5), base(10), base(15)]
    assert (found := base_for(bases, stored, NOON + 12 * MINUTE)) is not None
    assert found.id == "shop-prod-base-10"
    for beyond in (NOON, NOON + 21 * MINUTE):
        assert base_for(bases, stored, beyond) is None


def test_a_moment_within_a_gap_is_reached_by_no_base_backup() -> None:
    stored = [segment(n) for n in (5, 6, 10, 11)]
    inside: datetime = NOON + 8 * MINUTE
    assert base_for([base(5), base(10)], stored, inside) is None


def test_what_a_base_backup_needs_begins_with_the_segment_of_its_start() -> None:
    assert first_needed(base(5)) == segment_name(1, 5)


@given(st.sets(st.integers(5, 40), min_size=1))
def test_a_window_never_reaches_over_a_missing_segment(numbers: set[int]) -> None:
    window = recovery_window([base(5)], [segment(n) for n in numbers])
    unbroken = 5
    while unbroken in numbers:
        unbroken += 1
    if unbroken == 5:
        assert window is None
        return
    assert window is not None
    assert window.until == NOON + (unbroken - 1) * MINUTE
    assert bool(window.gap) == (max(numbers) > unbroken)

"""Which WAL a recovery needs: no less than all of it up to its moment, and a refusal that says what could be had instead."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from integrations.postgres.wal_files import needed_wal
from runbook.backups import BackupKind, Manifest, WalSegment, manifest_of
from runbook.errors import ForgeError
from runbook.rules.wal import segment_name
from tests.fakes.clock import NOON
from tests.integrations.postgres.physical import order_for
from tests.runbook.fake_databases import SYSTEM, made
from tests.runbook.test_wal_rule import history, segment


def manifest() -> Manifest:
    """A base backup that ends in segment 5, five minutes after noon."""
    given = made(lsn_start="0/5000028", lsn_end="0/5000100", finished_at=at(5))
    return replace(manifest_of(order_for(BackupKind.BASE), "shop", given), system_identifier=SYSTEM)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def names(segments: list[WalSegment], until: datetime) -> list[str]:
    return [file.name for file in needed_wal(manifest(), segments, until).files]


STORED = [segment(number) for number in range(3, 10)]


def test_everything_up_to_the_moment_is_needed_and_nothing_more() -> None:
    assert names(STORED, at(6.5)) == [segment_name(1, number) for number in (5, 6, 7)]
    assert names(STORED, at(5)) == [segment_name(1, 5)]
    assert names(STORED, at(9)) == [segment_name(1, number) for number in range(5, 10)]


def test_a_segment_whose_moment_is_unknown_is_a_link_and_no_promise() -> None:
    late = [
        replace(each, ended_at=datetime.fromtimestamp(0, NOON.tzinfo)) if each.name.endswith("7") else each
        for each in STORED
    ]
    assert names(late, at(6.5)) == [segment_name(1, number) for number in (5, 6, 7, 8)]


def test_a_gap_before_the_moment_is_named_and_one_behind_it_is_no_matter() -> None:
    broken = [each for each in STORED if not each.name.endswith("7")]
    assert names(broken, at(6)) == [segment_name(1, number) for number in (5, 6)]
    with pytest.raises(ForgeError) as refused:
        names(broken, at(8))
    assert refused.value.code == "backups.gap"
    assert segment_name(1, 7) in str(refused.value)
    assert "12:06:00 UTC" in str(refused.value)


@pytest.mark.parametrize("moment", [at(4.9), at(9.1)])
def test_outside_of_the_window_it_is_refused_with_the_window(moment: datetime) -> None:
    with pytest.raises(ForgeError) as refused:
        names(STORED, moment)
    assert refused.value.code == "backups.window"
    assert "12:05:00 UTC" in str(refused.value)


def test_another_servers_segments_are_none() -> None:
    strangers = [replace(each, system_identifier="1") for each in STORED]
    with pytest.raises(ForgeError) as refused:
        names(strangers, at(6))
    assert refused.value.code == "backups.window"


def test_only_a_timeline_that_is_entered_is_followed() -> None:
    branched = [segment(5), segment(6), segment(7), history(2), segment(7, timeline=2), segment(8, timeline=2)]
    assert needed_wal(manifest(), branched, at(6)).timeline == 1
    later = needed_wal(manifest(), branched, at(8))
    assert later.timeline == 2
    assert [file.name for file in later.files] == [
        "00000002.history",
        segment_name(1, 5),
        segment_name(1, 6),
        segment_name(2, 7),
        segment_name(2, 8),
    ]

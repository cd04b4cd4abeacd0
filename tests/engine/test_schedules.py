"""Schedules over restarts, downtime and trouble: one run an occurrence, and the Database Owner is told of what was missed, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.records import Run
from engine.schedules import TRY_AGAIN
from runbook.policy import BackupsPolicy, Setting
from runbook.ports import Ports
from runbook.procedures import PROCEDURES
from runbook.procedures.base import Prepared, Request
from runbook.values import Environment
from runbook.verdicts import Verdict
from tests.engine.backing import PROD, Backing, Place, backing, setting_of
from tests.runbook.fake_databases import Destination

NIGHTLY = BackupsPolicy(full="FREQ=DAILY;BYHOUR=2;BYMINUTE=0;BYSECOND=0", base="", drill="")


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


class OneDatabase(Place):
    """Of production alone."""

    def ports(self, store: Any) -> Ports:
        return replace(super().ports(store), databases={("shop", PROD): self.database})


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = OneDatabase(tmp_path, setting=setting_of(NIGHTLY))
    place.database.takes_s = 3.0
    return place


def runs(b: Backing) -> list[tuple[str, str]]:
    return [(run.id, run.requester) for run in b.rows(Run, procedure="backup")]


async def test_a_backup_begins_by_itself_at_its_hour(place: Place) -> None:
    async with backing(place) as b:
        assert runs(b) == []
        await b.go_to(at(3, 1, 59))
        assert runs(b) == []
        await b.go_to(at(3, 2, 1))
        assert runs(b) == [("prod-1", "forge")]
        run = await b.ended("prod-1")
        assert (run.ending, run.reason) == ("completed", "by schedule, due Tue 03 Mar 2026 02:00 UTC")
        await b.go_to(at(4, 2, 1))
        assert len(runs(b)) == 2
        assert b.audited("schedule.missed") == []


async def test_a_restart_begins_no_occurrence_twice(place: Place) -> None:
    async with backing(place) as b:
        await b.go_to(at(3, 2, 1))
        await b.ended("prod-1")
    for _ in range(2):
        async with backing(place) as b:
            await b.clock.advance(600)
            assert len(runs(b)) == 1


async def test_a_backup_that_is_under_way_is_not_begun_again(place: Place) -> None:
    place.database.takes_s = 120.0
    async with backing(place) as b:
        await b.go_to(
            at(
                3,
                1,
                59,
            )
        )
        started = await b.backup()
        await b.go_to(at(3, 2, 0))
        await b.clock.advance(10)
        assert [run for run, _ in runs(b)] == [started.run]
        (skipped,) = b.audited("schedule.skipped")
        assert skipped.why == f"{started.run} is under way"
        assert b.audited("schedule.missed") == []


async def test_after_three_nights_down_one_backup_is_caught_up_and_the_owner_is_told_once(place: Place) -> None:
    async with backing(place) as b:
        await b.go_to(at(2, 23))
    place.clock.set(at(5, 12))
    async with backing(place) as b:
        await b.until(lambda: bool(runs(b)))
        await b.ended("prod-1")
        (missed,) = b.audited("schedule.missed")
        assert "3 were due since the last one" in missed.why
        assert missed.evidence["occurrence"] == at(5, 2).isoformat()
        (note,) = [m for m in b.chat.messages if "MISSED" in m.message.text]
        assert "<@UDOT>" in note.message.text
        assert "the full backup of shop on prod, due Thu 05 Mar 2026 02:00 UTC" in note.message.text
        assert "/forge backup run prod --service shop" in str(note.message.blocks)
    async with backing(place) as b:
        await b.clock.advance(3600)
        assert len(runs(b)) == 1
        assert len(b.audited("schedule.missed")) == 1


async def test_a_short_downtime_is_caught_up_without_a_word(place: Place) -> None:
    async with backing(place) as b:
        await b.go_to(at(3, 1))
    place.clock.set(at(3, 2, 30))
    async with backing(place) as b:
        await b.until(lambda: bool(runs(b)))
        assert b.audited("schedule.missed") == []


async def test_what_cant_begin_is_tried_until_it_can_and_told_once_when_it_is_late(place: Place) -> None:
    refused = {"why": True}

    async def refusing(request: Request, setting: Setting, ports: Ports) -> Prepared:
        if refused["why"]:
            bad = Verdict.failed("backup", "backups.off", "nowhere is configured to keep backups")
            return Prepared(None, (bad,))
        return await PROCEDURES["backup"](request, setting, ports)

    async with backing(place) as b:
        b.engine.schedules._procedures = {"backup": refusing}.get
        await b.go_to(at(3, 3, 59))
        assert b.audited("schedule.missed") == []
        await b.go_to(at(3, 4, 10))
        (missed,) = b.audited("schedule.missed")
        assert missed.why == "nowhere is configured to keep backups"
        await b.go_to(at(3, 6))
        assert len(b.audited("schedule.missed")) == 1
        refused["why"] = False
        await b.clock.advance(TRY_AGAIN + timedelta(seconds=5))
        assert len(runs(b)) == 1
        assert len(b.audited("schedule.missed")) == 1


async def test_a_backup_by_night_that_fails_is_told_to_the_owner(place: Place) -> None:
    place.repository.answer = Destination("/var/backups", False, True, True, None, "read-only file system")
    async with backing(place) as b:
        await b.go_to(at(3, 2, 1))
        run = await b.ended("prod-1")
        assert run.ending == "failed"
        assert [
            m
            for m in b.chat.messages
            if "FAILED, there is no new backup" in m.message.text and "<@UDOT>" in m.message.text
        ]


async def test_a_policy_without_rules_begins_nothing(tmp_path: Path) -> None:
    async with backing(Place(tmp_path)) as b:
        await b.go_to(at(9, 12))
        assert b.rows(Run) == []


async def test_a_new_policy_takes_effect_at_once(tmp_path: Path) -> None:
    async with backing(OneDatabase(tmp_path)) as b:
        await b.engine.reload(setting_of(NIGHTLY, "s2"))
        await b.go_to(at(3, 2, 1))
        assert len(runs(b)) == 1


async def test_every_database_has_its_own_backups_and_drills(tmp_path: Path) -> None:
    drills = "FREQ=WEEKLY;BYDAY=TU;BYHOUR=4;BYMINUTE=0;BYSECOND=0"
    place = Place(tmp_path, setting=setting_of(BackupsPolicy(full=NIGHTLY.full, base="", drill=drills)))
    place.database.takes_s = 3.0
    async with backing(place) as b:
        await b.go_to(at(3, 2, 5))
        assert sorted(run.id for run in b.rows(Run)) == ["prod-1", "staging-1"]
        await b.go_to(at(3, 4, 5))
        found = b.rows(Run, procedure="drill")
        assert sorted(run.environment for run in found) == [Environment.PROD, Environment.STAGING]


async def test_base_backups_begin_by_themselves_only_where_wal_is_received(tmp_path: Path) -> None:
    class Archiving(Place):
        def ports(self, store: Any) -> Ports:
            return replace(super().ports(store), archived=frozenset({("shop", PROD)}))

    place = Archiving(tmp_path, setting=setting_of(BackupsPolicy(full="", base=NIGHTLY.full, drill="")))
    place.database.takes_s = 3.0
    async with backing(place) as b:
        await b.go_to(at(3, 2, 5))
        assert [(run.procedure, run.environment) for run in b.rows(Run)] == [("base_backup", PROD)]


async def test_a_backup_that_waits_too_long_in_its_queue_is_told_of(place: Place) -> None:
    place.setting = setting_of(replace(NIGHTLY, missed_after_s=30.0))
    place.database.takes_s = 60.0
    async with backing(place) as b:
        await b.go_to(at(3, 1, 59) + timedelta(seconds=45))
        base = await b.backup(options={"kind": "base"})
        await b.go_to(at(3, 2, 0) + timedelta(seconds=35))
        (missed,) = b.audited("schedule.missed")
        assert base.run in missed.why
        assert [m for m in b.chat.messages if "has not begun" in m.message.text and "<@UDOT>" in m.message.text]
        await b.clock.advance(60)
        assert len(b.audited("schedule.missed")) == 1

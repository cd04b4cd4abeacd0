"""Scenario 20."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from engine.records import Run, Sealed
from runbook.jobs import JobOrder
from tests.runbook.fakes import RELEASE_FILE
from tests.scenarios.production import NEW, OLD, PROMOTE, SIZE, ProductionStage, ProductionWorld, production
from tests.scenarios.stage import offered, shown
from tests.scenarios.two_tracks import CANARY

CANARIES = {f"{workload}-canary": image for workload, image in NEW.items()}
KEEP, DOWN, RESTORE = "rollback_keep_schema", "rollback_undo_schema", "rollback_restore"
UP_ARGS = [("migrate", "up", "0007"), ("migrate", "up", "0008"), ("verify",)]
DOWN_ARGS = [("migrate", "down", "0008"), ("verify",)]
NO_WAY_BACK = RELEASE_FILE.replace('    down: {workload: web, args: [migrate, down, "0008"]}\n', "")


def args(orders: list[JobOrder]) -> list[tuple[str, ...]]:
    return [order.args for order in orders]


@asynccontextmanager
async def asked(path: Path, release_file: str = RELEASE_FILE) -> AsyncIterator[ProductionStage]:
    """The schema is changed, 5 % of the traffic is the canary's, its errors are bad: the Database Owner is asked."""
    async with production(path, world=ProductionWorld(release_file)) as s:
        await s.rolls_out_to(5)
        assert args(s.world.cluster.created) == UP_ARGS
        s.tracks.fails(CANARY, 0.3)
        await s.until_state("waiting")
        await s.shown_all()
        assert s.at() == "What becomes of the schema"
        yield s


async def test_an_irreversible_migration_ran_and_a_gate_fails_no_automatic_rollback_the_database_owner_chooses_with_the_minutes_at_stake(
    tmp_path: Path,
) -> None:
    async with asked(tmp_path) as s:
        [card] = s.cards_of("choice")
        text = shown(card.message)
        assert card.broadcast
        assert "<@UDORA>" in text
        assert offered(card.message) == [f"choose:{way}" for way in (KEEP, DOWN, RESTORE)]
        for part in ("0008-rename-total", "no data are lost", "At stake: what was written since 12:00 UTC, 3"):
            assert part in text, part
        await s.clock.advance(timedelta(hours=2))
        await s.shown_all()
        assert (s.run().state, s.weights, s.images()) == ("waiting", [5], OLD | CANARIES), "nothing moves by itself"
        assert args(s.world.cluster.created) == UP_ARGS
        [card] = s.cards_of("choice")
        assert "2 h" in shown(card.message), "the minutes at stake have grown"
        assert any("<@UDORA>" in text and "still waits" in text for text in s.announced)
        assert any("<!subteam^SONCALL>" in text and "still waits" in text for text in s.announced)
        for who in ("sam", "olly", "ada"):
            assert "may not decide this" in await s.chooses(who, KEEP)
        assert s.run().state == "waiting"
        assert len(s.rows(Sealed, action="choice.refused")) == 3


async def test_the_database_owner_keeps_the_schema_and_the_application_alone_goes_back(tmp_path: Path) -> None:
    async with asked(tmp_path) as s:
        assert "goes on with" in await s.chooses("dora", KEEP)
        assert await s.ends() == "returned"
        assert s.is_as_before()
        assert s.weights == [5, 0]
        assert args(s.world.cluster.created) == UP_ARGS
        [message] = [text for text in s.incident_messages if "Timeline" in text]
        assert "in part" not in message
        assert "0008-rename-total stay in the schema" in message
        assert "Keep the schema" in s.rows(Sealed, action="choice.made")[0].what
        assert "Already decided" in await s.chooses("dora", DOWN)


async def test_the_database_owner_takes_the_rollback_plan_and_the_down_jobs_run_after_the_traffic_is_back(
    tmp_path: Path,
) -> None:
    async with asked(tmp_path) as s:
        await s.chooses("dora", DOWN)
        await s.until(lambda: len(s.world.cluster.created) > len(UP_ARGS))
        assert s.weight == 0, "the old code runs before the schema is taken from under the new"
        assert await s.ends() == "returned"
        assert args(s.world.cluster.created) == [*UP_ARGS, *DOWN_ARGS]
        assert s.is_as_before()


async def test_the_database_owner_takes_point_in_time_recovery_and_the_application_goes_back_the_restore_is_left_to_people(
    tmp_path: Path,
) -> None:
    async with asked(tmp_path) as s:
        await s.chooses("dora", RESTORE)
        assert await s.ends() == "incomplete"
        assert (s.images(), s.replicas(), s.weight) == (OLD, dict.fromkeys(OLD, SIZE), 0)
        assert args(s.world.cluster.created) == UP_ARGS
        [message] = [text for text in s.incident_messages if "Timeline" in text]
        assert "rolled back in part: 1 step is left" in message
        assert "forge is not configured to restore this database" in message
        assert "Database Owner" in message


async def test_an_irreversible_migration_without_a_way_back_is_not_released_at_all(tmp_path: Path) -> None:
    async with production(tmp_path, world=ProductionWorld(NO_WAY_BACK)) as s:
        answer = await s.says("ada", PROMOTE)
        assert "an expand migration that is not backward compatible has no way back" in answer
        assert (s.rows(Run), s.world.cluster.created) == ([], [])


@pytest.mark.parametrize("command", ["rollback prod", "abort prod-1"])
async def test_also_a_person_who_rolls_back_leaves_the_schema_to_the_database_owner(
    tmp_path: Path, command: str
) -> None:
    async with production(tmp_path, world=ProductionWorld(RELEASE_FILE)) as s:
        await s.rolls_out_to(5)
        await s.says("ada", command)
        await s.until_state("waiting")
        assert (s.at(), s.weights) == ("What becomes of the schema", [5])
        await s.chooses("dora", KEEP)
        assert await s.ends() == "returned"
        assert s.is_as_before()

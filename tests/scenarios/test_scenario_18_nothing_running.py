"""Scenario 18."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.records import Run
from tests.scenarios.production import FINAL, OLD, QUICK, production
from tests.scenarios.two_tracks import CANARY

RUNS = f"web runs {OLD['web'].partition('@')[0]}@sha256:000000000000"
ANSWERS = {
    "rollback prod": "Nothing was rolled back: nothing is being released, and forge has never released shop on prod",
    "abort prod-1": "There is no run prod-1.",
    "abort prod": "“prod” is no run",
}


@pytest.mark.parametrize("command", ANSWERS)
async def test_abort_and_rollback_with_nothing_running_change_nothing_and_name_what_runs(
    tmp_path: Path, command: str
) -> None:
    async with production(tmp_path) as s:
        answer = await s.says("ada", command)
        assert s.rows(Run) == []
        assert s.world.cluster.moved == []
        assert s.world.cluster.writes == []
        assert s.chat.messages == []
        assert ANSWERS[command] in answer
        if command == "rollback prod":
            assert RUNS in answer


async def test_abort_after_the_release_has_ended_changes_nothing_and_names_what_runs(tmp_path: Path) -> None:
    async with production(tmp_path, policy=QUICK) as s:
        await s.is_released()
        moved, writes = list(s.world.cluster.moved), list(s.world.cluster.writes)
        answer = await s.says("ada", "abort prod-1")
        assert f"prod-1 has ended already (shop {FINAL} ended as completed)" in answer
        assert "nothing was changed" in answer
        assert (s.world.cluster.moved, s.world.cluster.writes) == (moved, writes)
        assert len(s.rows(Run)) == 1


async def test_rollback_after_a_release_that_was_rolled_back_changes_nothing_and_names_what_runs(
    tmp_path: Path,
) -> None:
    async with production(tmp_path) as s:
        await s.rolls_out_to(5)
        s.tracks.fails(CANARY, 0.3)
        assert await s.ends() == "returned"
        moved = list(s.world.cluster.moved)
        answer = await s.says("ada", "rollback prod")
        assert "Nothing was rolled back" in answer
        assert RUNS in answer
        assert s.world.cluster.moved == moved
        assert [run.id for run in s.rows(Run)] == ["prod-1"]


async def test_a_second_rollback_of_a_release_on_its_way_back_changes_nothing_and_says_so(tmp_path: Path) -> None:
    async with production(tmp_path) as s:
        await s.rolls_out_to(5)
        s.world.cluster.routes["web"].accepts_after_s = 30.0
        await s.says("ada", "rollback prod")
        await s.until(lambda: s.weights == [5, 0])
        assert "is returning to the previous state already" in await s.says("rob", "rollback prod")
        assert await s.ends() == "returned"
        assert s.weights == [5, 0]

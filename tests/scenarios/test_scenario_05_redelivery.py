"""Scenario 5."""

from __future__ import annotations

from pathlib import Path

from engine.records import Click, Run
from tests.engine.harness import KeepingChat
from tests.runbook.fakes import World
from tests.scenarios.stage import GO, spoken, stage

DEPLOY = "deploy staging v1.4.0-rc.2"


async def test_the_same_slash_command_delivered_three_times_starts_one_release(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        answers = [await s.says("ada", DEPLOY, trigger="trigger-1") for _ in range(3)]
        await s.until_state("waiting")
        await s.shown_all()
        assert [bool(a) for a in answers] == [True, False, False]
        assert len(s.rows(Run)) == 1
        assert len(s.chat.answers) == 1
        assert s.actions.count("run.created") == 1
        assert len([m for m in s.chat.messages if not m.thread_ts]) == 1


async def test_three_deliveries_in_the_same_moment_start_one_release(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.at_once(*(spoken("ada", DEPLOY, "trigger-1") for _ in range(3)))
        await s.until_state("waiting")
        assert len(s.rows(Run)) == 1
        assert len(s.chat.answers) == 1


async def test_a_command_delivered_again_after_a_restart_starts_nothing_more(tmp_path: Path) -> None:
    world, chat = World(), KeepingChat()
    async with stage(tmp_path, world=world, chat=chat) as s:
        await s.says("ada", DEPLOY, trigger="trigger-1")
    for _ in range(2):
        async with stage(tmp_path, world=world, chat=chat) as s:
            assert await s.says("ada", DEPLOY, trigger="trigger-1") == ""
            await s.until_state("waiting")
            await s.shown_all()
            assert len(s.rows(Run)) == 1
            assert len(chat.answers) == 1


async def test_a_click_delivered_three_times_counts_once(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.waits_for_go()
        for _ in range(3):
            await s.clicks("bo", "approve", index=GO, trigger="trigger-2")
        assert len([c for c in s.rows(Click) if c.index == GO]) == 1
        assert s.run().state == "waiting"


async def test_the_same_wish_in_another_command_is_told_that_the_release_runs_already(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.says("ada", DEPLOY)
        assert "staging-1 deploys v1.4.0-rc.2 already" in await s.says("rob", DEPLOY)
        assert len(s.rows(Run)) == 1

"""Dev in a real process over the real protocols: SIGKILL at every boundary from a merge on to the commit's mark and its line in the notes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kills.development_town import development_town

pytestmark = pytest.mark.timeout(1800)


async def test_sigkills_all_along_from_a_merge_to_its_mark_change_nothing_of_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with development_town(tmp_path / "boundaries", monkeypatch, "audit,github") as t:
        beginning = t.developers.tip
        await t.deployed(beginning)
        await t.told()
        t.deadly("merge")
        sent = len(t.world.github.hooks.deliveries)
        commit = t.developers.merge()
        deploying = asyncio.create_task(t.deployed(commit))
        await t.redelivered(sent, lambda: not deploying.done())
        run = await deploying
        await t.at_rest()
        t.assert_died_at(
            "merge", "before delivery push", "before delivery check_suite", "before run.created", "set_at",
            "Smoke tests", "Observe", "github POST statuses", "Mark as dev-validated", "github PATCH releases", "decision.recorded",
        )  # fmt: skip
        assert t.deaths >= 30, t.boundaries("merge")
        assert " – completed" in t.headlines(run)
        t.assert_once([beginning, commit])


async def test_merges_while_forge_is_dead_are_caught_up_by_asking_github(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with development_town(tmp_path / "boundaries", monkeypatch, "audit,outbox,github") as t:
        t.deadly("beginning", since="Mark as dev-validated")
        beginning = t.developers.tip
        await t.deployed(beginning)
        await t.told()
        t.assert_died_at("beginning", "github POST statuses", "github POST releases", "decision.recorded")
        await t.world.bot.kill()
        await t.actors.until(lambda: t.world.slack.connection_state() != "connected", "it is dead")
        sent = len(t.world.github.hooks.deliveries)
        overtaken = await t.merged_and_green()
        newest = await t.merged_and_green()
        await t.world.github.hooks.settled()
        assert len(t.world.github.hooks.deliveries) > sent
        t.deadly("caught up", every=5)
        await t.world.bot.start()
        await t.deployed(newest)
        await t.at_rest()
        assert t.heard_since(sent) == [], "no webhook has told of it"
        assert t.runs_of(overtaken) == []
        assert t.deaths >= 8
        t.assert_once([beginning, newest])

"""Scenario 9."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.records import Click, Segment
from runbook.policy import CRITICAL, StagingPolicy
from tests.runbook.fakes import BUSY_ROLLOUT, GOOD_ROLLOUT, VERSION, digest, signed_tag
from tests.scenarios.stage import SHORT, Stage, offered, setting_of, shown, stage

LONGER = replace(SHORT, staging=StagingPolicy(observation_s=120.0))


async def approved_and_paused(s: Stage) -> None:
    """Approved, and nothing has happened yet: somebody has paused the run."""
    await s.waits_for_approval()
    await s.says("rob", "pause staging-1")
    assert "All 1 given" in await s.says("sam", "approve staging-1")
    assert s.run().first_effect_at is None


def first_card(s: Stage) -> str:
    return shown(s.cards()[0].message)


async def test_the_tag_moves_after_approval_and_before_the_first_effect_the_approval_is_void_and_the_card_says_what_changed(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as s:
        await approved_and_paused(s)
        s.world.code.tags[VERSION] = signed_tag(commit="d" * 40, tag_object="b" * 40)
        await s.says("rob", "resume staging-1")
        run = await s.until_state("ended")
        await s.shown_all()
        assert (run.ending, run.ending_code) == ("failed", "tag.moved")
        assert s.world.cluster.writes == []
        assert all(c.void_at is not None for c in s.rows(Click))
        assert "void" in first_card(s)
        assert "v1.4.0-rc.2 has moved" in first_card(s)
        assert offered(s.cards()[0].message) == []
        assert "has moved" in await s.clicks("sue", "approve", index=3)


async def test_the_digest_changes_after_approval_and_before_the_first_effect_the_approval_is_void_and_the_card_says_what_changed(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as s:
        await approved_and_paused(s)
        s.world.images.digests["registry.example/acme/web"] = digest("9")
        await s.says("rob", "resume staging-1")
        await s.until_state("waiting")
        await s.shown_all()
        assert all(c.void_at is not None for c in s.rows(Click))
        assert "void" in first_card(s)
        assert digest("1") in first_card(s)
        assert digest("9") in first_card(s)
        assert offered(s.cards()[0].message) == []
        assert "void: the plan has changed" in await s.clicks("sam", "approve", index=3, card=0)
        assert s.world.cluster.writes == []
        await s.clicks("sam", "approve", index=3)
        await s.until_at("Go or no-go")
        assert s.images()["web"].endswith(digest("9"))


@pytest.mark.parametrize("paused", [True, False], ids=["after the approval", "while it is pending"])
async def test_the_policy_changes_after_approval_and_before_the_first_effect_the_approval_is_void_and_the_card_says_what_changed(
    tmp_path: Path, paused: bool
) -> None:
    async with stage(tmp_path) as s:
        await (approved_and_paused(s) if paused else s.waits_for_approval())
        await s.engine.reload(setting_of(LONGER, "setting-2"))
        if paused:
            await s.says("rob", "resume staging-1")
        await s.until(lambda: s.run().segment == 2 and s.run().state == "waiting")
        await s.shown_all()
        assert all(c.void_at is not None for c in s.rows(Click))
        assert "What changed" in first_card(s)
        assert "1 min → 2 min" in first_card(s)
        assert len(s.cards()) == 2
        assert "approval needed" in shown(s.cards()[1].message)
        assert "configuration.loaded" in s.actions


async def test_a_reload_that_changes_nothing_of_the_plan_voids_no_approval(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await approved_and_paused(s)
        await s.engine.reload(
            setting_of(replace(SHORT, waiting=replace(SHORT.waiting, hold_remind_s=60.0)), "setting-2")
        )
        await s.says("rob", "resume staging-1")
        await s.until_at("Go or no-go")
        assert all(c.void_at is None for c in s.rows(Click))


async def test_after_the_first_effect_an_edit_of_the_policy_changes_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.waits_for_approval()
        await s.says("sam", "approve staging-1")
        await s.until_at("Observe key metrics and health")
        before = s.run().plan_hash
        stricter = replace(LONGER, critical=(replace(CRITICAL[0], limit=0.00001, for_s=1.0),))
        begun = s.clock.now()
        await s.engine.reload(setting_of(stricter, "setting-2"))
        await s.until_at("Go or no-go")
        assert (s.clock.now() - begun).total_seconds() < 90
        await s.until_state("waiting")
        await s.clock.advance(600)
        await s.says("pia", "approve staging-1")
        await s.says("sam", "approve staging-1")
        run = await s.until_state("ended")
        assert (run.ending, run.plan_hash) == ("completed", before)
        assert len(s.rows(Segment)) == 1
        assert all(c.void_at is None for c in s.rows(Click))


async def test_after_the_first_effect_a_tag_that_moves_changes_nothing_of_what_is_deployed_and_is_no_go(
    tmp_path: Path,
) -> None:
    """What was approved by digest goes on; a candidate whose tag isn't immutable is not promoted."""
    async with stage(tmp_path) as s:
        before = s.images()
        s.world.cluster.rollouts = lambda since_s: GOOD_ROLLOUT if since_s > 5 else BUSY_ROLLOUT
        await s.waits_for_approval()
        await s.says("sam", "approve staging-1")
        await s.until_at("Deploy worker")
        s.world.code.tags[VERSION] = signed_tag(commit="d" * 40, tag_object="b" * 40)
        s.world.images.digests = dict.fromkeys(s.world.images.digests, digest("9"))
        await s.until_at("Observe key metrics and health")
        assert [i[-64:] for i in s.images().values()] == ["1" * 64, "2" * 64]
        run = await s.until_state("ended")
        assert run.ending == "returned"
        assert run.ending_code == "tag.moved"
        assert s.images() == before

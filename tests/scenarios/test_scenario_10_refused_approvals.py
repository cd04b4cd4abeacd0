"""Scenario 10."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from engine.records import Click, Sealed
from tests.scenarios.stage import PEOPLE, offered, stage


async def test_an_approval_that_expires_is_refused_and_the_release_stops(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.waits_for_approval()
        await s.clock.advance(timedelta(hours=23, minutes=59))
        assert s.run().state == "waiting"
        await s.clock.advance(timedelta(minutes=2))
        run = await s.until_state("ended")
        await s.shown_all()
        assert (run.ending, run.ending_code) == ("failed", "approval.expired")
        assert "nobody decided within 24 h" in await s.clicks("sam", "approve", index=3)
        assert offered(s.cards()[0].message) == []
        assert s.rows(Click) == []
        assert s.world.cluster.writes == []


async def test_a_go_that_expires_returns_staging_to_the_previous_images(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        before = s.images()
        await s.waits_for_go()
        await s.says("pia", "approve staging-1")
        await s.clock.advance(timedelta(hours=24, minutes=1))
        run = await s.until_state("ended")
        assert (run.ending, run.ending_code) == ("returned", "approval.expired")
        assert s.images() == before


async def test_an_approval_that_is_withdrawn_before_execution_does_not_count(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.waits_for_approval()
        await s.says("rob", "pause staging-1")
        await s.says("sam", "approve staging-1")
        assert "You took back your approval" in await s.clicks("sam", "withdraw", index=3)
        await s.says("rob", "resume staging-1")
        await s.clock.advance(timedelta(minutes=5))
        assert (s.run().state, s.at()) == ("waiting", "Deploy to staging")
        assert s.world.cluster.writes == []
        assert "approval.withdrawn" in s.actions
        await s.says("sue", "approve staging-1")
        await s.until_at("Go or no-go")


async def test_a_withdrawal_after_execution_has_begun_comes_too_late_and_says_so(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.waits_for_approval()
        await s.says("sam", "approve staging-1")
        await s.until_at("Observe key metrics and health")
        answer = await s.clicks("sam", "withdraw", index=3)
        assert "Too late" in answer
        assert "abort staging-1" in answer
        assert s.run().state == "running"


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ("old", "this account is deactivated"),
        ("far", "another workspace"),
        ("gus", "guests can't use forge"),
        ("max", "takes the role service owner"),
        ("rob", "takes the role service owner"),
    ],
)
@pytest.mark.parametrize("how", ["click", "command"])
async def test_an_approval_from_a_deactivated_user_or_another_workspace_or_a_guest_is_refused(
    tmp_path: Path, who: str, reason: str, how: str
) -> None:
    async with stage(tmp_path) as s:
        await s.waits_for_approval()
        if how == "click":
            answer = await s.clicks(who, "approve", index=3)
        else:
            answer = await s.says(who, "approve staging-1")
        assert reason in answer
        assert s.rows(Click) == []
        assert s.run().state == "waiting"
        assert any(e.actor == PEOPLE[who].id and "refused" in e.action for e in s.rows(Sealed))


@pytest.mark.parametrize("where", ["T9", "T1"])
async def test_the_same_user_id_from_another_workspace_is_somebody_else(tmp_path: Path, where: str) -> None:
    """A Service Owner's user id counts in this workspace alone."""
    async with stage(tmp_path) as s:
        await s.waits_for_approval()
        other = PEOPLE["far"]
        s.directory.people["T9:USAM"] = type(other)("T9:USAM", "Sam", other.roles, refusal=other.refusal)
        click = s.click("sam", "approve", index=3)
        answer = (await s.at_once(type(click)(click.who, click.kind, {**click.payload, "team": where})))[0]
        assert ("You approved" in answer) is (where == "T1")
        assert bool(s.rows(Click)) is (where == "T1")

"""Scenario 7."""

from __future__ import annotations

from pathlib import Path

from engine.records import Click
from tests.scenarios.stage import stage

DEPLOY, GO = 3, 15


async def test_two_approvers_click_in_the_same_millisecond_one_step_forward_and_the_loser_is_told_who_decided(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as s:
        await s.waits_for_approval()
        answers = await s.at_once(s.click("sam", "approve", index=DEPLOY), s.click("sue", "approve", index=DEPLOY))
        won = [a for a in answers if "You approved staging-1" in a]
        lost = [a for a in answers if "Already decided: approved by" in a]
        assert (len(won), len(lost)) == (1, 1)
        winner = "Sam" if answers[0] in won else "Sue"
        assert f"approved by {winner}." in lost[0]
        assert [c.actor_name for c in s.rows(Click)] == [winner]
        assert s.actions.count("approval.approve") == 1
        await s.until_at("Go or no-go")
        assert [w[0] for w in s.world.cluster.writes] == ["web", "worker"]


async def test_the_last_two_who_are_needed_click_in_the_same_millisecond_and_the_release_gets_its_go_once(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as s:
        await s.waits_for_go()
        answers = await s.at_once(*(s.click(who, "approve", index=GO) for who in ("pia", "sam", "bo", "sue")))
        assert sum("All 2 given" in a for a in answers) == 1
        run = await s.until_state("ended")
        await s.shown_all()
        assert run.ending == "completed"
        assert s.actions.count("decision.recorded") == 1
        assert sum("got its go" in t for t in s.notes) == 1


async def test_one_who_clicks_twice_goes_one_step_forward(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.waits_for_go()
        answers = await s.at_once(s.click("sam", "approve", index=GO), s.click("sam", "approve", index=GO))
        assert sum("1 more needed" in a for a in answers) == 1
        assert sum("You have already decided: approve" in a for a in answers) == 1
        assert s.run().state == "waiting"
        assert len([c for c in s.rows(Click) if c.index == GO]) == 1


async def test_approval_and_rejection_in_the_same_millisecond_have_one_outcome_and_the_loser_hears_it(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as s:
        await s.waits_for_approval()
        answers = await s.at_once(
            s.click("sam", "approve", index=DEPLOY), s.click("sue", "reject", index=DEPLOY, reason="not today")
        )
        lost = [a for a in answers if "Already decided" in a]
        assert len(lost) == 1
        decided = s.rows(Click)
        assert len(decided) == 1
        assert ("approved by Sam" if decided[0].decision == "approve" else "rejected by Sue: not today") in lost[0]

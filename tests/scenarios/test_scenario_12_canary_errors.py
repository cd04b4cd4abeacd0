"""Scenario 12."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from engine.records import Decision, Sealed
from tests.fakes.clock import NOON
from tests.scenarios.production import ProductionStage, production
from tests.scenarios.two_tracks import CANARY, STABLE

YESTERDAY = NOON - timedelta(days=1)
STABLES, CANARYS = 0.005, 0.015
"""Three times as many, and neither near any limit of its own."""


async def spoilt(s: ProductionStage) -> None:
    s.tracks.fails(STABLE, STABLES, since=YESTERDAY)
    s.tracks.fails(CANARY, CANARYS, since=YESTERDAY)
    await s.begins()


async def test_canary_errors_at_three_times_stable_over_the_minimum_sample_weight_0_and_one_message_with_value_baseline_limit_and_seconds_taken(
    tmp_path: Path,
) -> None:
    async with production(tmp_path) as s:
        await spoilt(s)
        assert await s.ends() == "returned"
        run = s.run()
        assert run.ending_code == "ratio.worse"
        assert s.weights == [5, 0]
        assert s.is_as_before()
        assert run.facts["weight_zero"]["web"]["seconds"] <= 1
        shifted = datetime.fromisoformat(run.facts["traffic"][0]["at"])
        decided = datetime.fromisoformat(run.facts["decided_at"])
        assert decided - shifted < timedelta(minutes=2)
        [message] = [text for text in s.incident_messages if "Timeline" in text]
        assert "canary errors against stable's: 1.5 % of" in message
        assert "0.5 % of stable's" in message
        assert "the limit is 2 times that" in message
        assert "weight 0 accepted for web, 300 ms after the decision" in message
        assert "Hypothesis (unproven): the new version itself: its errors are 3 times stable's" in message
        assert sum("Timeline" in text for text in s.texts) == 2, "the incident's, and the same in the run's thread"
        [breach] = s.rows(Sealed, action="guard.breached")
        facts = {fact["name"]: fact for fact in breach.evidence[0]["evidence"]}
        assert facts["canary's error ratio"]["value"] == pytest.approx(CANARYS)
        assert facts["canary's error ratio"]["limit"] == pytest.approx(2 * STABLES)
        assert facts["baseline's error ratio"]["value"] == pytest.approx(STABLES)
        assert [d.result for d in s.rows(Decision, environment="prod")] == ["rolled_back"]
        assert any("canary 1.5 % and stable 0.5 %" in upload.alt for upload in s.chat.uploads)


async def test_three_times_stable_below_the_minimum_sample_rolls_nothing_back(tmp_path: Path) -> None:
    """A dozen requests in five minutes, some of which failed: more are waited for, and then a person is asked."""
    async with production(tmp_path) as s:
        s.tracks.rps = 0.8
        await spoilt(s)
        run = await s.until_state("held", "ended")
        assert (run.state, s.at(), s.weights) == ("held", "Canary gate (5 %)", [5])
        assert s.rows(Sealed, action="guard.breached") == []


async def test_canary_errors_that_are_stables_too_roll_nothing_back(tmp_path: Path) -> None:
    """Both fail more often than usual, the canary half as often again as stable: what they share isn't the release's fault."""
    async with production(tmp_path) as s:
        s.tracks.fails(STABLE, 0.004, since=YESTERDAY)
        s.tracks.fails(CANARY, 0.006, since=YESTERDAY)
        await s.rolls_out_to(25)
        assert s.weights == [5, 25]
        assert s.rows(Sealed, action="guard.breached") == []


async def test_canary_errors_of_twenty_percent_are_decided_in_two_rounds_of_the_guards_at_25_percent(
    tmp_path: Path,
) -> None:
    async with production(tmp_path) as s:
        await s.rolls_out_to(25)
        bad_since = s.clock.now()
        s.tracks.fails(CANARY, 0.2)
        assert await s.ends() == "returned"
        assert datetime.fromisoformat(s.run().facts["decided_at"]) - bad_since <= timedelta(seconds=30)
        assert s.weights == [5, 25, 0]
        assert s.is_as_before()

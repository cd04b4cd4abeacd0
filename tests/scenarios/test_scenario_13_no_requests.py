"""Scenario 13."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from engine.records import Decision, Sealed
from tests.fakes.clock import NOON
from tests.scenarios.production import policy_with, production

IMPATIENT = policy_with(phase_max_s=600.0)
FOREVER = NOON + timedelta(days=30)


@pytest.mark.parametrize("has_zero", [True, False], ids=["recorded as none", "not recorded"])
async def test_no_requests_reach_the_canary_no_data_the_phase_holds_nobody_is_promoted_or_rolled_back_a_person_is_asked(
    tmp_path: Path, has_zero: bool
) -> None:
    async with production(tmp_path, policy=IMPATIENT) as s:
        s.tracks.has_zero = has_zero
        s.tracks.unreach(NOON, FOREVER)
        await s.begins()
        await s.until_state("held")
        gate = next(step for step in s.steps() if step.title == "Canary gate (5 %)")
        assert (s.at(), gate.state, gate.outcome) == ("Canary gate (5 %)", "held", "no_data")
        assert s.clock.now() - NOON > timedelta(minutes=10), "the phase's maximum was waited for"
        await s.shown_all()
        asked = [text for text in s.announced if "prod-1 is held: Canary gate (5 %)" in text]
        assert len(asked) == 1
        assert "<@UADA>" in asked[0]
        assert ("none come" in asked[0]) is has_zero
        await s.clock.advance(timedelta(minutes=40))
        assert (s.run().state, s.run().interrupt, s.weights) == ("held", None, [5])
        assert s.prompts() == []
        assert s.rows(Decision, environment="prod") == []
        assert not any(e.action in ("guard.breached", "run.left") for e in s.rows(Sealed))
        assert any("<!subteam^SONCALL>" in text for text in s.announced), "a person who can look is called in the end"


async def test_a_phase_that_was_held_for_want_of_requests_goes_on_when_they_come(tmp_path: Path) -> None:
    async with production(tmp_path, policy=IMPATIENT) as s:
        s.tracks.unreach(NOON, NOON + timedelta(minutes=20))
        await s.begins()
        await s.until_state("held")
        await s.clock.advance(timedelta(minutes=20))
        await s.says("rob", "retry prod-1")
        await s.until_at("Observe 25 %")
        assert s.weights == [5, 25]

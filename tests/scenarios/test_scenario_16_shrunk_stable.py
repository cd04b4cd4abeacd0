"""Scenario 16."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.scenarios.production import QUICK, SIZE, production
from tests.scenarios.two_tracks import CANARY


@pytest.mark.parametrize("left", [4, 1])
async def test_stable_was_scaled_down_by_its_autoscaler_traffic_returns_at_once_as_far_as_capacity_goes_the_rest_as_it_becomes_available(
    tmp_path: Path, left: int
) -> None:
    async with production(tmp_path, policy=QUICK) as s:
        await s.rolls_out_to(100)
        s.world.cluster.resize("web", left)
        s.world.cluster.start_s = 20.0
        s.tracks.fails(CANARY, 0.3)
        assert await s.ends() == "returned"
        back = [write for write in s.world.cluster.moved if write.what == "weight web"][3:]
        decided = next(m.at for m in back)
        assert back[0].number == 100 - 100 * left // SIZE, "at once as far as it goes"
        assert [w.number for w in back] == sorted({w.number for w in back}, reverse=True)
        assert back[-1].number == 0
        assert all(w.number >= 100 - 100 * w.available // SIZE for w in back), "never more than stable can carry"
        assert timedelta(seconds=20) <= back[-1].at - decided < timedelta(seconds=25)
        assert s.moved("scale web") == [SIZE]
        assert s.is_as_before()
        [message] = [text for text in s.incident_messages if "Timeline" in text]
        assert "weight 0 accepted for web, 2" in message


@pytest.mark.parametrize("weight", [5, 25, 100])
async def test_with_stable_at_full_strength_weight_0_is_accepted_within_1_s_of_the_decision(
    tmp_path: Path, weight: int
) -> None:
    async with production(tmp_path, policy=QUICK) as s:
        await s.rolls_out_to(weight)
        s.tracks.fails(CANARY, 0.3)
        assert await s.ends() == "returned"
        assert s.run().facts["weight_zero"]["web"]["seconds"] <= 1
        assert s.weights == [*(w for w in (5, 25, 100) if w <= weight), 0]
        assert s.is_as_before()

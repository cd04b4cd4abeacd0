"""Scenario 22."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from engine.records import Sealed
from runbook import series
from tests.scenarios.production import policy_with, production
from tests.scenarios.two_tracks import CANARY, STABLE, next_tick

LONG_PHASES = policy_with(phase_s=1800.0, phase_max_s=3600.0)
CRITICAL = {"API p95 latency": (series.LATENCY_P95, 1.5), "readiness success": (series.READINESS_RATIO, 0.9)}


@pytest.mark.parametrize("name", CRITICAL)
@pytest.mark.parametrize("track", [CANARY, STABLE])
async def test_a_critical_alert_at_4_min_50_s_does_nothing_at_5_min_it_triggers(
    tmp_path: Path, name: str, track: str
) -> None:
    """First for 4 min 50 s, then for good. Both spans of time begin with a sample, which is the hardest case."""
    metric, bad = CRITICAL[name]
    async with production(tmp_path, policy=LONG_PHASES) as s:
        await s.rolls_out_to(5)
        begin = next_tick(s.clock.now())
        s.tracks.says(metric, bad, track, since=begin, for_s=290)
        await s.until(lambda: s.clock.now() >= begin + timedelta(seconds=290))
        assert s.rows(Sealed, action="guard.breached") == []
        await s.clock.advance(45)
        assert (s.run().interrupt, s.rows(Sealed, action="guard.breached")) == (None, [])
        again = next_tick(s.clock.now() + timedelta(seconds=15))
        s.tracks.says(metric, bad, track, since=again)
        await s.until(lambda: s.clock.now() >= again + timedelta(seconds=290))
        assert s.run().interrupt is None
        assert s.rows(Sealed, action="guard.breached") == []
        assert await s.ends() == "returned"
        assert s.run().ending_code == "guard.breached"
        decided = datetime.fromisoformat(s.run().facts["decided_at"])
        assert decided - again == timedelta(minutes=5)
        assert name in s.run().ending_reason
        assert "for 5 min" in s.run().ending_reason
        assert s.is_as_before()

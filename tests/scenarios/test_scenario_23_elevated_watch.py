"""Scenario 23."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from engine.records import Decision
from runbook import series
from tests.scenarios.production import NEW, OLD, SIZE, ProductionStage, policy_with, production
from tests.scenarios.two_tracks import CANARY

SHORT_PHASES = policy_with(phase_s=60.0)
SHORT_WATCH = policy_with(phase_s=60.0, watch_s=3000.0, quiet_s=1200.0)
WARNING = (series.LATENCY_P95, 0.6)
"""Over the warning's half second, under the critical second."""


def gate(s: ProductionStage) -> Any:
    return next(step for step in s.steps() if step.title == "Completion criteria")


async def test_after_100_percent_the_release_stays_in_elevated_watch_for_60_minutes(tmp_path: Path) -> None:
    async with production(tmp_path, policy=SHORT_PHASES) as s:
        await s.is_watched()
        since = s.clock.now()
        await s.clock.advance(timedelta(minutes=59))
        assert s.at() == "Elevated watch"
        assert s.replicas() == {"web": SIZE, "worker": 0, "web-canary": SIZE, "worker-canary": SIZE}
        assert s.images()["web"] == OLD["web"], "the previous version stands until the watch is over"
        await s.until(lambda: s.at() != "Elevated watch")
        assert timedelta(minutes=60) <= s.clock.now() - since < timedelta(minutes=61)
        full = datetime.fromisoformat(s.run().facts["shifted"]["100"])
        assert s.clock.now() - full >= timedelta(minutes=60)
        assert await s.ends() == "completed"
        assert s.weights == [5, 25, 100, 0]
        assert (s.images(), s.replicas(), s.weight) == (NEW, dict.fromkeys(NEW, SIZE), 0)
        assert [d.result for d in s.rows(Decision, environment="prod")] == ["released"]
        assert any("is released; all gates passed and no trigger was met" in text for text in s.announced)


async def test_a_sustained_warning_in_the_last_30_minutes_keeps_it_from_being_declared_complete(
    tmp_path: Path,
) -> None:
    async with production(tmp_path, policy=SHORT_PHASES) as s:
        await s.is_watched()
        s.tracks.says(*WARNING, CANARY, since=s.clock.now() + timedelta(minutes=35), for_s=660)
        await s.until_state("held", "ended")
        await s.shown_all()
        assert (s.run().state, s.at(), gate(s).outcome) == ("held", "Completion criteria", "fail")
        assert gate(s).code == "completion.sustained"
        assert "API p95 latency was above 500 ms for 10 min" in gate(s).reason
        assert s.rows(Decision, environment="prod") == []
        assert s.weights == [5, 25, 100], "nothing is rolled back for a warning either"
        assert not any("is released" in text for text in s.announced)
        assert any("prod-1 is held: Completion criteria" in text and "<@UADA>" in text for text in s.announced)
        await s.says("ada", "retry prod-1")
        assert (await s.until_state("held")).state == "held", "asked again too early it says the same"
        await s.clock.advance(timedelta(minutes=20))
        await s.says("ada", "retry prod-1")
        assert await s.ends() == "completed"
        assert s.weights == [5, 25, 100, 0]


async def test_a_warning_that_was_over_before_the_quiet_time_keeps_nothing(tmp_path: Path) -> None:
    async with production(tmp_path, policy=SHORT_WATCH) as s:
        await s.is_watched()
        s.tracks.says(*WARNING, CANARY, for_s=25 * 60)
        assert await s.ends() == "completed"


async def test_a_warning_of_less_than_ten_minutes_is_not_sustained(tmp_path: Path) -> None:
    async with production(tmp_path, policy=SHORT_WATCH) as s:
        await s.is_watched()
        s.tracks.says(*WARNING, CANARY, since=s.clock.now() + timedelta(minutes=35), for_s=570)
        assert await s.ends() == "completed"


async def test_a_critical_alert_in_the_elevated_watch_rolls_back_from_100_percent(tmp_path: Path) -> None:
    async with production(tmp_path, policy=SHORT_WATCH) as s:
        await s.is_watched()
        s.tracks.says(series.LATENCY_P95, 1.5, CANARY, since=s.clock.now() + timedelta(minutes=5))
        assert await s.ends() == "returned"
        assert s.weights == [5, 25, 100, 0]
        assert s.run().facts["weight_zero"]["web"]["seconds"] <= 1
        assert s.is_as_before()

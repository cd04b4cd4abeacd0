"""Scenario 14, at a phase's gate, at the guards, and at the canary's sequential test in production."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.records import Decision, Outgoing, Sealed
from runbook import series
from runbook.errors import Temporary
from tests.engine.harness import KeepingChat
from tests.scenarios.production import ProductionStage, ProductionWorld, policy_with, production
from tests.scenarios.two_tracks import CANARY, HEALTHY

ANSWERS: dict[str, tuple[Any, str, str]] = {
    "NaN": (math.nan, "metrics.nan", "no_data"),
    "empty": (None, "metrics.absent", "no_data"),
    "two series": ([0.001, 0.2], "metrics.ambiguous", "no_data"),
    "HTTP 500": (Temporary("prometheus", "server_error", "Prometheus answered 500"), "prometheus.server_error", "error"),
    "not at all": (Temporary("prometheus", "timeout", "Prometheus gave no answer within 10 s"), "prometheus.timeout", "error"),
}  # fmt: skip


IMPATIENT = policy_with(phase_s=60.0, phase_max_s=180.0)
LONG_PHASES = policy_with(phase_s=3000.0, phase_max_s=3600.0)
"""Phases in which nothing but guards looks."""


def gates_only(value: Any) -> Callable[[str, datetime], Any]:
    """Guards ask for recorded metrics by their bare names; gates with labels."""
    return lambda expression, at: value if "{" in expression else HEALTHY


def guards_only(metric: str, value: Any) -> Callable[[str, datetime], Any]:
    return lambda expression, at: value if "{" not in expression and metric in expression else HEALTHY


def nothing_happened(s: ProductionStage, *weights: int) -> None:
    assert (s.weights, s.run().interrupt, s.prompts()) == (list(weights), None, [])
    assert s.rows(Decision, environment="prod") == []
    assert s.rows(Sealed, action="guard.breached") == []


@pytest.mark.parametrize("what", ANSWERS)
async def test_prometheus_answers_nan_empty_two_series_http_500_or_not_at_all_each_gets_its_own_named_verdict_none_is_a_pass_or_a_fail(
    tmp_path: Path, what: str
) -> None:
    value, code, outcome = ANSWERS[what]
    async with production(tmp_path, policy=IMPATIENT) as s:
        await s.rolls_out_to(5)
        s.tracks.trouble = gates_only(value)
        await s.until_state("held", "ended")
        gate = next(step for step in s.steps() if step.title == "Canary gate (5 %)")
        assert (gate.state, gate.outcome, gate.code) == ("held", outcome, code)
        nothing_happened(s, 5)
        await s.shown_all()
        assert any("prod-1 is held: Canary gate (5 %)" in text for text in s.announced)
        s.tracks.trouble = gates_only(HEALTHY)
        await s.says("ada", "retry prod-1")
        await s.until_at("Observe 25 %")


@pytest.mark.parametrize(
    ("what", "metric"),
    [*((what, "error_ratio") for what in ANSWERS), *((what, "rate:30s") for what in ("NaN", "HTTP 500"))],
)
async def test_a_guard_without_a_number_neither_passes_nor_breaches_in_production(
    tmp_path: Path, what: str, metric: str
) -> None:
    """rate: of the canary's sequential test."""
    value, code, outcome = ANSWERS[what]
    judged: list[dict[str, int]] = []
    async with production(tmp_path, policy=LONG_PHASES) as s:
        await s.rolls_out_to(5)
        s.engine.guards.judged = lambda _, outcomes: judged.append(outcomes)
        s.tracks.trouble = guards_only(metric, value)
        await s.clock.advance(timedelta(minutes=32))
        await s.shown_all()
        nothing_happened(s, 5)
        assert judged[-1][outcome] == (2 if metric == "error_ratio" else 1), "of both tracks"
        told = [row.payload for row in s.rows(Outgoing, kind="note") if "blind" in row.subject]
        assert [{v["code"] for v in note["verdicts"]} for note in told] == [{code}, {code}]
        s.tracks.trouble = gates_only(HEALTHY)
        await s.clock.advance(60)
        assert outcome not in judged[-1]


async def down_in_the_first_phase(
    tmp_path: Path, spoil: Callable[[ProductionWorld, datetime], None], down_s: float = 900.0
) -> tuple[str, list[int]]:
    """The bot dies 20 s into the observation of 5 %, and comes back. How the run ends or stands two minutes later, and the weights."""
    world, chat = ProductionWorld(), KeepingChat()
    async with production(tmp_path, world=world, chat=chat, policy=LONG_PHASES) as s:
        await s.rolls_out_to(5)
        await s.clock.advance(20)
        spoil(world, s.clock.now())
    await world.clock.advance(down_s)
    asked = len(world.tracks.ranges)
    async with production(tmp_path, world=world, chat=chat, policy=LONG_PHASES) as s:
        await s.clock.advance(120)
        assert len(world.tracks.ranges) > asked
        return str(s.run().ending or s.run().state), s.weights


async def test_samples_missed_while_the_bot_was_down_are_filled_in_by_a_range_query_in_production(
    tmp_path: Path,
) -> None:
    """The canary was slow for six minutes, and is well again when the bot is back."""

    def slow(world: ProductionWorld, now: datetime) -> None:
        world.tracks.says(series.LATENCY_P95, 1.5, CANARY, since=now + timedelta(minutes=2), for_s=360)

    assert await down_in_the_first_phase(tmp_path, slow) == ("returned", [5, 0])


async def test_the_canarys_errors_while_the_bot_was_down_count_in_the_sequential_test(tmp_path: Path) -> None:
    """A minute of one error in ten requests, long over when the bot is back."""

    def failing(world: ProductionWorld, now: datetime) -> None:
        world.tracks.fails(CANARY, 0.1, since=now + timedelta(minutes=3))
        world.tracks.fails(CANARY, 0.001, since=now + timedelta(minutes=4))

    assert await down_in_the_first_phase(tmp_path, failing) == ("returned", [5, 0])


async def test_where_series_are_truly_absent_the_window_starts_anew_in_production(tmp_path: Path) -> None:
    """Slow for eight minutes, but not recorded for a minute in the middle of them."""

    def slow(world: ProductionWorld, now: datetime) -> None:
        begin = now + timedelta(minutes=2)
        world.tracks.says(series.LATENCY_P95, 1.5, CANARY, since=begin, for_s=480)
        world.tracks.says(series.LATENCY_P95, None, CANARY, since=begin + timedelta(seconds=220), for_s=60)

    assert await down_in_the_first_phase(tmp_path, slow) == ("running", [5])


async def test_one_missed_scrape_changes_nothing_in_production(tmp_path: Path) -> None:
    async with production(tmp_path, policy=LONG_PHASES) as s:
        await s.rolls_out_to(5)
        begin = s.clock.now() + timedelta(seconds=60)
        s.tracks.says(series.LATENCY_P95, 1.5, CANARY, since=begin)
        s.tracks.says(series.LATENCY_P95, None, CANARY, since=begin + timedelta(seconds=150), for_s=15)
        assert await s.ends() == "returned"
        decided = datetime.fromisoformat(s.run().facts["decided_at"])
        assert decided - begin <= timedelta(seconds=330)
        assert not any("no data" in note for note in s.notes)

"""Scenario 14, at the acceptance gate and at the guards."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.records import Outgoing, Sealed
from runbook.errors import ForgeError, Permanent, Temporary
from tests.engine.harness import KeepingChat
from tests.runbook.fakes import SERVICE, World
from tests.scenarios.stage import Measured, Stage, healthy, stage

Value = float | list[float] | ForgeError | None

ANSWERS: dict[str, tuple[Value, str, str]] = {
    "NaN": (math.nan, "metrics.nan", "no_data"),
    "empty": (None, "metrics.absent", "no_data"),
    "two series": ([0.001, 0.2], "metrics.ambiguous", "no_data"),
    "infinite": (math.inf, "metrics.infinite", "no_data"),
    "HTTP 500": (Temporary("prometheus", "server_error", "Prometheus answered 500"), "prometheus.server_error", "error"),
    "not at all": (
        Temporary("prometheus", "timeout", "Prometheus gave no answer within 10 s"), "prometheus.timeout", "error",
    ),
    "HTTP 401": (
        Permanent("prometheus", "unauthorized", "Prometheus doesn't take the token"), "prometheus.unauthorized", "error",
    ),
}  # fmt: skip


def gates_only(value: Value) -> Callable[[str, datetime], Value]:
    """Guards ask for a recorded metric by its bare name; gates for an expression."""
    return lambda expression, at: value if "(" in expression else healthy(expression, at)


def guards_only(metric: str, value: Value) -> Callable[[str, datetime], Value]:
    return lambda expression, at: value if "(" not in expression and metric in expression else healthy(expression, at)


async def acceptance(s: Stage) -> Any:
    """The row of the gate, once the run waits or is held or has ended."""
    await s.waits_for_approval()
    await s.says("sam", "approve staging-1")
    await s.until_at("Staging promotion gate")
    await s.until_state("held", "waiting", "ended")
    return next(step for step in s.steps() if step.title == "Staging promotion gate")


@pytest.mark.parametrize("what", ANSWERS)
async def test_prometheus_answers_nan_or_empty_or_two_series_or_http_500_or_not_at_all_each_gets_its_own_named_verdict_and_none_is_a_pass_or_a_fail(
    tmp_path: Path, what: str
) -> None:
    value, code, outcome = ANSWERS[what]
    async with stage(tmp_path) as s:
        s.metrics.value = gates_only(value)
        row = await acceptance(s)
        assert (row.state, row.outcome, row.code) == ("held", outcome, code)
        assert row.reason
        await s.clock.advance(timedelta(hours=3))
        assert s.run().state == "held"
        await s.shown_all()
        assert any("staging-1 is held: Staging promotion gate" in note and row.reason[:40] in note for note in s.notes)
        s.metrics.value = healthy
        await s.says("ada", "retry staging-1")
        await s.until_at("Go or no-go")


async def test_the_verdicts_of_the_five_troubles_have_five_names() -> None:
    assert len({code for _, code, _ in ANSWERS.values()}) == len(ANSWERS)


async def test_a_trouble_of_prometheus_that_passes_within_the_patience_of_the_gate_holds_nothing(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as s:
        troubled: list[datetime] = []

        def for_45_s(expression: str, at: datetime) -> Value:
            if "(" in expression:
                troubled.append(at)
                if at - troubled[0] < timedelta(seconds=45):
                    return ANSWERS["HTTP 500"][0]
            return healthy(expression, at)

        s.metrics.value = for_45_s
        row = await acceptance(s)
        assert (row.outcome, row.attempt, s.at()) == ("pass", 1, "Go or no-go")


@pytest.mark.parametrize("what", ANSWERS)
@pytest.mark.parametrize("metric", ["error_ratio", "latency_p95", "readiness"])
async def test_a_guard_that_gets_no_number_neither_passes_nor_breaches_and_people_are_told_why(
    tmp_path: Path, what: str, metric: str
) -> None:
    value, code, outcome = ANSWERS[what]
    judged: list[dict[str, int]] = []
    async with stage(tmp_path) as s:
        await s.waits_for_go()
        s.metrics.value = guards_only(metric, value)
        s.engine.guards.judged = lambda _, outcomes: judged.append(outcomes)
        await s.clock.advance(timedelta(hours=2))
        await s.shown_all()
        assert s.run().state == "waiting"
        assert judged[-1] == {"pass": 2, outcome: 1}
        told = [o.payload for o in s.rows(Outgoing, kind="note") if "blind" in o.subject]
        assert [[v["code"] for v in note["verdicts"]] for note in told] == [[code], [code]]
        assert sum("<!subteam^SONCALL>" in note for note in s.notes) == 1
        assert len(s.rows(Sealed, action="guard.blind")) == 2
        s.metrics.value = healthy
        await s.clock.advance(60)
        assert judged[-1] == {"pass": 3}


def during(*spans: tuple[float, float], value: Value = 0.2, start: datetime) -> Callable[[str, datetime], Value]:
    """The error ratio has this value in the spans, in seconds from the start; all is healthy else."""

    def at_moment(expression: str, at: datetime) -> Value:
        inside = any(a <= (at - start).total_seconds() < b for a, b in spans)
        return value if inside and "error_ratio" in expression else healthy(expression, at)

    return at_moment


async def down_for(tmp_path: Path, *spans: tuple[float, float], absent: tuple[tuple[float, float], ...] = ()) -> str:
    """The bot is down from second 20 to 1,500 while the error ratio is bad in these spans, and absent in those. The run's state
    a minute after it is up again."""
    world, chat = World(), KeepingChat()
    metrics = Measured(world, SERVICE.name)
    async with stage(tmp_path, world=world, chat=chat, metrics=metrics) as s:
        await s.waits_for_go()
        start = s.clock.now()
        bad = during(*spans, start=start)
        gone = during(*absent, value=None, start=start)

        def measured(expression: str, at: datetime) -> Value:
            return None if gone(expression, at) is None else bad(expression, at)

        metrics.value = measured
        await s.clock.advance(20)
    await world.clock.advance(1480)
    async with stage(tmp_path, world=world, chat=chat, metrics=metrics) as s:
        await s.clock.advance(60)
        return str(s.run().ending or s.run().state)


async def test_samples_missed_while_the_bot_was_down_are_filled_in_by_a_range_query(tmp_path: Path) -> None:
    assert await down_for(tmp_path, (60.0, 420.0)) == "returned"


async def test_a_window_that_began_while_the_bot_was_down_is_completed_after_it(tmp_path: Path) -> None:
    """Bad for the last 4:30 of the downtime and the minute after it."""
    assert await down_for(tmp_path, (1230.0, 2000.0)) == "returned"


async def test_what_was_bad_for_less_than_five_minutes_while_the_bot_was_down_is_no_breach(tmp_path: Path) -> None:
    assert await down_for(tmp_path, (60.0, 330.0)) == "waiting"


async def test_where_series_are_truly_absent_the_window_starts_anew(tmp_path: Path) -> None:
    assert await down_for(tmp_path, (60.0, 600.0), absent=((300.0, 360.0),)) == "waiting"
    assert await down_for(tmp_path / "long", (60.0, 700.0), absent=((300.0, 360.0),)) == "returned"


async def test_one_missed_scrape_changes_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.waits_for_go()
        start = s.clock.now()
        bad = during((0.0, 2000.0), start=start)
        missed = during((150.0, 165.0), value=None, start=start)
        s.metrics.value = lambda expression, at: None if missed(expression, at) is None else bad(expression, at)
        run = await s.until_state("ended")
        assert run.ending == "returned"
        assert (s.clock.now() - start).total_seconds() < 345
        await s.shown_all()
        assert not any("no data" in note for note in s.notes)

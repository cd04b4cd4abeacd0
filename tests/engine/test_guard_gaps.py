"""Scenario 14: samples missed while the bot was down are filled in by range queries, also when the first of them fails."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from runbook.errors import Temporary
from runbook.ports import Series
from tests.engine.harness import SAM, KeepingChat, Outside, Series1, bench, ratio
from tests.fakes.clock import SimulatedClock


class Stuttering(Series1):
    """Fails the first range queries."""

    failures = 0

    async def query_range(self, expression: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        if self.failures > 0:
            self.failures -= 1
            raise Temporary("prometheus", "timeout", "no answer within 5 s")
        return await super().query_range(expression, start, end, step_s)


@pytest.mark.parametrize("failures", [0, 1, 2])
async def test_a_breach_that_came_and_went_while_the_bot_was_down_returns_the_release(
    tmp_path: Path, failures: int
) -> None:
    clock, chat, outside, metrics = SimulatedClock(), KeepingChat(), Outside(), Stuttering()
    metrics.value = ratio("shop", 0.0)
    async with bench(tmp_path, clock=clock, chat=chat, outside=outside, metrics=metrics) as b:
        run = await b.deploy()
        await b.act("approve", SAM, run)
        await clock.run_until(lambda: b.run(run).position == 5)
        await clock.advance(timedelta(minutes=10))
    down = clock.now()
    clock.set(down + timedelta(minutes=50))

    def as_it_was(metric: str, at: datetime) -> list[Series]:
        bad = timedelta(minutes=20) < at - down < timedelta(minutes=27)
        return ratio("shop", 0.2 if bad else 0.0)(metric, at)

    metrics.value = as_it_was
    metrics.failures = failures
    async with bench(tmp_path, clock=clock, chat=chat, outside=outside, metrics=metrics) as b:
        assert (await b.ended(run)).ending_code == "guard.breached"
        assert clock.now() - down < timedelta(minutes=52)

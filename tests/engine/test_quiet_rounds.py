"""What waiting costs: a round over quiet runs asks and reads as often for many as for one, and makes no sentences that nobody reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest

from engine import guards as module
from engine.guards import GuardEvaluator
from engine.ports import Ledger, Store
from engine.settings import Settings
from engine.spans import Watched
from runbook.plan import PROMPT, Guard
from runbook.policy import Policy, Setting
from runbook.ports import Ports, Sample, Series
from runbook.rules.guards import GuardState, judge_guard
from runbook.values import Environment
from runbook.verdicts import Outcome, Verdict
from state.store import SqlStore, open_store
from tests.fakes.clock import SimulatedClock

T = TypeVar("T")
ERRORS = Guard("error rate", "forge:error_ratio:1m", True, 0.03, 60.0)
LATENCY = Guard("latency", "forge:latency_p95_seconds:1m", True, 0.5, 60.0, action=PROMPT)
INTERVAL = timedelta(seconds=15)


class CountingStore:
    def __init__(self, store: SqlStore, counts: Counter[str]) -> None:
        self._store = store
        self._counts = counts

    async def write(self, change: Callable[[Ledger], T]) -> T:
        self._counts["writes"] += 1
        return await self._store.write(change)

    async def read(self, look: Callable[[Ledger], T]) -> T:
        self._counts["reads"] += 1
        return await self._store.read(look)


class CountingMetrics:
    """Every service's every number is `value`."""

    def __init__(self, clock: SimulatedClock, services: int, counts: Counter[str]) -> None:
        self._clock = clock
        self._services = services
        self._counts = counts
        self.value = 0.001

    async def query(self, expression: str, at: datetime | None = None) -> tuple[Series, ...]:
        self._counts[expression] += 1
        return self._series()

    async def query_range(self, expression: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        return ()

    def _series(self) -> tuple[Series, ...]:
        sample = Sample(self._clock.now(), self.value)
        return tuple(Series({"service": f"s{n}", "env": "staging"}, (sample,)) for n in range(self._services))


class Waiting:
    """So many runs that wait under two guards, one of which may ask on-call."""

    def __init__(self, opened: SqlStore, runs: int) -> None:
        self.clock, self.counts = SimulatedClock(), Counter[str]()
        self.metrics = CountingMetrics(self.clock, runs, self.counts)
        ports: Any = SimpleNamespace(clock=self.clock, metrics={Environment.STAGING: self.metrics})
        store = cast(Store, CountingStore(opened, self.counts))
        self.guards = GuardEvaluator(store, cast(Ports, ports), Settings(Setting(Policy(), {}, "s1")), lambda run: None)
        self.outcomes: list[dict[str, int]] = []
        self.guards.judged = lambda seconds, outcomes: self.outcomes.append(outcomes)
        since = self.clock.now() - timedelta(minutes=30)
        for n in range(runs):
            self.guards.follow(
                f"staging-{n}",
                Watched(f"staging-{n}", f"s{n}", "staging", 1, 1, 9, (ERRORS, LATENCY), "rollback", since),
            )

    async def rounds(self, count: int) -> None:
        for _ in range(count):
            await self.guards.round()
            await self.clock.advance(INTERVAL)


async def test_a_quiet_round_asks_and_reads_no_more_for_many_runs_than_for_one(tmp_path: Path) -> None:
    found = []
    for runs in (1, 150):
        with open_store(data_dir=tmp_path / str(runs), ballast_bytes=0) as opened:
            waiting = Waiting(opened, runs)
            await waiting.rounds(1)
            waiting.counts.clear()
            await waiting.rounds(8)
            found.append(waiting.counts)
            assert waiting.outcomes[-1] == {Outcome.PASS: 2 * runs}
    # The prompts that stand are read in each round, and each minute it is noted how far the guards have looked.
    assert found[0] == found[1] == {ERRORS.metric: 8, LATENCY.metric: 8, "reads": 8, "writes": 2}


async def test_no_sentence_is_made_of_what_is_as_it_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Outcome] = []

    def counting(state: GuardState, guard: Guard) -> Verdict:
        verdict = judge_guard(state, guard)
        made.append(verdict.outcome)
        return verdict

    monkeypatch.setattr(module, "judge_guard", counting)
    with open_store(data_dir=tmp_path, ballast_bytes=0) as opened:
        waiting = Waiting(opened, 20)
        await waiting.rounds(6)
        assert made == []
        waiting.metrics.value = float("nan")
        await waiting.rounds(4)
    assert set(made) == {Outcome.NO_DATA}

"""A canary that turns bad under real traffic, and how long it takes until it has none: measured from outside of the bot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sandbox.routes import Route
from sandbox.world import Tempo, short
from tests.whole.releasing import CANARY, FINAL, PROD, answered, promote, prove
from tests.whole.stage import Stage, paced

LOOK_S = 0.02
SAMPLE = 30
"""More requests than the smallest sample by which the sandbox's policy judges a canary."""

ERRORS = "errors"


def tempo(phase: str = "10m", customers_per_s: float | None = None, **triggers: Any) -> Tempo:
    """All but the comparison with stable take far longer than it: nothing else can speak first. It begins with a quarter of the traffic."""
    slow = {"core_for": "10m", **triggers}
    quick = short(
        observation="5s", guards_for="10m", validates=(), database=False, phase=phase, phase_max="12m",
        triggers=slow, weights=(25, 100),
    )  # fmt: skip
    quick = paced(quick, prod={"smoke_every": "10m"})  # two journeys in a row that meet an error would speak first
    return quick if customers_per_s is None else replace(quick, production_per_s=customers_per_s)


@dataclass(frozen=True)
class Timing:
    """All in seconds since the epoch. bad: when each bad answer of the canary was seen; zero: workload -> when the gateway followed weight 0."""

    bad: tuple[float, ...]
    decided: float
    zero: dict[str, float]

    @property
    def to_decision_s(self) -> float:
        """From the first bad answer."""
        return self.decided - self.bad[0]

    @property
    def to_zero_s(self) -> float:
        """From the decision until no workload's canary gets requests any more."""
        return max(self.zero.values()) - self.decided

    @property
    def seen(self) -> int:
        """Bad answers until the decision."""
        return sum(1 for at in self.bad if at <= self.decided)

    def __str__(self) -> str:
        return (
            f"first bad answer → decision {self.to_decision_s:.2f} s ({self.seen} bad answers), "
            f"decision → weight 0 accepted {self.to_zero_s:.3f} s"
        )


async def ready_to_observe(stage: Stage, run: str, weight: int = 25) -> None:
    """Until the canary is observed at this weight and has had a sample there."""
    await stage.until_at(run, f"Observe {weight} %", within_s=200)
    before = answers(stage, bad=False)
    await stage.until(lambda: answers(stage, bad=False) - before >= SAMPLE, "the canary has a sample", within_s=150)


async def timed(stage: Stage, run: str) -> Timing:
    """Spoils the canary that is observed, and waits until the run has ended."""
    zero: dict[str, float] = {}

    def follow(namespace: str, name: str, route: Route | None) -> None:
        if namespace == PROD and route is not None and _canary_weight(route) == 0:
            zero.setdefault(name, time.time())

    stage.world.cluster.on_route(follow)
    async with _badanswers(stage) as bad:
        stage.world.spoil(FINAL, ERRORS, env=PROD, track=CANARY)
        await stage.until_ended(run)
    return Timing(tuple(bad), datetime.fromisoformat(stage.record.facts(run)["decided_at"]).timestamp(), zero)


@asynccontextmanager
async def observed_canary(phase: str = "10m") -> AsyncIterator[tuple[Stage, str]]:
    """A stage whose production has a good canary with a quarter of the traffic, and the run."""
    async with Stage(tempo=tempo(phase)) as stage:
        await prove(stage)
        run = await promote(stage)
        await ready_to_observe(stage, run)
        yield stage, run


@asynccontextmanager
async def _badanswers(stage: Stage) -> AsyncIterator[list[float]]:
    """When each further bad answer of the canary was seen, within `LOOK_S`."""
    seen: list[float] = []
    begun = answers(stage, bad=True)

    async def look() -> None:
        while True:
            more = int(answers(stage, bad=True) - begun) - len(seen)
            seen.extend([time.time()] * more)
            await asyncio.sleep(LOOK_S)

    task = asyncio.create_task(look())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def answers(stage: Stage, *, bad: bool) -> float:
    """The canary's answered requests in production; bad: those that failed."""
    return sum(
        value
        for labels, value in answered(stage)
        if labels["track"] == CANARY and (not bad or labels["code"].startswith("5"))
    )


def _canary_weight(route: Route) -> int:
    return next(each.weight for rule in route.rules for each in rule.backends if each.service.endswith("-canary"))

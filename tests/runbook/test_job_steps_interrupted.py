"""A step that is a Job dies before or after each of its awaits and is repeated: one Job for each conclusion, and the same result."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from runbook.plan import Result, Scene, Work
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON
from tests.runbook.fake_jobs import JobLife
from tests.runbook.fakes import World
from tests.runbook.job_stories import ENDLESS, NEVER, NO_IMAGE, TEMPLATE, migrate, suite

SHORT = replace(TEMPLATE, timeout_s=4, start_within_s=4)
METHODS = ("start_job", "job", "job_log", "delete_job", "jobs_of")


class Died(BaseException):
    """As SIGKILL: nothing of the program runs on."""


@dataclass
class Deaths:
    """Dies at the awaits whose numbers are given; each comes as (number, whether before it had its effect)."""

    at: tuple[tuple[int, bool], ...] = ()
    count: int = 0

    def wrap(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def mortal(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            number = self.count
            if (number, True) in self.at:
                raise Died
            answer = await call(*args, **kwargs)
            if (number, False) in self.at:
                raise Died
            return answer

        return mortal


@dataclass
class Story:
    """One step from its first attempt to its end, as the engine drives it: an ERROR is tried again with the progress kept."""

    step: Work
    world: World
    deaths: Deaths
    down_s: float = 0.0

    async def whole(self) -> Result:
        for method in METHODS:
            setattr(self.world.cluster, method, self.deaths.wrap(getattr(self.world.cluster, method)))
        for attempt in (1, 2, 3):
            result = await self._attempt(attempt)
            if result.outcome is not Outcome.ERROR:
                return result
        return result

    async def _attempt(self, attempt: int) -> Result:
        while True:
            try:
                result: Result = await self.world.finish(self.step.perform(self._scene(attempt)))
            except Died:
                self.world.clock.set(self.world.clock.now() + timedelta(seconds=self.down_s))
                continue
            return result

    def _scene(self, attempt: int) -> Scene:
        saved = self.world.saved
        scene = self.world.scene(progress=saved[-1] if saved else None, attempt=attempt, begun_at=NOON)
        return replace(scene, save=self.deaths.wrap(scene.save))


def gone_once(world: World) -> None:
    def life(order: Any) -> JobLife:
        return replace(ENDLESS, vanishes_after_s=3) if not world.cluster.created else JobLife(runs_s=2)

    world.cluster.lives = life


LIVES: dict[str, tuple[Work, Callable[[World], None], str, int]] = {
    "passes": (migrate(), lambda w: _life(w, JobLife(runs_s=2)), "ok", 1),
    "fails": (migrate(), lambda w: _life(w, JobLife(runs_s=2, exit_code=1)), "job.failed", 1),
    "hangs": (migrate(template=SHORT), lambda w: _life(w, ENDLESS), "job.timeout", 1),
    "never starts": (suite(template=SHORT), lambda w: _life(w, replace(NEVER, trouble=NO_IMAGE)), "job.never_started", 1),
    "is deleted by somebody, then passes": (suite(), gone_once, "ok", 2),
}  # fmt: skip


def _life(world: World, life: JobLife) -> None:
    world.cluster.lives = lambda _: life


async def told(name: str, deaths: Deaths, down_s: float = 0.0) -> tuple[World, Result]:
    step, prepare, _, _ = LIVES[name]
    world = World()
    prepare(world)
    result = await Story(step, world, deaths, down_s).whole()
    return world, result


def check(name: str, world: World, result: Result, deaths: Deaths) -> None:
    _, _, code, created = LIVES[name]
    found = (result.verdicts[0].code, len(world.cluster.created), len({o.name for o in world.cluster.created}))
    assert found == (code, created, created), deaths.at
    assert world.cluster.there == {}, deaths.at


@pytest.mark.parametrize("name", list(LIVES))
async def test_a_death_at_any_await_changes_nothing(name: str) -> None:
    quiet = Deaths()
    check(name, *await told(name, quiet), quiet)
    assert quiet.count > 6
    for number in range(1, quiet.count + 1):
        for before in (True, False):
            deaths = Deaths(((number, before),))
            check(name, *await told(name, deaths), deaths)


async def test_two_deaths_in_one_story_change_nothing() -> None:
    quiet = Deaths()
    await told("passes", quiet)
    for first in range(1, quiet.count + 1):
        for second in range(first + 1, quiet.count + 4):
            deaths = Deaths(((first, first % 2 == 0), (second, second % 2 == 1)))
            check("passes", *await told("passes", deaths), deaths)


@pytest.mark.parametrize("name", ["passes", "fails"])
async def test_a_job_that_ended_while_nobody_looked_keeps_its_result(name: str) -> None:
    quiet = Deaths()
    await told(name, quiet)
    for number in range(1, quiet.count + 1):
        deaths = Deaths(((number, False),))
        check(name, *await told(name, deaths, down_s=3600), deaths)


async def test_a_job_that_hung_while_nobody_looked_is_stopped_at_once() -> None:
    world = World()
    _life(world, ENDLESS)
    result = await Story(migrate(), world, Deaths(((4, False),)), down_s=3600).whole()
    assert result.verdicts[0].code == "job.timeout"
    assert (world.clock.now() - NOON).total_seconds() < 3620


async def test_a_cancelled_step_leaves_its_job_as_it_is() -> None:
    world = World()
    _life(world, JobLife(runs_s=100))
    with pytest.raises(AssertionError):
        await world.clock.complete(migrate().perform(world.scene()), limit=timedelta(seconds=50))
    assert world.cluster.deleted == []
    result = await world.finish(migrate().perform(world.scene(progress=world.saved[-1])))
    assert result.outcome is Outcome.PASS
    assert len(world.cluster.created) == 1
    assert math.isclose((world.clock.now() - NOON).total_seconds(), 101)

"""The steps that move traffic die before or after each of their awaits and are repeated: the same end, and never a weight that no plan knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from runbook.plan import Result, Work
from runbook.steps import ReturnWorkload
from runbook.verdicts import Outcome
from tests.runbook.traffic_stories import CRASH, NEW, OLD, WEB, Rollout, back, remove, shift, start, take_over

METHODS = ("deployment", "rollout", "share", "set_weight", "start_canary", "scale", "remove_canary", "set_images")


class Died(BaseException):
    """As SIGKILL: nothing of the program runs on."""


@dataclass
class Deaths:
    """Dies at the await whose number is given, before or after it had its effect. at: 0 never."""

    at: int = 0
    before: bool = False
    count: int = 0

    def wrap(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def mortal(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count == self.at and self.before:
                raise Died
            number = self.count
            answer = await call(*args, **kwargs)
            if number == self.at:
                raise Died
            return answer

        return mortal


@dataclass
class Story:
    """Steps one after the other, as the engine drives them: what had begun is performed again with its progress, facts are kept at its end."""

    deaths: Deaths
    down_s: float = 0.0
    run: Rollout = field(default_factory=Rollout)

    async def play(self, *steps: Work) -> None:
        for step in steps:
            result = await self.step(step)
            assert result.outcome is Outcome.PASS, (self.deaths, step, result.verdicts)

    async def step(self, step: Work) -> Result:
        self.run.index += 1
        begun = self.run.world.clock.now()
        saved = len(self.run.world.saved)
        while True:
            try:
                result = await self._once(step, begun, saved)
            except Died:
                self.run.world.clock.set(self.run.world.clock.now() + timedelta(seconds=self.down_s))
                continue
            self.run.facts.update(result.facts)
            return result

    async def _once(self, step: Work, begun: datetime, saved: int) -> Result:
        world = self.run.world
        progress = world.saved[-1] if len(world.saved) > saved else None
        scene = self.run.scene(progress=progress, begun_at=begun)
        result: Result = await world.finish(step.perform(replace(scene, save=self.deaths.wrap(scene.save))))
        return result

    def mortal(self) -> None:
        for method in METHODS:
            setattr(self.run.cluster, method, self.deaths.wrap(getattr(self.run.cluster, method)))


IMAGES_BACK = [
    ReturnWorkload(title=f"Return {name}", workload=name, images=(("app", OLD),), timeout_s=600)
    for name in ("worker", "web")
]
FORWARD = (start(), shift(5), shift(25), shift(100))


async def complete(story: Story) -> None:
    story.mortal()
    await story.play(*FORWARD, take_over(), remove())


async def rolled_back(story: Story) -> None:
    story.mortal()
    await story.play(start(), shift(5), shift(25), back(), remove())


async def rolled_back_with_a_shrunk_stable(story: Story) -> None:
    await story.play(start(), shift(100))
    story.run.cluster.resize("web", 1)
    story.run.cluster.start_s = 0.5
    story.mortal()
    await story.play(back(), remove())


async def rolled_back_while_it_took_over(story: Story) -> None:
    await story.play(*FORWARD)
    story.run.cluster.start_s = 0.5
    story.run.cluster.sick["web"] = CRASH
    story.mortal()
    assert (await story.step(take_over())).outcome is Outcome.FAIL
    story.run.cluster.sick.clear()
    await story.play(back(), *IMAGES_BACK, back(), remove())


STORIES: dict[str, tuple[Callable[[Story], Awaitable[None]], str, set[int]]] = {
    "completes": (complete, "new", {5, 25, 100, 0}),
    "is rolled back": (rolled_back, "old", {5, 25, 0}),
    "is rolled back to a stable that was shrunk": (rolled_back_with_a_shrunk_stable, "old", {100, 67, 34, 0}),
    "is rolled back while it takes over": (rolled_back_while_it_took_over, "old", {5, 25, 100, 0}),
}


async def told(name: str, deaths: Deaths, down_s: float = 0.0) -> Rollout:
    story = Story(deaths, down_s)
    await STORIES[name][0](story)
    return story.run


def check(name: str, run: Rollout, deaths: Deaths) -> None:
    """Full strength, everything on stable, no canary left, and no weight but the plan's and those that capacity dictates."""
    _, version, weights = STORIES[name]
    assert run.replicas() == {"web": 3, "worker": 3}, deaths
    assert run.cluster.routes["web"].weight == 0, deaths
    assert set(run.moved("weight web")) <= weights, deaths
    for workload in ("web", "worker"):
        image = NEW[workload] if version == "new" else OLD
        assert run.cluster.deployments[workload].image_of("app") == image, deaths
    forward = [w for w in run.moved("weight web") if w in (5, 25, 100)]
    assert forward == sorted(set(forward)), deaths


@pytest.mark.parametrize("name", list(STORIES))
async def test_a_death_at_any_await_changes_nothing(name: str) -> None:
    quiet = Deaths()
    check(name, await told(name, quiet), quiet)
    assert quiet.count > 20
    for number in range(1, quiet.count + 1):
        for before in (True, False):
            deaths = Deaths(number, before)
            check(name, await told(name, deaths), deaths)


@pytest.mark.parametrize("name", ["completes", "is rolled back to a stable that was shrunk"])
async def test_an_hour_of_downtime_anywhere_changes_nothing(name: str) -> None:
    """The time-outs of pods and routes have passed meanwhile; what was asked for is there."""
    quiet = Deaths()
    await told(name, quiet)
    for number in range(1, quiet.count + 1, 3):
        deaths = Deaths(number)
        check(name, await told(name, deaths, down_s=3600), deaths)


async def test_the_moment_of_acceptance_outlives_a_restart() -> None:
    quiet = Deaths()
    await told("is rolled back", quiet)
    accepted = []
    for number in range(1, quiet.count + 1):
        run = await told("is rolled back", Deaths(number), down_s=100)
        accepted.append(run.facts["weight_zero"]["web"]["seconds"])
    assert min(accepted) < 1
    assert max(accepted) < 102


async def test_a_cancelled_shift_leaves_a_weight_of_the_plan() -> None:
    run = Rollout()
    await run.passes(start(WEB))
    run.cluster.routes["web"].refusal = "not yet"
    with pytest.raises(AssertionError):
        await run.world.clock.complete(shift(5, WEB).perform(run.scene()), limit=timedelta(seconds=50))
    assert run.moved("weight web") == [5]
    run.cluster.routes["web"].refusal = ""
    await run.passes(back(WEB), remove(WEB))
    assert run.replicas() == {"web": 3, "worker": 3}

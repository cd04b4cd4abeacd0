"""Scenario 24 on the real staging procedure: the process dies at every commit, by turns before it and after it.

What the one story dies before, the other dies after; `tests/engine` has both at every commit of smaller plans. The commits are met in a life
without a death, not listed by hand. A death after a commit and before what follows it is a death between an
effect and its record: the cluster and the probes outlive the process.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.records import Run, StepRow
from runbook.policy import Policy, StagingPolicy
from runbook.ports import HttpAnswer, HttpRequest
from tests.engine.crash_images import Camera, Image, Left, no_message_twice
from tests.engine.harness import KeepingChat, Outside
from tests.runbook.fakes import World, well
from tests.scenarios.stage import LIGHT, Stage, lightly, stage

POLICY = lightly(Policy(staging=StagingPolicy(observation_s=3.0, smoke_every_s=2.0)))
LONGER = lightly(Policy(staging=StagingPolicy(observation_s=10.0, smoke_every_s=5.0)))
STORIES = ("go", "returned")


@dataclass(frozen=True)
class Around:
    """What outlives the program. done: by which two moments are told apart; the world is a copy, for one life."""

    left: Left
    done: tuple[object, ...]
    world: World = field(compare=False)

    @classmethod
    def of(cls, world: World, chat: KeepingChat) -> Around:
        left, cluster = Left.of(world.clock, chat, Outside()), world.cluster
        done = (list(cluster.writes), list(cluster.created), dict(cluster.deployments), len(world.probes.sent))
        respond = world.probes.respond
        as_they_are = {id(each): each for each in (respond, *world.probes.sent)}
        return cls(left, done, copy.deepcopy(world, {id(world.clock): left.clock(), **as_they_are}))


@dataclass
class Story:
    """name: `go`, or `returned`: the worker's smoke test fails after the deployment."""

    path: Path
    name: str
    world: World = field(default_factory=World)
    chat: KeepingChat = field(default_factory=KeepingChat)

    def __post_init__(self) -> None:
        if self.name == "returned":
            self.world.probes.respond = self.broken

    def broken(self, request: HttpRequest, at_s: float) -> HttpAnswer:
        new = "old" not in self.world.cluster.deployments["web"].containers[0].image
        return HttpAnswer(500, 0.01, "") if new and request.url.endswith("/api/orders") else well(request, at_s)

    def around(self) -> Around:
        return Around.of(self.world, self.chat)

    def after(self, image: Image[Around], path: Path) -> Story:
        """The same story, where the program died."""
        return Story(image.laid_out(path), self.name, image.outside.world, image.outside.left.chat())

    async def live(self, fate: Any = None) -> dict[str, Any]:
        """One life, until the run has ended and all is shown."""
        async with stage(self.path, world=self.world, chat=self.chat, policy=POLICY, service=LIGHT, fate=fate) as s:
            if not s.rows(Run):
                payload = {"team": "T1", "user": "UADA", "text": "deploy staging v1.4.0-rc.2", "command": "/forge"}
                await s.engine.desk.receive("trigger-1", "command", payload)
            await s.until(lambda: bool(s.rows(Run)))
            while s.run().state != "ended":
                if s.run().state == "waiting":
                    await self._decide(s)
                else:
                    await s.until_state("waiting", "ended")
            await s.shown_all()
            return self._seen(s)

    async def _decide(self, s: Stage) -> None:
        position = s.run().position
        for who in ("sam", "pia"):
            if s.run().state == "waiting":
                await s.says(who, "approve staging-1")
        await s.until(lambda: s.run().position != position or s.run().state != "waiting")

    def _seen(self, s: Stage) -> dict[str, Any]:
        """What can be seen when all is over."""
        run = s.run()
        observation = next((r for r in s.steps() if r.kind == "observe"), None)
        progress = (observation.progress if observation is not None else None) or {}
        return {
            "runs": len(s.rows(Run)),
            "ending": (run.ending, run.ending_reason),
            "steps": [(r.title, r.state, r.outcome, r.code) for r in s.rows(StepRow, run=run.id, order="index")],
            "images": s.images(),
            "writes": list(dict.fromkeys((name, images["app"]) for name, images, _ in self.world.cluster.writes)),
            "observed ticks": progress.get("ticks"),
            "messages": sorted((m.message.text, m.broadcast) for m in self.chat.messages),
            "actions": [a for a in s.actions if a != "step.started"],
        }


def told(path: Path, name: str) -> Story:
    path.mkdir()
    return Story(path, name)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", STORIES)
async def test_sigkill_at_every_step_boundary_and_between_an_effect_and_its_record_after_restart_the_release_ends_as_if_nothing_had_happened(
    tmp_path: Path, name: str
) -> None:
    first = told(tmp_path / "whole", name)
    camera = Camera(first.path, first.around)
    expected = await first.live(camera)
    assert expected["ending"][0] == ("completed" if name == "go" else "returned")
    assert camera.writes > 30
    assert len(camera.images) > 60
    assert await first.live() == expected, "a start after the end"
    for number, image in list(enumerate(camera.images))[STORIES.index(name) :: 2]:
        story = first.after(image, tmp_path / f"{number}")
        assert await story.live() == expected, f"a death {image.boundary} of {camera.writes}"
        assert no_message_twice(story.chat), f"a message twice after a death {image.boundary}"


async def test_no_observation_time_is_lost_or_repeated_however_often_the_process_dies(tmp_path: Path) -> None:
    """Five deaths while it observes, each with a downtime of its own."""
    story = told(tmp_path / "often", "go")
    observing: list[int] = []
    for seconds in (1.5, 2.5, 1.5, 2.5, 1.5):
        async with stage(story.path, world=story.world, chat=story.chat, policy=LONGER, service=LIGHT) as s:
            if not s.rows(Run):
                await s.waits_for_approval()
                await s.says("sam", "approve staging-1")
                await s.until_at("Observe key metrics and health")
            observing.append(s.steps()[8].progress["ticks"] if s.steps()[8].progress else 0)
            await s.clock.advance(seconds)
        await story.world.clock.advance(timedelta(minutes=7))
    async with stage(story.path, world=story.world, chat=story.chat, policy=LONGER, service=LIGHT) as s:
        await s.until_at("Go or no-go")
        assert s.steps()[8].progress["ticks"] == 10
        assert observing == sorted(observing)
        assert observing[-1] > 0
        live = story.world.probes.paths("/health/live")
        begun = s.steps()[8].started_at
        assert begun is not None
        during = [at for at in live if at >= begun]
        assert 10 <= len(during) <= 10 + 2 * 5

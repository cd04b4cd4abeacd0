"""Scenario 24 on the real staging procedure: the process dies at every commit, by turns before it and after it.

What the one story dies before, the other dies after; `tests/engine` has both at every commit of smaller plans. The points are
counted in a life without a death, not listed by hand. A death after a commit and before what follows it is a death between an
effect and its record: the cluster and the probes outlive the process.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.records import Run, StepRow
from runbook.policy import Policy, StagingPolicy
from runbook.ports import HttpAnswer, HttpRequest
from tests.engine.test_engine_kills import Fate, MortalChat
from tests.runbook.fakes import World, well
from tests.scenarios.stage import LIGHT, Stage, lightly, stage

POLICY = lightly(Policy(staging=StagingPolicy(observation_s=3.0, smoke_every_s=2.0)))
LONGER = lightly(Policy(staging=StagingPolicy(observation_s=10.0, smoke_every_s=5.0)))
GROUPS = 8
"""Of points, so that several workers share them."""


@dataclass
class Story:
    """name: `go`, or `returned`: the worker's smoke test fails after the deployment."""

    path: Path
    name: str
    world: World = field(default_factory=World)
    chat: MortalChat = field(default_factory=MortalChat)

    def __post_init__(self) -> None:
        self.path.mkdir()
        if self.name == "returned":
            self.world.probes.respond = self.broken

    def broken(self, request: HttpRequest, at_s: float) -> HttpAnswer:
        new = "old" not in self.world.cluster.deployments["web"].containers[0].image
        return HttpAnswer(500, 0.01, "") if new and request.url.endswith("/api/orders") else well(request, at_s)

    async def live(self, fate: Fate) -> bool:
        """One life, until the run has ended and all is shown, or until death. True when it was whole."""
        self.chat.fate = fate
        life = asyncio.ensure_future(self._whole_life(fate))
        death = asyncio.ensure_future(fate.died.wait())
        await asyncio.wait({life, death}, return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if life.done():
            await life
            return True
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        return False

    async def _whole_life(self, fate: Fate) -> None:
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

    async def _decide(self, s: Stage) -> None:
        position = s.run().position
        for who in ("sam", "pia"):
            if s.run().state == "waiting":
                await s.says(who, "approve staging-1")
        await s.until(lambda: s.run().position != position or s.run().state != "waiting")

    async def the_end(self) -> dict[str, Any]:
        """What can be seen when all is over."""
        async with stage(self.path, world=self.world, chat=self.chat, policy=POLICY, service=LIGHT) as s:
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


async def whole(path: Path, name: str) -> tuple[dict[str, Any], int]:
    story, fate = Story(path, name), Fate()
    assert await story.live(fate)
    return await story.the_end(), fate.writes


@pytest.mark.parametrize("group", range(GROUPS))
@pytest.mark.parametrize("name", ["go", "returned"])
async def test_sigkill_at_every_step_boundary_and_between_an_effect_and_its_record_after_restart_the_release_ends_as_if_nothing_had_happened(
    tmp_path: Path, name: str, group: int
) -> None:
    expected, points = await whole(tmp_path / "whole", name)
    assert expected["ending"][0] == ("completed" if name == "go" else "returned")
    assert points > 30
    for point in range(1 + group, points + 1, GROUPS):
        story, after = Story(tmp_path / f"{point}", name), (point % 2 == 0) is (name == "go")
        if not await story.live(Fate(at=point, after=after)):
            assert await story.live(Fate()), f"the second life after a death at {point} did not end"
        assert await story.the_end() == expected, f"a death at write {point} of {points}, after: {after}"
        ids = [m.message_id for m in story.chat.messages]
        assert len(ids) == len(set(ids)), f"a message twice after a death at write {point}"


async def test_no_observation_time_is_lost_or_repeated_however_often_the_process_dies(tmp_path: Path) -> None:
    """Five deaths while it observes, each with a downtime of its own."""
    story = Story(tmp_path / "often", "go")
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

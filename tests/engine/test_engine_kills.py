"""The process dies at every commit, before it and after it: the next life ends the run as if nothing had happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from engine.records import Outgoing, Run, Sealed, StepRow
from runbook.charts import Chart
from runbook.plan import Result
from runbook.verdicts import Verdict
from tests.engine.crash_images import Camera, Image, Left, no_message_twice
from tests.engine.harness import ADA, PIA, SAM, Bench, KeepingChat, Outside, Series1, bench, failing
from tests.fakes.clock import SimulatedClock

STORIES = ("go", "returned", "aborted")


def remembered() -> Result:
    return Result((Verdict.passed("remember", "as it should"),), {"remember": "done"}, (Chart("errors", "0.4 %", ()),))


@dataclass
class Story:
    """world: by which the steps of its plan find what is outside; the first life's folder, also in the lives after a death."""

    path: Path
    name: str
    world: str = ""
    outside: Outside = field(default_factory=Outside)
    chat: KeepingChat = field(default_factory=KeepingChat)
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    metrics: Series1 = field(default_factory=Series1)

    def __post_init__(self) -> None:
        self.world = self.world or str(self.path)
        self.outside.results["remember"] = remembered
        if self.name == "returned":
            self.outside.results["deploy two"] = lambda: failing("deploy two")

    def left(self) -> Left:
        return Left.of(self.clock, self.chat, self.outside)

    def after(self, image: Image[Left], path: Path) -> Self:
        """The same story, where the program died."""
        left = image.outside
        world = left.world(self.outside)
        return type(self)(image.laid_out(path), self.name, self.world, world, left.chat(), left.clock(), self.metrics)

    async def live(self, fate: Any = None) -> dict[str, Any]:
        """One life, until the run has ended and all is shown."""
        async with bench(
            self.path, outside=self.outside, chat=self.chat, clock=self.clock, metrics=self.metrics, fate=fate,
            world=self.world,
        ) as b:  # fmt: skip
            await self._tell(b)
            return self._seen(b)

    async def _tell(self, b: Bench) -> None:
        """What the people of the story do, whatever was done in an earlier life."""
        if not b.rows(Run):
            payload = {
                "actor": ADA.id,
                "name": "deploy",
                "environment": "staging",
                "version": "v1.0.0-rc.1",
                "service": "shop",
            }
            await b.engine.desk.receive("trigger-1", "command", payload)
        await b.clock.run_until(lambda: bool(b.rows(Run)))
        while (run := b.run("staging-1")).state != "ended":
            if run.state == "waiting":
                await self._decide(b, run)
            else:
                await b.clock.run_until(lambda: b.run("staging-1").state in ("waiting", "ended"), timedelta(hours=2))
        await b.clock.run_until(lambda: not b.rows(Outgoing, state=["pending", "sending"]), timedelta(hours=2))

    async def _decide(self, b: Bench, run: Run) -> None:
        if run.position > 1 and self.name == "aborted":
            await b.act("abort", ADA, run.id)
        else:
            await b.act("approve", SAM, run.id)
            if run.position > 1:
                await b.act("approve", PIA, run.id)
        await b.clock.run_until(lambda: b.run(run.id).position != run.position or b.run(run.id).state != "waiting")

    def _seen(self, b: Bench) -> dict[str, Any]:
        """What can be seen when all is over."""
        run = b.run("staging-1")
        return {
            "runs": len(b.rows(Run)),
            "ending": run.ending,
            "reason": run.ending_reason,
            "steps": [(s.title, s.state, s.outcome, s.code) for s in b.rows(StepRow, run=run.id)],
            "effects": list(dict.fromkeys(self.outside.done)),
            "messages": sorted(
                (m.message.text, m.broadcast) for m in self.chat.messages if "checkpoint" not in m.message.text
            ),
            "pictures": [u.title for u in self.chat.uploads],
            "actions": [e.action for e in b.rows(Sealed) if e.action not in ("step.started", "forge.started")],
        }


async def whole(path: Path, name: str) -> tuple[Story, Camera[Left], dict[str, Any]]:
    """A life without a death, with what each death would have left; one more start after it changes nothing."""
    path.mkdir()
    story = Story(path, name)
    camera = Camera(path, story.left)
    expected = await story.live(camera)
    assert await story.live() == expected
    return story, camera, expected


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", STORIES)
async def test_a_death_at_any_commit_changes_nothing_of_the_end(tmp_path: Path, name: str) -> None:
    first, camera, expected = await whole(tmp_path / "whole", name)
    assert expected["pictures"] == ["errors"]
    assert camera.writes > 20
    assert len(camera.images) > 40
    for number, image in enumerate(camera.images):
        story = first.after(image, tmp_path / f"{number}")
        assert await story.live() == expected, f"a death {image.boundary} of {camera.writes}"
        assert no_message_twice(story.chat), f"a message twice after a death {image.boundary}"

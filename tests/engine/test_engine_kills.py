"""The process dies at every commit, before it and after it: the next life ends the run as if nothing had happened.

The points are counted in a life without a death, not listed by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.records import Outgoing, Run, Sealed, StepRow
from runbook.charts import Chart
from runbook.plan import Result
from runbook.verdicts import Verdict
from tests.engine.harness import ADA, PIA, SAM, Bench, KeepingChat, Outside, Series1, bench, failing
from tests.fakes.clock import SimulatedClock

STORIES = ("go", "returned", "aborted")


@dataclass
class Fate:
    """Dies at the n-th changing write, before or after its commit; -1: never. From then on nothing gets through any more."""

    at: int = -1
    after: bool = False
    writes: int = 0
    died: asyncio.Event = field(default_factory=asyncio.Event)

    def wrap(self, write: Callable[[Any], Any]) -> Callable[[Any], Any]:
        async def mortal(change: Any) -> Any:
            await self.alive()
            self.writes += 1
            mine = self.writes == self.at
            if mine and not self.after:
                self.died.set()
            await self.alive()
            result = await write(change)
            if mine:
                self.died.set()
            await self.alive()
            return result

        return mortal

    async def alive(self) -> None:
        if self.died.is_set():
            await asyncio.Event().wait()


class MortalChat(KeepingChat):
    def __init__(self) -> None:
        super().__init__()
        self.fate = Fate()

    async def post(self, *args: Any, **kwargs: Any) -> Any:
        await self.fate.alive()
        return await super().post(*args, **kwargs)

    async def update(self, *args: Any, **kwargs: Any) -> Any:
        await self.fate.alive()
        return await super().update(*args, **kwargs)

    async def upload(self, *args: Any, **kwargs: Any) -> Any:
        await self.fate.alive()
        return await super().upload(*args, **kwargs)


def remembered() -> Result:
    return Result((Verdict.passed("remember", "as it should"),), {"remember": "done"}, (Chart("errors", "0.4 %", ()),))


@dataclass
class Story:
    path: Path
    name: str
    outside: Outside = field(default_factory=Outside)
    chat: MortalChat = field(default_factory=MortalChat)
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    metrics: Series1 = field(default_factory=Series1)

    def __post_init__(self) -> None:
        self.outside.results["remember"] = remembered
        if self.name == "returned":
            self.outside.results["deploy two"] = lambda: failing("deploy two")

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
        async with bench(
            self.path, outside=self.outside, chat=self.chat, clock=self.clock, metrics=self.metrics,
            fate=fate, world=str(self.path),
        ) as b:  # fmt: skip
            await self._tell(b)

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


async def the_end(story: Story) -> dict[str, Any]:
    """What can be seen when all is over."""
    async with bench(story.path, outside=story.outside, chat=story.chat, clock=story.clock, metrics=story.metrics) as b:
        run = b.run("staging-1")
        return {
            "runs": len(b.rows(Run)),
            "ending": run.ending,
            "reason": run.ending_reason,
            "steps": [(s.title, s.state, s.outcome, s.code) for s in b.rows(StepRow, run=run.id)],
            "effects": list(dict.fromkeys(story.outside.done)),
            "messages": sorted(
                (m.message.text, m.broadcast) for m in story.chat.messages if "checkpoint" not in m.message.text
            ),
            "pictures": [u.title for u in story.chat.uploads],
            "actions": [e.action for e in b.rows(Sealed) if e.action not in ("step.started", "forge.started")],
        }


async def whole(path: Path, name: str) -> tuple[dict[str, Any], int]:
    path.mkdir()
    story, fate = Story(path, name), Fate()
    assert await story.live(fate)
    return await the_end(story), fate.writes


@pytest.mark.parametrize("after", [False, True], ids=["before-the-commit", "after-the-commit"])
@pytest.mark.parametrize("name", STORIES)
async def test_a_death_at_any_commit_changes_nothing_of_the_end(tmp_path: Path, name: str, after: bool) -> None:
    expected, points = await whole(tmp_path / "whole", name)
    assert expected["pictures"] == ["errors"]
    assert points > 20
    for point in range(1, points + 1):
        path = tmp_path / f"{point}"
        path.mkdir()
        story = Story(path, name)
        if not await story.live(Fate(at=point, after=after)):
            assert await story.live(Fate()), f"the second life after a death at {point} did not end"
        found = await the_end(story)
        assert found == expected, f"a death at write {point} of {points}"
        ids = [m.message_id for m in story.chat.messages]
        assert len(ids) == len(set(ids)), f"a message twice after a death at write {point}"

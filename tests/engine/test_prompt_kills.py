"""The process dies while on-call is asked, at every commit of the story: it ends as if nothing had happened, and nobody is asked twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.records import Button, Outgoing, Prompt, Run, Sealed
from runbook.policy import Policy, ProdPolicy
from tests.engine import harness
from tests.engine.asking import ASKING, bad_between, watched_by
from tests.engine.crash_images import Camera, Image, Left, no_message_twice
from tests.engine.harness import ADA, PIA, SAM, Bench, KeepingChat, Outside, Series1, bench, setting_for
from tests.fakes.clock import NOON, SimulatedClock

RUN = "staging-1"
QUICK = replace(ASKING, for_s=60.0, mitigate_s=120.0)
SETTING = setting_for(Policy(prod=ProdPolicy(remind_every_s=60.0, mitigate_s=120.0)))


@dataclass
class Story:
    """answer: the button that Ada presses, or empty: nobody answers. world: by which the plan's steps find what is outside."""

    path: Path
    answer: str
    world: str = ""
    outside: Outside = field(default_factory=Outside)
    chat: KeepingChat = field(default_factory=KeepingChat)
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    metrics: Series1 = field(default_factory=Series1)

    def __post_init__(self) -> None:
        self.world = self.world or str(self.path)
        self.metrics.value = bad_between(NOON, (120.0, 1e9))

    def left(self) -> Left:
        return Left.of(self.clock, self.chat, self.outside)

    def after(self, image: Image[Left], path: Path) -> Story:
        """The same story, where the program died."""
        left = image.outside
        return Story(image.laid_out(path), self.answer, self.world, left.world(self.outside), left.chat(), left.clock())

    async def live(self, fate: Any = None) -> dict[str, Any]:
        """One life, until the run has ended and all is shown."""
        async with bench(
            self.path, outside=self.outside, chat=self.chat, clock=self.clock, metrics=self.metrics, fate=fate,
            setting=SETTING, world=self.world,
        ) as b:  # fmt: skip
            await self._tell(b)
            await b.clock.run_until(lambda: not b.rows(Outgoing, state=["pending", "sending"]), timedelta(hours=2))
            return self._seen(b)

    async def _tell(self, b: Bench) -> None:
        """What the people do, whatever was done in an earlier life."""
        await self._say(b, "deploy", ADA, environment="staging", version="v1.0.0-rc.1", service="shop")
        await b.clock.run_until(lambda: bool(b.rows(Run)))
        await b.clock.run_until(lambda: bool(b.rows(Prompt)) or b.run(RUN).state == "ended", timedelta(hours=1))
        if self.answer:
            (button,) = b.rows(Button, run=RUN, action=self.answer)
            await self._say(b, self.answer, ADA, button=button.id, reason="known")
            await b.clock.run_until(lambda: not b.rows(Prompt, state="open"), timedelta(hours=1))
        if self.answer == "continue":
            for who in (PIA, SAM):
                await self._say(b, "approve", who, run=RUN)
        await b.clock.run_until(lambda: b.run(RUN).state == "ended", timedelta(hours=1))

    async def _say(self, b: Bench, name: str, who: Any, **more: str) -> None:
        await b.engine.desk.receive(f"{name}:{who.id}", "command", {"actor": who.id, "name": name, **more})
        await b.clock.settle()

    def _seen(self, b: Bench) -> dict[str, Any]:
        run = b.run(RUN)
        actions = Counter(e.action for e in b.rows(Sealed) if e.action.startswith("prompt."))
        actions.pop("prompt.reminded", None)
        return {
            "ending": (run.ending, run.ending_code),
            "prompts": [(p.state, p.answered_by_name) for p in b.rows(Prompt)],
            "audit": dict(actions),
            "buttons": len([x for x in b.rows(Button) if x.argument]),
        }


@pytest.fixture(autouse=True)
def plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "plan_for", watched_by(QUICK))


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("answer", "ending"),
    [
        ("", ("returned", "prompt.unanswered")),
        ("rollback", ("returned", "rollback.asked")),
        ("continue", ("completed", "completed")),
    ],
    ids=["ignored", "rollback", "continue"],
)
async def test_a_death_while_on_call_is_asked_changes_nothing_of_the_end(
    tmp_path: Path, answer: str, ending: tuple[str, str]
) -> None:
    (tmp_path / "whole").mkdir()
    first = Story(tmp_path / "whole", answer)
    camera = Camera(first.path, first.left)
    expected = await first.live(camera)
    assert expected["ending"] == ending
    assert len(expected["prompts"]) == 1
    for number, image in enumerate(camera.images):
        story = first.after(image, tmp_path / f"{number}")
        assert await story.live() == expected, f"a death {image.boundary} of {camera.writes}"
        assert no_message_twice(story.chat), f"a message twice after a death {image.boundary}"

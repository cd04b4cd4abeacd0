"""The process dies while on-call is asked, at commits all along the story: it ends as if nothing had happened, and nobody is asked twice."""

from __future__ import annotations

import asyncio
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
from tests.engine.harness import ADA, PIA, SAM, Bench, Outside, Series1, bench, setting_for
from tests.engine.test_engine_kills import Fate, MortalChat
from tests.fakes.clock import NOON, SimulatedClock

RUN = "staging-1"
QUICK = replace(ASKING, for_s=60.0, mitigate_s=120.0)
SETTING = setting_for(Policy(prod=ProdPolicy(remind_every_s=60.0, mitigate_s=120.0)))
STRIDE = 3


@dataclass
class Story:
    """answer: the button that Ada presses, or empty: nobody answers."""

    path: Path
    answer: str
    outside: Outside = field(default_factory=Outside)
    chat: MortalChat = field(default_factory=MortalChat)
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    metrics: Series1 = field(default_factory=Series1)

    def __post_init__(self) -> None:
        self.metrics.value = bad_between(NOON, (120.0, 1e9))

    async def live(self, fate: Fate) -> bool:
        """One life, until the run has ended and all is shown, or until death. True when it was whole."""
        self.chat.fate = fate
        life = asyncio.ensure_future(self._whole(fate))
        death = asyncio.ensure_future(fate.died.wait())
        await asyncio.wait({life, death}, return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if life.done():
            await life
            return True
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        return False

    async def _whole(self, fate: Fate) -> None:
        async with bench(
            self.path, outside=self.outside, chat=self.chat, clock=self.clock, metrics=self.metrics, fate=fate,
            setting=SETTING, world=str(self.path),
        ) as b:  # fmt: skip
            await self._tell(b)
            await b.clock.run_until(lambda: not b.rows(Outgoing, state=["pending", "sending"]), timedelta(hours=2))

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

    async def end(self) -> dict[str, Any]:
        async with bench(self.path, outside=self.outside, clock=self.clock, metrics=self.metrics, setting=SETTING,
                         world=str(self.path)) as b:  # fmt: skip
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
    whole = Story(tmp_path / "whole", answer)
    whole.path.mkdir()
    fate = Fate()
    assert await whole.live(fate)
    expected = await whole.end()
    assert expected["ending"] == ending
    assert len(expected["prompts"]) == 1
    for point in range(2, fate.writes + 1, STRIDE):
        story = Story(tmp_path / f"{point}", answer)
        story.path.mkdir()
        if not await story.live(Fate(at=point, after=point % 2 == 0)):
            assert await story.live(Fate()), f"the second life after a death at {point} did not end"
        assert await story.end() == expected, f"a death at write {point} of {fate.writes}"
        ids = [m.message_id for m in story.chat.messages]
        assert len(ids) == len(set(ids)), f"a message twice after a death at write {point}"

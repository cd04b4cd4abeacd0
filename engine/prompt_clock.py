"""The prompts' timers, one task for all runs: reminders and deadlines are stored moments, and this only sleeps until the next of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from engine.journal import Turn
from engine.ports import Ledger, Store
from engine.prompt_answers import next_due, settle_prompts
from engine.prompts import OPEN
from engine.records import Prompt
from engine.rounds import Rounds
from engine.settings import Settings
from runbook.ports import Clock

GRACE_INTERVALS = 2
"""How many rounds of the guards a bot that was down looks first at what came meanwhile: the condition may have cleared, or a click wait."""


class PromptClock:
    def __init__(self, store: Store, clock: Clock, settings: Settings, wake: Callable[[str], None]) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._wake = wake
        self._rounds = Rounds("prompts", clock, self._look)
        self._patient_until: datetime | None = None
        self.shown: Callable[[], None] = lambda: None
        """Called when there is something new to show."""

    async def start(self) -> None:
        interval_s = self._settings.current.policy.metrics.interval_s
        self._patient_until = self._clock.now() + timedelta(seconds=GRACE_INTERVALS * interval_s)
        await self._rounds.start()

    async def stop(self) -> None:
        await self._rounds.stop()

    def ring(self) -> None:
        """A prompt was opened, or a deadline has moved."""
        self._rounds.ring()

    async def _look(self) -> datetime | None:
        return await self._rounds.safely(self._settle())

    async def _settle(self) -> datetime | None:
        """Does what is due; returns when the next thing is."""
        due = self._due(await self._store.read(_open))
        if due is None or due > self._clock.now():
            return due
        for run in await self._store.write(self._settled):
            self._wake(run)
        self.shown()
        return self._due(await self._store.read(_open))

    def _due(self, prompts: list[Prompt]) -> datetime | None:
        due = next_due(prompts, self._settings.current.policy.prod.remind_every_s)
        if due is not None and self._patient_until is not None:
            return max(due, self._patient_until)
        return due

    def _settled(self, ledger: Ledger) -> list[str]:
        return settle_prompts(Turn(ledger, self._clock.now(), self._settings.current))


def _open(ledger: Ledger) -> list[Prompt]:
    return ledger.find(Prompt, state=OPEN)

"""The prompts' timers, one task for all runs: reminders and deadlines are stored moments, and this only sleeps until the next of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from engine.journal import Turn
from engine.ports import Ledger, Store
from engine.prompt_answers import next_due, settle_prompts
from engine.prompts import OPEN
from engine.records import Prompt
from engine.settings import Settings
from engine.wakes import wait_for_bell
from runbook.errors import StoreUnavailable
from runbook.ports import Clock

log = structlog.get_logger("forge.prompts")

STORE_RETRY = timedelta(seconds=1)
GRACE_INTERVALS = 2
"""How many rounds of the guards a bot that was down looks first at what came meanwhile: the condition may have cleared, or a click wait."""


class PromptClock:
    def __init__(self, store: Store, clock: Clock, settings: Settings, wake: Callable[[str], None]) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._wake = wake
        self._bell = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._patient_until: datetime | None = None
        self.shown: Callable[[], None] = lambda: None
        """Called when there is something new to show."""

    async def start(self) -> None:
        interval_s = self._settings.current.policy.metrics.interval_s
        self._patient_until = self._clock.now() + timedelta(seconds=GRACE_INTERVALS * interval_s)
        self._task = asyncio.create_task(self._run(), name="prompts")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def ring(self) -> None:
        """A prompt was opened, or a deadline has moved."""
        self._bell.set()

    async def _run(self) -> None:
        while True:
            self._bell.clear()
            try:
                until = await self._settle()
            except StoreUnavailable as error:
                log.error("prompts.store", code=error.code)
                until = self._clock.now() + STORE_RETRY
            except Exception:  # a bug here must not stop the timers of all prompts; the next look tries again
                log.exception("prompts.unforeseen")
                until = self._clock.now() + timedelta(minutes=1)
            await wait_for_bell(self._bell, self._clock, until)

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

"""A task that looks round again and again: it sleeps until something is due or somebody rings, and no trouble ends it.

Nothing of it is durable: what happened while it was down is found by its first look, from the rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from engine.wakes import wait_for_bell
from runbook.errors import StoreUnavailable
from runbook.ports import Clock

log = structlog.get_logger("forge.rounds")

STORE_RETRY = timedelta(seconds=1)
UNFORESEEN_RETRY = timedelta(minutes=1)


class Rounds:
    """look: does what is due and returns when the next thing is, or None; it must not raise, see `safely`. name: of the task and in the log."""

    def __init__(self, name: str, clock: Clock, look: Callable[[], Awaitable[datetime | None]]) -> None:
        self._name = name
        self._clock = clock
        self._look = look
        self._bell = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Breaks off a look that is under way, and awaits its end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def ring(self) -> None:
        """Something may be due: there is another look, also where one is under way."""
        self._bell.set()

    async def safely(self, look: Awaitable[datetime | None], subject: str = "") -> datetime | None:
        """When the next look is due, after a failure soon: one subject's trouble holds up no other's."""
        try:
            return await look
        except StoreUnavailable as error:
            log.error("rounds.store", task=self._name, subject=subject, code=error.code)
            return self._clock.now() + STORE_RETRY
        except Exception:  # a bug about one subject must not stop the others, nor the task; the next look tries again
            log.exception("rounds.unforeseen", task=self._name, subject=subject)
            return self._clock.now() + UNFORESEEN_RETRY

    async def _run(self) -> None:
        while True:
            self._bell.clear()
            until = await self._look()
            await wait_for_bell(self._bell, self._clock, until)

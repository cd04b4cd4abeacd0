"""In-process wake-ups: runs that must be looked at now, and deadlines at which others must. No polling, and nothing durable.

What happened while the process was down is found on start, from the rows.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import datetime
from typing import Any

from runbook.ports import Clock


class Deadlines:
    """Calls `due(key)` when a key's deadline has come. A later `set` of the same key replaces the earlier one."""

    def __init__(self, clock: Clock, due: Callable[[str], None]) -> None:
        self._clock = clock
        self._due = due
        self._heap: list[tuple[datetime, str]] = []
        self._at: dict[str, datetime] = {}
        self._changed = asyncio.Event()

    def set(self, key: str, at: datetime | None) -> None:
        if self._at.get(key) == at:
            return
        if at is None:
            self._at.pop(key, None)
            return
        self._at[key] = at
        heapq.heappush(self._heap, (at, key))
        if self._heap[0] == (at, key):
            self._changed.set()

    async def watch(self) -> None:
        """Runs until cancelled."""
        while True:
            self._ring()
            self._changed.clear()
            await wait_for_bell(self._changed, self._clock, self._heap[0][0] if self._heap else None)

    def _ring(self) -> None:
        now = self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            at, key = heapq.heappop(self._heap)
            if self._at.get(key) == at:
                del self._at[key]
                self._due(key)


async def wait_for_bell(bell: asyncio.Event, clock: Clock, until: datetime | None) -> None:
    """Returns when the bell rings or the moment comes, whichever is first."""
    waits: set[asyncio.Future[Any]] = {asyncio.ensure_future(bell.wait())}
    if until is not None:
        waits.add(asyncio.ensure_future(clock.sleep_until(until)))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()

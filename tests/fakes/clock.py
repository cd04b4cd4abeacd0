"""A clock that stands still until it is told to go on: hours pass in milliseconds, and every sleeper wakes at its own moment."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class SimulatedClock:
    """Fulfils the port `Clock`.

    busy: True while work goes on that the event loop doesn't show, such as a write in a thread; time stands still meanwhile.
    """

    def __init__(self, now: datetime = NOON, busy: Callable[[], bool] = lambda: False) -> None:
        self._now = now
        self.stand_still_while(busy)
        self._order = itertools.count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def stand_still_while(self, busy: Callable[[], bool], rest: Callable[[], Awaitable[object]] | None = None) -> None:
        """busy: as above. rest: returns when that may have ended; without it, it is asked again and again."""
        self._busy = busy
        self._rest = rest or _a_moment

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, moment: datetime) -> None:
        if moment <= self._now:
            await asyncio.sleep(0)
            return
        awake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (moment, next(self._order), awake))
        await awake

    @property
    def next_wake(self) -> datetime | None:
        """When the next sleeper wakes; None when nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def set(self, moment: datetime) -> None:
        """Lets the wall clock jump, back or forth; sleepers that are due wake."""
        self._now = moment
        self._wake()

    async def advance(self, length: timedelta | float) -> None:
        """Lets time pass (a number means seconds), stopping at every sleeper's moment on the way."""
        end = self._now + (length if isinstance(length, timedelta) else timedelta(seconds=length))
        await self.settle()
        while (moment := self.next_wake) is not None and moment <= end:
            self._now = max(self._now, moment)
            self._wake()
            await self.settle()
        self._now = end
        await self.settle()

    async def run_until(
        self, condition: Callable[[], bool], limit: timedelta = timedelta(days=30), patience_s: float = 60.0
    ) -> None:
        """Jumps from sleeper to sleeper until the condition holds.

        limit: of simulated time. patience_s: real seconds to wait for work outside the event loop while nobody sleeps.
        Raises AssertionError when either runs out.
        """
        end = self._now + limit
        real_end = time.monotonic() + patience_s
        while True:
            await self.settle()
            if condition():
                return
            moment = self.next_wake
            if moment is None:
                assert time.monotonic() < real_end, "nobody sleeps, and the condition doesn't hold"
                await asyncio.sleep(0.001)
                continue
            real_end = time.monotonic() + patience_s
            assert moment <= end, f"the condition doesn't hold after {limit}"
            self._now = max(self._now, moment)
            self._wake()

    async def complete(self, work: Awaitable[T], limit: timedelta = timedelta(days=30)) -> T:
        """Runs one awaitable to its end while time jumps along, and returns its result."""
        task: asyncio.Future[T] = asyncio.ensure_future(work)
        try:
            await self.run_until(task.done, limit)
        finally:
            if not task.done():
                task.cancel()
        return await task

    async def settle(self) -> None:
        """Returns when nothing in the event loop can run on by itself."""
        loop: Any = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0)
            if self._busy():
                await self._rest()
            elif not loop._ready:  # asyncio has no public way to ask whether anything else can run
                return

    def _wake(self) -> None:
        while self._sleepers and self._sleepers[0][0] <= self._now:
            awake = heapq.heappop(self._sleepers)[2]
            if not awake.done():
                awake.set_result(None)


async def _a_moment() -> None:
    await asyncio.sleep(0.0005)

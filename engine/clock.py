"""The clock of production: steady within one process, whatever happens to the wall clock."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while a laptop sleeps


class SteadyClock:
    """`now` is the wall clock at start plus the time that has really passed: a jump neither expires nor prolongs a deadline unnoticed."""

    def __init__(self) -> None:
        self._anchor()

    def _anchor(self) -> None:
        self._wall = datetime.now(UTC)
        self._boot = time.clock_gettime(_BOOT)

    def now(self) -> datetime:
        return self._wall + timedelta(seconds=time.clock_gettime(_BOOT) - self._boot)

    async def sleep_until(self, moment: datetime) -> None:
        while (left := (moment - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - time is what is awaited
            await asyncio.sleep(min(left, 3600.0))

    def jumped(self) -> timedelta:
        """How far the wall clock has moved against this one; the caller shifts its deadlines by it and calls `move` together with that."""
        return datetime.now(UTC) - self.now()

    def move(self, jump: timedelta) -> None:
        """Goes on from `jump` later (or earlier)."""
        self._wall += jump

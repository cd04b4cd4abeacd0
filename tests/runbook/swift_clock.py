"""A clock for steps on a real cluster whose own time runs faster, too: what they wait for is there long before they look again."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

TIMES = 5


class SwiftClock:
    """Begins with the wall's time and runs TIMES as fast."""

    def __init__(self) -> None:
        self._began, self._at = datetime.now(UTC), time.monotonic()

    def now(self) -> datetime:
        return self._began + timedelta(seconds=TIMES * (time.monotonic() - self._at))

    async def sleep_until(self, moment: datetime) -> None:
        while (left := (moment - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - time is what is awaited
            await asyncio.sleep(left / TIMES)

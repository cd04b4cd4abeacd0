"""Time, as the domain asks for it: a test's stands still."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware, UTC."""

    async def sleep_until(self, moment: datetime) -> None: ...

"""How fast the cluster's simulated time runs: 0.1 means ten times as fast as the real clock.

Only durations of the cluster itself go through it (pulls, back-offs, probe periods, deadlines), never a caller's time-out.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """scale: real seconds per simulated second."""

    scale: float = 1.0

    async def sleep(self, seconds: float) -> None:
        """Sleep so many simulated seconds."""
        await asyncio.sleep(seconds * self.scale)

    def now(self) -> float:
        """A monotonic reading in simulated seconds."""
        return time.monotonic() / self.scale

"""A work queue: an object that changes ten times while it waits is worked on once. A failed sync is tried again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from sandbox.kubernetes.pace import Pace
from sandbox.kubernetes.store import Key

log = logging.getLogger(__name__)
RETRY_S = 1.0


class WorkQueue:
    """sync: brings one object nearer to its goal; returns simulated seconds until it wants to look again, or None."""

    def __init__(self, sync: Callable[[Key], float | None], pace: Pace) -> None:
        self._sync = sync
        self._pace = pace
        self._dirty: dict[Key, None] = {}
        self._wake = asyncio.Event()
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    def add(self, key: Key) -> None:
        self._dirty[key] = None
        self._wake.set()

    async def run(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._dirty:
                    key = next(iter(self._dirty))
                    del self._dirty[key]
                    self._work(key)
                    await asyncio.sleep(0)
        finally:
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()

    def _work(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        try:
            again_s = self._sync(key)
        except Exception:
            log.exception("sync of %s failed", key)
            again_s = RETRY_S
        if again_s is not None:
            delay_s = max(again_s * self._pace.scale, 0.005)
            self._timers[key] = asyncio.get_running_loop().call_later(delay_s, self.add, key)

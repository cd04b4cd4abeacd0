"""The inbox: every payload from outside is committed, then acknowledged, then worked on, once, however often it is delivered."""

from __future__ import annotations

import asyncio
import secrets
from typing import Protocol

import structlog

from engine.intents import Consumer
from engine.ports import Exists, Ledger, Store
from engine.records import Received
from runbook.errors import StoreUnavailable, Temporary
from runbook.ports import Clock

log = structlog.get_logger("forge.inbox")

AT_ONCE = 16
TRIES = 4


class Inbox:
    """consumer: set before `start`. on_fault: completes a row whose work failed for good, with a correlation id for the caller."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._queue: asyncio.Queue[Received] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        self._busy = 0
        self.consumer: Consumer | None = None
        self.on_fault: OnFault | None = None

    async def receive(self, dedup: str, kind: str, payload: object) -> Received | None:
        """None: the same was received before. Raises `StoreUnavailable`: then nothing was kept and nothing may be acknowledged as taken."""
        now = self._clock.now()

        def keep(ledger: Ledger) -> Received | None:
            if ledger.count(Received, dedup=dedup):
                return None
            try:
                return ledger.add(Received(dedup=dedup, kind=kind, payload=payload, received_at=now))
            except Exists:
                return None

        received = await self._store.write(keep)
        if received is not None:
            self._queue.put_nowait(received)
        return received

    async def start(self) -> None:
        """Takes up what was committed but not worked on when the process ended."""
        for received in await self._store.read(lambda ledger: ledger.find(Received, done_at=None, order="id")):
            self._queue.put_nowait(received)
        self._workers = [asyncio.create_task(self._work(), name=f"inbox {n}") for n in range(AT_ONCE)]

    async def stop(self) -> None:
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    @property
    def backlog(self) -> int:
        return self._queue.qsize() + self._busy

    async def _work(self) -> None:
        while True:
            received = await self._queue.get()
            self._busy += 1
            try:
                await self._consume(received)
            finally:
                self._busy -= 1

    async def _consume(self, received: Received) -> None:
        if self.consumer is None:
            raise RuntimeError("the inbox has no consumer")
        for attempt in range(TRIES):
            try:
                await self.consumer(received)
            except (Temporary, StoreUnavailable) as error:
                log.warning("inbox.again", received=received.id, code=error.code)
                await asyncio.sleep(0.5 * 2**attempt)
            except Exception:  # noqa: BLE001 - a payload that breaks the code must not stop the inbox; the caller is told
                break
            else:
                return
        await self._give_up(received)

    async def _give_up(self, received: Received) -> None:
        correlation = secrets.token_hex(4)
        log.exception("inbox.failed", received=received.id, kind=received.kind, correlation=correlation)
        try:
            if self.on_fault is not None:
                await self.on_fault(received, correlation)
        except StoreUnavailable as error:
            log.error("inbox.not_completed", received=received.id, code=error.code)


class OnFault(Protocol):
    """Tells the caller of a payload that could not be worked on."""

    async def __call__(self, received: Received, correlation: str) -> None: ...

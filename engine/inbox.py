"""The inbox: every payload from outside is committed, then acknowledged, then worked on, once, however often it is delivered."""

from __future__ import annotations

import asyncio
import contextlib
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
STORE_WAIT_S = 1.0
PATIENCE_S = 0.25
"""How long work waits at most for payloads that are just being kept: under a stream of them it goes on all the same."""

TURNS = 12
"""Of the event loop, in which what was kept is acknowledged: the edges' own way from the commit to the socket."""


class Inbox:
    """consumer: set before `start`. on_fault: completes a row whose work failed for good, with a correlation id for the caller."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._queue: asyncio.Queue[Received] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        self._arriving = 0
        self._calm = asyncio.Event()
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

        self._arriving += 1
        try:
            received = await self._store.write(keep)
        finally:
            self._arriving -= 1
            if not self._arriving:
                self._calm.set()
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

    async def _work(self) -> None:
        while True:
            received = await self._queue.get()
            await self._let_arrivals_pass()
            try:
                await self._consume(received)
            except Exception:  # the worker must outlive whatever telling the caller fails of
                log.exception("inbox.unforeseen", received=received.id)

    async def _let_arrivals_pass(self) -> None:
        """Keeping and acknowledging come first: work beside them would hold up the one thread that writes, and with it every acknowledgement."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while self._arriving:
                    self._calm.clear()
                    await self._calm.wait()
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def _consume(self, received: Received) -> None:
        if self.consumer is None:
            raise RuntimeError("the inbox has no consumer")
        failures = 0
        while True:
            try:
                await self.consumer(received)
                return
            except StoreUnavailable as error:
                # Not its fault, and nobody could be told: it stays, until it can be carried out or is too old for that.
                log.warning("inbox.waits_for_store", received=received.id, code=error.code)
                await asyncio.sleep(STORE_WAIT_S)
            except Temporary as error:
                failures += 1
                log.warning("inbox.again", received=received.id, code=error.code)
                if failures >= TRIES:
                    await self._give_up(received, error)
                    return
                await asyncio.sleep(0.5 * 2 ** (failures - 1))
            except Exception as error:  # noqa: BLE001 - a payload that breaks the code must not stop the inbox; the caller is told
                await self._give_up(received, error)
                return

    async def _give_up(self, received: Received, error: Exception) -> None:
        correlation = secrets.token_hex(4)
        log.error("inbox.failed", received=received.id, kind=received.kind, correlation=correlation, exc_info=error)
        while self.on_fault is not None:
            try:
                await self.on_fault(received, correlation)
                return
            except StoreUnavailable as trouble:
                log.error("inbox.not_completed", received=received.id, code=trouble.code)
                await asyncio.sleep(STORE_WAIT_S)


class OnFault(Protocol):
    """Tells the caller of a payload that could not be worked on."""

    async def __call__(self, received: Received, correlation: str) -> None: ...

"""The one thread that writes: it takes the changes that queue up, runs them in one transaction, commits once, then tells everybody.

It must never die of an error, never report as kept what may be lost, and never run a change twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from runbook.errors import StoreUnavailable
from state.ballast import Ballast
from state.batch import Batch, Doubt, last_mark
from state.database import Database
from state.ledger import SqlLedger

BATCH_LIMIT: Final = 200
log = structlog.get_logger("state")

Change = Callable[[SqlLedger], Any]
Waiter = asyncio.Future[Any] | Future[Any]


@dataclass(frozen=True)
class Order:
    """A change and whoever waits for it: a future of an event loop, or a thread's."""

    change: Change
    waiter: Waiter


@dataclass(frozen=True)
class Outcome:
    waiter: Waiter
    value: Any = None
    error: BaseException | None = None


class Writer:
    """commits: how many transactions were kept. fault: of the last write, until one succeeds."""

    def __init__(self, database: Database, ballast: Ballast, *, probe_s: float, doubt_s: float) -> None:
        self._database = database
        self._ballast = ballast
        self._probe_s = probe_s
        self._doubt_s = doubt_s
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._connection: Connection | None = None
        self._origin = os.urandom(6).hex()
        self._thread = threading.Thread(target=self._work, name="forge-store-writer", daemon=True)
        self._gate = threading.Lock()
        self._closed = False
        self._room_tried_at = 0.0
        self.commits = 0
        self.batches = 0
        self.fault: StoreUnavailable | None = None
        self.ballast_lost = False

    def start(self, connection: Connection) -> None:
        """connection: from `Database.connect`, its schema brought up to date."""
        self._connection = connection
        self.ballast_lost = not self._ballast.restore()
        self._thread.start()

    def submit(self, order: Order) -> None:
        with self._gate:
            if self._closed:
                raise StoreUnavailable("closed", "the store is closed", "The bot is stopping: ask again afterwards")
            self._orders.put(order)

    def close(self) -> None:
        """Writes what was submitted, then ends."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._orders.put(None)
        if self._thread.is_alive():
            self._thread.join()
        self._drop()

    def _work(self) -> None:
        while (orders := self._take()) is not None:
            if orders or self.fault is not None:
                self._serve(orders)
            if self.ballast_lost and self.fault is None:
                self._take_room_again()

    def _take(self) -> list[Order] | None:
        """What waits, at most BATCH_LIMIT; nothing when it is time to probe; None at the end."""
        troubled = self.fault is not None or self.ballast_lost
        try:
            first = self._orders.get(timeout=self._probe_s if troubled else None)
        except queue.Empty:
            return []
        if first is None:
            return None
        orders = [first]
        with contextlib.suppress(queue.Empty):
            while len(orders) < BATCH_LIMIT:
                order = self._orders.get_nowait()
                if order is None:
                    self._orders.put(None)  # the end comes last, for nothing is submitted after it
                    break
                orders.append(order)
        return orders

    def _serve(self, orders: list[Order]) -> None:
        """One transaction; without orders it only probes whether writing works again."""
        orders = [order for order in orders if not order.waiter.cancelled()]
        try:
            outcomes = self._transact(orders)
        except StoreUnavailable as fault:
            self._tell_fault(fault)
            outcomes = [Outcome(order.waiter, error=fault) for order in orders]
        except Exception as error:  # (the thread must live on; whoever waits gets the error)
            self._drop()
            log.exception("store.bug")
            outcomes = [Outcome(order.waiter, error=error) for order in orders]
        _settle(outcomes)

    def _transact(self, orders: list[Order]) -> list[Outcome]:
        batch = self._begin()
        try:
            outcomes = [self._run(batch, order) for order in orders]
            if batch.empty and orders:
                self._end(batch)  # nothing to keep, and nothing learned about whether it could be
                return outcomes
            self._commit(batch)
        except StoreUnavailable as fault:
            self._end(batch, fault)
            raise
        self.commits += 1
        if self.fault is not None:
            log.info("store.recovered", after=self.fault.code)
            self.fault = None
        return outcomes

    def _begin(self) -> Batch:
        """Begins a transaction; a connection that died while nothing was sent is replaced at once."""
        self.batches += 1
        fresh = self._connection is None
        while True:
            if self._connection is None:
                self._connection = self._database.connect()
            batch = Batch(self._database, self._connection, f"{self._origin}:{self.batches}", self._make_room)
            try:
                batch.begin()
            except StoreUnavailable as fault:
                self._end(batch, fault)
                if fresh or fault.code != "store.connection":
                    raise
                fresh = True
                continue
            return batch

    def _run(self, batch: Batch, order: Order) -> Outcome:
        try:
            return Outcome(order.waiter, batch.run(order.change))
        except BaseException as error:  # (it belongs to whoever asked, not to this thread)
            if batch.fault is not None:
                raise batch.fault from error
            return Outcome(order.waiter, error=error)

    def _commit(self, batch: Batch) -> None:
        try:
            batch.commit()
        except Doubt as doubt:
            self._resolve(batch, doubt)

    def _resolve(self, batch: Batch, doubt: Doubt) -> None:
        """Asks the database itself whether the batch was kept. Raises StoreUnavailable: the fault when it was not,
        `store.doubtful` when nobody can tell yet."""
        self._drop()
        deadline = time.monotonic() + self._doubt_s
        while True:
            try:
                self._connection = self._database.connect()
                kept = last_mark(self._connection) == batch.mark
                break
            except (StoreUnavailable, DBAPIError) as error:
                self._drop()
                if time.monotonic() >= deadline:
                    raise StoreUnavailable(
                        "doubtful",
                        "the last changes may or may not have been kept",
                        "Read the state again before acting",
                    ) from error
                time.sleep(min(0.1, self._doubt_s))
        if kept:
            return
        if not (self._database.uses_local_disk and self._make_room()):
            raise doubt.fault
        try:
            batch.resend(self._connection)
        except Doubt as second:
            raise second.fault from second

    def _end(self, batch: Batch, fault: StoreUnavailable | None = None) -> None:
        """Back to a clean connection. On PostgreSQL it holds the lock, so that it is dropped only when it is of no more use."""
        useless = fault is not None and fault.code in (
            "store.connection",
            "store.io",
            "store.corrupt",
            "store.doubtful",
        )
        if useless or not batch.roll_back():
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with contextlib.suppress(Exception):  # it is broken: there is nobody to tell and nothing to lose
                connection.invalidate()
                connection.close()

    def _make_room(self) -> bool:
        freed = self._ballast.give_up()
        if freed:
            self.ballast_lost = True
            self._room_tried_at = time.monotonic()
            log.error("store.ballast_given_up", size_bytes=self._ballast.size_bytes)
        return freed

    def _take_room_again(self) -> None:
        now = time.monotonic()
        if now - self._room_tried_at < self._probe_s:
            return
        self._room_tried_at = now
        if self._ballast.restore():
            self.ballast_lost = False
            log.info("store.ballast_restored")

    def _tell_fault(self, fault: StoreUnavailable) -> None:
        if self.fault is None or self.fault.code != fault.code:
            log.error("store.unavailable", code=fault.code, cause=fault.cause)
        self.fault = fault


def _settle(outcomes: Iterable[Outcome]) -> None:
    """Tells everybody who waits; one wake-up for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
    for outcome in outcomes:
        if isinstance(outcome.waiter, asyncio.Future):
            by_loop.setdefault(outcome.waiter.get_loop(), []).append(outcome)
        else:
            _resolve(outcome)
    for loop, those in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve_all, those)


def _resolve_all(outcomes: Iterable[Outcome]) -> None:
    for outcome in outcomes:
        _resolve(outcome)


def _resolve(outcome: Outcome) -> None:
    waiter = outcome.waiter
    if waiter.done():
        return  # cancelled meanwhile: the change was kept all the same
    if outcome.error is None:
        waiter.set_result(outcome.value)
    elif isinstance(outcome.error, StopIteration):
        # A future can't carry it, and would leave its waiter waiting for ever.
        waiter.set_exception(RuntimeError("a change raised StopIteration"))
    else:
        waiter.set_exception(outcome.error)

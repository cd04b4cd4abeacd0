"""Makes checkpoints at decisions and ends, and hourly when anything was added.

A place that fails is told of and tried again with the next checkpoint; it must never hold up what the bot does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from engine.ports import Ledger
from engine.records import Sealed
from runbook.errors import ForgeError, StoreUnavailable
from state.checkpoints import Checkpoint, sign
from state.ledger import SqlLedger
from state.places import CheckpointPlace
from state.schema import checkpoints, meta
from state.store import SqlStore

EVERY: Final = timedelta(hours=1)
log = structlog.get_logger("state")


@dataclass(frozen=True)
class Made:
    """checkpoint: None when the log is empty or can't be read. stored: names of the places that have it. failures: by name, why not."""

    checkpoint: Checkpoint | None
    stored: tuple[str, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()


class Checkpointer:
    """now: the clock. place_s: seconds that one place may take."""

    def __init__(
        self,
        store: SqlStore,
        key: Ed25519PrivateKey,
        places: Sequence[CheckpointPlace],
        *,
        now: Callable[[], datetime],
        place_s: float = 10.0,
    ) -> None:
        self._store = store
        self._key = key
        self._places = tuple(places)
        self._now = now
        self._place_s = place_s
        self._turn = asyncio.Lock()
        self._last: Made | None = None

    async def make(self, reason: str) -> Made:
        """Signs the newest entry and stores that in every place. Never raises for a place or the database: see `Made.failures`."""
        async with self._turn:
            try:
                instance, last = await self._store.read(_position)
            except StoreUnavailable as fault:
                return Made(None, failures=(("database", str(fault)),))
            if last is None:
                return Made(None)
            before = self._last
            known = before.checkpoint if before is not None else None
            if before is not None and known is not None and known.seq == last.seq and not before.failures:
                return before
            if known is None or known.seq != last.seq:
                known = sign(self._key, instance, last.seq, last.hash, self._now())
            self._last = await self._store_everywhere(known, reason)
            return self._last

    async def make_if_due(self, every: timedelta = EVERY) -> Made | None:
        """A checkpoint when something was added since the last one and that is `every` ago, or when a place still lacks it."""
        try:
            (_, last), newest = await self._store.read(lambda ledger: (_position(ledger), _newest(ledger)))
        except StoreUnavailable as fault:
            return Made(None, failures=(("database", str(fault)),))
        if last is None:
            return None
        owed = self._last is not None and bool(self._last.failures)
        added = newest is None or last.seq > newest[0]
        old_enough = newest is None or self._now() - newest[1] >= every
        return await self.make("hourly") if owed or (added and old_enough) else None

    async def _store_everywhere(self, checkpoint: Checkpoint, reason: str) -> Made:
        answers = await asyncio.gather(*(self._put(place, checkpoint) for place in self._places))
        told = list(zip((place.name for place in self._places), answers, strict=True))
        stored = tuple(name for name, why in told if not why)
        failures = [(name, why) for name, why in told if why]
        for name, why in failures:
            log.error("audit.checkpoint_not_stored", place=name, seq=checkpoint.seq, why=why)
        row = _row(checkpoint, reason, stored, self._now())
        try:
            await self._store.write(lambda ledger: _remember(ledger, row))
        except StoreUnavailable as fault:
            log.error("audit.checkpoint_not_recorded", seq=checkpoint.seq, why=str(fault))
            failures.append(("database", str(fault)))
        return Made(checkpoint, stored, tuple(failures))

    async def _put(self, place: CheckpointPlace, checkpoint: Checkpoint) -> str:
        """Why it was not stored; empty when it was."""
        try:
            async with asyncio.timeout(self._place_s):
                await asyncio.to_thread(place.put, checkpoint)
        except TimeoutError:
            return f"no answer within {self._place_s:g} s"
        except (OSError, ForgeError) as error:
            return str(error) or type(error).__name__
        return ""


def _row(checkpoint: Checkpoint, reason: str, stored: tuple[str, ...], now: datetime) -> dict[str, Any]:
    return {
        "seq": checkpoint.seq,
        "instance": checkpoint.instance,
        "hash": checkpoint.hash,
        "at": checkpoint.at,
        "key_id": checkpoint.key_id,
        "signature": checkpoint.signature,
        "reason": reason,
        "places": list(stored),
        "stored_at": now,
    }


def instance_of(ledger: Ledger) -> str:
    """The database's own name."""
    return str(_sql(ledger).session.rows(select(meta.c.value).where(meta.c.name == "instance"))[0][0])


def _position(ledger: Ledger) -> tuple[str, Sealed | None]:
    newest = ledger.find(Sealed, order="-seq", limit=1)
    return instance_of(ledger), (newest[0] if newest else None)


def _newest(ledger: Ledger) -> tuple[int, datetime] | None:
    statement = select(checkpoints.c.seq, checkpoints.c.at).order_by(checkpoints.c.seq.desc()).limit(1)
    rows = _sql(ledger).session.rows(statement)
    return (rows[0].seq, rows[0].at) if rows else None


def _remember(ledger: Ledger, row: dict[str, Any]) -> None:
    session = _sql(ledger).session
    session.change(checkpoints.delete().where(checkpoints.c.seq == row["seq"]))
    session.change(checkpoints.insert(), row)


def _sql(ledger: Ledger) -> SqlLedger:
    if not isinstance(ledger, SqlLedger):
        raise TypeError("checkpoints are kept by the store's own ledger")
    return ledger

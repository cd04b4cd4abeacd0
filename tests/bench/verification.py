"""Verifying an audit log of 100,000 entries, signed checkpoint included."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine.ports import Ledger
from engine.records import Entry, Sealed
from state.checkpointer import instance_of
from state.checkpoints import load_private_key, new_private_key, sign
from state.places import Found
from state.store import SqlStore, open_store
from state.verify import verify
from tests.bench.figures import Figure

ENTRIES = 100_000
WITHIN_S = 2.0
BATCH = 5_000
BEGAN = datetime(2026, 1, 5, 8, tzinfo=UTC)


async def measure(folder: Path, *, quick: bool) -> list[Figure]:
    entries = 20_000 if quick else ENTRIES
    seconds = await asyncio.to_thread(_measure, folder, entries)
    limit = WITHIN_S * entries / ENTRIES
    return [Figure(f"verifying {entries:,} audit entries", seconds, limit, "s")]


def _measure(folder: Path, entries: int) -> float:
    """The better of two runs: the file is read from memory in both, and the machine may be busy in one."""
    with open_store(data_dir=folder) as store:
        for first in range(0, entries, BATCH):
            store.write_now(lambda ledger, first=first: _append(ledger, first, min(first + BATCH, entries)))  # type: ignore[misc]
        return min(_verify(store, entries) for _ in range(2))


def _verify(store: SqlStore, entries: int) -> float:
    key = load_private_key(new_private_key())
    instance, last = store.read_now(lambda ledger: (instance_of(ledger), _last_hash(ledger, entries)))
    line = sign(key, instance, entries, last, BEGAN).line()
    begun = time.perf_counter()
    found = verify(store, [key.public_key()], [Found("bench", line)])
    seconds = time.perf_counter() - begun
    if not found.ok or found.proven_to != entries:
        raise RuntimeError(found.sentence)
    return seconds


def _last_hash(ledger: Ledger, entries: int) -> str:
    sealed = ledger.get(Sealed, entries)
    if sealed is None:
        raise RuntimeError(f"there is no entry {entries}")
    return sealed.hash


def _append(ledger: Ledger, first: int, end: int) -> None:
    for number in range(first, end):
        entry = Entry(
            actor="T1:U0SAM", role="service_owner", action="step.finished", subject=f"staging-{number // 40}/{number % 40}",
            what="Smoke tests: PASS", why="every request was answered as expected",
            evidence=[{"gate": "smoke", "outcome": "PASS", "reason": "200 in 12 ms – as expected", "value": number}],
        )  # fmt: skip
        ledger.audit(entry, BEGAN + timedelta(seconds=number))

"""A process that opens a store and does what its argument says; tests start it, starve it and kill it."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from engine.records import Entry, SeenTag
from runbook.errors import StoreUnavailable
from state.store import SqlStore, open_store

NOW = datetime(2026, 5, 4, tzinfo=UTC)


def say(word: object) -> None:
    sys.stdout.write(f"{json.dumps(word)}\n")
    sys.stdout.flush()


def pair(ledger: Any, name: str, padding: str = "") -> int:
    """Two rows in one change and the audit entry of both: all three are there, or none."""
    number = int(ledger.next_number("pairs"))
    for half in ("left", "right"):
        ledger.add(SeenTag(service=half, tag=f"{number}", tag_object=padding, commit=name, first_seen_at=NOW))
    ledger.audit(Entry(actor="a", action="pair.added", subject=f"{number}"), NOW)
    return number


async def write_for_ever(store: SqlStore) -> None:
    """Says each number once it was told as kept."""

    async def one(writer: int) -> None:
        while True:
            say(await store.write(lambda ledger: pair(ledger, f"w{writer}", "x" * 2000)))

    await asyncio.gather(*(one(writer) for writer in range(8)))


async def fill(store: SqlStore) -> None:
    """Writes up to the file size limit, then lifts it and writes again."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    kept = 0
    try:
        while True:
            await store.write(lambda ledger: pair(ledger, "fill", "x" * 20_000))
            kept += 1
    except StoreUnavailable as fault:
        say({"code": fault.code, "healthy": store.healthy, "trouble": store.trouble, "kept": kept})
    say({"read": await store.read(lambda ledger: ledger.count(SeenTag, service="left"))})
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    say({"number": await store.write(lambda ledger: pair(ledger, "after")), "healthy": store.healthy})


async def main(task: str, url: str, data_dir: str) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    # No probing by itself and no ballast: the test sees each state as it is.
    store = open_store(url, data_dir=Path(data_dir), ballast_bytes=0, probe_s=3600)
    say("open")
    if task == "hold":
        await asyncio.to_thread(sys.stdin.read)
    elif task == "write":
        await write_for_ever(store)
    elif task == "fill":
        await fill(store)
    store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

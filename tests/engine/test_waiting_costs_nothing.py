"""Who waits for a person is not looked at meanwhile: hours go by without a look into the store, and then the click counts at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from engine.ports import Ledger
from state.store import SqlStore
from tests.engine.harness import SAM, bench

T = TypeVar("T")
HOURS = timedelta(hours=6)


@contextmanager
def counted(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every read and write of the store, as long as the block lasts."""
    found: list[str] = []
    read, write = store.read, store.write

    async def reading(look: Callable[[Ledger], T]) -> T:
        found.append("read")
        return await read(look)

    async def writing(change: Callable[[Ledger], T]) -> T:
        found.append("write")
        return await write(change)

    with monkeypatch.context() as patched:
        patched.setattr(store, "read", reading)
        patched.setattr(store, "write", writing)
        yield found


async def test_runs_that_wait_and_that_are_queued_are_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as b:
        first = await b.deploy()
        second = await b.deploy("v1.0.0-rc.2")
        await b.until(first, "waiting")
        await b.clock.settle()
        assert b.run(second).state == "queued"
        with counted(b.store, monkeypatch) as looks:
            await b.clock.advance(HOURS)
        assert looks == []
        before = b.run(first).position
        with counted(b.store, monkeypatch) as looks:
            await b.act("approve", SAM, first)
        assert b.run(first).position > before
        assert {"read", "write"} <= set(looks)

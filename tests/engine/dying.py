"""A program that dies at every boundary it comes to, each once, life after life: before a commit, after it, and right after an effect.

Boundaries are found in what the program writes and does, never listed by hand. What is outside (cluster, chat) outlives every death.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from engine.records import Entry, Outgoing, Received, StepRow
from tests.engine.harness import KeepingChat
from tests.runbook.fakes import FakeCluster

EFFECTS = ("set_weight", "scale", "start_canary", "remove_canary", "set_least", "set_images", "start_job", "delete_job")


class Died(Exception):
    """Raised inside a transaction, so that nothing of it is kept."""


class Seeing:
    """The ledger of one transaction, which notes what is written by it."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger
        self.seen: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def audit(self, entry: Entry, *more: Any) -> Any:
        self.seen.add(f"audit {entry.action} {entry.subject} {entry.what}")
        return self._ledger.audit(entry, *more)

    def save(self, record: Any) -> None:
        self.seen.add(name_of(record))
        self._ledger.save(record)

    def add(self, record: Any) -> Any:
        self.seen.add(name_of(record))
        return self._ledger.add(record)


def name_of(record: Any) -> str:
    """What is written, told apart by what is known of it and not by its values: an observation's every tick is the same boundary."""
    if isinstance(record, StepRow):
        known = sorted(name for name, value in (record.progress or {}).items() if value is not None)
        return f"step {record.run}/{record.index} {record.state} {' '.join(known)}"
    if isinstance(record, Outgoing):
        return f"outgoing {record.kind} {record.subject if record.kind == 'view' else ''} {record.state}"
    if isinstance(record, Received):
        return f"received {record.dedup} {record.done_at is not None}"
    return f"{type(record).__name__} {getattr(record, 'state', '')}"


@dataclass
class Mortality:
    """behind: the deaths that were died. on: whether boundaries are deadly yet. One life's end is `died`."""

    on: bool = True
    behind: list[str] = field(default_factory=list)
    died: asyncio.Event = field(default_factory=asyncio.Event)

    def next_life(self) -> None:
        self.died = asyncio.Event()

    async def alive(self) -> None:
        """Nothing that the dead began goes on."""
        if self.died.is_set():
            await asyncio.Event().wait()

    def is_fatal(self, boundary: str) -> bool:
        if not self.on or self.died.is_set() or boundary in self.behind:
            return False
        self.behind.append(boundary)
        return True

    async def dies(self) -> None:
        self.died.set()
        await self.alive()

    # --- what it is woven into

    def wrap(self, write: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A store's `write`, as `fate` of a stage."""

        async def mortal(change: Any) -> Any:
            await self.alive()
            mine: list[str] = []

            def watched(ledger: Any) -> Any:
                seeing = Seeing(ledger)
                result = change(seeing)
                mine[:] = sorted(seeing.seen)
                if mine and self.is_fatal("before " + "; ".join(mine)):
                    raise Died
                return result

            try:
                result = await write(watched)
            except Died:
                await self.dies()
            await self.alive()
            if mine and self.is_fatal("after " + "; ".join(mine)):
                await self.dies()
            return result

        return mortal

    def strike(self, cluster: FakeCluster) -> None:
        """Right after every effect: it was had, and nothing of it is on record."""
        for method in EFFECTS:
            setattr(cluster, method, self._struck(method, getattr(cluster, method)))

    def _struck(self, method: str, plain: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def struck(*args: Any, **more: Any) -> Any:
            await self.alive()
            result = await plain(*args, **more)
            of = getattr(args[0], "workload", None) or getattr(args[0], "name", args[0])
            number = next((arg for arg in args[1:] if isinstance(arg, int)), "")
            if self.is_fatal(f"effect {method} {of} {number}"):
                await self.dies()
            return result

        return struck


class DyingChat(KeepingChat):
    """What was posted stands there, and the program that posted it dies before it has heard of it."""

    def __init__(self, mortality: Mortality) -> None:
        super().__init__()
        self.mortality = mortality

    async def post(self, channel: str, message: Any, message_id: str, **more: Any) -> Any:
        await self.mortality.alive()
        placed = await super().post(channel, message, message_id, **more)
        if self.mortality.is_fatal(f"posted {message_id.partition(':')[0]} {len(self.messages)}"):
            await self.mortality.dies()
        return placed

    async def update(self, *args: Any, **more: Any) -> Any:
        await self.mortality.alive()
        return await super().update(*args, **more)

    async def upload(self, channel: str, name: str, *args: Any, **more: Any) -> Any:
        await self.mortality.alive()
        await super().upload(channel, name, *args, **more)
        if self.mortality.is_fatal(f"uploaded {name}"):
            await self.mortality.dies()

"""One task, many subjects: no trouble of one ends the rounds, and no ring is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from engine.rounds import STORE_RETRY, UNFORESEEN_RETRY, Rounds
from runbook.errors import StoreUnavailable
from tests.fakes.clock import SimulatedClock

Look = Callable[[], Awaitable[datetime | None]]


class Looks:
    """What the rounds look at: each look is counted, and may be given something to do."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.count = 0
        self.act: Look = self.nothing
        self._changed = asyncio.Event()
        self.rounds = Rounds("test", self.clock, self._look)

    async def nothing(self) -> datetime | None:
        return None

    async def until(self, count: int) -> None:
        async with asyncio.timeout(30):
            while self.count < count:
                self._changed.clear()
                await self._changed.wait()

    async def _look(self) -> datetime | None:
        self.count += 1
        self._changed.set()
        return await self.rounds.safely(self.act(), "shop")


@asynccontextmanager
async def going(looks: Looks) -> AsyncIterator[Looks]:
    await looks.rounds.start()
    try:
        yield looks
    finally:
        await looks.rounds.stop()


async def test_it_looks_at_once_and_again_when_something_is_due() -> None:
    looks = Looks()
    due = looks.clock.now() + timedelta(hours=3)

    async def once() -> datetime | None:
        return due if looks.clock.now() < due else None

    looks.act = once
    async with going(looks):
        await looks.until(1)
        await looks.clock.advance(3 * 3600 - 1)
        assert looks.count == 1
        await looks.clock.advance(1)
        await looks.until(2)


async def test_a_ring_during_a_look_leads_to_another() -> None:
    looks = Looks()

    async def rung() -> datetime | None:
        if looks.count == 1:
            looks.rounds.ring()
        return None

    looks.act = rung
    async with going(looks):
        await looks.until(2)


async def test_after_a_bug_it_looks_again_in_a_while() -> None:
    looks = Looks()

    async def broken() -> datetime | None:
        raise ZeroDivisionError

    looks.act = broken
    async with going(looks):
        await looks.until(1)
        looks.act = looks.nothing
        await looks.clock.advance(UNFORESEEN_RETRY.total_seconds())
        await looks.until(2)


async def test_a_store_in_trouble_is_asked_again_soon() -> None:
    looks = Looks()

    async def unavailable() -> datetime | None:
        raise StoreUnavailable("full", "the disk is full")

    looks.act = unavailable
    async with going(looks):
        await looks.until(1)
        looks.act = looks.nothing
        await looks.clock.advance(STORE_RETRY.total_seconds())
        await looks.until(2)


async def test_stopping_breaks_off_the_look_that_is_under_way() -> None:
    looks = Looks()
    ended = []

    async def long() -> datetime | None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(looks.count)
        return None

    looks.act = long
    async with going(looks):
        await looks.until(1)
    assert ended == [1]


async def test_what_never_began_can_be_stopped() -> None:
    await Looks().rounds.stop()

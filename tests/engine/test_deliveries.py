"""Deliveries in the ledger, on SQLite and on a real PostgreSQL: each once, and no more than a bounded number of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from engine import deliveries as module
from engine.deliveries import KEPT, Deliveries, Taken
from engine.records import Delivery
from state.store import SqlStore
from tests.fakes.clock import NOON

PUSH = Delivery(guid="g-0", event="push", repository="acme/shop", sha256="0" * 64, received_at=NOON)


def numbered(number: int, minutes: float = 0.0) -> Delivery:
    return replace(PUSH, guid=f"g-{number}", sha256=f"{number:064x}", received_at=NOON + timedelta(minutes=minutes))


def kept(store: SqlStore) -> list[str]:
    return store.read_now(lambda ledger: [row.guid for row in ledger.find(Delivery, order="received_at")])


async def test_a_delivery_is_taken_once(store: SqlStore) -> None:
    taking = Deliveries(store)
    assert await taking.take(PUSH) is Taken.NEW
    assert await taking.take(PUSH) is Taken.KNOWN
    assert await taking.take(replace(PUSH, guid="g-9")) is Taken.KNOWN
    assert await taking.take(replace(PUSH, sha256="f" * 64)) is Taken.KNOWN
    assert kept(store) == ["g-0"]


async def test_of_many_in_one_moment_one_is_new(store: SqlStore) -> None:
    found = await asyncio.gather(*(Deliveries(store).take(PUSH) for _ in range(20)))
    assert sorted(found) == [*[Taken.KNOWN] * 19, Taken.NEW]


async def test_what_is_older_than_a_week_is_forgotten(store: SqlStore) -> None:
    taking = Deliveries(store)
    for number in range(6):
        await taking.take(numbered(number, number))
    week = KEPT.total_seconds() / 60
    await taking.take(numbered(10, week + 2.5))
    assert kept(store) == ["g-3", "g-4", "g-5", "g-10"]


async def test_there_are_never_more_than_the_bound(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 5)
    taking = Deliveries(store)
    for number in range(30):
        assert await taking.take(numbered(number, number)) is Taken.NEW
        assert len(kept(store)) <= 5
    assert kept(store)[-1] == "g-29"

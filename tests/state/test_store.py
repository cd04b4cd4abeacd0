"""The store's contract, on both databases: what is told as kept is kept, what fails loses only its own."""

from __future__ import annotations

import asyncio
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from engine.ports import Exists, Store
from engine.records import Entry, Lock, Sealed, SeenTag
from runbook.errors import StoreUnavailable
from state.store import SqlStore, open_store
from tests.fixtures_store import NewStore

NOW = datetime(2026, 5, 4, tzinfo=UTC)


def tag(name: str, commit: str = "c") -> SeenTag:
    return SeenTag(service="shop", tag=name, tag_object="o", commit=commit, first_seen_at=NOW)


async def count(store: SqlStore) -> int:
    return await store.read(lambda ledger: ledger.count(SeenTag))


async def test_what_was_written_is_read_by_everybody(store: SqlStore) -> None:
    port: Store = store
    assert await port.write(lambda ledger: ledger.add(tag("a"))) == tag("a")
    assert await port.read(lambda ledger: ledger.get(SeenTag, "shop", "a")) == tag("a")
    assert port.healthy
    assert store.trouble is None


async def test_changes_that_queue_up_share_one_commit(store: SqlStore) -> None:
    started, go = threading.Event(), threading.Event()

    def slow(ledger: Any) -> None:
        started.set()
        go.wait(10)
        ledger.add(tag("slow"))

    first = asyncio.ensure_future(store.write(slow))
    await asyncio.to_thread(started.wait, 10)
    before = store.commits
    rest = [asyncio.ensure_future(store.write(lambda ledger, n=n: ledger.add(tag(f"t{n}")))) for n in range(100)]
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(first, *rest)
    assert store.commits - before == 2
    assert await count(store) == 101


async def test_a_change_that_raises_loses_only_its_own(store: SqlStore) -> None:
    async def one(number: int) -> object:
        def change(ledger: Any) -> int:
            ledger.add(tag(f"t{number}"))
            ledger.audit(Entry(actor="a", action="tag.seen", subject=f"t{number}"), NOW)
            if number % 3 == 0:
                raise LookupError(number)
            return number

        return await store.write(change)

    results = await asyncio.gather(*(one(number) for number in range(30)), return_exceptions=True)
    good = [number for number in range(30) if number % 3]
    assert [result for result in results if isinstance(result, int)] == good
    assert sum(isinstance(result, LookupError) for result in results) == 10
    assert store.healthy
    entries = await store.read(lambda ledger: ledger.find(Sealed))
    assert [entry.seq for entry in entries] == list(range(1, 21))
    assert sorted(entry.subject for entry in entries) == sorted(f"t{number}" for number in good)
    assert await count(store) == 20


async def test_a_failed_statement_spoils_only_the_change_that_sent_it(store: SqlStore) -> None:
    def bad(ledger: Any, swallow: bool) -> None:
        ledger.add(tag("gone"))
        try:
            ledger.session.change(text("INSERT INTO counters (series, value) VALUES ('x', NULL)"))
        except DBAPIError:
            if not swallow:
                raise

    await store.write(lambda ledger: ledger.add(tag("before")))
    results = await asyncio.gather(
        store.write(lambda ledger: ledger.add(tag("one"))),
        store.write(lambda ledger: bad(ledger, False)),
        store.write(lambda ledger: ledger.add(tag("two"))),
        return_exceptions=True,
    )
    assert [isinstance(result, Exception) for result in results] == [False, True, False]
    assert [each.tag for each in await store.read(lambda ledger: ledger.find(SeenTag))] == ["before", "one", "two"]
    assert store.healthy


async def test_an_error_that_a_change_swallowed_is_no_half_success(new_store: NewStore, database_url: str) -> None:
    """On PostgreSQL a failed statement spoils the transaction: the change fails although it caught the error."""
    store = new_store()

    def swallows(ledger: Any) -> str:
        ledger.add(tag("mine"))
        try:
            ledger.session.change(text("INSERT INTO counters (series, value) VALUES ('x', NULL)"))
        except DBAPIError:
            return "caught"
        return "unreachable"

    if database_url.startswith("sqlite"):
        assert await store.write(swallows) == "caught"
        assert await count(store) == 1
    else:
        with pytest.raises(Exception, match="aborted"):
            await store.write(swallows)
        assert await count(store) == 0
    await store.write(lambda ledger: ledger.add(tag("next")))


async def test_exists_tells_the_second_of_two_that_race(store: SqlStore) -> None:
    results = await asyncio.gather(
        *(store.write(lambda ledger, n=n: ledger.add(tag("same", str(n)))) for n in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, Exists) for result in results) == 4


async def test_a_change_may_raise_stop_iteration_without_hanging_its_waiter(store: SqlStore) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(store.write(lambda ledger: next(iter(ledger.find(SeenTag)))), 60)


async def test_a_reader_sees_nothing_uncommitted(store: SqlStore) -> None:
    inside, go = threading.Event(), threading.Event()

    def slow(ledger: Any) -> None:
        ledger.add(tag("a"))
        inside.set()
        go.wait(10)

    writing = asyncio.ensure_future(store.write(slow))
    await asyncio.to_thread(inside.wait, 10)
    assert await count(store) == 0
    go.set()
    await writing
    assert await count(store) == 1


async def test_a_look_can_not_write(store: SqlStore) -> None:
    with pytest.raises(TypeError, match="can't write"):
        await store.read(lambda ledger: ledger.add(tag("a")))
    with pytest.raises(StoreUnavailable):
        await store.read(lambda ledger: ledger.session.rows(text("DELETE FROM seen_tags")))  # type: ignore[attr-defined]
    assert await count(store) == 0


async def test_a_write_whose_caller_went_before_it_began_is_not_done(store: SqlStore) -> None:
    inside, go = threading.Event(), threading.Event()

    def slow(_: Any) -> None:
        inside.set()
        go.wait(10)

    writing = asyncio.ensure_future(store.write(slow))
    await asyncio.to_thread(inside.wait, 10)
    gone = asyncio.ensure_future(store.write(lambda ledger: ledger.add(tag("gone"))))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    go.set()
    await writing
    await store.write(lambda ledger: ledger.add(tag("next")))
    assert [each.tag for each in await store.read(lambda ledger: ledger.find(SeenTag))] == ["next"]


async def test_closing_writes_what_was_submitted_and_refuses_the_rest(new_store: NewStore) -> None:
    store = new_store()
    writes = [asyncio.ensure_future(store.write(lambda ledger, n=n: ledger.add(tag(f"t{n}")))) for n in range(50)]
    await asyncio.sleep(0)
    await store.aclose()
    await asyncio.gather(*writes)
    for attempt in (store.write, store.read):
        with pytest.raises(StoreUnavailable) as caught:
            await attempt(lambda ledger: ledger.count(SeenTag))
        assert caught.value.code == "store.closed"
    again = new_store()
    assert await count(again) == 50


def test_a_second_store_is_refused_and_told_who_has_it(new_store: NewStore) -> None:
    first = new_store()
    with pytest.raises(StoreUnavailable, match=rf"another forge \(pid {os.getpid()}\b") as caught:
        new_store()
    assert caught.value.code == "store.in_use"
    first.close()
    new_store()


def test_reading_beside_a_running_store_takes_no_lock(new_store: NewStore) -> None:
    store = new_store()
    reader = new_store(read_only=True)
    lock = Lock(environment="prod", service="*", owner="o", owner_name="O", reason="r", at=NOW)
    store.write_now(lambda ledger: ledger.add(lock))
    assert reader.read_now(lambda ledger: ledger.find(Lock)) == [lock]
    assert not reader.healthy
    with pytest.raises(StoreUnavailable) as caught:
        reader.write_now(lambda ledger: ledger.add(lock))
    assert caught.value.code == "store.read_only"


def test_no_password_stands_in_an_error(tmp_path: Path) -> None:
    for url in (
        "postgresql://u:hunter2@127.0.0.1:1/x",
        "mysql://u:hunter2@h/x",
        "hunter2://://",
        "postgresql://u:hunter2@h:port/x",
    ):
        with pytest.raises(StoreUnavailable) as caught:
            open_store(url, data_dir=tmp_path)
        chain: BaseException | None = caught.value
        while chain is not None:
            assert "hunter2" not in str(chain)
            chain = chain.__cause__
        assert caught.value.code in ("store.url", "store.connection")

"""A crowd of payloads is kept and acknowledged before any of it is worked on; what can't be kept holds no work up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from slack_bolt.request.async_request import AsyncBoltRequest

from engine import inbox as module
from engine.clock import SteadyClock
from engine.inbox import Inbox
from engine.intents import Operations
from engine.ports import Ledger, Store
from engine.records import Received
from handlers import slack_app
from handlers.slack_app import SlackListeners, build_app
from integrations.slack.web import bare_client
from messages.render import Messages
from state.store import SqlStore, open_store

T = TypeVar("T")
CROWD = 40
WITHIN_S = 60.0


def command(number: int) -> AsyncBoltRequest:
    body = {
        "command": "/forge", "text": "status", "team_id": "T1", "user_id": "U1", "channel_id": "C1",
        "trigger_id": f"trigger-{number}", "response_url": f"http://127.0.0.1:9/{number}",
    }  # fmt: skip
    return AsyncBoltRequest(mode="socket_mode", body=cast("dict[str, Any]", body))


class Stalled:
    """A store that keeps nothing from the second wish on until it is let go."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._wishes = 0
        self.free = asyncio.Event()

    async def write(self, change: Callable[[Ledger], T]) -> T:
        self._wishes += 1
        if self._wishes > 1:
            await self.free.wait()
        return await self._store.write(change)

    async def read(self, look: Callable[[Ledger], T]) -> T:
        return await self._store.read(look)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110 - a condition with a deadline
            await asyncio.sleep(0.005)


async def test_a_crowd_is_acknowledged_before_any_of_it_is_worked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", WITHIN_S)
    monkeypatch.setattr(slack_app, "COMMIT_S", WITHIN_S)
    order: list[str] = []

    async def consumer(received: Received) -> None:
        order.append("work")

    with open_store(data_dir=tmp_path, ballast_bytes=0) as store:
        inbox = Inbox(store, SteadyClock())
        inbox.consumer = consumer
        nobody: Any = None
        listeners = SlackListeners(cast(Operations, inbox), nobody, nobody, Messages())
        app = build_app(listeners, bot_token="xoxb-1", client=bare_client("http://127.0.0.1:9/api/"))

        async def typed(number: int) -> None:
            response = await app.async_dispatch(command(number))
            assert response.status == 200
            order.append("acknowledged")

        await inbox.start()
        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*(typed(number) for number in range(CROWD)))
        await until(lambda: len(order) == 2 * CROWD)
        await inbox.stop()
    assert order == ["acknowledged"] * CROWD + ["work"] * CROWD


async def test_what_cannot_be_kept_holds_no_work_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    worked: list[str] = []

    async def consumer(received: Received) -> None:
        worked.append(received.dedup)

    with open_store(data_dir=tmp_path, ballast_bytes=0) as opened:
        store = Stalled(opened)
        inbox = Inbox(cast(Store, store), SteadyClock())
        inbox.consumer = consumer
        await inbox.start()
        first = asyncio.create_task(inbox.receive("first", "command", {}))
        second = asyncio.create_task(inbox.receive("second", "command", {}))
        await first
        await until(lambda: worked == ["first"])
        assert not second.done()
        store.free.set()
        await second
        await until(lambda: worked == ["first", "second"])
        await inbox.stop()

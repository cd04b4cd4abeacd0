"""The kind `result` of `/webhooks/ci`, over HTTP: what is kept, what rings, and what is refused without any effect."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from engine.ci_results import LedgerCiResults
from engine.deliveries import configured_repository
from engine.records import CiResult, Sealed
from handlers.ci_results import MAX_RESULT_BYTES, result_taker
from handlers.ci_webhook import PATH, ci_routes
from runbook.policy import Policy, Service, Setting
from state.store import SqlStore, open_store
from tests.fakes.clock import NOON

TOKEN = "a token that CI has"
SHA = "3f786850e387550fdab836ed7e6dc881de23001b"
SETTING = Setting(Policy(), {"shop": Service("shop", "acme/shop", (), {})}, "s1")
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "webhooks.md"


def result(**changes: Any) -> dict[str, Any]:
    body = {
        "kind": "result", "repository": "acme/shop", "commit": SHA, "name": "build", "state": "success",
        "url": "https://ci.example/7", **changes,
    }  # fmt: skip
    return {name: value for name, value in body.items() if value is not ...}


class Door:
    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.rung: list[str] = []
        self.url = ""

    async def send(self, body: Any, token: str = TOKEN) -> tuple[int, dict[str, Any]]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with aiohttp.ClientSession() as session, session.post(self.url, data=data, headers=headers) as answer:
            return answer.status, await answer.json()

    def kept(self) -> list[CiResult]:
        return self.store.read_now(lambda ledger: ledger.find(CiResult))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """`tests/engine/test_ci_results.py` has both databases."""
    opened = open_store(data_dir=tmp_path, ballast_bytes=64 * 1024)
    yield opened
    opened.close()


@pytest.fixture
async def door(store: SqlStore) -> AsyncIterator[Door]:
    made, results = Door(store), LedgerCiResults(store)
    taker = result_taker(
        results.keep, lambda said: configured_repository(SETTING, said), made.rung.append, lambda: NOON
    )
    app = web.Application()
    app.add_routes(ci_routes(lambda: TOKEN, {"result": taker}))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
    yield made
    await runner.cleanup()


async def test_a_result_is_kept_and_rings(door: Door) -> None:
    status, told = await door.send(result())
    assert status == 201
    assert told == {"status": "stored", "repository": "acme/shop", "commit": SHA, "name": "build", "state": "success"}
    (row,) = door.kept()
    assert (row.name, row.state, row.at, row.received_at) == ("build", "success", NOON, NOON)
    assert door.rung == ["acme/shop"]


async def test_the_same_again_is_known(door: Door) -> None:
    await door.send(result())
    status, told = await door.send(result())
    assert (status, told["status"]) == (200, "known")
    assert len(door.store.read_now(lambda ledger: ledger.find(Sealed))) == 1


async def test_the_repository_is_kept_as_the_configuration_writes_it(door: Door) -> None:
    await door.send(result(repository="Acme/Shop"))
    assert [row.repository for row in door.kept()] == ["acme/shop"]


async def test_the_time_that_is_told_decides(door: Door) -> None:
    await door.send(result(at="2026-03-02T11:59:00+00:00", state="failure"))
    status, _ = await door.send(result(at="2026-03-02T12:58:00+01:00", state="success"))
    assert status == 200
    assert [row.state for row in door.kept()] == ["failure"]


async def test_a_url_may_be_left_out(door: Door) -> None:
    assert (await door.send(result(url=...)))[0] == 201


async def test_the_example_of_the_documentation_is_taken(door: Door) -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    example = text.partition("```json\n")[2].partition("```")[0]
    sent = json.loads(example) | {"at": "2026-03-02T11:00:00Z"}
    assert (await door.send(sent))[0] == 201


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (result(repository="acme/other"), "no service"),
        (result(repository="shop"), "repository"),
        (result(repository=...), "repository"),
        (result(repository="../.."), "no service"),
        (result(commit=SHA[:12]), "commit"),
        (result(commit=SHA.upper()), "commit"),
        (result(commit="main"), "commit"),
        (result(commit=7), "commit"),
        (result(name=""), "name"),
        (result(name=" build"), "name"),
        (result(name="a\nb"), "name"),
        (result(name="x" * 101), "name"),
        (result(state="green"), "state"),
        (result(state=True), "state"),
        (result(state=...), "state"),
        (result(url="javascript:alert(1)"), "url"),
        (result(url="https://ci.example/" + "x" * 500), "url"),
        (result(at="yesterday"), "at"),
        (result(at="2026-03-02T11:59:00"), "at"),
        (result(at=1767000000), "at"),
        (result(at="2026-03-02T12:06:00Z"), "has not come yet"),
        (result(more=1), "more"),
        ([result()], '"kind"'),
    ],
)
async def test_what_is_wrong_is_refused_without_effect(door: Door, body: Any, word: str) -> None:
    status, told = await door.send(body)
    assert status == 400
    assert word in told["error"]
    assert told["remedy"]
    assert door.kept() == []
    assert door.rung == []


async def test_a_large_one_is_refused(door: Door) -> None:
    assert (await door.send(result(url="x" * MAX_RESULT_BYTES)))[0] == 413


async def test_strangers_are_refused(door: Door) -> None:
    assert (await door.send(result(), token="another"))[0] == 401
    assert (door.kept(), door.rung) == ([], [])


async def test_secrets_in_an_address_are_not_kept(door: Door) -> None:
    await door.send(result(url="https://user:hunter2@ci.example/7"))
    assert "hunter2" not in door.kept()[0].url

"""`/webhooks/github` against whoever may knock: only what GitHub has signed rings, once, and nothing of it is believed."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web

from engine.deliveries import KEPT, Deliveries, Taken, configured_repository
from engine.ports import Store
from engine.records import Delivery, Sealed
from handlers.github_webhook import AT_ONCE, MAX_BODY_BYTES, PATH, READ_LIMIT_S, USED, github_routes, github_taker
from runbook.errors import Permanent, StoreUnavailable
from runbook.policy import Policy, Service, Setting
from state.store import SqlStore, open_store
from tests.fakes.clock import NOON

SECRET = "a secret that GitHub knows too"
GUID = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
SETTING = Setting(Policy(), {name: Service(name, "acme/shop", (), {}) for name in ("shop", "desk")}, "s1")
BODY = {"ref": "refs/heads/main", "repository": {"full_name": "acme/shop", "id": 7}, "commits": []}

Answer = tuple[int, dict[str, Any], Mapping[str, str]]


def signed(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Door:
    """A server with the route, the real ledger behind it, and GitHub's side."""

    def __init__(self, store: Store) -> None:
        self.deliveries = Deliveries(store)
        self.rung: list[str] = []
        self.secret = SECRET
        self.trouble: StoreUnavailable | None = None
        self.may_keep = asyncio.Event()
        self.may_keep.set()
        self.arrived: asyncio.Queue[str] = asyncio.Queue()
        self.kept: list[Delivery] = []
        self.url, self.port = "", 0
        self.is_closed = False

    async def keep(self, delivery: Delivery) -> Taken:
        self.arrived.put_nowait(delivery.guid)
        await self.may_keep.wait()
        if self.trouble is not None:
            raise self.trouble
        taken = await self.deliveries.take(delivery)
        if taken is Taken.NEW:
            self.kept.append(delivery)
        return taken

    def reveal(self) -> str:
        if self.secret == "gone":
            raise Permanent("configuration", "no_secret", "the variable has no value")
        return self.secret

    async def send(
        self, body: Any = BODY, *, event: str = "push", guid: str = GUID, signature: str | None = None, method: str = "POST",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        """signature: None: the right one. headers: instead of GitHub's own, or beside them; an empty one is left out."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {
            "Content-Type": "application/json", "X-GitHub-Event": event, "X-GitHub-Delivery": guid,
            "X-Hub-Signature-256": signed(data) if signature is None else signature, **(headers or {}),
        }  # fmt: skip
        sent = {name: value for name, value in sent.items() if value}
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.url, data=data, headers=sent) as answer,
        ):
            told = await answer.json() if method != "HEAD" else {}
            return answer.status, told, answer.headers

    async def refused(self, *args: Any, **how: Any) -> tuple[int, str]:
        status, told, _ = await self.send(*args, **how)
        assert set(told) == {"error", "remedy"}, told
        assert told["remedy"]
        assert not self.kept
        assert not self.rung
        return status, told["error"]

    async def until(self, *wanted: int) -> tuple[int, Mapping[str, str]]:
        """Sends until one of these is answered: whoever was let in before isn't known from outside."""
        async with asyncio.timeout(60):
            while True:
                status, _, headers = await self.send()
                if status in wanted:
                    return status, headers
                await asyncio.sleep(0.01)

    def head(self, length: int, **headers: str) -> bytes:
        lines = {"Host": "x", "Content-Type": "application/json", "Content-Length": f"{length}", **headers}
        return "\r\n".join([f"POST {PATH} HTTP/1.1", *(f"{k}: {v}" for k, v in lines.items()), "", ""]).encode()


async def _serve(door: Door, **how: Any) -> web.AppRunner:
    taker = github_taker(door.keep, lambda said: configured_repository(SETTING, said), door.rung.append)
    app = web.Application()
    app.add_routes(github_routes(None if door.is_closed else door.reveal, taker, lambda: NOON, **how))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    door.port = runner.addresses[0][1]
    door.url = f"http://127.0.0.1:{door.port}{PATH}"
    return runner


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """`tests/engine/test_deliveries.py` has both databases."""
    opened = open_store(data_dir=tmp_path, ballast_bytes=64 * 1024)
    yield opened
    opened.close()


@pytest.fixture
async def door(store: SqlStore) -> AsyncIterator[Door]:
    made = Door(store)
    runner = await _serve(made, read_limit_s=120.0)  # a test of its own has the limit
    yield made
    await runner.cleanup()


# --- what rings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", sorted(USED))
async def test_an_authentic_delivery_is_kept_and_rings(door: Door, store: SqlStore, event: str) -> None:
    data = json.dumps(BODY).encode()
    status, told, _ = await door.send(event=event)
    assert (status, told) == (202, {"status": "accepted"})
    assert door.rung == ["acme/shop"]
    (row,) = store.read_now(lambda ledger: ledger.find(Delivery))
    assert row == Delivery(
        guid=GUID, event=event, repository="acme/shop", sha256=hashlib.sha256(data).hexdigest(), received_at=NOON
    )


async def test_a_delivery_is_acknowledged_only_once_it_is_kept(door: Door) -> None:
    door.may_keep.clear()
    waiting = asyncio.create_task(door.send())
    await asyncio.wait_for(door.arrived.get(), 30)
    assert not waiting.done()
    assert door.rung == []
    door.may_keep.set()
    assert (await waiting)[0] == 202


async def test_a_ping_is_answered_without_an_effect(door: Door) -> None:
    status, told, _ = await door.send({"zen": "Keep it logically awesome."}, event="ping")
    assert (status, told) == (200, {"status": "pong"})
    assert (door.rung, door.kept) == ([], [])


@pytest.mark.parametrize("event", ["issues", "pull_request", "check_run", "star"])
async def test_other_events_are_not_used(door: Door, event: str) -> None:
    status, told, _ = await door.send({"action": "opened"}, event=event)
    assert (status, told["status"]) == (202, "not used")
    assert (door.rung, door.kept) == ([], [])


async def test_a_repository_of_no_service_is_accepted_without_effect_and_told_so(door: Door) -> None:
    status, told, _ = await door.send({"repository": {"full_name": "acme/other"}})
    assert (status, told["status"]) == (202, "not used")
    assert "no service" in told["why"]
    assert (door.rung, door.kept) == ([], [])


async def test_the_case_of_a_repositorys_name_says_nothing(door: Door) -> None:
    await door.send({"repository": {"full_name": "Acme/Shop"}})
    assert door.rung == ["acme/shop"]
    assert door.kept[0].repository == "acme/shop"


async def test_githubs_own_example_of_a_signature_is_right(door: Door) -> None:
    """Source: docs.github.com, "Validating webhook deliveries", testing the webhook payload validation."""
    door.secret = "It's a Secret to Everybody"
    theirs = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert (await door.refused(b"Hello, World!", signature=theirs))[0] == 400


# --- duplicates and replays -------------------------------------------------------------------------------------------


async def test_the_same_delivery_again_changes_nothing(door: Door) -> None:
    await door.send()
    for _ in range(3):
        status, told, _ = await door.send()
        assert (status, told["status"]) == (200, "known")
    assert (len(door.rung), len(door.kept)) == (1, 1)


async def test_the_same_body_under_another_id_is_a_replay_and_changes_nothing(door: Door) -> None:
    await door.send()
    status, told, _ = await door.send(guid="00000000-0000-0000-0000-000000000000", event="release")
    assert (status, told["status"]) == (200, "known")
    assert len(door.rung) == 1


async def test_an_id_that_was_seen_takes_no_other_body(door: Door) -> None:
    await door.send()
    status, told, _ = await door.send({**BODY, "ref": "refs/heads/other"})
    assert (status, told["status"]) == (200, "known")
    assert len(door.rung) == 1


async def test_of_identical_deliveries_in_one_moment_one_rings(door: Door) -> None:
    answers = await asyncio.gather(*(door.send() for _ in range(6)))
    assert sorted(told["status"] for _, told, _ in answers) == ["accepted", *["known"] * 5]
    assert (len(door.rung), len(door.kept)) == (1, 1)


async def test_deliveries_in_any_order_all_ring(door: Door) -> None:
    for number in (3, 1, 2):
        await door.send({**BODY, "after": f"{number}" * 40}, guid=f"{GUID[:-1]}{number}")
    assert door.rung == ["acme/shop"] * 3


async def test_a_webhook_is_nothing_for_the_audit_log(door: Door, store: SqlStore) -> None:
    """It decides nothing; what follows from the look at the branch has its own entries."""
    await door.send()
    assert store.read_now(lambda ledger: ledger.find(Sealed)) == []


# --- who is not let in ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "signature",
    [
        "sha256=" + "0" * 64,
        signed(json.dumps(BODY).encode(), "another secret"),
        signed(json.dumps(BODY).encode() + b" "),
        signed(b""),
        signed(json.dumps(BODY).encode()).upper(),
        signed(json.dumps(BODY).encode())[7:],
        signed(json.dumps(BODY).encode())[:-1],
        signed(json.dumps(BODY).encode()) + "0",
        signed(json.dumps(BODY).encode()).replace("sha256", "sha1"),
        "sha256=",
        "sha256=ü",
        " ",
    ],
)
async def test_what_github_has_not_signed_is_refused(door: Door, signature: str) -> None:
    assert (await door.refused(signature=signature))[0] == 401


async def test_without_a_signature_not_a_byte_of_the_body_is_read(door: Door) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(door.head(900, **{"X-GitHub-Event": "push", "X-GitHub-Delivery": GUID}))
    assert b" 401 " in await asyncio.wait_for(reader.readline(), 30)
    writer.close()


async def test_the_legacy_signature_alone_is_none(door: Door) -> None:
    body = json.dumps(BODY).encode()
    legacy = "sha1=" + hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest()
    status, _ = await door.refused(body, headers={"X-Hub-Signature-256": "", "X-Hub-Signature": legacy})
    assert status == 401


async def test_two_signatures_are_none(door: Door) -> None:
    body = json.dumps(BODY).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    lines = door.head(len(body), **{"X-GitHub-Event": "push", "X-GitHub-Delivery": GUID})[:-2]
    both = f"X-Hub-Signature-256: {signed(body)}\r\nX-Hub-Signature-256: {signed(body)}\r\n\r\n".encode()
    writer.write(lines + both + body)
    assert b" 401 " in await asyncio.wait_for(reader.readline(), 30)
    writer.close()


async def test_a_forged_body_is_not_parsed_at_all(door: Door) -> None:
    """Even what would blow up a parser is refused for its signature."""
    assert (await door.refused(b"[" * 1_000_000, signature="sha256=" + "0" * 64))[0] == 401


async def test_without_a_configured_secret_the_door_is_closed(store: SqlStore) -> None:
    closed = Door(store)
    closed.is_closed = True
    runner = await _serve(closed)
    try:
        body = json.dumps(BODY).encode()
        for signature in (None, "", signed(body, ""), signed(body, "None")):
            status, told, _ = await closed.send(signature=signature)
            assert status == 404
            assert "GITHUB_WEBHOOK_SECRET" in told["remedy"]
        assert closed.rung == []
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("secret", ["", "gone"])
async def test_a_secret_without_a_value_lets_nobody_in(door: Door, secret: str) -> None:
    door.secret = secret
    assert (await door.refused(signature=signed(json.dumps(BODY).encode(), "")))[0] == 503


async def test_a_changed_secret_counts_at_once(door: Door) -> None:
    door.secret = "the next secret"
    assert (await door.refused())[0] == 401
    assert (await door.send(signature=signed(json.dumps(BODY).encode(), "the next secret")))[0] == 202


# --- what is refused of what is authentic -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused(door: Door, method: str) -> None:
    status, _, headers = await door.send(method=method)
    assert (status, headers["Allow"]) == (405, "POST")
    assert door.rung == []


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"])
async def test_what_is_not_json_is_refused_and_says_what_to_set(door: Door, kind: str) -> None:
    status, told, _ = await door.send(b"payload=%7B%7D", headers={"Content-Type": kind})
    assert status == 415
    assert "application/json" in told["remedy"]
    assert door.rung == []


async def test_a_compressed_body_is_refused(door: Door) -> None:
    assert (await door.refused(headers={"Content-Encoding": "gzip"}))[0] == 415


@pytest.mark.parametrize(
    "headers",
    [
        {"X-GitHub-Delivery": ""},
        {"X-GitHub-Event": ""},
        {"X-GitHub-Delivery": "7"},
        {"X-GitHub-Delivery": "x" * 65},
        {"X-GitHub-Delivery": "72d3162e/../../etc"},
        {"X-GitHub-Event": "push; drop table"},
        {"X-GitHub-Event": "P" * 10},
    ],
)
async def test_a_delivery_that_doesnt_say_what_it_is_is_refused(door: Door, headers: Mapping[str, str]) -> None:
    assert (await door.refused(headers=headers))[0] == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"push"',
        b"{}",
        b'{"repository": "acme/shop"}',
        b'{"repository": {}}',
        b'{"repository": {"full_name": 7}}',
        b'{"repository": {"full_name": "' + b"x" * 201 + b'"}}',
        b'{"repository": {"full_name": "acme/shop"}',
        b'{"repository": {"full_name": "acme/shop"}, "more": ' + b"[" * 500_000 + b"]" * 500_000 + b"}",
        b'{"repository": {"full_name": "acme/shop"}, "more": NaN',
    ],
)
async def test_what_cant_be_understood_is_refused(door: Door, body: bytes) -> None:
    assert (await door.refused(body))[0] == 400


async def test_a_body_over_the_limit_is_refused(door: Door) -> None:
    status, error = await door.refused(b'{"more": "' + b"x" * MAX_BODY_BYTES + b'"}')
    assert (status, error) == (413, "the body has more than 2 MiB")


async def test_a_body_of_unknown_length_is_read_no_further_than_the_limit(door: Door) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(3 * MAX_BODY_BYTES // 2**18):
            yield b" " * 2**18

    headers = {"Content-Type": "application/json", "X-Hub-Signature-256": "sha256=" + "0" * 64}
    async with aiohttp.ClientSession() as session:
        try:
            async with session.post(door.url, data=endless(), headers=headers) as answer:
                assert answer.status == 413
        except aiohttp.ClientConnectionError:
            pass  # the server may hang up while the client is still sending
    assert door.rung == []


async def test_a_body_of_the_largest_size_is_taken(door: Door) -> None:
    start, end = b'{"repository": {"full_name": "acme/shop"}, "more": "', b'"}'
    body = start + b"x" * (MAX_BODY_BYTES - len(start) - len(end)) + end
    assert (await door.send(body))[0] == 202


async def test_a_body_that_never_ends_is_given_up(store: SqlStore) -> None:
    door = Door(store)
    runner = await _serve(door, read_limit_s=0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(door.head(5000, **{"X-Hub-Signature-256": "sha256=" + "0" * 64}) + b"{")
    assert b" 408 " in await asyncio.wait_for(reader.readline(), 120)
    writer.close()
    await door.until(202)  # a machine that stalls may exceed so short a limit again
    await runner.cleanup()


async def test_a_sender_that_hangs_up_halfway_changes_nothing(door: Door) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(door.head(5000, **{"X-Hub-Signature-256": "sha256=" + "0" * 64}) + b'{"repository":')
    await writer.drain()
    writer.close()
    assert (await door.send())[0] == 202
    assert len(door.kept) == 1


# --- trouble ----------------------------------------------------------------------------------------------------------


async def test_while_the_store_is_in_trouble_github_is_told_so_and_a_redelivery_is_taken(door: Door) -> None:
    door.trouble = StoreUnavailable("disk_full", "the disk is full")
    status, told, headers = await door.send()
    assert (status, headers["Retry-After"]) == (503, "10")
    assert "forge asks GitHub by itself" in told["remedy"]
    assert door.rung == []
    door.trouble = None
    assert (await door.send())[0] == 202


async def test_a_crowd_fills_no_memory(door: Door) -> None:
    """So many forged bodies at once are read; whoever comes then is asked to come again."""
    writers = []
    for _ in range(AT_ONCE):
        _, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(door.head(5000, **{"X-Hub-Signature-256": "sha256=" + "0" * 64}) + b"{")
        await writer.drain()
        writers.append(writer)
    _, headers = await door.until(503)
    assert headers["Retry-After"] == "10"
    for writer in writers:
        writer.close()
    await door.until(202, 200)


async def test_the_log_carries_no_secret_and_nothing_of_the_body(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    body = {**BODY, "pusher": {"email": "hunter2@example.com"}}
    with structlog.testing.capture_logs() as logged:
        await door.send(body)
        await door.send(body, signature="sha256=" + "0" * 64)
        await door.send({"repository": "hunter2"}, guid="hunter22222")
    assert [each["event"] for each in logged] == ["github.taken", "github.refused", "github.refused"]
    everything = f"{logged} {caplog.text}"
    assert SECRET not in everything
    assert "hunter2@" not in everything
    assert signed(json.dumps(body).encode())[7:] not in everything


def test_the_page_names_the_bounds_and_every_event() -> None:
    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")
    assert f"more than {MAX_BODY_BYTES // 1024**2} MiB" in page
    assert f"more than {READ_LIMIT_S:g} seconds" in page
    assert f"for {KEPT.days} days" in page
    assert (AT_ONCE, "or sixteen bodies are being read" in page) == (16, True)
    assert {"Pushes", "Workflow runs", "Check suites", "Releases", "Branch or tag creation"} <= set(page.split("*"))
    assert len(USED) == 5

"""Health, metrics and logs as Kubernetes, Prometheus and a log collector see them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from bot.logs import HIDDEN, bind_correlation, configure_logging
from bot.metrics import Meters, look, metered
from bot.server import OwnServer
from engine.records import Outgoing, Received, Run
from runbook.errors import Conflict, Permanent, Temporary
from state.store import open_store

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Part:
    """A part of the bot whose health a test decides."""

    def __init__(self) -> None:
        self.problem = ""
        self.error: Exception | None = None
        self.hangs = False

    async def check(self) -> str:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return self.problem


@asynccontextmanager
async def serving(
    part: Part, meters: Meters, *, started: bool = True, routes: Any = ()
) -> AsyncIterator[Callable[[str], Awaitable[tuple[int, str]]]]:
    async def exposition() -> tuple[bytes, str]:
        return meters.exposition()

    server = OwnServer(
        "127.0.0.1",
        0,
        checks={"store": part.check},
        started=lambda: started,
        exposition=exposition,
        routes=routes,
        told=lambda name, is_well: meters.health(name, is_well=is_well),
    )
    await server.start()
    async with aiohttp.ClientSession() as session:

        async def get(path: str) -> tuple[int, str]:
            async with session.get(f"http://127.0.0.1:{server.port}{path}") as answer:
                return answer.status, await answer.text()

        try:
            yield get
        finally:
            await server.stop()


async def test_a_healthy_bot_is_live_started_and_ready() -> None:
    async with serving(Part(), Meters()) as get:
        assert [(await get(f"/health/{what}"))[0] for what in ("live", "startup", "ready")] == [200, 200, 200]


async def test_readiness_names_the_check_that_fails_and_recovers() -> None:
    part = Part()
    part.problem = "the disk is full"
    async with serving(part, Meters()) as get:
        status, body = await get("/health/ready")
        assert (status, json.loads(body)["checks"]) == (503, {"store": {"ok": False, "problem": "the disk is full"}})
        assert (await get("/health/live"))[0] == 200
        assert 'forge_healthy{part="store"} 0.0' in (await get("/metrics"))[1]
        part.problem = ""
        assert (await get("/health/ready"))[0] == 200


async def test_a_check_that_breaks_or_hangs_makes_the_bot_unready_and_nothing_worse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot.server.CHECK_LIMIT_S", 0.05)
    part = Part()
    part.error = RuntimeError("password=hunter2")
    async with serving(part, Meters()) as get:
        status, body = await get("/health/ready")
        assert status == 503
        assert "hunter2" not in body
        part.error, part.hangs = None, True
        status, body = await get("/health/ready")
        assert (status, "no result within" in body) == (503, True)


async def test_a_bot_that_still_takes_up_its_runs_is_neither_started_nor_ready() -> None:
    async with serving(Part(), Meters(), started=False) as get:
        assert [(await get(f"/health/{what}"))[0] for what in ("live", "startup", "ready")] == [200, 503, 503]


async def test_the_edges_bring_their_own_routes() -> None:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    async with serving(Part(), Meters(), routes=[web.get("/slack/events", hello)]) as get:
        assert await get("/slack/events") == (200, "hello")


def samples(meters: Meters) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = meters.exposition()[0].decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_metrics_say_what_the_database_says(tmp_path: Path) -> None:
    run = Run(id="staging-1", number=1, service="shop", environment="staging", procedure="staging", version="v1.0.0-rc.1", arguments={},
              requester="os:a", requester_name="a", state="held", created_at=NOW)  # fmt: skip
    message = Outgoing(subject="headline:staging-1", kind="view", created_at=NOW - timedelta(seconds=90))
    payload = Received(dedup="a", kind="command", payload={}, received_at=NOW - timedelta(seconds=5))
    with open_store("", data_dir=tmp_path) as store:
        for record in (run, message, payload):
            store.write_now(lambda ledger, record=record: ledger.add(record))  # type: ignore[misc]
        meters = Meters()
        meters.take(store.read_now(lambda ledger: look(ledger, NOW)), commits=3)
        meters.take(store.read_now(lambda ledger: look(ledger, NOW)), commits=4)
    found = samples(meters)
    assert found["forge_runs", frozenset({("environment", "staging"), ("state", "held")})] == 1
    assert found["forge_outbox_backlog", frozenset()] == 1
    assert found["forge_outbox_oldest_seconds", frozenset()] == 90
    assert found["forge_inbox_oldest_seconds", frozenset()] == 5
    assert found["forge_commits_total", frozenset()] == 4


class Port:
    """Raises what it is told to, or gives it back."""

    async def ask(self, what: Exception | str) -> str:
        if isinstance(what, Exception):
            raise what
        return what


@pytest.mark.parametrize(
    ("what", "outcome"),
    [
        ("answer", "ok"),
        (Temporary("x", "y", "z"), "temporary"),
        (Permanent("x", "y", "z"), "permanent"),
        (Conflict("x", "y", "z"), "conflict"),
        (KeyError(), "fault"),
    ],
)
async def test_calls_of_outside_systems_are_counted_by_outcome(what: Exception | str, outcome: str) -> None:
    meters = Meters()
    port = metered(Port(), "kubernetes", meters)
    if isinstance(what, Exception):
        with pytest.raises(type(what)):
            await port.ask(what)
    else:
        assert await port.ask(what) == what
    labels = frozenset({("system", "kubernetes"), ("operation", "ask"), ("outcome", outcome)})
    assert samples(meters)["forge_port_call_seconds_count", labels] == 1


async def test_a_blocked_event_loop_shows() -> None:
    meters = Meters()
    watching = asyncio.create_task(meters.watch_loop())
    deadline = asyncio.get_running_loop().time() + 90
    lag = 0.0
    while lag <= 0 and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.05)
        lag = samples(meters)["forge_event_loop_lag_seconds", frozenset()]
    watching.cancel()
    assert lag > 0


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Logging as configured, into a buffer; what other tests configured comes back."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    buffer = io.StringIO()
    configure_logging(lambda: ["s3cr3t-value"], stream=buffer)
    yield buffer
    structlog.configure(**before)
    root.handlers[:], root.level = handlers, level
    structlog.contextvars.clear_contextvars()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_log_line_is_json_with_its_correlation_id(stream: io.StringIO) -> None:
    correlation = bind_correlation(run="staging-1")
    structlog.get_logger().info("it happened", count=3)
    logging.getLogger("library").warning("it said %s", "so")
    first, second = lines(stream)
    assert (first["event"], first["count"], first["level"], first["run"]) == ("it happened", 3, "info", "staging-1")
    assert first["correlation"] == second["correlation"] == correlation
    assert second["event"] == "it said so"


@pytest.mark.parametrize(
    "secret",
    ["s3cr3t-value", "xoxb-123456789012-abcdef", "xapp-1-A0123-456-abcdef", "ghp_0123456789abcdef0123", "postgresql://forge:hunter2@db/forge",
     "Authorization: Bearer abcdef123456", "-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----",
     "https://hooks.slack.com/commands/T1/2/abc", "# a line before\nAGE-SECRET-KEY-1QQQQQQQQ"],
)  # fmt: skip
def test_no_secret_reaches_the_log(stream: io.StringIO, secret: str) -> None:
    core = next(
        part
        for part in ("s3cr3t-value", "abcdef", "0123456789abcdef", "hunter2", "MC4CAQAw", "/T1/2/abc", "1QQQQQQQQ")
        if part in secret
    )
    log = structlog.get_logger()
    log.info(f"text {secret}", nested={"deep": [secret]}, thing=Exception(secret))
    logging.getLogger("library").error("said %s", secret)
    try:
        raise ValueError(secret)
    except ValueError:
        log.exception("failed")
    assert core not in stream.getvalue()
    assert HIDDEN in stream.getvalue()


def test_what_is_named_like_a_secret_is_hidden_whatever_it_is(stream: io.StringIO) -> None:
    structlog.get_logger().info("x", bot_token="abc", headers={"Authorization": "def", "Accept": "json"})
    assert lines(stream)[0]["bot_token"] == HIDDEN
    assert lines(stream)[0]["headers"] == {"Authorization": HIDDEN, "Accept": "json"}

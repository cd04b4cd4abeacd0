"""The shared bounds of every call: time, size, retries, and errors without secrets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from integrations.http_calls import HttpCalls, Limits, proxy_for, retry_after_s, retrying, status_error
from runbook.errors import Conflict, ForgeError, Permanent, Temporary
from sandbox.serving import listen

QUICK = Limits(timeout_s=15.0, attempts=4, deadline_s=20.0, first_wait_s=0.01, longest_wait_s=0.1)
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async def large(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(200):
            await response.write(b"x" * 1024)
        return response

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.02)

    async def echo(request: web.Request) -> web.Response:
        return web.Response(text=request.raw_path)

    runner, address = await listen(
        [web.get("/large", large), web.get("/drip", drip), web.get("/{any:.*}", echo)], [], "127.0.0.1", 0
    )
    yield address
    await runner.cleanup()


@pytest.fixture
async def calls() -> AsyncIterator[HttpCalls]:
    made = HttpCalls("thing", QUICK, largest_body=10_000)
    yield made
    await made.aclose()


def failing(*errors: ForgeError) -> tuple[list[float], object]:
    """A call that fails so often and then gives "done", and the moments at which it was made."""
    moments: list[float] = []

    async def call() -> str:
        moments.append(time.monotonic())
        if len(moments) <= len(errors):
            raise errors[len(moments) - 1]
        return "done"

    return moments, call


async def test_a_temporary_failure_is_tried_again() -> None:
    moments, call = failing(Temporary("x", "timeout", "late"), Temporary("x", "timeout", "late"))
    assert await retrying("x get", QUICK, call) == "done"  # type: ignore[arg-type]
    assert len(moments) == 3


async def test_the_last_error_is_raised_when_the_tries_are_used_up() -> None:
    moments, call = failing(*(Temporary("x", f"e{number}", "late") for number in range(9)))
    with pytest.raises(Temporary) as caught:
        await retrying("x get", QUICK, call)  # type: ignore[arg-type]
    assert caught.value.code == "x.e3"
    assert len(moments) == 4


@pytest.mark.parametrize("error", [Permanent("x", "no", "no"), Conflict("x", "conflict", "changed")])
async def test_what_would_answer_the_same_is_not_tried_again(error: ForgeError) -> None:
    moments, call = failing(error)
    with pytest.raises(type(error)):
        await retrying("x get", QUICK, call)  # type: ignore[arg-type]
    assert len(moments) == 1


async def test_the_pause_that_was_asked_for_is_kept() -> None:
    moments, call = failing(Temporary("x", "throttled", "slow", retry_after_s=0.1))
    await retrying("x get", QUICK, call)  # type: ignore[arg-type]
    assert moments[1] - moments[0] >= 0.1


async def test_a_pause_too_long_to_wait_for_goes_to_the_caller() -> None:
    moments, call = failing(Temporary("x", "throttled", "slow", retry_after_s=30))
    with pytest.raises(Temporary) as caught:
        await retrying("x get", QUICK, call)  # type: ignore[arg-type]
    assert caught.value.retry_after_s == 30
    assert len(moments) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-1", 0.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOON) == seconds


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, Permanent, "x.bad_request"),
        (401, Permanent, "x.unauthorized"),
        (403, Permanent, "x.forbidden"),
        (404, Permanent, "x.not_found"),
        (409, Conflict, "x.conflict"),
        (410, Temporary, "x.gone"),
        (418, Permanent, "x.http_418"),
        (422, Permanent, "x.invalid"),
        (429, Temporary, "x.throttled"),
        (500, Temporary, "x.server_error"),
        (503, Temporary, "x.unavailable"),
    ],
)
def test_every_status_has_its_error(status: int, kind: type[ForgeError], code: str) -> None:
    error = status_error("x", status, "cause", "remedy")
    assert type(error) is kind
    assert (error.code, error.remedy) == (code, "remedy")


async def test_an_answer_larger_than_it_may_be_is_refused(url: str, calls: HttpCalls) -> None:
    with pytest.raises(Permanent) as caught:
        await calls.ask("GET", f"{url}/large")
    assert caught.value.code == "thing.too_large"


async def test_a_dripping_answer_ends_with_the_time_out(url: str) -> None:
    calls = HttpCalls("thing", Limits(timeout_s=0.3))
    with pytest.raises(Temporary) as caught:
        async with asyncio.timeout(60):
            await calls.ask("GET", f"{url}/drip")
    assert caught.value.code == "thing.timeout"
    await calls.aclose()


async def test_an_address_is_sent_as_it_is_written(url: str, calls: HttpCalls) -> None:
    assert (await calls.ask("GET", f"{url}/a%2Fb?c=%2B")).body == b"/a%2Fb?c=%2B"


async def test_a_header_that_cannot_be_sent_is_not_shown(url: str, calls: HttpCalls) -> None:
    with pytest.raises(Permanent) as caught:
        await calls.ask("GET", f"{url}/x", headers={"Authorization": "Bearer secret\r\nX: y"})
    assert "secret" not in f"{caught.value!r}{caught.value}"


async def test_the_query_of_an_address_is_in_no_error(calls: HttpCalls) -> None:
    with pytest.raises(Temporary) as caught:
        await calls.ask("GET", "http://127.0.0.1:1/path?token=secret")
    assert caught.value.code == "thing.unreachable"
    assert "secret" not in str(caught.value)


async def test_a_login_in_netrc_is_left_alone(
    url: str, calls: HttpCalls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password hush\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    answer = await calls.ask("GET", f"{url}/x", headers={"Authorization": "Bearer own"})
    assert answer.status == 200


def test_the_environments_proxy_is_used_but_never_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.acme.example:3128")
    monkeypatch.setenv("http_proxy", "http://proxy.acme.example:3128")
    monkeypatch.setenv("no_proxy", "inside.acme.example")
    assert proxy_for("https://api.github.com/x") == "http://proxy.acme.example:3128"
    assert proxy_for("https://inside.acme.example/x") is None
    assert proxy_for("http://127.0.0.1:9090/x") is None
    assert proxy_for("http://localhost/x") is None


async def test_a_call_goes_through_the_environments_proxy(calls: HttpCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def proxy(request: web.Request) -> web.Response:
        asked.append((str(request.url), request.headers.get("Proxy-Authorization", "")[:6]))
        return web.Response(text="by proxy")

    server = web.ServerRunner(web.Server(proxy))
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    monkeypatch.setenv("http_proxy", f"http://ada:hush@127.0.0.1:{server.addresses[0][1]}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    answer = await calls.ask("GET", "http://api.acme.example/x")
    await server.cleanup()
    assert answer.body == b"by proxy"
    assert asked == [("http://api.acme.example/x", "Basic ")]

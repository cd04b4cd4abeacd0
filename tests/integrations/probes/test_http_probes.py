"""HTTP probes against real servers that behave, misbehave, or aren't there."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from integrations.http_probes import LARGEST_BODY, AiohttpProbes
from runbook.errors import Permanent
from runbook.ports import HttpAnswer, HttpRequest

SECRET = "a-token-nobody-may-see"


def tokens(service: str, name: str) -> str:
    return {("shop", "smoke"): SECRET}[(service, name)]


@pytest.fixture
async def probes() -> AsyncIterator[AiohttpProbes]:
    made = AiohttpProbes(tokens)
    yield made
    await made.aclose()


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Awaitable[str]]]:
    runners: list[web.AppRunner] = []

    async def start(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> str:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


async def test_an_answer_has_status_body_and_latency(serve: Any, probes: AiohttpProbes) -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.05)
        return web.json_response({"status": "ok"}, status=503)

    answer = await probes.send(HttpRequest(await serve(slow)))
    assert (answer.status, answer.body, answer.error) == (503, '{"status": "ok"}', "")
    assert 0.05 <= answer.latency_s < 5


async def test_method_headers_and_json_are_sent_and_the_token_is_looked_up(serve: Any, probes: AiohttpProbes) -> None:
    async def echo(request: web.Request) -> web.Response:
        authorization = request.headers.getall("Authorization")
        return web.json_response([request.method, request.headers["X-Smoke"], await request.json(), authorization])

    request = HttpRequest(
        await serve(echo),
        method="POST",
        headers={"X-Smoke": "yes", "authorization": "Bearer other"},
        json={"order": 1},
        service="shop",
        token="smoke",
    )
    answer = await probes.send(request)
    assert answer.body == f'["POST", "yes", {{"order": 1}}, ["Bearer {SECRET}"]]'
    assert SECRET not in f"{request!r}{probes!r}"


async def test_a_token_that_nobody_configured_is_our_fault_and_an_error(serve: Any, probes: AiohttpProbes) -> None:
    with pytest.raises(Permanent) as caught:
        await probes.send(HttpRequest("http://127.0.0.1:1", service="shop", token="other"))
    assert caught.value.code == "http.no_token"


async def test_redirects_are_answers(serve: Any, probes: AiohttpProbes) -> None:
    async def away(_: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    assert (await probes.send(HttpRequest(await serve(away)))).status == 302


async def test_a_large_body_is_cut(serve: Any, probes: AiohttpProbes) -> None:
    async def large(_: web.Request) -> web.Response:
        return web.Response(text="x" * (LARGEST_BODY * 4))

    assert len((await probes.send(HttpRequest(await serve(large)))).body) == LARGEST_BODY


async def test_a_body_without_end_is_cut(serve: Any, probes: AiohttpProbes) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 8192)

    answer = await probes.send(HttpRequest(await serve(endless)))
    assert (answer.status, len(answer.body)) == (200, LARGEST_BODY)


async def test_bytes_that_are_no_text_are_shown_as_far_as_they_go(serve: Any, probes: AiohttpProbes) -> None:
    async def binary(_: web.Request) -> web.Response:
        return web.Response(body=b"ok \xff", headers={"Content-Type": "text/plain; charset=nonsense"})

    assert (await probes.send(HttpRequest(await serve(binary)))).body.startswith("ok ")


async def test_hanging_is_an_answer_after_the_time_out(serve: Any, probes: AiohttpProbes) -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    answer = await probes.send(HttpRequest(await serve(hang), timeout_s=0.2))
    assert answer.status is None
    assert answer.error == "timed out after 0.2 s"
    assert 0.2 <= answer.latency_s < 60


async def test_a_dripping_body_is_bounded_too(serve: Any, probes: AiohttpProbes) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.02)

    assert (await probes.send(HttpRequest(await serve(drip), timeout_s=0.3))).error == "timed out after 0.3 s"


async def test_a_broken_connection_is_an_answer(serve: Any, probes: AiohttpProbes) -> None:
    async def reset(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    answer = await probes.send(HttpRequest(await serve(reset)))
    assert (answer.status, answer.error) == (None, "connection reset")


async def test_what_is_no_http_is_an_answer(probes: AiohttpProbes) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        answer = await probes.send(HttpRequest(f"http://127.0.0.1:{port}/"))
        tls = await probes.send(HttpRequest(f"https://127.0.0.1:{port}/"))
    assert answer.status is None
    assert answer.error
    assert tls.error.startswith("TLS failed")


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://127.0.0.1/", "http://127.0.0.1:99999/"])
async def test_what_cannot_be_sent_is_an_answer(probes: AiohttpProbes, url: str) -> None:
    answer = await probes.send(HttpRequest(url))
    assert answer.status is None
    assert answer.error


async def test_json_that_cannot_be_written_is_an_answer(probes: AiohttpProbes) -> None:
    answer = await probes.send(HttpRequest("http://127.0.0.1:1/", json={"when": object()}))
    assert (answer.status, answer.error) == (None, "the request can't be sent")


async def test_nobody_there_is_an_answer(probes: AiohttpProbes, unused_port: int) -> None:
    assert (await probes.send(HttpRequest(f"http://127.0.0.1:{unused_port}/"))).error == "connection refused"


async def test_each_probe_makes_its_own_connection(serve: Any, probes: AiohttpProbes) -> None:
    connections = set()

    async def note(request: web.Request) -> web.Response:
        connections.add(request.transport)
        return web.Response()

    url = await serve(note)
    for _ in range(3):
        await probes.send(HttpRequest(url))
    assert len(connections) == 3


async def test_two_hundred_probes_at_once_share_one_session(
    serve: Any, probes: AiohttpProbes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session of its own for each would load the authorities' certificates each time."""
    sessions: list[Any] = []

    class CountingConnector(aiohttp.TCPConnector):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            sessions.append(settings)

    async def ok(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    monkeypatch.setattr(aiohttp, "TCPConnector", CountingConnector)
    url = await serve(ok)
    answers: list[HttpAnswer] = await asyncio.gather(*(probes.send(HttpRequest(url)) for _ in range(200)))
    assert {answer.status for answer in answers} == {200}
    assert [settings["limit"] for settings in sessions] == [200]


@pytest.fixture
def unused_port() -> Iterator[int]:
    """Nobody listens there, and nobody else can take it meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])

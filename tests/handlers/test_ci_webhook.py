"""`/webhooks/ci` over real connections: who is let in, what is taken, and what everybody else is told."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import logging
import zlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web

from handlers.ci_scans import scan_taker
from handlers.ci_webhook import AT_ONCE, MAX_BODY_BYTES, PATH, Taken, ci_routes
from runbook.errors import Permanent, StoreUnavailable
from runbook.ports import ScanReport
from tests.runbook.scan_samples import DIGEST, IMAGE, OTHER, grype, sarif, sarif_run, trivy, trivy_vulnerability

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
TOKEN = "correct horse battery staple"
BAD = trivy(trivy_vulnerability("CVE-2026-1", "CRITICAL"))
JSON = {"Content-Type": "application/json"}

Answer = tuple[int, dict[str, Any], Mapping[str, str]]


class Door:
    """A server with the route, and a client with the token."""

    def __init__(self) -> None:
        self.kept: dict[str, ScanReport] = {}
        self.trouble: StoreUnavailable | None = None
        self.token = TOKEN
        self.may_keep = asyncio.Event()
        self.may_keep.set()
        self.arrived: asyncio.Queue[str] = asyncio.Queue()
        self.url = ""
        self.port = 0

    async def keep(self, report: ScanReport, content: str) -> bool:
        self.arrived.put_nowait(content)
        await self.may_keep.wait()
        if self.trouble is not None:
            raise self.trouble
        is_new = content not in self.kept
        self.kept.setdefault(content, report)
        return is_new

    def reveal(self) -> str:
        if not self.token:
            raise Permanent("configuration", "no_secret", "the variable FORGE_CI_TOKEN has no value")
        return self.token

    async def send(
        self, body: Any, *, token: str | None = TOKEN, method: str = "POST", headers: Mapping[str, str] = JSON
    ) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = dict(headers) | ({} if token is None else {"Authorization": f"Bearer {token}"})
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.url, data=data, headers=sent) as answer,
        ):
            told = await answer.json() if method != "HEAD" else {}
            return answer.status, told, answer.headers

    async def refused(self, body: Any, **how: Any) -> tuple[int, str]:
        status, told, _ = await self.send(body, **how)
        assert set(told) == {"error", "remedy"}
        assert told["remedy"]
        assert not self.kept
        return status, told["error"]


async def _serve(door: Door, routes: list[web.RouteDef]) -> web.AppRunner:
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    door.port = runner.addresses[0][1]
    door.url = f"http://127.0.0.1:{door.port}{PATH}"
    return runner


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    made = Door()
    runner = await _serve(
        made, ci_routes(made.reveal, {"scan": scan_taker(made.keep, lambda: NOON)}, read_limit_s=150.0)
    )
    yield made
    await runner.cleanup()


def scan(report: Any = BAD, **changes: Any) -> dict[str, Any]:
    return {"kind": "scan", "image": IMAGE, "report": report, **changes}


# --- what is taken --------------------------------------------------------------------------------------------------


async def test_a_report_is_kept_and_answered_with_what_was_understood(door: Door) -> None:
    body = json.dumps(scan(url="https://ci.example/7")).encode()
    status, told, _ = await door.send(body)
    assert status == 201
    assert told == {
        "status": "stored",
        "image": DIGEST,
        "tool": "trivy 0.69.1",
        "taken_at": "2026-05-04T11:00:00.123456+00:00",
        "critical": 1,
    }
    ((content, report),) = door.kept.items()
    assert content == hashlib.sha256(body).hexdigest()
    assert (report.source, report.url, report.received_at) == ("webhook", "https://ci.example/7", NOON)
    assert report.critical == ("CVE-2026-1",)


async def test_the_same_report_again_is_known(door: Door) -> None:
    await door.send(scan())
    status, told, _ = await door.send(scan())
    assert (status, told["status"]) == (200, "known")
    assert len(door.kept) == 1


@pytest.mark.parametrize(
    ("body", "subject"),
    [
        (scan(), DIGEST),
        ({"kind": "scan", "digest": DIGEST, "report": BAD}, DIGEST),
        ({"kind": "scan", "report": BAD}, DIGEST),
        (scan(digest=DIGEST), DIGEST),
        (scan(format="trivy"), DIGEST),
        (scan(grype(), format="grype"), DIGEST),
        (scan(grype(), image=f"registry.example/acme/web@{OTHER}"), OTHER),
        (scan(sarif(sarif_run([])), taken_at="2026-05-04T11:00:00Z"), DIGEST),
    ],
)
async def test_every_way_to_name_an_image_and_a_format_is_understood(
    door: Door, body: dict[str, Any], subject: str
) -> None:
    status, told, _ = await door.send(body)
    assert (status, told["image"]) == (201, subject)


async def test_gzip_is_understood(door: Door) -> None:
    body = gzip.compress(json.dumps(scan()).encode())
    status, _, _ = await door.send(body, headers=JSON | {"Content-Encoding": "gzip"})
    assert status == 201


async def test_a_secret_in_an_address_is_not_kept(door: Door) -> None:
    await door.send(scan(url="https://bot:hunter2@ci.example/7?token=hunter2"))
    (report,) = door.kept.values()
    assert "hunter2" not in report.url


# --- who is let in --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\u00e4"])
async def test_without_the_token_nothing_is_taken(door: Door, token: str | None) -> None:
    status, told, headers = await door.send(scan(), token=token)
    assert status == 401
    assert "FORGE_CI_TOKEN" in told["remedy"]
    assert headers["WWW-Authenticate"] == "Bearer"
    assert not door.kept


async def test_another_scheme_is_refused(door: Door) -> None:
    headers = JSON | {"Authorization": f"Basic {TOKEN}"}
    assert await door.refused(scan(), token=None, headers=headers) == (401, "the token is missing or wrong")


async def test_a_changed_token_counts_at_once(door: Door) -> None:
    door.token = "another token"
    assert (await door.refused(scan()))[0] == 401
    assert (await door.send(scan(), token="another token"))[0] == 201


async def test_a_token_without_a_value_lets_nobody_in(door: Door) -> None:
    door.token = ""
    assert (await door.refused(scan(), token=""))[0] == 503


async def test_without_a_configured_token_the_door_is_closed() -> None:
    closed = Door()
    runner = await _serve(closed, ci_routes(None, {"scan": scan_taker(closed.keep, lambda: NOON)}))
    try:
        for token in (None, "", "None", TOKEN):
            assert (await closed.refused(scan(), token=token))[0] == 404
    finally:
        await runner.cleanup()


async def test_strangers_are_refused_before_a_byte_of_their_body_is_read(door: Door) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n".encode()
    )
    assert b" 401 " in await asyncio.wait_for(reader.readline(), 120)
    writer.close()


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused(door: Door, method: str) -> None:
    status, _, headers = await door.send(scan(), method=method)
    assert (status, headers["Allow"]) == (405, "POST")
    assert not door.kept


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
async def test_what_is_not_said_to_be_json_is_refused(door: Door, kind: str) -> None:
    assert (await door.refused(scan(), headers={"Content-Type": kind}))[0] == 415


async def test_json_with_a_charset_is_json(door: Door) -> None:
    assert (await door.send(scan(), headers={"Content-Type": "application/json; charset=utf-8"}))[0] == 201


@pytest.mark.parametrize("encoding", ["compress", "deflate", "gzip, gzip"])
async def test_other_encodings_are_refused(door: Door, encoding: str) -> None:
    body = zlib.compress(json.dumps(scan()).encode())
    assert (await door.refused(body, headers=JSON | {"Content-Encoding": encoding}))[0] == 415


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "no complete JSON"),
        (b"{", "no complete JSON"),
        (b"\xff\xfe", "no complete JSON"),
        (b'{"kind":"scan","report":' + b"[" * 100_000, "recursion"),
        (b'{"kind":"scan","report":[' + b"{}," * 250_001 + b"{}]}", "more parts"),
        ([], '"kind"'),
        ("scan", '"kind"'),
        ({"report": BAD}, '"kind"'),
        ({"kind": 7}, '"kind"'),
        ({"kind": "build"}, "'build' is not known"),
        ({"kind": "scan"}, "report: Field required"),
        (scan(None), "report"),
        (scan({}), "no known format"),
        (scan([BAD]), "report"),
        (scan(image="registry.example/acme/web:v1.4.0"), "not named by a digest"),
        (scan(digest=OTHER), "different images"),
        (scan(image=f"x@{OTHER}"), "is about sha256:1111"),
        ({"kind": "scan", "digest": "sha256:12", "report": BAD}, "not named by a digest"),
        (scan(format="spdx"), "format"),
        (scan(format="grype"), "is not grype"),
        (scan(url="javascript:alert(1)"), "url"),
        (scan(url="https://ci.example/" + "x" * 500), "url"),
        (scan(sarif(sarif_run([]))), "when the scan was taken"),
        (scan(sarif(sarif_run([])), taken_at="yesterday"), "taken_at"),
        (scan(sarif(sarif_run([])), taken_at="2026-05-04T11:00:00"), "taken_at"),
        (scan(sarif(sarif_run([])), taken_at="2026-05-05T11:00:00Z"), "in the future"),
        (scan(trivy(CreatedAt="2026-05-04T12:06:00Z")), "in the future"),
        (scan(trivy(ArtifactType="filesystem")), "not about an image"),
        (scan(trivy(Results=None)), "no results"),
        (scan(ignored=True), "ignored"),
    ],
)
async def test_what_cant_be_understood_is_refused_with_its_reason(door: Door, body: Any, word: str) -> None:
    status, error = await door.refused(body)
    assert status == 400
    assert word in error


async def test_a_refusal_never_quotes_what_a_scanner_found(door: Door) -> None:
    secrets = [{"RuleID": 7, "Match": "hunter2", "Severity": "hunter2"}]
    for report in (trivy(Results=[{"Secrets": secrets}]), trivy(Results="hunter2")):
        _, error = await door.refused(scan(report))
        assert "hunter2" not in error


async def test_a_body_over_the_limit_is_refused(door: Door) -> None:
    body = b'{"kind":"scan","report":"' + b"x" * MAX_BODY_BYTES + b'"}'
    assert await door.refused(body) == (413, "the body has more than 32 MiB")


async def test_a_body_of_unknown_length_is_read_no_further_than_the_limit(door: Door) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(3 * MAX_BODY_BYTES // 2**20):
            yield b" " * 2**20

    headers = JSON | {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession() as session:
        try:
            async with session.post(door.url, data=endless(), headers=headers) as answer:
                assert answer.status == 413
        except aiohttp.ClientConnectionError:
            pass  # the server may hang up while the client is still sending
    assert not door.kept


async def test_a_small_body_that_unpacks_to_gigabytes_is_refused(door: Door) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(b" " * 1024 * 1024) for _ in range(100)) + packer.flush()
    assert len(bomb) < 200_000
    assert (await door.refused(bomb, headers=JSON | {"Content-Encoding": "gzip"}))[0] == 413


async def test_broken_gzip_is_refused(door: Door) -> None:
    whole = gzip.compress(json.dumps(scan()).encode())
    for body in (json.dumps(scan()).encode(), whole[:40] + b"\x00" * 20 + whole[60:], whole[:-30]):
        assert (await door.refused(body, headers=JSON | {"Content-Encoding": "gzip"}))[0] == 400


async def test_a_sender_that_hangs_up_halfway_changes_nothing(door: Door) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", door.port)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    writer.write(f'{head}Content-Length: 5000\r\n\r\n{{"kind":"scan",'.encode())
    await writer.drain()
    writer.close()
    assert (await door.send(scan()))[0] == 201
    assert len(door.kept) == 1


async def test_a_body_that_never_ends_is_given_up() -> None:
    door = Door()
    runner = await _serve(door, ci_routes(door.reveal, {}, read_limit_s=0.2))
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: 5000\r\n\r\n{{".encode())
    assert b" 408 " in await asyncio.wait_for(reader.readline(), 120)
    writer.close()
    await runner.cleanup()


# --- trouble ----------------------------------------------------------------------------------------------------------


async def test_a_store_in_trouble_asks_to_send_it_again(door: Door) -> None:
    door.trouble = StoreUnavailable("disk_full", "the disk is full")
    status, told, headers = await door.send(scan())
    assert (status, headers["Retry-After"]) == (503, "10")
    assert "nothing of it was kept" in told["remedy"]
    door.trouble = None
    assert (await door.send(scan()))[0] == 201


async def test_a_crowd_is_asked_to_come_again(door: Door) -> None:
    door.may_keep.clear()
    inside = [asyncio.create_task(door.send(scan(url=f"https://ci.example/{i}"))) for i in range(AT_ONCE)]
    async with asyncio.timeout(60):
        for _ in inside:
            await door.arrived.get()
        status, _, headers = await door.send(scan())
        assert (status, headers["Retry-After"]) == (503, "10")
        door.may_keep.set()
        assert {status for status, _, _ in await asyncio.gather(*inside)} == {201}
        assert (await door.send(scan()))[0] == 201


async def test_a_report_of_many_megabytes_is_taken_while_others_are_answered(door: Door) -> None:
    large = trivy(*(trivy_vulnerability(f"CVE-{i}", "HIGH", Description="x" * 800) for i in range(20_000)))
    body = json.dumps(scan(large)).encode()
    assert len(body) > 16_000_000
    (large_status, _, _), (small_status, _, _) = await asyncio.gather(door.send(body), door.send(scan()))
    assert (large_status, small_status) == (201, 201)
    assert sorted(report.counts["high"] for report in door.kept.values()) == [0, 20_000]


async def test_other_kinds_have_takers_of_their_own() -> None:
    async def take(body: bytes) -> Taken:
        return Taken(True, {"bytes": len(body)})

    other = Door()
    runner = await _serve(other, ci_routes(other.reveal, {"build": take, "scan": scan_taker(other.keep, lambda: NOON)}))
    try:
        status, told, _ = await other.send(b'{"kind": "build"}')
        assert (status, told) == (201, {"status": "stored", "bytes": 17})
        assert "build, scan" in (await other.send({"kind": "?"}))[1]["remedy"]
    finally:
        await runner.cleanup()


async def test_the_log_carries_no_token_and_nothing_that_was_found(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as logged:
        await door.send(scan())
        await door.send(scan(), token="hunter2")
        await door.send({"kind": "scan", "report": "hunter2"})
    assert [each["event"] for each in logged] == ["ci.taken", "ci.refused", "ci.refused"]
    everything = f"{logged} {caplog.text}"
    assert TOKEN not in everything
    assert "hunter2" not in everything

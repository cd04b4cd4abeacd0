"""The Prometheus integration against a real Prometheus, and against a door before it that misbehaves."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from integrations.http_calls import Limits
from integrations.prometheus import PrometheusMetrics
from integrations.prometheus.metrics import series_of
from runbook.errors import Conflict, ForgeError, Permanent, Temporary
from sandbox.faults import Fault
from sandbox.prometheus import LocalPrometheus, PrometheusFront
from sandbox.serving import listen

SECRET = "a-token-nobody-may-see"
QUICK = Limits(timeout_s=15.0, attempts=2, deadline_s=20.0, first_wait_s=0.01, longest_wait_s=0.2)
IMPATIENT = Limits(timeout_s=0.3, attempts=2, deadline_s=2.0, first_wait_s=0.01, longest_wait_s=0.2)


@pytest.fixture
async def upstream() -> AsyncIterator[LocalPrometheus]:
    prometheus = LocalPrometheus(remote_write=True)
    await prometheus.start()
    yield prometheus
    await prometheus.stop()


@pytest.fixture
async def front() -> AsyncIterator[PrometheusFront]:
    """A door before nothing: for answers that never reach the real one."""
    door = PrometheusFront("http://127.0.0.1:1")
    await door.start()
    yield door
    await door.stop()


@pytest.fixture
async def metrics(front: PrometheusFront) -> AsyncIterator[PrometheusMetrics]:
    made = PrometheusMetrics(front.url, lambda: SECRET, limits=QUICK)
    yield made
    await made.aclose()


async def refusal(call: Any) -> ForgeError:
    with pytest.raises(ForgeError) as caught:
        await call
    return caught.value


async def test_series_come_with_labels_times_and_values(upstream: LocalPrometheus) -> None:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
    points = [(start.timestamp() + 15 * number, float(number)) for number in range(5)]
    labels = {"__name__": "forge:error_ratio:1m", "service": "shop", "env": "prod", "track": "stable"}
    await upstream.write_samples([(labels, points)])
    metrics = PrometheusMetrics(upstream.url, limits=QUICK)

    (now,) = await metrics.query("forge:error_ratio:1m", at=start + timedelta(seconds=31))
    assert dict(now.labels) == labels
    assert [(s.at, s.value) for s in now.samples] == [(start + timedelta(seconds=31), 2.0)]

    (history,) = await metrics.query_range("forge:error_ratio:1m", start, start + timedelta(seconds=60), 15)
    assert [(s.at, s.value) for s in history.samples] == [
        (start + timedelta(seconds=15 * n), float(n)) for n in range(5)
    ]

    half = timedelta(seconds=0.5)
    (shifted,) = await metrics.query_range("forge:error_ratio:1m", start + half, start + 3 * half, 0.5)
    assert [s.at for s in shifted.samples] == [start + half, start + 2 * half, start + 3 * half]

    assert await metrics.query("nothing_of_this_name") == ()
    assert await metrics.query_range("nothing_of_this_name", start, start + timedelta(minutes=1), 15) == ()
    (nan,) = await metrics.query("vector(0) / 0")
    assert math.isnan(nan.samples[0].value)
    (infinite,) = await metrics.query("vector(1) / 0")
    assert infinite.samples[0].value == math.inf
    (scalar,) = await metrics.query("scalar(vector(7))")
    assert (dict(scalar.labels), scalar.samples[0].value) == ({}, 7.0)
    names = "|".join(f"service-{number}" for number in range(2000))
    assert await metrics.query(f'forge:error_ratio:1m{{service=~"{names}"}}', at=start) == ()

    error = await refusal(metrics.query("sum(("))
    assert isinstance(error, Permanent)
    assert error.code == "prometheus.bad_request"
    assert "parse error" in error.cause
    error = await refusal(metrics.query_range("up", start, start + timedelta(days=2), 0.1))
    assert "11,000 points" in error.cause
    await metrics.aclose()


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, Permanent, "prometheus.bad_request"),
        (401, Permanent, "prometheus.unauthorized"),
        (403, Permanent, "prometheus.forbidden"),
        (404, Permanent, "prometheus.not_found"),
        (409, Conflict, "prometheus.conflict"),
        (410, Temporary, "prometheus.gone"),
        (422, Temporary, "prometheus.execution"),
        (500, Temporary, "prometheus.server_error"),
        (503, Temporary, "prometheus.unavailable"),
    ],
)
async def test_each_status_is_its_own_error(
    front: PrometheusFront, metrics: PrometheusMetrics, status: int, kind: type[ForgeError], code: str
) -> None:
    front.faults.add(Fault(status=status, times=-1))
    error = await refusal(metrics.query("up"))
    assert type(error) is kind
    assert error.code == code
    assert f"injected {status}" in error.cause
    assert len(front.requests) == (QUICK.attempts if kind is Temporary else 1)


async def test_a_pause_that_is_asked_for_reaches_the_caller(front: PrometheusFront, metrics: PrometheusMetrics) -> None:
    front.faults.add(Fault(status=429, headers={"Retry-After": "20"}, times=-1))
    error = await refusal(metrics.query("up"))
    assert isinstance(error, Temporary)
    assert (error.code, error.retry_after_s) == ("prometheus.throttled", 20.0)


@pytest.mark.parametrize(("kind", "code"), [("hang", "timeout"), ("reset", "unreachable")])
async def test_no_answer_is_temporary(front: PrometheusFront, kind: Any, code: str) -> None:
    metrics = PrometheusMetrics(front.url, limits=IMPATIENT if kind == "hang" else QUICK)
    front.faults.add(Fault(kind=kind, times=-1))
    error = await refusal(metrics.query("up"))
    await metrics.aclose()
    assert isinstance(error, Temporary)
    assert error.code == f"prometheus.{code}"


@pytest.mark.parametrize(
    "body",
    [
        {"status": "success"},
        {"status": "success", "data": None},
        {"status": "success", "data": {"result": {}}},
        {"status": "success", "data": {"result": [1, 2, 3]}},
        {"status": "success", "data": {"resultType": "string", "result": [1.5, "word"]}},
        {"status": "success", "data": {"result": [{"metric": {}, "histogram": [1, {}]}]}},
        [],
    ],
)
async def test_json_of_another_shape_is_garbage(front: PrometheusFront, metrics: PrometheusMetrics, body: Any) -> None:
    front.faults.add(Fault(status=200, body=body or [1]))
    error = await refusal(metrics.query("up"))
    assert isinstance(error, Permanent)
    assert error.code == "prometheus.garbage"


async def test_bytes_that_are_no_json_are_garbage(front: PrometheusFront, metrics: PrometheusMetrics) -> None:
    front.faults.add(Fault(kind="garbage"))
    assert (await refusal(metrics.query("up"))).code == "prometheus.garbage"


async def test_nobody_there_is_temporary_and_the_query_is_not_quoted(
    front: PrometheusFront, metrics: PrometheusMetrics
) -> None:
    await front.stop()
    error = await refusal(metrics.query('up{secret="hush"}'))
    assert isinstance(error, Temporary)
    assert error.code == "prometheus.unreachable"
    assert "hush" not in str(error)


async def test_the_token_is_sent_and_shown_nowhere() -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"error": "refused"}, status=401 if request.headers.get("Authorization") else 500)

    runner, address = await listen([web.get("/{any:.*}", echo)], [], "127.0.0.1", 0)
    metrics = PrometheusMetrics(address, lambda: SECRET, limits=QUICK)
    error = await refusal(metrics.query("up"))
    assert error.code == "prometheus.unauthorized"
    assert "PROMETHEUS_TOKEN" in error.remedy
    assert SECRET not in f"{error!r} {error} {vars(error)} {metrics!r} {error.__cause__!r} {error.__context__!r}"
    await metrics.aclose()
    await runner.cleanup()


async def test_an_answer_that_drips_is_bounded_and_gives_its_thread_back() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)

    async def quick(_: web.Request) -> web.Response:
        return web.json_response({"status": "success", "data": {"result": []}})

    routes = [web.get("/slow/{any:.*}", drip), web.get("/{any:.*}", quick)]
    runner, address = await listen(routes, [], "127.0.0.1", 0)
    metrics = PrometheusMetrics(f"{address}/slow", limits=IMPATIENT, threads=1)
    async with asyncio.timeout(60):
        assert (await refusal(metrics.query("up"))).code == "prometheus.timeout"
        # The only thread is free again as soon as its own deadline has struck.
        await asyncio.get_running_loop().run_in_executor(metrics._pool, lambda: None)
    await metrics.aclose()
    await runner.cleanup()


def test_a_thousand_series_in_one_answer_are_read_each() -> None:
    labels = {"__name__": "forge:error_ratio:1m", "service": "s", "env": "prod", "track": "stable"}
    result = [{"metric": labels | {"service": f"s{n}"}, "value": [1772366400.123, "0.01"]} for n in range(1000)]
    assert len(series_of(result)) == 1000


def test_the_library_is_not_imported_before_it_is_used() -> None:
    heavy = "{'prometheus_api_client', 'kubernetes_asyncio', 'requests', 'pandas', 'numpy'}"
    program = (
        "import sys, integrations.prometheus, integrations.kubernetes, integrations.github, integrations.registry, "
    )
    program += f"integrations.signatures, integrations.http_probes; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

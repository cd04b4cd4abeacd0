"""The real Prometheus as the sandbox and other tests drive it."""

import asyncio
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiohttp import web

from sandbox.faults import Fault
from sandbox.prometheus import STALE, LocalPrometheus, PrometheusFront, PrometheusRefused, Target
from sandbox.prometheus.process import ProcessFailed
from sandbox.serving import listen, until

RULES = """
groups:
  - name: shop
    rules:
      - record: forge:up:now
        expr: sum(up)
"""


@pytest.fixture
async def prometheus(tmp_path: Path) -> AsyncIterator[LocalPrometheus]:
    served = LocalPrometheus(remote_write=True, folder=tmp_path)
    await served.start()
    yield served
    await served.stop()


async def seen(
    prometheus: LocalPrometheus, expression: str, within_s: float = 60
) -> list[tuple[dict[str, str], float]]:
    async def there() -> bool:
        return bool(await prometheus.query(expression))

    await until(there, within_s, f"{expression} has a value", every_s=0.1)
    return await prometheus.query(expression)


async def test_backdated_samples_make_a_history_of_their_own(prometheus: LocalPrometheus) -> None:
    now = time.time()
    early = [(now - 7200 + second, float(second)) for second in range(0, 600, 15)]
    late = [(now - 60 + second, 1.0) for second in range(0, 60, 15)]
    labels = {"__name__": "http_requests_total", "service": "shop", "env": "staging"}
    await prometheus.write_samples([({**labels, "code": "200"}, late)])
    await prometheus.write_samples([({**labels, "code": "500"}, early)])
    ((found, rate),) = await prometheus.query("rate(http_requests_total[5m])", at=now - 7200 + 450)
    assert (found["code"], round(rate, 6)) == ("500", 1.0)
    assert await prometheus.query("http_requests_total") == [({**labels, "code": "200"}, 1.0)]


async def test_nan_and_the_end_of_a_series_are_told_apart(prometheus: LocalPrometheus) -> None:
    now = time.time()
    await prometheus.write_samples(
        [
            ({"__name__": "ratio", "track": "canary"}, [(now - 10, 0.5), (now - 1, math.nan)]),
            ({"__name__": "ratio", "track": "stable"}, [(now - 10, 0.5), (now - 1, STALE)]),
        ]
    )
    ((labels, value),) = await prometheus.query("ratio", at=now)
    assert labels["track"] == "canary"
    assert math.isnan(value)


async def test_targets_are_scraped_with_their_labels_and_rules_are_recorded() -> None:
    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text="shop_up 1\n", content_type="text/plain")

    runner, url = await listen([web.get("/metrics/staging", metrics)], [], "127.0.0.1", 0)
    target = Target(url.removeprefix("http://"), {"env": "staging"}, path="/metrics/staging")
    prometheus = LocalPrometheus([target], RULES)
    try:
        await prometheus.start()
        ((labels, value),) = await seen(prometheus, "shop_up")
        assert (labels["env"], value) == ("staging", 1.0)
        assert (await seen(prometheus, "forge:up:now"))[0][1] == 1.0
        await prometheus.reload(rules_text=RULES.replace("forge:up:now", "forge:up:later"))
        assert (await seen(prometheus, "forge:up:later"))[0][1] == 1.0
        with pytest.raises(PrometheusRefused, match="500"):
            await prometheus.reload(rules_text="groups: [{")
    finally:
        await prometheus.discard()
        await runner.cleanup()


async def test_a_paused_prometheus_hangs_and_goes_on_when_resumed(prometheus: LocalPrometheus) -> None:
    prometheus.pause()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(prometheus.query("1"), 0.3)
    prometheus.resume()
    assert await prometheus.query("1") == [({}, 1.0)]
    prometheus.pause()
    await prometheus.stop()
    assert prometheus.pid is None


async def test_data_and_address_survive_a_stop(prometheus: LocalPrometheus) -> None:
    now, address = time.time(), prometheus.url
    await prometheus.write_samples([({"__name__": "kept"}, [(now, 7.0)])])
    await prometheus.stop()
    with pytest.raises(aiohttp.ClientError):
        await prometheus.query("kept", at=now)
    with pytest.raises(OSError, match="in use"), socket.socket() as other:
        other.bind(("127.0.0.1", prometheus.port))
    assert await prometheus.start() == address
    assert await prometheus.query("kept", at=now) == [({"__name__": "kept"}, 7.0)]


async def test_broken_rules_are_told_in_prometheus_own_words(tmp_path: Path) -> None:
    prometheus = LocalPrometheus(rules_text="groups: [{name: a, rules: [{record: x, expr: 'sum('}]}]", folder=tmp_path)
    with pytest.raises(ProcessFailed, match="parse error"):
        await prometheus.start()
    assert prometheus.pid is None


async def test_a_taken_port_is_an_error_when_it_was_asked_for_by_number(
    prometheus: LocalPrometheus, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = LocalPrometheus(folder=tmp_path_factory.mktemp("other"))
    with pytest.raises(ProcessFailed, match="address already in use"):
        await other.start(port=prometheus.port)
    assert other.pid is None


PARENT = """
import asyncio, sys
from pathlib import Path
from sandbox.prometheus import LocalPrometheus

async def main():
    prometheus = LocalPrometheus(folder=Path(sys.argv[1]))
    await prometheus.start()
    print(prometheus.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_it_dies_with_a_killed_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        child = int(await asyncio.to_thread(parent.stdout.readline))
    os.kill(parent.pid, signal.SIGKILL)
    await asyncio.to_thread(parent.wait)

    async def gone() -> bool:
        return not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE

    await until(gone, 60, "the orphan is gone")


async def test_a_front_passes_on_and_misbehaves_as_told(prometheus: LocalPrometheus) -> None:
    front = PrometheusFront(prometheus.url)
    await front.start()
    try:
        async with aiohttp.ClientSession(front.url) as session:
            async with session.get("/api/v1/query", params={"query": "1+1"}) as answer:
                assert (await answer.json())["data"]["result"][1] == "2"
            async with session.post("/api/v1/query", data={"query": "sum("}) as answer:
                assert (answer.status, (await answer.json())["errorType"]) == (400, "bad_data")
            front.faults.add(Fault(status=503))
            async with session.get("/api/v1/query", params={"query": "1+1"}) as answer:
                assert (answer.status, (await answer.json())["errorType"]) == (503, "timeout")
            front.faults.add(Fault(kind="garbage"))
            async with session.get("/api/v1/query", params={"query": "1+1"}) as answer:
                assert b"not what you asked for" in await answer.read()
    finally:
        await front.stop()
    assert [asked.status for asked in front.requests] == [200, 400, 503, 200]

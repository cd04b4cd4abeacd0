"""A server shaped like Prometheus that records healthy series of each guard's metric for every service and track, in a process of its own.

It counts what it is asked, and stands for the services themselves as well: whatever else is requested is answered as they should.
Only its answers' form and size matter: what they cost is the asking bot's time, not this one's.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Sequence

from aiohttp import web

HEALTHY = {
    "error_ratio": "0.002",
    "latency_p95_seconds": "0.14",
    "readiness_ratio": "1",
    "core_transaction_success_ratio": "0.999",
    "request_rate": "20",
    "error_rate": "0.04",
    "postgres_slow_queries": "0",
    "postgres_lock_waits": "0",
}


class SeriesServer:
    """services: their names. asked: how many queries came, by their kind."""

    def __init__(self, services: list[str], environment: str, tracks: Sequence[str]) -> None:
        self._of = [(service, environment, track) for service in services for track in tracks]
        self._asked = {"instant": 0, "range": 0}

    def _value(self, name: str) -> str:
        return next((value for metric, value in HEALTHY.items() if metric in name), "1")

    def _series(self, name: str) -> list[dict[str, str]]:
        return [{"__name__": name, "service": one, "env": env, "track": track} for one, env, track in self._of]

    async def query(self, request: web.Request) -> web.Response:
        self._asked["instant"] += 1
        name = request.query.get("query", "")
        at, value = float(request.query.get("time", time.time())), self._value(name)
        return _answer("vector", [{"metric": labels, "value": [at, value]} for labels in self._series(name)])

    async def query_range(self, request: web.Request) -> web.Response:
        self._asked["range"] += 1
        name, asked = request.query["query"], request.query
        start, end, step = float(asked["start"]), float(asked["end"]), float(asked["step"])
        values = [[start + step * n, self._value(name)] for n in range(int((end - start) / step) + 1)]
        return _answer("matrix", [{"metric": labels, "values": values} for labels in self._series(name)])

    async def asked(self, request: web.Request) -> web.Response:
        return web.json_response(self._asked)

    async def healthy(self, request: web.Request) -> web.Response:
        return web.json_response({"currency": "EUR"})


def _answer(kind: str, result: Sequence[object]) -> web.Response:
    text = json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}, separators=(",", ":"))
    return web.Response(text=text, content_type="application/json")


async def main(first: str, count: int, environment: str, tracks: Sequence[str]) -> None:
    prefix, _, number = first.rpartition("-")
    server = SeriesServer([f"{prefix}-{int(number) + n:04}" for n in range(count)], environment, tracks)
    app = web.Application()
    app.add_routes([web.get("/api/v1/query", server.query), web.get("/api/v1/query_range", server.query_range)])
    app.add_routes([web.get("/asked", server.asked), web.get("/{path:.*}", server.healthy)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    line = {"bench": "listening", "url": f"http://127.0.0.1:{runner.addresses[0][1]}"}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await stopping.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]))

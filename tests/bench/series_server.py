"""A server shaped like Prometheus that records one healthy series of each guard's metric for every service, in a process of its own.

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

HEALTHY = {"error_ratio": "0.002", "latency_p95_seconds": "0.14", "readiness_ratio": "1"}


def _series(name: str, service: str) -> dict[str, str]:
    return {"__name__": name, "service": service, "env": "staging", "track": "stable"}


class SeriesServer:
    """services: their names."""

    def __init__(self, services: list[str]) -> None:
        self._services = services

    def _value(self, name: str) -> str:
        return next((value for metric, value in HEALTHY.items() if metric in name), "1")

    async def query(self, request: web.Request) -> web.Response:
        name = request.query.get("query", "")
        at, value = float(request.query.get("time", time.time())), self._value(name)
        result = [{"metric": _series(name, service), "value": [at, value]} for service in self._services]
        return _answer("vector", result)

    async def query_range(self, request: web.Request) -> web.Response:
        name, asked = request.query["query"], request.query
        start, end, step = float(asked["start"]), float(asked["end"]), float(asked["step"])
        values = [[start + step * n, self._value(name)] for n in range(int((end - start) / step) + 1)]
        return _answer("matrix", [{"metric": _series(name, one), "values": values} for one in self._services])


def _answer(kind: str, result: Sequence[object]) -> web.Response:
    text = json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}, separators=(",", ":"))
    return web.Response(text=text, content_type="application/json")


async def main(first: str, count: int) -> None:
    prefix, _, number = first.rpartition("-")
    server = SeriesServer([f"{prefix}-{int(number) + n:04}" for n in range(count)])
    app = web.Application()
    app.add_routes([web.get("/api/v1/query", server.query), web.get("/api/v1/query_range", server.query_range)])
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
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))

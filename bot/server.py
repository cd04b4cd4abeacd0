"""The bot's own HTTP server: health, metrics, and whatever routes the edges bring. It answers from memory and never waits long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog
from aiohttp import web

log = structlog.get_logger(__name__)
CHECK_LIMIT_S = 2.0
MAX_BODY_BYTES = 256 * 1024

ReadinessCheck = Callable[[], Awaitable[str]]
"""Gives what is wrong in one sentence, or an empty text."""

Exposition = Callable[[], Awaitable[tuple[bytes, str]]]
"""Gives the metrics' text and content type."""


class OwnServer:
    """`/health/live`, `/health/ready`, `/health/startup`, `/metrics`, and routes (Slack's HTTP mode, webhooks).

    checks: by name, all asked at once for readiness. started: whether everything that was parked has been taken up. told: is told each
    check's result, for the metrics.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        checks: Mapping[str, ReadinessCheck],
        started: Callable[[], bool],
        exposition: Exposition,
        routes: Iterable[web.RouteDef] = (),
        told: Callable[[str, bool], None] = lambda _name, _is_well: None,
    ) -> None:
        self._host, self._wanted_port = host, port
        self._checks, self._started, self._exposition, self._told = checks, started, exposition, told
        self._routes = list(routes)
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        """Raises OSError when the address can't be had. `port` is the real one afterwards."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.add_routes([
            web.get("/health/live", self._live),
            web.get("/health/ready", self._ready),
            web.get("/health/startup", self._startup),
            web.get("/metrics", self._metrics),
            *self._routes,
        ])  # fmt: skip
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=3.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._wanted_port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        log.info("serving", host=self._host, port=self.port)

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _live(self, _: web.Request) -> web.Response:
        """That this is answered says it all: the event loop turns."""
        return web.json_response({"status": "ok"})

    async def _startup(self, _: web.Request) -> web.Response:
        is_started = self._started()
        status = "ok" if is_started else "starting"
        return web.json_response({"status": status}, status=200 if is_started else 503)

    async def _ready(self, _: web.Request) -> web.Response:
        names = list(self._checks)
        found = dict(zip(names, await asyncio.gather(*(self._asked(name) for name in names)), strict=True))
        for name, problem in found.items():
            self._told(name, not problem)
        is_ready = self._started() and not any(found.values())
        checks = {name: {"ok": not problem, "problem": problem} for name, problem in found.items()}
        body = {"status": "ok" if is_ready else "unready", "checks": checks}
        return web.json_response(body, status=200 if is_ready else 503)

    async def _asked(self, name: str) -> str:
        try:
            async with asyncio.timeout(CHECK_LIMIT_S):
                return await self._checks[name]()
        except TimeoutError:
            return f"no result within {CHECK_LIMIT_S:g} s"
        except Exception as error:  # a check that breaks is a red check
            log.warning("a readiness check failed", check=name, exc_info=error)
            return f"the check failed: {type(error).__name__}"

    async def _metrics(self, _: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(CHECK_LIMIT_S * 2):
                body, content_type = await self._exposition()
        except Exception as error:  # noqa: BLE001 - Prometheus shall see the scrape fail; the bot goes on
            log.warning("the metrics could not be made", error=type(error).__name__)
            return web.Response(status=503, text="the metrics could not be made")
        return web.Response(body=body, headers={"Content-Type": content_type})

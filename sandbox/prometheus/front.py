"""A door before a real server: passes everything on, and misbehaves as told.

For what a healthy Prometheus can't be brought to say: HTTP 500, garbage, a broken connection, an answer that comes late.
"""

from __future__ import annotations

import aiohttp
from aiohttp import web

from sandbox.serving import Stand

# status -> errorType, as Prometheus' HTTP API documents them
ERROR_TYPES = {400: "bad_data", 401: "unauthorized", 422: "execution", 503: "timeout", 500: "internal"}
HOP = {"transfer-encoding", "connection", "content-encoding", "content-length", "host"}


class PrometheusFront(Stand):
    """upstream: the real server's address, without a slash at its end."""

    def __init__(self, upstream: str) -> None:
        super().__init__()
        self.upstream = upstream

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{path:(?!_control/).*}", self._pass)]

    def dress(self, request: web.Request, status: int) -> web.Response:
        body = {"status": "error", "errorType": ERROR_TYPES.get(status, "internal"), "error": f"injected {status}"}
        return web.json_response(body, status=status)

    async def _pass(self, request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP}
        async with (
            aiohttp.ClientSession(auto_decompress=True) as session,
            session.request(
                request.method, self.upstream + request.path_qs, headers=headers, data=await request.read()
            ) as answer,
        ):
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())

"""A queue of faults that every stand-in consults before it answers.

One instance per stand-in; its aiohttp middleware turns a matching fault into the error, the delay, the hang or the
broken connection that the real system would show. Tests inject in-process (`faults.add(...)`) or, across processes,
by `POST /_control/faults`; `GET` lists what is pending and `DELETE` clears it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Kind = Literal["status", "delay", "hang", "reset", "garbage", "after"]


@dataclass
class Fault:
    """One planned misbehaviour.

    kind: `status` answers with `status`, `headers`, `body` (a JSON value or text) and does nothing else; `delay` waits `delay_s`,
    then answers as usual; `hang` never answers; `reset` drops the connection before the work; `after` does the work, then
    drops the connection (the caller can't know); `garbage` answers 200 with bytes that are no JSON.
    method: an HTTP method, or empty for any. path: a regular expression searched in the path.
    times: how often it strikes; -1 until cleared.
    """

    kind: Kind = "status"
    path: str = ""
    method: str = ""
    times: int = 1
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    delay_s: float = 0.0
    struck: int = 0


class Faults:
    """The pending faults of one stand-in, first match first."""

    def __init__(self) -> None:
        self.pending: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        self.pending.append(fault)
        return fault

    def clear(self) -> None:
        self.pending.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that strikes this request, its count reduced; None when there is none."""
        for fault in self.pending:
            if (fault.method and fault.method != method) or not re.search(fault.path, path):
                continue
            fault.struck += 1
            if fault.times > 0:
                fault.times -= 1
                if fault.times == 0:
                    self.pending.remove(fault)
            return fault
        return None

    def middleware(self) -> Any:
        @web.middleware
        async def strike(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith("/_control/"):
                return await handler(request)
            fault = self.take(request.method, request.path)
            return await handler(request) if fault is None else await _struck(fault, request, handler)

        return strike

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/_control/faults", self._post),
            web.get("/_control/faults", self._get),
            web.delete("/_control/faults", self._delete),
        ]

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.add(Fault(**body))
        return web.json_response({"pending": len(self.pending)})

    async def _get(self, _: web.Request) -> web.Response:
        return web.json_response([asdict(fault) for fault in self.pending])

    async def _delete(self, _: web.Request) -> web.Response:
        self.clear()
        return web.json_response({"pending": 0})


async def _struck(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    match fault.kind:
        case "delay":
            await asyncio.sleep(fault.delay_s)
            return await handler(request)
        case "hang":
            await asyncio.sleep(3600)
            return web.Response(status=504)
        case "reset":
            _drop(request)
            return web.Response(status=500)
        case "after":
            await handler(request)
            _drop(request)
            return web.Response(status=500)
        case "garbage":
            return web.Response(body=b"\x00<html>not what you asked for", content_type="application/json")
        case "status":
            if isinstance(fault.body, str):
                return web.Response(status=fault.status, headers=fault.headers, text=fault.body)
            return web.json_response(fault.body or {}, status=fault.status, headers=fault.headers)


def _drop(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()

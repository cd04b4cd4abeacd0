"""What every HTTP stand-in of this folder shares: a port, a record of what was asked, faults, a clean end.

A fault without a body gets the body that the real system would send (`dress`). It holds no behaviour of any system.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sandbox.faults import Faults

MOST_KEPT = 10_000
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Asked:
    """One request. status: 0 while there is no answer (it hangs, or the connection was dropped before one)."""

    method: str
    path: str
    query: str = ""
    status: int = 0


async def listen(
    routes: Iterable[web.AbstractRouteDef], middlewares: Iterable[Any], host: str, port: int
) -> tuple[web.AppRunner, str]:
    """Serve these routes; returns the runner (its `cleanup` ends it) and the address. Raises OSError: port taken."""
    app = web.Application(middlewares=list(middlewares), client_max_size=8 * 2**20)
    app.add_routes(list(routes))
    # A hanging handler must not outlive its caller, nor hold up the end of a test.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner, f"http://{host}:{runner.addresses[0][1]}"


class Stand(ABC):
    """A stand-in behind one address. Stopping keeps what it remembers: started again, it goes on."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.requests: list[Asked] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """The system's own routes."""

    @abstractmethod
    def dress(self, request: web.Request, status: int) -> web.Response:
        """The real system's answer for an error of this status."""

    def middlewares(self) -> list[Any]:
        """What runs between the faults and the handlers, outermost first."""
        return []

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen; returns the address without a slash at its end. Raises OSError when the port is taken."""
        before = [self._record(), self.faults.middleware(), *self.middlewares()]
        self._runner, self.url = await listen([*self.routes(), *self.faults.routes()], before, host, port)
        return self.url

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def _record(self) -> Any:
        @web.middleware
        async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith("/_control/"):
                return await handler(request)
            asked = Asked(request.method, request.path, request.query_string)
            self.requests.append(asked)
            if len(self.requests) > MOST_KEPT:
                # a sandbox runs for days
                del self.requests[: MOST_KEPT // 2]
            response = self._dressed(request, await self._answered(request, handler))
            if request.transport is not None and not request.transport.is_closing():
                asked.status = response.status
            return response

        return record

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            # aiohttp's own words ("404: Not Found") are nothing that the real system says.
            return self.dress(request, error.status)

    def _dressed(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """A bare fault gets the system's body, and keeps its own headers."""
        if response.status < 400 or not isinstance(response, web.Response) or response.body not in (b"{}", None):
            return response
        dressed = self.dress(request, response.status)
        for name, value in response.headers.items():
            if name not in ("Content-Type", "Content-Length"):
                dressed.headers[name] = value
        return dressed


async def until(condition: Callable[[], Awaitable[bool]], within_s: float, what: str, every_s: float = 0.03) -> None:
    """Wait until the condition holds; raises TimeoutError naming `what` after `within_s`."""
    deadline = asyncio.get_running_loop().time() + within_s
    while not await condition():
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"{what} within {within_s:g} s")
        await asyncio.sleep(every_s)

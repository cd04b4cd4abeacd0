"""Socket Mode: hands out addresses, holds the connections, sends envelopes, awaits acknowledgements.

Source: https://docs.slack.dev/apis/events-api/using-socket-mode. Each envelope goes to exactly one connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import WSMsgType, web

Json = dict[str, Any]
Deafness = Literal["silent", "frozen"]
Reason = Literal["warning", "refresh_requested", "link_disabled", "too_many_websockets"]
MAX_CONNECTIONS = 10
ACK_WITHIN_S = 3.0
CLOSE_AFTER_S = 0.3
MAX_LATE = 1_000


@dataclass
class Delivery:
    """One payload on its way to the app.

    outcome: `acknowledged`, `operation_timeout` (nobody answered within 3 s), `dispatch_failed` (nobody to send to, or HTTP error).
    response: what came with the acknowledgement. late_ack: an acknowledgement came after the user had seen the time-out.
    """

    envelope_id: str
    kind: str
    payload: Json
    at: float
    outcome: str = "pending"
    response: Json | None = None
    late_ack: bool = False
    connection: str = ""
    attempts: int = 1

    @property
    def acked(self) -> bool:
        return self.outcome == "acknowledged"


@dataclass(eq=False)
class Connection:
    id: str
    ws: web.WebSocketResponse
    transport: asyncio.Transport | None = None
    since: float = field(default_factory=time.time)
    is_leaving: bool = False


class Sockets:
    """All Socket Mode connections of the app.

    deafness: None; `silent`: sockets are accepted and answer the client's pings, but send neither hello, pings nor
    payloads; `frozen`: not even pings are answered.
    """

    def __init__(self, app_id: str, on_change: Callable[[], None], *, ping_interval_s: float = 5.0) -> None:
        self.app_id = app_id
        self.connections: list[Connection] = []
        self.deafness: Deafness | None = None
        self.ping_interval_s = ping_interval_s
        self._on_change = on_change
        self._tickets: set[str] = set()
        self._turn = 0
        self._waiting: dict[str, asyncio.Future[Json | None]] = {}
        self._late: dict[str, Delivery] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/link/", self._handle)]

    def issue_url(self, host: str) -> str:
        """A one-time `ws://` address, as `apps.connections.open` gives."""
        ticket = secrets.token_hex(16)
        self._tickets.add(ticket)
        return f"ws://{host}/link/?ticket={ticket}&app_id={self.app_id}"

    @property
    def state(self) -> str:
        """For the page: `connected`, `deaf` or `offline`."""
        if not self.connections:
            return "offline"
        return "deaf" if self.deafness else "connected"

    # --- one connection

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=403, text="invalid ticket")
        self._tickets.discard(ticket)
        ws = web.WebSocketResponse(autoping=False)
        await ws.prepare(request)
        connection = Connection(secrets.token_hex(4), ws, request.transport)
        if len(self.connections) >= MAX_CONNECTIONS:
            await self._say_goodbye(connection, "too_many_websockets")
            await ws.close()
            return ws
        self.connections.append(connection)
        self._on_change()
        pings = asyncio.create_task(self._ping(connection))
        try:
            if not self.deafness:
                await self._hello(connection)
            await self._listen(connection)
        except ConnectionError:
            pass  # the client is gone, which is all that matters here
        finally:
            pings.cancel()
            self.connections.remove(connection)
            self._on_change()
        return ws

    async def _hello(self, connection: Connection) -> None:
        await connection.ws.send_json(
            {
                "type": "hello",
                "num_connections": len(self.connections),
                "debug_info": {"host": "applink-local", "build_number": 1, "approximate_connection_time": 18060},
                "connection_info": {"app_id": self.app_id},
            }
        )

    async def _listen(self, connection: Connection) -> None:
        async for message in connection.ws:
            if self.deafness == "frozen":
                continue
            if message.type is WSMsgType.PING:
                await connection.ws.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                self._acknowledge(str(message.data))

    async def _ping(self, connection: Connection) -> None:
        while not connection.ws.closed:
            await asyncio.sleep(self.ping_interval_s)
            if not self.deafness:
                try:
                    await connection.ws.ping(f"Ping from applink-local {connection.id}".encode())
                except ConnectionError:
                    return

    def _acknowledge(self, text: str) -> None:
        try:
            answer = json.loads(text)
        except ValueError:
            return
        envelope_id = str(answer.get("envelope_id"))
        waiting = self._waiting.get(envelope_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer.get("payload"))
        elif envelope_id in self._late:
            self._late[envelope_id].late_ack = True

    # --- sending

    async def deliver(self, kind: str, payload: Json, *, accepts_response: bool, retry: Json | None = None) -> Delivery:
        """Sends one envelope to the connection whose turn it is and waits up to 3 s for the acknowledgement."""
        delivery = Delivery(str(uuid.uuid4()), kind, payload, time.time())
        connection = self._next()
        if connection is None:
            delivery.outcome = "dispatch_failed"
            return delivery
        delivery.connection = connection.id
        envelope = {
            "envelope_id": delivery.envelope_id,
            "type": kind,
            "payload": payload,
            "accepts_response_payload": accepts_response,
            **(retry or {}),
        }
        waiting: asyncio.Future[Json | None] = asyncio.get_running_loop().create_future()
        self._waiting[delivery.envelope_id] = waiting
        try:
            if not self.deafness:
                await connection.ws.send_json(envelope)
            delivery.response = await asyncio.wait_for(waiting, ACK_WITHIN_S)
            delivery.outcome = "acknowledged"
        except (TimeoutError, ConnectionError):
            delivery.outcome = "operation_timeout"
            self._late[delivery.envelope_id] = delivery
            while len(self._late) > MAX_LATE:
                del self._late[next(iter(self._late))]
        finally:
            del self._waiting[delivery.envelope_id]
        return delivery

    def _next(self) -> Connection | None:
        usable = [item for item in self.connections if not item.ws.closed and not item.is_leaving]
        if not usable:
            return None
        self._turn += 1
        return usable[self._turn % len(usable)]

    # --- trouble

    async def disconnect(self, reason: Reason) -> None:
        """Sends `disconnect` to every connection; all reasons but `warning` close it shortly after."""
        for connection in list(self.connections):
            await self._say_goodbye(connection, reason)
            if reason != "warning":
                connection.is_leaving = True
                task = asyncio.create_task(self._close_soon(connection))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _say_goodbye(self, connection: Connection, reason: Reason) -> None:
        # A client that has just gone needs no goodbye.
        with contextlib.suppress(ConnectionError):
            await connection.ws.send_json(
                {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-local"}}
            )

    async def _close_soon(self, connection: Connection) -> None:
        await asyncio.sleep(CLOSE_AFTER_S)
        await connection.ws.close()

    def drop_all(self) -> None:
        """Cuts every connection without a word, as a network does."""
        for connection in list(self.connections):
            if connection.transport is not None:
                connection.transport.abort()

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        for connection in list(self.connections):
            await connection.ws.close()

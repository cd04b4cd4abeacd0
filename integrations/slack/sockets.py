"""Two Socket Mode connections on one app: while one is renewed the other hears. Says honestly whether anybody listens.

It must never report a socket as healthy because it is merely open: a deaf one answers pings and delivers nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog
from aiohttp import ClientWebSocketResponse, WSMsgType
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.web.async_client import AsyncWebClient

log = structlog.get_logger(__name__)
CONNECTIONS = 2
PING_INTERVAL_S = 5.0
DEAF_AFTER_S = 30.0
"""Slack pings its clients every few seconds; its own Node SDK gives a socket up after 30 s without."""
DRAIN_S = 3.0
LINGER_S = 15.0
"""How long a connection that Slack wants renewed is heard at most: Slack warns about ten seconds before it closes."""
CLOSE_S = 2.0


@dataclass(frozen=True, slots=True)
class SocketHealth:
    """One connection. heard_s_ago: since Slack last sent anything by itself, in seconds; None: never on this connection.

    deaf: open, and nothing was heard for longer than Slack is ever silent.
    """

    connected: bool
    heard_s_ago: float | None
    deaf: bool
    in_flight: int = 0


class _Ear(AsyncSocketModeHandler):
    """One connection: notes when Slack was heard, and counts what is being answered."""

    def __init__(
        self,
        app: AsyncApp,
        app_token: str,
        web_client: AsyncWebClient,
        ping_interval_s: float,
        on_renewal: Callable[[_Ear], None],
    ) -> None:
        super().__init__(app, app_token, web_client=web_client, ping_interval=ping_interval_s)
        self.socket: SocketModeClient = self.client
        self.socket.proxy = web_client.proxy  # or none: the SDK would take HTTP_PROXY for any address
        self._on_renewal = on_renewal
        self._reconnect = self.socket.connect_to_new_endpoint
        self.socket.connect_to_new_endpoint = self._renew  # type: ignore[method-assign]  # the SDK has no hook
        self.opened_at = time.monotonic()
        self.heard_at: float | None = None
        self.in_flight = 0
        self.leaving = False

    async def prepare(self) -> None:
        """The SDK hides Slack's pings from its listeners; a session of ours sees every frame."""
        unused = self.socket.aiohttp_client_session
        self.socket.aiohttp_client_session = aiohttp.ClientSession(
            ws_response_class=_listening(self._opened, self._heard)
        )
        await unused.close()

    async def _renew(self, force: bool = False) -> None:
        """Slack's wish for a new connection (`force`) is met by a successor: the SDK would close this one first, and lose payloads
        that are on their way. A connection that is broken already is made anew by the SDK."""
        if force:
            self._on_renewal(self)
        else:
            await self._reconnect()

    async def retire(self, linger_s: float) -> None:
        """Goes on hearing until Slack closes the connection, at most `linger_s`, and answers what it heard."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(linger_s):
                while self._is_open():  # noqa: ASYNC110 - the SDK tells nobody when it was closed
                    await asyncio.sleep(0.05)
        await drained([self])
        await self.shut()

    def _is_open(self) -> bool:
        session = self.socket.current_session
        return session is not None and not session.closed

    def stay_away(self) -> None:
        """No reconnecting from here on."""
        self.leaving = True
        self.socket.default_auto_reconnect_enabled = self.socket.auto_reconnect_enabled = False

    async def shut(self) -> None:
        """Closes, with a hard time limit."""
        if self.busy:
            log.warning("closing a Slack socket with answers in flight", in_flight=self.busy)
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.socket.close()  # type: ignore[no-untyped-call]  # the SDK's
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            log.warning("a Slack socket didn't close cleanly", error=type(error).__name__)
            await self.socket.aiohttp_client_session.close()

    def _opened(self) -> None:
        self.opened_at, self.heard_at = time.monotonic(), None

    def _heard(self, kind: WSMsgType) -> None:
        # Not PONG: that only echoes our own ping, which a deaf socket does as well.
        if kind in (WSMsgType.TEXT, WSMsgType.PING):
            self.heard_at = time.monotonic()

    async def handle(self, client: Any, req: SocketModeRequest) -> None:
        self.in_flight += 1
        try:
            await super().handle(client, req)
        finally:
            self.in_flight -= 1

    @property
    def busy(self) -> int:
        return self.in_flight + self.socket.message_queue.qsize()


def _listening(opened: Callable[[], None], heard: Callable[[WSMsgType], None]) -> type[ClientWebSocketResponse]:
    class Heard(ClientWebSocketResponse):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            opened()

        async def receive(self, timeout: float | None = None) -> Any:
            message = await super().receive(timeout)
            heard(message.type)
            return message

    return Heard


async def drained(ears: Iterable[_Ear], within_s: float = DRAIN_S) -> None:
    """Until all that has arrived is acknowledged, for at most so long."""
    waiting = list(ears)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            # Two empty looks: the SDK hands a payload from its queue to a task of its own in between.
            quiet = 0
            while quiet < 2:
                quiet = 0 if any(ear.busy for ear in waiting) else quiet + 1
                await asyncio.sleep(0.01)


class Sockets:
    """The connections of one app. `start` returns at once: Slack being down must not keep anything from starting.

    web_client: without a bot token, with the API's address; the app token is sent with each call.
    """

    def __init__(
        self,
        app: AsyncApp,
        app_token: str,
        web_client: AsyncWebClient,
        *,
        connections: int = CONNECTIONS,
        ping_interval_s: float = PING_INTERVAL_S,
        deaf_after_s: float = DEAF_AFTER_S,
    ) -> None:
        self._make: Callable[[], _Ear] = lambda: _Ear(app, app_token, web_client, ping_interval_s, self._succeed_soon)
        self._count = connections
        self._deaf_after_s = deaf_after_s
        self._ears: list[_Ear] = []
        self._coming_and_going: set[_Ear] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        for number in range(self._count):
            ear = self._make()
            await ear.prepare()
            self._ears.append(ear)
            self._spawn(ear.socket.connect(), f"slack-socket-{number}")  # type: ignore[no-untyped-call]  # the SDK's
        self._spawn(self._watch(), "slack-sockets-watch")

    async def health(self) -> tuple[SocketHealth, ...]:
        return tuple([await self._health(ear) for ear in self._ears])

    async def problem(self) -> str:
        """Why Slack isn't heard, or empty: for readiness. One connection being renewed is none while the other hears."""
        found = await self.health()
        if any(one.deaf for one in found):
            return "a Slack socket is open but has heard nothing; it is being replaced"
        if not any(one.connected for one in found):
            return "no Slack socket is connected"
        return ""

    async def wait_connected(self, timeout_s: float, count: int | None = None) -> None:
        """Until so many (by default all) are connected and have heard Slack's hello. Raises TimeoutError."""
        wanted = self._count if count is None else count
        async with asyncio.timeout(timeout_s):
            while await self._listening_count() < wanted:  # noqa: ASYNC110 - the SDK tells nobody when it is connected
                await asyncio.sleep(0.02)

    async def stop(self, *, drain_s: float = DRAIN_S) -> None:
        """Lets what has arrived be acknowledged, then closes; bounded by `drain_s` and a hard limit for closing."""
        everyone = [*self._ears, *self._coming_and_going]
        for ear in everyone:
            ear.stay_away()
        await drained(everyone, drain_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(ear.shut() for ear in everyone))
        self._ears.clear()
        self._coming_and_going.clear()

    async def _listening_count(self) -> int:
        return sum(1 for one in await self.health() if one.connected and one.heard_s_ago is not None)

    async def _health(self, ear: _Ear) -> SocketHealth:
        connected = await ear.socket.is_connected()
        now = time.monotonic()
        heard = None if ear.heard_at is None else now - ear.heard_at
        deaf = connected and now - (ear.heard_at or ear.opened_at) > self._deaf_after_s
        return SocketHealth(connected, heard, deaf, ear.busy)

    async def _watch(self) -> None:
        """Replaces deaf connections: the SDK notices only those that don't answer its pings."""
        while True:
            await asyncio.sleep(min(1.0, self._deaf_after_s / 4))
            for ear in [*self._ears, *self._coming_and_going]:
                found = await self._health(ear)
                if not found.connected:
                    # The SDK tries the same one-time address for ever when connecting to it failed once.
                    ear.socket.wss_uri = None
                elif found.deaf and not ear.leaving:
                    log.warning("a Slack socket is deaf; connecting anew")
                    self._succeed_soon(ear)

    def _succeed_soon(self, ear: _Ear) -> None:
        if not ear.leaving:
            ear.stay_away()
            self._spawn(self._succeed(ear), "slack-socket-renewal")

    async def _succeed(self, old: _Ear) -> None:
        """First the new connection, then the end of the old one."""
        new = self._make()
        await new.prepare()
        self._coming_and_going.add(new)
        await new.socket.connect()  # type: ignore[no-untyped-call]  # the SDK's; tries until it succeeds
        self._ears[self._ears.index(old)] = new
        self._coming_and_going.discard(new)
        self._coming_and_going.add(old)
        await old.retire(LINGER_S)
        self._coming_and_going.discard(old)

    def _spawn(self, work: Any, name: str) -> None:
        task: asyncio.Task[Any] = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

"""Carries payloads to the app, over sockets or HTTP, and remembers each of them for redelivery."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any

from sandbox.slack.httpmode import HttpMode
from sandbox.slack.sockets import Delivery, Sockets

Json = dict[str, Any]
MAX_KEPT = 2_000


class Courier:
    """One door for all payloads. `request_url`: with it set, HTTP mode; without, Socket Mode.

    event_retry_delays_s: real Slack tries an event again at once, after a minute and after five.
    """

    def __init__(self, sockets: Sockets, http: HttpMode, *, app_id: str, team_id: str, on_change: Callable[[], None]):
        self.sockets = sockets
        self.http = http
        self.request_url: str | None = None
        self.is_down = False
        self.event_retry_delays_s: tuple[float, ...] = (0.0, 60.0, 300.0)
        self.sent: list[Delivery] = []
        self._app_id = app_id
        self._team_id = team_id
        self._on_change = on_change

    async def send(self, kind: str, payload: Json, *, retry: Json | None = None) -> Delivery:
        """`kind`: slash_commands, interactive or events_api."""
        if self.is_down:
            delivery = Delivery("", kind, payload, time.time(), outcome="dispatch_failed")
        elif self.request_url:
            delivery = await self.http.deliver(self.request_url, kind, payload, retry)
        else:
            delivery = await self.sockets.deliver(kind, payload, accepts_response=kind != "events_api", retry=retry)
        self.sent.append(delivery)
        del self.sent[:-MAX_KEPT]
        self._on_change()
        return delivery

    async def verify_request_url(self) -> bool:
        """HTTP mode: Slack's check when the address is entered; the app must answer with the challenge."""
        challenge = secrets.token_hex(16)
        payload = {"token": "local-verification", "challenge": challenge, "type": "url_verification"}
        delivery = await self.http.deliver(self.request_url or "", "events_api", payload)
        return delivery.acked and challenge in str(delivery.response)

    async def redeliver(self, envelope_id: str | None = None) -> Delivery:
        """The same payload once more in a new envelope: trigger_id, event_id and response_url stay. None: the last one."""
        for delivery in reversed(self.sent):
            if envelope_id in (None, delivery.envelope_id):
                return await self.send(delivery.kind, delivery.payload)
        raise LookupError("nothing was delivered yet" if envelope_id is None else f"no envelope {envelope_id}")

    async def send_event(self, event: Json) -> Delivery:
        """An Events API payload, tried again (with `retry_attempt`) until it is acknowledged or the tries are used up."""
        payload = {
            "token": "local-verification",
            "team_id": self._team_id,
            "api_app_id": self._app_id,
            "event": event,
            "type": "event_callback",
            "event_id": "Ev" + secrets.token_hex(5).upper(),
            "event_time": int(time.time()),
            "authorizations": [],
            "is_ext_shared_channel": False,
        }
        delivery = await self.send("events_api", payload, retry={"retry_attempt": 0, "retry_reason": ""})
        for attempt, delay_s in enumerate(self.event_retry_delays_s, start=1):
            if delivery.acked:
                break
            await asyncio.sleep(delay_s)
            delivery = await self.send(
                "events_api", payload, retry={"retry_attempt": attempt, "retry_reason": "timeout"}
            )
            delivery.attempts = attempt + 1
        return delivery

"""GitHub's webhooks: deliveries in the background, signed, recorded, never repeated by themselves. Only to this machine.

Source: docs.github.com/webhooks (delivery headers; ten seconds for an answer; failed deliveries are not redelivered; redirects aren't
followed). Deliveries overtake each other, as the real ones do.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import itertools
import json
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp

EVENTS = ("push", "workflow_run", "check_suite", "release", "create")
HOOKSHOT = "GitHub-Hookshot/0f4e9c1"
MOST_WAITING = 5000
MOST_KEPT = 5000
AT_ONCE = 8


@dataclass
class Hook:
    """events: those that it is subscribed to; `*` for all. secret: empty for deliveries without a signature."""

    id: int
    repository: str
    url: str
    secret: str = field(repr=False, default="")
    events: tuple[str, ...] = EVENTS
    active: bool = True

    def wants(self, event: str) -> bool:
        return event == "ping" or (self.active and ("*" in self.events or event in self.events))


@dataclass
class Delivery:
    """One attempt. guid: that of the event; a redelivery has it again. status_code: 0 as long as there is no answer, or when there was none.

    status: `pending`, `OK`, or what went wrong in GitHub's words.
    """

    id: int
    guid: str
    hook_id: int
    event: str
    action: str | None
    redelivery: bool
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)
    status_code: int = 0
    status: str = "pending"
    delivered_at: datetime | None = None
    duration_s: float = 0.0

    @property
    def payload(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Hooks:
    """The hooks of all repositories and what was delivered to them, the oldest first."""

    def __init__(self, now: Callable[[], datetime], *, timeout_s: float = 10.0) -> None:
        self._now = now
        self.timeout_s = timeout_s
        self.hooks: dict[int, Hook] = {}
        self.deliveries: list[Delivery] = []
        self._waiting: deque[Delivery] = deque()
        self._sending: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._ids = itertools.count(3_000_001)

    def add(self, repository: str, url: str, secret: str, events: tuple[str, ...]) -> Hook:
        """Raises ValueError for an address of another machine: nothing of the sandbox leaves this one."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not _is_loopback(parts.hostname or ""):
            raise ValueError(f"{parts.hostname} is not this machine")
        hook = Hook(next(self._ids), repository, url, secret, events)
        self.hooks[hook.id] = hook
        return hook

    def of(self, repository: str, event: str) -> list[Hook]:
        return [hook for hook in self.hooks.values() if hook.repository == repository and hook.wants(event)]

    def send(self, hook: Hook, event: str, payload: Mapping[str, Any]) -> Delivery:
        """Returns at once; the delivery's status tells what became of it."""
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        guid, action = str(uuid.uuid4()), payload.get("action")
        return self._queue(Delivery(next(self._ids), guid, hook.id, event, action, False, body))

    def redeliver(self, guid: str) -> Delivery:
        """The same body once more under the same GUID, signed with the hook's present secret. Raises KeyError for one that is unknown."""
        found = next((each for each in reversed(self.deliveries) if each.guid == guid), None)
        if found is None or found.hook_id not in self.hooks:
            raise KeyError(guid)
        fresh = replace(found, id=next(self._ids), redelivery=True, status="pending", status_code=0, delivered_at=None)
        return self._queue(fresh)

    async def settled(self, within_s: float = 15.0) -> None:
        """Until every delivery has its answer. Raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while self._sending:
                await asyncio.wait(self._sending)
                await asyncio.sleep(0)  # the ended ones make room for those that wait

    # --- life -------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Needs a running loop."""
        connector = aiohttp.TCPConnector(limit=AT_ONCE, force_close=True)
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        self._fill()

    async def close(self) -> None:
        """What is under way is lost; what waits is sent after the next start."""
        session, self._session = self._session, None
        for task in tuple(self._sending):
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        if session is not None:
            await session.close()

    def _queue(self, delivery: Delivery) -> Delivery:
        self.deliveries.append(delivery)
        if len(self.deliveries) > MOST_KEPT:
            del self.deliveries[: MOST_KEPT // 2]
        if len(self._waiting) >= MOST_WAITING:
            delivery.status = "too many deliveries wait"
        else:
            self._waiting.append(delivery)
            self._fill()
        return delivery

    def _fill(self) -> None:
        while self._session is not None and self._waiting and len(self._sending) < AT_ONCE:
            task = asyncio.get_running_loop().create_task(self._deliver(self._session, self._waiting.popleft()))
            self._sending.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._fill()

    async def _deliver(self, session: aiohttp.ClientSession, delivery: Delivery) -> None:
        hook = self.hooks.get(delivery.hook_id)
        if hook is None:
            delivery.status = "the hook was deleted"
            return
        delivery.headers = _headers(hook, delivery)
        began = time.monotonic()
        delivery.status = "lost"  # unless it comes to an end below
        try:
            timeout = aiohttp.ClientTimeout(total=self.timeout_s)
            sent = session.post(
                hook.url, data=delivery.body, headers=delivery.headers, timeout=timeout, allow_redirects=False
            )
            async with sent as answer:
                delivery.status_code = answer.status
                delivery.status = "OK" if 200 <= answer.status < 300 else f"Invalid HTTP Response: {answer.status}"
        except TimeoutError:
            delivery.status = "timed out"
        except (aiohttp.ClientError, OSError):
            delivery.status = "failed to connect to host"
        finally:
            delivery.delivered_at, delivery.duration_s = self._now(), time.monotonic() - began


def signature(secret: str, body: bytes, digest: str = "sha256") -> str:
    return f"{digest}={hmac.new(secret.encode(), body, getattr(hashlib, digest)).hexdigest()}"


def _headers(hook: Hook, delivery: Delivery) -> dict[str, str]:
    headers = {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "User-Agent": HOOKSHOT,
        "X-GitHub-Delivery": delivery.guid,
        "X-GitHub-Event": delivery.event,
        "X-GitHub-Hook-ID": str(hook.id),
        "X-GitHub-Hook-Installation-Target-ID": "1296269",
        "X-GitHub-Hook-Installation-Target-Type": "repository",
    }
    if hook.secret:
        headers["X-Hub-Signature"] = signature(hook.secret, delivery.body, "sha1")
        headers["X-Hub-Signature-256"] = signature(hook.secret, delivery.body)
    return headers


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

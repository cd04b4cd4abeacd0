"""HTTP mode: payloads are POSTed to the app's request URL, signed as Slack signs them.

Source: https://docs.slack.dev/authentication/verifying-requests-from-slack.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from typing import Any
from urllib.parse import urlencode

import aiohttp

from sandbox.slack.sockets import ACK_WITHIN_S, Delivery

Json = dict[str, Any]


def signature(secret: str, timestamp: int, body: str) -> str:
    """`v0=` and the HMAC-SHA256 of `v0:{timestamp}:{body}`."""
    digest = hmac.new(secret.encode(), f"v0:{timestamp}:{body}".encode(), hashlib.sha256).hexdigest()
    return f"v0={digest}"


class HttpMode:
    """Sends to `request_url`. `clock_skew_s`: added to the timestamp, to play a replayed or misdated request."""

    def __init__(self, signing_secret: str) -> None:
        self.signing_secret = signing_secret
        self.clock_skew_s = 0
        self._session: aiohttp.ClientSession | None = None

    async def deliver(self, url: str, kind: str, payload: Json, retry: Json | None = None) -> Delivery:
        """Answers within 3 s with status 200 acknowledge; other statuses are `http_error`, no connection `dispatch_failed`."""
        delivery = Delivery(str(uuid.uuid4()), kind, payload, time.time(), connection="http")
        body, content_type = _encoded(kind, payload)
        timestamp = int(time.time()) + self.clock_skew_s
        headers = {
            "Content-Type": content_type,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": str(timestamp),
            "X-Slack-Signature": signature(self.signing_secret, timestamp, body),
        }
        if retry and retry["retry_attempt"]:
            headers["X-Slack-Retry-Num"] = str(retry["retry_attempt"])
            headers["X-Slack-Retry-Reason"] = "http_timeout"
        try:
            async with asyncio.timeout(ACK_WITHIN_S):
                await self._post(url, body, headers, delivery)
        except TimeoutError:
            delivery.outcome = "operation_timeout"
        except aiohttp.ClientError:
            delivery.outcome = "dispatch_failed"
        return delivery

    async def _post(self, url: str, body: str, headers: dict[str, str], delivery: Delivery) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        async with self._session.post(url, data=body.encode(), headers=headers) as answer:
            text = await answer.text()
            delivery.outcome = "acknowledged" if answer.status == 200 else "http_error"
            if answer.content_type == "application/json" and text:
                delivery.response = json.loads(text)
            elif text:
                delivery.response = {"text": text}

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _encoded(kind: str, payload: Json) -> tuple[str, str]:
    if kind == "slash_commands":
        return urlencode(payload), "application/x-www-form-urlencoded"
    if kind == "interactive":
        return urlencode({"payload": json.dumps(payload)}), "application/x-www-form-urlencoded"
    return json.dumps(payload), "application/json"

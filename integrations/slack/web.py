"""One door to Slack's Web API: a shared session, time limits, no retries of the SDK's own, translated errors.

Whether a call is repeated is decided by who called: the SDK's default would send `chat.postMessage` twice after a reset.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.async_handler import AsyncRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from integrations.slack.errors import http_error, translated
from integrations.slack.scopes import METHODS
from runbook.errors import ForgeError, Permanent

API_URL = "https://slack.com/api/"
RESPONSE_HOST = "https://hooks.slack.com"
TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
MAX_CONNECTIONS = 20
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
NO_RETRIES: tuple[AsyncRetryHandler, ...] = ()


class SlackWeb:
    """Calls the Web API with the bot token. Made and closed inside a running event loop (`async with`)."""

    def __init__(self, token: str, *, api_url: str = API_URL, timeout_s: float = TIMEOUT_S) -> None:
        self.api_url = api_url if api_url.endswith("/") else api_url + "/"
        self.timeout_s = timeout_s
        self._token = token
        self._session: aiohttp.ClientSession | None = None
        parts = urlsplit(self.api_url)
        self._is_direct = _needs_no_proxy(self.api_url)
        self._answer_hosts = {RESPONSE_HOST, f"{parts.scheme}://{parts.netloc}"}

    async def __aenter__(self) -> SlackWeb:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def sdk_client(self, token: str | None = None) -> AsyncWebClient:
        """The SDK's client over the shared session; without a token unless one is given."""
        return _client(self.api_url, token, self._shared(), is_direct=self._is_direct)

    async def call(self, method: str, *, timeout_s: float | None = None, **arguments: object) -> dict[str, Any]:
        """One call of a method named in `scopes.METHODS`; arguments that are None are left out. Raises `runbook.errors`."""
        if method not in METHODS:
            raise ValueError(f"{method} isn't named in integrations.slack.scopes")
        body = {name: value for name, value in arguments.items() if value is not None}
        # Methods that read take a form; only those that write take JSON.
        # Source: https://docs.slack.dev/apis/web-api/#methods_supporting_json
        sent: dict[str, Any] = {_BODIES.get(method, "params"): body}
        try:
            async with asyncio.timeout(timeout_s or self.timeout_s):
                response = await self.sdk_client(self._token).api_call(method, **sent)
        except (SlackApiError, aiohttp.ClientError, TimeoutError, ConnectionError, ValueError) as error:
            raise translated(error, method) from error
        data = response.data
        return dict(data) if isinstance(data, Mapping) else {}

    async def respond(self, address: str, body: Mapping[str, Any]) -> None:
        """Answers by a response address. Raises `runbook.errors`; an address that isn't Slack's is refused unasked."""
        parts = urlsplit(address)
        if f"{parts.scheme}://{parts.netloc}" not in self._answer_hosts:
            raise Permanent("slack", "foreign_response_url", "the response address isn't Slack's")
        try:
            async with asyncio.timeout(self.timeout_s), self._shared().post(address, json=dict(body)) as answer:
                await answer.read()
                status, headers = answer.status, dict(answer.headers)
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            # From None: an aiohttp error may quote the address, which is a secret while it lives.
            raise translated(error, "response_url") from None
        if status != 200:
            raise _response_error(status, headers)

    async def put_file(self, address: str, data: bytes) -> None:
        """Sends a file's bytes to the address that Slack gave for them. Raises `runbook.errors`; nobody sees the file yet."""
        if not self._is_upload_address(address):
            raise Permanent("slack", "foreign_upload_url", "the upload address isn't Slack's")
        headers = {"Content-Type": "application/octet-stream"}
        try:
            async with (
                asyncio.timeout(self.timeout_s),
                self._shared().post(address, data=data, headers=headers, allow_redirects=False) as answer,
            ):
                await answer.read()
                status, headers = answer.status, dict(answer.headers)
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise translated(error, "upload_url") from None  # the address is a secret while it lives
        if status == 413:
            raise Permanent("slack", "file_too_large", "the file is too large for Slack")
        if status != 200:
            raise http_error(status, headers, "upload_url")

    def _is_upload_address(self, address: str) -> bool:
        parts = urlsplit(address)
        host = parts.hostname or ""
        is_slacks = parts.scheme == "https" and (host.endswith((".slack.com", ".slack-gov.com")))
        return is_slacks or f"{parts.scheme}://{parts.netloc}" in self._answer_hosts

    def _shared(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self.timeout_s, connect=CONNECT_TIMEOUT_S),
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
                trust_env=not self._is_direct,
            )
        return self._session


_BODIES = {
    "chat.postMessage": "json",
    "chat.update": "json",
    "views.open": "json",
    "views.update": "json",
    "conversations.open": "json",
    # A form's body rather than the query string, which proxies write down: it holds the alt text, or somebody's address.
    "users.lookupByEmail": "data",
    "files.getUploadURLExternal": "data",
    "files.completeUploadExternal": "data",
}


def bare_client(api_url: str = API_URL) -> AsyncWebClient:
    """The SDK's client without token and session, for Bolt and the sockets; it may be made before the event loop runs."""
    return _client(api_url, None, None, is_direct=_needs_no_proxy(api_url))


def _client(
    api_url: str, token: str | None, session: aiohttp.ClientSession | None, *, is_direct: bool
) -> AsyncWebClient:
    client = AsyncWebClient(token=token, base_url=api_url, session=session, retry_handlers=list(NO_RETRIES))
    if is_direct:
        # The SDK takes HTTP_PROXY for every address, NO_PROXY and this very machine notwithstanding.
        client.proxy = None
    return client


def _needs_no_proxy(api_url: str) -> bool:
    parts = urlsplit(api_url)
    return (parts.hostname or "") in _LOOPBACK or bool(proxy_bypass(parts.netloc))


def _response_error(status: int, headers: Mapping[str, str]) -> ForgeError:
    if status in (404, 410):
        return Permanent(
            "slack", "response_url_expired", "the response address has expired", "They live for 30 minutes and 5 uses."
        )
    return http_error(status, headers, "response_url")

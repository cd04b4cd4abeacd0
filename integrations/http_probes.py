"""HTTP requests to the services under watch: smoke requests and health probes.

A fault of the subject is an answer, never an exception. No redirect is followed, nothing is retried, no body is kept whole.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable

import aiohttp

from runbook.errors import Permanent
from runbook.ports import HttpAnswer, HttpRequest

LARGEST_BODY = 64 * 1024  # bytes

Tokens = Callable[[str, str], str]
"""(service, name of the secret) -> the token. Raises KeyError where none is configured."""


class AiohttpProbes:
    """Fulfils `runbook.ports.HttpProbes`."""

    def __init__(self, tokens: Tokens, *, connections: int = 200) -> None:
        """connections: open at once; a probe that waits for its turn waits within its own time-out."""
        self._tokens = tokens
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """See the port. Raises Permanent("http.no_token") alone: a token that nobody configured is our fault, not the subject's."""
        headers = self._headers(request)
        started = time.monotonic()
        try:
            async with (
                asyncio.timeout(request.timeout_s),
                self._open().request(
                    request.method, request.url, headers=headers, json=request.json, allow_redirects=False
                ) as response,
            ):
                body = await _head(response.content)
                latency_s = time.monotonic() - started
                return HttpAnswer(response.status, latency_s, _text(body, response.charset))
        except (aiohttp.ClientError, OSError, ValueError, TypeError) as error:
            # The last two are a header or a JSON value that can't be written.
            return HttpAnswer(None, time.monotonic() - started, error=_words(error, request.timeout_s))

    def _headers(self, request: HttpRequest) -> dict[str, str]:
        headers = dict(request.headers)
        if request.token:
            try:
                token = self._tokens(request.service, request.token)
            except KeyError:
                cause = f"the service {request.service} has no secret named {request.token}"
                raise Permanent("http", "no_token", cause, "Configure it under the service's secrets") from None
            headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                # A new connection for each request, as the kubelet does it: a kept one would stay with one pod of a Service.
                connector=aiohttp.TCPConnector(limit=self._connections, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                headers={"User-Agent": "forge-chatops"},
            )
        return self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _head(content: aiohttp.StreamReader) -> bytes:
    """The body's first 64 KiB."""
    body = bytearray()
    while len(body) < LARGEST_BODY:
        chunk = await content.read(LARGEST_BODY - len(body))
        if not chunk:
            break
        body += chunk
    return bytes(body)


def _text(body: bytes, charset: str | None) -> str:
    try:
        return body.decode(charset or "utf-8", errors="replace")
    except LookupError:  # the server named a charset that doesn't exist
        return body.decode("utf-8", errors="replace")


def _words(error: BaseException, timeout_s: float) -> str:
    """What happened, in words without the request's headers."""
    if isinstance(error, TimeoutError):
        return f"timed out after {timeout_s:g} s"
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return "TLS failed: the certificate or the handshake was refused"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name can't be resolved"
    if isinstance(error, aiohttp.ClientConnectorError):
        refused = isinstance(error.os_error, ConnectionRefusedError)
        return "connection refused" if refused else f"no connection: {error.os_error.strerror or 'unknown'}"
    if isinstance(error, aiohttp.InvalidURL):
        return "not an address"
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | OSError):
        return "connection reset"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer broke off"
    if isinstance(error, aiohttp.ClientResponseError):
        return "the answer is no HTTP"
    return "the request can't be sent"

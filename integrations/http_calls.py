"""HTTP calls to outside systems: bounded in time, size and retries; every failure becomes one of `runbook.errors`.

It must never put a header, a token or a query's secret into an error: only the system, the status and the server's own words.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import stamina
from multidict import CIMultiDict
from yarl import URL

from runbook.errors import Conflict, ForgeError, Permanent, Temporary

T = TypeVar("T")

_LONGEST_DETAIL = 500
_CHUNK_BYTES = 65_536

# What a status means everywhere; whoever knows better (GitHub's 403 for a rate limit) looks at it first.
_PERMANENT = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "not_allowed",
    422: "invalid",
}
_TEMPORARY = {408: "timeout", 410: "gone", 425: "too_early", 429: "throttled"}


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how often one question is asked.

    timeout_s: of one attempt, body included. attempts: the first one counted. deadline_s: no new attempt begins after it.
    longest_wait_s: a system that wants a longer pause than this is not waited for: the caller learns it by `retry_after_s`.
    """

    timeout_s: float = 5.0
    attempts: int = 3
    deadline_s: float = 15.0
    first_wait_s: float = 0.1
    longest_wait_s: float = 3.0


async def retrying(name: str, limits: Limits, call: Callable[[], Awaitable[T]]) -> T:
    """Awaits call() until it gives a value, a Permanent or a Conflict, or the limits are reached; then its last error is raised.

    name: for the log, such as `kubernetes get`. Only calls that may be repeated belong here.
    """

    def wait_before(error: Exception) -> bool | float:
        if not isinstance(error, Temporary) or isinstance(error, Conflict):
            return False
        if error.retry_after_s is None:
            return True
        return error.retry_after_s if error.retry_after_s <= limits.longest_wait_s else False

    attempts = stamina.retry_context(
        on=wait_before,
        attempts=limits.attempts,
        timeout=limits.deadline_s,
        wait_initial=limits.first_wait_s,
        wait_max=limits.longest_wait_s,
        wait_jitter=limits.first_wait_s,
    ).with_name(name, (), {})
    async for attempt in attempts:
        with attempt:
            return await call()
    raise AssertionError("stamina raises the last error itself")


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """The pause that a `Retry-After` header asks for, in seconds; it may be a number or a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's own, without asking a name server."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def proxy_for(url: str) -> str | None:
    """The proxy that the environment names for this address (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`); never for this machine.

    aiohttp's own `trust_env` would also take a login out of `~/.netrc`, and refuse the request because it brings a token.
    """
    parts = urlsplit(url)
    if not parts.hostname or is_loopback(parts.hostname) or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


def status_error(
    system: str, status: int, cause: str, remedy: str = "", headers: Mapping[str, str] | None = None
) -> ForgeError:
    """The typed error of an HTTP status: 409 is a Conflict; 408, 410, 425, 429 and 5xx are Temporary; the rest needs a person."""
    wait_s = retry_after_s((headers or {}).get("Retry-After"), datetime.now(UTC))
    if status == 409:
        return Conflict(system, "conflict", cause, remedy, wait_s)
    if status in _TEMPORARY:
        return Temporary(system, _TEMPORARY[status], cause, remedy, wait_s)
    if status >= 500:
        return Temporary(system, "unavailable" if status in (502, 503, 504) else "server_error", cause, remedy, wait_s)
    return Permanent(system, _PERMANENT.get(status, f"http_{status}"), cause, remedy)


def transport_error(system: str, where: str, error: BaseException, timeout_s: float) -> ForgeError:
    """The typed error of a call that got no answer. where: the host, for people; never a whole URL with its query."""
    if isinstance(error, TimeoutError):
        return Temporary(system, "timeout", f"{where} gave no answer within {timeout_s:g} s")
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        remedy = "Check the address, or give forge the certificate authority that signed it"
        return Permanent(system, "tls", f"{where} shows a certificate that can't be trusted", remedy)
    if isinstance(error, aiohttp.InvalidURL):
        return Permanent(system, "bad_address", f"{where} is no address", "Correct it in the configuration")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Temporary(system, "unreachable", f"the name of {where} can't be resolved")
    if isinstance(error, aiohttp.ClientConnectorError):
        return Temporary(
            system, "unreachable", f"{where} can't be reached: {error.os_error.strerror or 'no connection'}"
        )
    return Temporary(system, "connection_lost", f"the connection to {where} broke before the answer was complete")


def garbage(system: str, where: str, what: str) -> Permanent:
    """The answer has not the form that the API promises. what: the missing form, in words; never the content."""
    remedy = "Check that the address is this API's and that no proxy or login page answers in its place"
    return Permanent(system, "garbage", f"{where} answered with something that is no {what}", remedy)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status. body: whole, within the size limit. links: of the `Link` header, by `rel`."""

    status: int
    headers: CIMultiDict[str] = field(repr=False)
    body: bytes = field(repr=False)
    links: Mapping[str, str] = field(default_factory=dict, repr=False)

    def json(self, system: str, where: str) -> Any:
        """Raises Permanent("garbage") where the body is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise garbage(system, where, "JSON") from error

    def detail(self) -> str:
        """The server's own words: `message` or `error` of a JSON answer, else nothing; bounded."""
        try:
            body = json.loads(self.body)
        except ValueError:
            return ""
        if not isinstance(body, dict):
            return ""
        words = body.get("message") or body.get("error") or ""
        return str(words)[:_LONGEST_DETAIL]


class HttpCalls:
    """One client session for one outside system; made on first use, because a session belongs to a running loop."""

    def __init__(
        self, system: str, limits: Limits, *, largest_body: int = 8 * 1024 * 1024, connections: int = 20
    ) -> None:
        """largest_body: in bytes; a longer answer is refused, not cut."""
        self._system = system
        self._limits = limits
        self._largest_body = largest_body
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        json_body: Mapping[str, Any] | None = None,
    ) -> Answer:
        """One attempt. Any status is an Answer; redirects are not followed. Raises the transport's errors."""
        where = URL(url, encoded=True).host or "an address without a host"
        limit = self._limits.timeout_s
        try:
            async with (
                asyncio.timeout(limit),
                self._open().request(
                    method,
                    URL(url, encoded=True),
                    headers=headers,
                    data=form,
                    json=json_body,
                    allow_redirects=False,
                    proxy=proxy_for(url),
                ) as response,
            ):
                body = await self._body(response, where)
                links = {str(rel): str(link["url"]) for rel, link in response.links.items() if "url" in link}
                return Answer(response.status, CIMultiDict(response.headers), body, links)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise transport_error(self._system, where, error, limit) from error
        except (
            ValueError
        ) as error:  # a header or an address that can't be sent; the text may quote it, so it is not shown
            raise Permanent(self._system, "bad_request", f"the request to {where} can't be written") from error

    async def _body(self, response: aiohttp.ClientResponse, where: str) -> bytes:
        parts = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            parts += chunk
            if len(parts) > self._largest_body:
                raise Permanent(
                    self._system, "too_large", f"{where} answered with more than {self._largest_body} bytes"
                )
        return bytes(parts)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                headers={"User-Agent": "forge-chatops"},
            )
        return self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

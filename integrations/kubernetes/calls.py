"""Calls of the Kubernetes API through kubernetes_asyncio: each with a time limit, bounded retries and typed errors.

The library decides paths, TLS and authentication; answers are read as plain JSON, because its models refuse what servers really
send and cost more than the call.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp

from integrations.http_calls import Limits, garbage, retrying, status_error, transport_error
from integrations.kubernetes.credentials import Credentials, open_client
from runbook.errors import ForgeError, Permanent, Temporary

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

SYSTEM = "kubernetes"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
_LARGEST_BODY = 64 * 1024 * 1024
_LONGEST_WORDS = 1000

_ADMISSION = ("exceeded quota", "must specify", "admission webhook", "violates PodSecurity", "is being terminated")
_REMEDY_OF_ADMISSION = "A quota or a policy of the namespace refuses it: ask for less, or have the rule changed"

T = TypeVar("T")
Json = dict[str, Any]
Call = Callable[["ApiClient"], Awaitable[Any]]
"""Calls one method of the library's APIs with `**options`; gives aiohttp's unread response."""


class KubernetesCalls:
    """One client with one set of credentials. All calls made through it may be repeated: they read, or set and never add."""

    def __init__(self, credentials: Credentials, limits: Limits) -> None:
        self._credentials = credentials
        self._limits = limits
        self._client: ApiClient | None = None
        self._opening = asyncio.Lock()

    @property
    def options(self) -> dict[str, Any]:
        """Belongs to every call: without it the library waits for ever."""
        timeout = aiohttp.ClientTimeout(total=self._limits.timeout_s)
        return {"_request_timeout": timeout, "_preload_content": False}

    async def json(self, right: str, call: Call) -> Json:
        """The answer's object. right: what the call needs, such as `get deployments.apps`, for the errors' remedies."""
        body = await self._retried(right, lambda: self._body(right, call))
        try:
            answer = json.loads(body)
        except ValueError as error:
            raise self._garbage() from error
        if not isinstance(answer, dict):
            raise self._garbage()
        return answer

    async def text(self, right: str, call: Call) -> str:
        return (await self._retried(right, lambda: self._body(right, call))).decode(errors="replace")

    @property
    def stream_options(self) -> dict[str, Any]:
        """As `options`, for answers that take longer than one attempt may: only silence is bounded here."""
        silence = aiohttp.ClientTimeout(
            total=None, sock_connect=self._limits.timeout_s, sock_read=3 * self._limits.timeout_s
        )
        return {"_request_timeout": silence, "_preload_content": False}

    async def stream(
        self, right: str, call: Call, take: Callable[[bytes], bool], *, within_s: float
    ) -> bool:  # fmt: skip
        """Hands over the answer's body in pieces until take says no. Retried and refused like any call until the answer begins.

        False where the body didn't come to its end: take said no, the connection broke, within_s passed.
        """
        response = await self._retried(right, lambda: self._begun(right, call))
        try:
            async with asyncio.timeout(within_s):
                async for piece in response.content.iter_any():
                    if not take(piece):
                        return False
        except (aiohttp.ClientError, OSError):  # TimeoutError is an OSError
            return False
        finally:
            response.close()
        return True

    async def items(self, right: str, call: Call) -> list[Json]:
        """A list's items. Raises Permanent("garbage") where the answer is no list."""
        items = (await self.json(right, call)).get("items", [])
        if items is None:  # Go's empty list
            return []
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise self._garbage()
        return items

    async def address(self) -> str:
        """Of the API server, in lower case and without a slash at its end. Raises Permanent("kubernetes.credentials")."""
        return str((await self._open()).configuration.host).rstrip("/").lower()

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _retried(self, right: str, attempt: Callable[[], Awaitable[T]]) -> T:
        try:
            return await retrying(f"kubernetes {right}", self._limits, attempt)
        except Permanent as error:
            if error.code != "kubernetes.unauthorized":
                raise
            # Tokens of exec plugins, OIDC and projected accounts expire: the credential is read once more before that is believed.
            await self._forget_client()
            return await retrying(f"kubernetes {right}", self._limits, attempt)

    async def _body(self, right: str, call: Call) -> bytes:
        async def whole(response: aiohttp.ClientResponse, where: str) -> bytes:
            async with response:
                return await _bounded(response, where)

        return await self._attempt(right, call, whole)

    async def _begun(self, right: str, call: Call) -> aiohttp.ClientResponse:
        async def as_it_is(response: aiohttp.ClientResponse, _: str) -> aiohttp.ClientResponse:
            return response

        return await self._attempt(right, call, as_it_is)

    async def _attempt(
        self, right: str, call: Call, read: Callable[[aiohttp.ClientResponse, str], Awaitable[T]]
    ) -> T:  # fmt: skip
        """read: takes over the response of an answer that is no refusal. All of it within one attempt's time."""
        client = await self._open()
        where = self._where(client)
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                response: aiohttp.ClientResponse = await call(client)
                if 200 <= response.status < 300:
                    return await read(response, where)
                async with response:
                    body = await _bounded(response, where)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise transport_error(SYSTEM, where, error, self._limits.timeout_s) from error
        except RuntimeError as error:
            if client is self._client:
                raise
            # Another call has just renewed the credential and closed the session under us.
            raise Temporary(SYSTEM, "connection_lost", f"the session with {where} was renewed") from error
        raise self._refused(response.status, body, right, dict(response.headers))

    async def _open(self) -> ApiClient:
        async with self._opening:
            if self._client is None:
                self._client = await open_client(self._credentials)
            return self._client

    async def _forget_client(self) -> None:
        async with self._opening:
            client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _where(self, client: ApiClient) -> str:
        return f"the Kubernetes API at {client.configuration.host}"

    def _garbage(self) -> Permanent:
        return garbage(SYSTEM, f"the Kubernetes API ({self._credentials})", "Kubernetes object")

    def _refused(self, status: int, body: bytes, right: str, headers: dict[str, str]) -> ForgeError:
        words = _words(body)
        cause = f"Kubernetes answered {status} to `{right}`" + (f": {words}" if words else "")
        remedies = {
            401: f"Renew {self._credentials}: the cluster doesn't accept it",
            403: _REMEDY_OF_ADMISSION
            if _is_admission(words)
            else f"Grant the right `{right}` to the account behind {self._credentials} (see deploy/)",
            404: "Check the object's name, and the namespace of this environment",
            422: "Correct the value that Kubernetes names",
        }
        if "Retry-After" not in headers and (seconds := _status(body).get("details")):
            wait_s = seconds.get("retryAfterSeconds") if isinstance(seconds, dict) else None
            headers = {**headers, **({"Retry-After": str(wait_s)} if wait_s else {})}
        return status_error(SYSTEM, status, cause, remedies.get(status, ""), headers)


def _is_admission(words: str) -> bool:
    """Whether a 403 comes from a quota, a policy or a webhook and not from missing rights. Source: apiserver/pkg/admission."""
    return any(each in words for each in _ADMISSION)


async def _bounded(response: aiohttp.ClientResponse, where: str) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(262_144):
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise Permanent(SYSTEM, "too_large", f"{where} answered with more than {_LARGEST_BODY} bytes")
    return bytes(body)


def _status(body: bytes) -> Json:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _words(body: bytes) -> str:
    """The `message` of a Kubernetes Status with its causes, as far as the message doesn't already quote them."""
    status = _status(body)
    message = str(status.get("message") or "")
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    for cause in causes if isinstance(causes, list) else []:
        text = str(cause.get("message") or "") if isinstance(cause, dict) else ""
        if text and text not in message:
            message += f"; {cause.get('field') or 'cause'}: {text}"
    return message[:_LONGEST_WORDS]


def moment(text: object) -> datetime | None:
    """A Kubernetes time as aware UTC; None where there is none."""
    if not isinstance(text, str):
        return None
    try:
        parsed = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)

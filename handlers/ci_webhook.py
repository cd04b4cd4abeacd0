"""`/webhooks/ci`: what CI systems hand in, as JSON with a bearer token. Closed where no token is configured.

Each kind of body has its taker; this file lets in whom it knows, bounds what is read, and puts every refusal into the same words.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from handlers.bodies import Refused, read_body
from runbook.errors import Permanent, StoreUnavailable
from runbook.scan_reports import MAX_REPORT_BYTES, Unusable, check_bounds, unreadable

log = structlog.get_logger(__name__)

PATH = "/webhooks/ci"
MAX_BODY_BYTES = MAX_REPORT_BYTES
"""After decompression; no more than this is ever held of one body."""
READ_LIMIT_S = 60.0
AT_ONCE = 4
"""Bodies that are read and parsed at the same time: a crowd waits at its own end, not in our memory."""
RETRY_AFTER_S = 10

_ENCODINGS = frozenset({"", "identity", "gzip"})


@dataclass(frozen=True, slots=True)
class Taken:
    """new: False where the same was known already. told: what the answer says beside that."""

    new: bool
    told: Mapping[str, Any] = field(default_factory=dict)


Taker = Callable[[bytes], Awaitable[Taken]]
"""Takes the whole body of one kind. Raises Refused, `Unusable`, or StoreUnavailable."""


class _Envelope(BaseModel):
    model_config = ConfigDict(extra="ignore")
    kind: str


_KIND = TypeAdapter(_Envelope)


def ci_routes(
    token: Callable[[], str] | None, takers: Mapping[str, Taker], *, read_limit_s: float = READ_LIMIT_S
) -> list[web.RouteDef]:
    """token: reads the configured token anew each time; None: nothing is taken. takers: by the body's `kind`.

    read_limit_s: within which a body must have arrived.
    """
    return [web.route("*", PATH, CiDoor(token, takers, read_limit_s).handle)]


class CiDoor:
    """One request at a time from its first header to its answer."""

    def __init__(self, token: Callable[[], str] | None, takers: Mapping[str, Taker], read_limit_s: float) -> None:
        self._token, self._takers, self._read_limit_s = token, takers, read_limit_s
        self._inside = 0

    async def handle(self, request: web.Request) -> web.Response:
        try:
            self._check_sender(request)
            self._check_headers(request)
            taken = await self._take_in_turn(request)
        except Refused as refused:
            log.info("ci.refused", status=refused.status, why=refused.error)
            body = {"error": refused.error, "remedy": refused.remedy}
            return web.json_response(body, status=refused.status, headers=refused.headers)
        status = 201 if taken.new else 200
        log.info("ci.taken", status=status)
        return web.json_response({"status": "stored" if taken.new else "known", **taken.told}, status=status)

    def _check_sender(self, request: web.Request) -> None:
        if self._token is None:
            raise Refused(404, "this forge takes nothing from CI systems", "Set FORGE_CI_TOKEN where forge runs")
        if request.method != hdrs.METH_POST:
            raise Refused(405, f"{request.method} is not understood here", "Use POST", {hdrs.ALLOW: hdrs.METH_POST})
        try:
            wanted = self._token()
        except Permanent:
            raise Refused(
                503, "the token is configured, but has no value", "Set FORGE_CI_TOKEN where forge runs"
            ) from None
        scheme, _, shown = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        is_right = hmac.compare_digest(shown.strip().encode(errors="surrogateescape"), wanted.encode())
        if scheme.lower() != "bearer" or not is_right:
            remedy = "Send the header Authorization: Bearer with the value of FORGE_CI_TOKEN"
            raise Refused(401, "the token is missing or wrong", remedy, {hdrs.WWW_AUTHENTICATE: "Bearer"})

    def _check_headers(self, request: web.Request) -> None:
        if request.content_type != "application/json":
            remedy = "Send JSON with Content-Type: application/json"
            raise Refused(415, "the body is not said to be JSON", remedy, {hdrs.ACCEPT: "application/json"})
        if request.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower() not in _ENCODINGS:
            raise Refused(415, "only gzip is understood as content encoding", "Send the body as it is, or with gzip")
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise _too_large()

    async def _take_in_turn(self, request: web.Request) -> Taken:
        if self._inside >= AT_ONCE:
            raise _busy("too many bodies arrive at the same time", "Send it again in a moment")
        self._inside += 1
        try:
            return await self._take(await read_body(request, self._read_limit_s, MAX_BODY_BYTES, _too_large()))
        except Unusable as error:
            raise Refused(400, error.cause, error.remedy) from None
        except StoreUnavailable as error:
            log.error("ci.not_kept", code=error.code)
            raise _busy("the database can't be written now", "Send it again: nothing of it was kept") from None
        finally:
            self._inside -= 1

    async def _take(self, body: bytes) -> Taken:
        kind = await asyncio.to_thread(_kind_of, body)
        taker = self._takers.get(kind)
        if taker is None:
            known = ", ".join(sorted(self._takers))
            raise Refused(400, f"the kind {kind[:40]!r} is not known here", f'Set "kind" to one of: {known}')
        return await taker(body)


def _kind_of(body: bytes) -> str:
    """Raises Refused and Unusable."""
    check_bounds(body)
    try:
        return _KIND.validate_json(body).kind
    except ValidationError as error:
        if error.errors(include_input=False)[0]["type"] == "json_invalid":
            raise unreadable(error) from None
        raise Refused(
            400, 'the body is no JSON object with a "kind"', 'Send {"kind": "scan", …} or {"kind": "result", …}'
        ) from None


def _too_large() -> Refused:
    limit = f"{MAX_BODY_BYTES // 1024**2} MiB"
    return Refused(413, f"the body has more than {limit}", "Leave out what the report says beside the findings")


def _busy(error: str, remedy: str) -> Refused:
    return Refused(503, error, remedy, {hdrs.RETRY_AFTER: str(RETRY_AFTER_S)})

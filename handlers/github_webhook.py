"""`/webhooks/github`: GitHub says that something has happened. Closed where no secret is configured.

An authentic delivery is committed once and then only rings: what has happened is asked of GitHub. Nothing is parsed before its
signature is checked over the raw body. Source: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from engine.deliveries import Taken
from engine.records import Delivery
from handlers.bodies import Refused, read_body
from runbook.errors import Permanent, StoreUnavailable

log = structlog.get_logger(__name__)

PATH = "/webhooks/github"
VARIABLE = "GITHUB_WEBHOOK_SECRET"
USED = frozenset({"push", "workflow_run", "check_suite", "release", "create"})
PING = "ping"

MAX_BODY_BYTES = 2 * 1024 * 1024
"""GitHub sends up to 25 MB, and what is of use here has some 30 KB. What is larger costs a ring, which the next poll makes good."""

READ_LIMIT_S = 10.0
"""GitHub gives up after as long."""

AT_ONCE = 16
"""Bodies that are read at the same time: nobody fills the memory who can't sign."""

RETRY_AFTER_S = 10

_SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})")
_GUID = re.compile(r"[0-9A-Za-z-]{8,64}")
_EVENT = re.compile(r"[a-z_]{1,40}")


class _Repository(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    full_name: str = Field(max_length=200)


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    repository: _Repository


_BODY = TypeAdapter(_Body)


@dataclass(frozen=True, slots=True)
class Told:
    """What the answer says. status: `accepted` (it rang), `known`, `not used` or `pong`. why: in words, where there was no effect."""

    status: str
    why: str = ""

    @property
    def code(self) -> int:
        return 202 if self.status in ("accepted", "not used") else 200


Take = Callable[[Delivery], Awaitable[Told]]
"""Keeps an authentic delivery, then rings. Raises StoreUnavailable."""


def github_taker(
    keep: Callable[[Delivery], Awaitable[Taken]], known: Callable[[str], str], ring: Callable[[str], None]
) -> Take:
    """known: a repository as the configuration writes it; empty: no service is of it. ring: that something may have happened there."""

    async def take(delivery: Delivery) -> Told:
        repository = known(delivery.repository)
        if not repository:
            return Told("not used", "no service of this forge is of that repository")
        if await keep(replace(delivery, repository=repository)) is Taken.KNOWN:
            return Told("known", "this delivery was taken before")
        ring(repository)
        return Told("accepted")

    return take


def github_routes(
    secret: Callable[[], str] | None, take: Take, now: Callable[[], datetime], *, read_limit_s: float = READ_LIMIT_S
) -> list[web.RouteDef]:
    """secret: reads the configured secret anew each time; None: nothing is taken. read_limit_s: within which a body must have arrived."""
    return [web.route("*", PATH, GithubDoor(secret, take, now, read_limit_s).handle)]


class GithubDoor:
    """One request at a time from its first header to its answer."""

    def __init__(
        self, secret: Callable[[], str] | None, take: Take, now: Callable[[], datetime], read_limit_s: float
    ) -> None:
        self._secret, self._take, self._now, self._read_limit_s = secret, take, now, read_limit_s
        self._inside = 0

    async def handle(self, request: web.Request) -> web.Response:
        try:
            answer = await self._answered(request)
        except Refused as refused:
            log.info("github.refused", status=refused.status, why=refused.error)
            body = {"error": refused.error, "remedy": refused.remedy}
            return web.json_response(body, status=refused.status, headers=refused.headers)
        told = {"status": answer.status} | ({"why": answer.why} if answer.why else {})
        return web.json_response(told, status=answer.code)

    async def _answered(self, request: web.Request) -> Told:
        secret = self._read_secret(request)
        _check_headers(request)
        signature = _signature_of(request)
        if self._inside >= AT_ONCE:
            raise _busy("too many deliveries arrive at the same time")
        self._inside += 1
        try:
            body = await self._authentic_body(request, secret, signature)
            return await self._taken(request, body)
        finally:
            self._inside -= 1

    def _read_secret(self, request: web.Request) -> bytes:
        if self._secret is None:
            raise Refused(404, "this forge takes no webhooks from GitHub", f"Set {VARIABLE} where forge runs")
        if request.method != hdrs.METH_POST:
            raise Refused(405, f"{request.method} is not understood here", "Use POST", {hdrs.ALLOW: hdrs.METH_POST})
        try:
            secret = self._secret().encode()
        except Permanent:
            secret = b""
        if not secret:  # with an empty one anybody could sign
            raise Refused(503, "the secret is configured, but has no value", f"Set {VARIABLE} where forge runs")
        return secret

    async def _authentic_body(self, request: web.Request, secret: bytes, signature: str) -> bytes:
        """The work for a forged delivery and for an authentic one is the same: the body's signature is made while it arrives."""
        made = hmac.new(secret, digestmod=hashlib.sha256)
        body = await read_body(request, self._read_limit_s, MAX_BODY_BYTES, _too_large(), made.update)
        if not hmac.compare_digest(made.hexdigest(), signature):
            raise _unsigned("the signature is not of this body and this forge's secret")
        return body

    async def _taken(self, request: web.Request, body: bytes) -> Told:
        """Of an authentic delivery. Raises Refused."""
        guid, event = _named(request)
        if event == PING:
            log.info("github.ping", guid=guid)
            return Told("pong")
        if event not in USED:
            log.info("github.not_used", guid=guid, kind=event)
            return Told("not used", f"{event} says nothing about what is deployed")
        repository, content = await asyncio.to_thread(_understood, body)
        try:
            answer = await self._take(
                Delivery(guid=guid, event=event, repository=repository, sha256=content, received_at=self._now())
            )
        except StoreUnavailable as error:
            log.error("github.not_kept", guid=guid, code=error.code)
            raise _busy("the database can't be written now") from None
        log.info("github.taken", guid=guid, kind=event, repository=repository, answer=answer.status)
        return answer


def _check_headers(request: web.Request) -> None:
    if request.content_type != "application/json":
        remedy = "Set the webhook's \"Content type\" to application/json in the repository's settings"
        raise Refused(415, "the body is not said to be JSON", remedy, {hdrs.ACCEPT: "application/json"})
    if request.headers.get(hdrs.CONTENT_ENCODING, "").strip().lower() not in ("", "identity"):
        raise Refused(415, "the body is encoded, and the signature is of the plain one", "Send the body as it is")
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise _too_large()


def _signature_of(request: web.Request) -> str:
    """As hex. A delivery without one isn't read."""
    shown = request.headers.getall("X-Hub-Signature-256", [])
    found = _SIGNATURE.fullmatch(shown[0]) if len(shown) == 1 else None
    if found is None:
        raise _unsigned("the delivery is not signed")
    return found[1]


def _named(request: web.Request) -> tuple[str, str]:
    guid, event = request.headers.get("X-GitHub-Delivery", ""), request.headers.get("X-GitHub-Event", "")
    if _GUID.fullmatch(guid) is None or _EVENT.fullmatch(event) is None:
        remedy = "Let GitHub send it: X-GitHub-Delivery and X-GitHub-Event name a delivery"
        raise Refused(400, "the delivery doesn't say what it is", remedy)
    return guid.lower(), event


def _understood(body: bytes) -> tuple[str, str]:
    """(repository, hex SHA-256). Everything else in it is left unread. Raises Refused."""
    try:
        said = _BODY.validate_json(body)
    except ValidationError:
        remedy = "Let GitHub send it again: Recent Deliveries, Redeliver"
        raise Refused(400, "the body is no JSON that names its repository", remedy) from None
    return said.repository.full_name, hashlib.sha256(body).hexdigest()


def _unsigned(error: str) -> Refused:
    return Refused(401, error, f"Set the webhook's secret to the value of {VARIABLE}")


def _too_large() -> Refused:
    remedy = "Nothing is lost: forge asks GitHub by itself what is on the branch"
    return Refused(413, f"the body has more than {MAX_BODY_BYTES // 1024**2} MiB", remedy)


def _busy(error: str) -> Refused:
    remedy = "Redeliver it, or leave it: forge asks GitHub by itself what is on the branch"
    return Refused(503, error, remedy, {hdrs.RETRY_AFTER: str(RETRY_AFTER_S)})

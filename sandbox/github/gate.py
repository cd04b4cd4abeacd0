"""What stands before every endpoint: User-Agent, token, rate limit and rights, in GitHub's order and words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import web

from sandbox.github import limits

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Door(Protocol):
    """What the gate needs of the server."""

    token: str
    read_only_token: str
    contents_token: str
    rate: limits.RateLimit

    def dress(self, request: web.Request, status: int) -> web.Response: ...


def gate(door: Door) -> Any:
    asked = 0

    @web.middleware
    async def stand(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal asked
        if request.path.startswith("/_control/"):
            return await handler(request)
        asked += 1
        response: web.StreamResponse | None = _refusal(door, request)
        if response is None:
            try:
                response = limits.conditional(request, await handler(request))
            except web.HTTPMovedPermanently as moved:
                where = {"Location": moved.headers["Location"], "Content-Type": "application/json; charset=utf-8"}
                response = web.Response(status=301, headers=where, body=moved.text)
            except web.HTTPException as error:
                response = door.dress(request, error.status)
            if response.status != 304 and request.path != "/rate_limit":
                door.rate.used += 1
        response.headers.update(door.rate.headers())
        response.headers["X-GitHub-Request-Id"] = f"F0:{asked:06X}"
        response.headers["X-GitHub-Media-Type"] = "github.v3; format=json"
        return response

    return stand


def given_token(request: web.Request) -> str:
    sent = request.headers.get("Authorization", "").split()
    return sent[1] if len(sent) == 2 and sent[0].lower() in ("bearer", "token") else ""


def _refusal(door: Door, request: web.Request) -> web.Response | None:
    door.rate.roll()
    if "User-Agent" not in request.headers:
        text = "Request forbidden by administrative rules. Please make sure your request has a User-Agent header."
        return web.Response(status=403, text=text)
    sent, given = "Authorization" in request.headers, given_token(request)
    if sent and given not in (door.token, door.read_only_token, door.contents_token):
        return limits.error(401)
    if not sent and request.path != "/rate_limit":
        # a private repository doesn't exist for strangers
        return limits.error(404) if request.path != "/user" else limits.error(401, "Requires authentication")
    if door.rate.used >= door.rate.limit and request.path != "/rate_limit":
        return limits.limited(None)
    if given != door.token and request.method not in ("GET", "HEAD"):
        return limits.error(403)
    return None

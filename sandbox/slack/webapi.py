"""The door of the Web API: `/api/<method>` with form, JSON or query arguments, tokens, scopes and rate limits.

The methods themselves are in `methods_*.py`; each takes the call's arguments and returns the answer without `ok`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sandbox.slack.errors import SlackError
from sandbox.slack.model import ApiCall
from sandbox.slack.ratelimits import RateLimits
from sandbox.slack.workspace import Workspace

Json = dict[str, Any]
# Arguments that are JSON even in a form, as the SDK sends them.
_JSON_ARGUMENTS = ("blocks", "attachments", "metadata", "view", "files")


@dataclass(frozen=True)
class Method:
    """One Web API method. `scopes`: any one of them is enough; `token`: which kind it takes."""

    run: Callable[[Workspace, Json], Json | Awaitable[Json]]
    scopes: tuple[str, ...] = ()
    token: str = "bot"  # noqa: S105  a kind of token


class WebApi:
    """Dispatches calls. `auth_error`: with it set, every call is refused so (`token_revoked`, `account_inactive`)."""

    def __init__(self, workspace: Workspace, methods: dict[str, Method], limits: RateLimits, tokens: Json) -> None:
        self.workspace = workspace
        self.methods = methods
        self.limits = limits
        self.tokens = tokens
        self.auth_error: str | None = None

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/api/{method}", self.handle)]

    @web.middleware
    async def record(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Writes down every call, also those that a fault strikes, and gives bare faults Slack's words."""
        if not request.path.startswith("/api/"):
            return await handler(request)
        call = ApiCall(request.path.removeprefix("/api/"), {}, self.workspace.clock())
        # What can't be read is refused by `handle`, with the right words.
        with contextlib.suppress(SlackError):
            call.args = await _arguments(request)
        call.args.pop("token", None)
        self.workspace.record(call)
        response = await handler(request)
        if isinstance(response, web.Response) and response.body == b"{}":
            response = _in_slack_words(response)
        call.status = response.status
        body = response.body if isinstance(response, web.Response) else None
        if isinstance(body, bytes) and body.startswith(b"{"):
            call.answer = json.loads(body)
        return response

    async def handle(self, request: web.Request) -> web.Response:
        name = request.match_info["method"]
        scopes = ",".join(sorted(self.workspace.scopes))
        headers = {"x-oauth-scopes": scopes, "x-slack-req-id": f"local-{len(self.workspace.calls)}"}
        try:
            arguments = await _arguments(request)
            method = self._admit(name, _token(request, arguments), arguments)
            headers["x-accepted-oauth-scopes"] = ",".join(method.scopes)
            arguments["_host"] = request.host
            outcome = method.run(self.workspace, arguments)
            answer = outcome if isinstance(outcome, dict) else await outcome
            return web.json_response({"ok": True, **answer}, headers=headers)
        except SlackError as refusal:
            return web.json_response(refusal.answer(), status=refusal.status, headers={**headers, **refusal.headers})

    def _admit(self, name: str, token: str | None, arguments: Json) -> Method:
        """The method, if this call may pass; the order of refusals is Slack's: method, token, scope, rate."""
        method = self.methods.get(name)
        if method is None:
            raise SlackError("unknown_method", req_method=name)
        if method.token != "none":  # noqa: S105  a kind of token
            self._check_token(token, method)
        if method.scopes and not self.workspace.scopes.intersection(method.scopes):
            raise SlackError("missing_scope", needed=method.scopes[0], provided=",".join(sorted(self.workspace.scopes)))
        wait_s = self.limits.wait_s(name, str(arguments.get("channel", "")))
        if wait_s is not None:
            raise SlackError("ratelimited", status=429, headers={"Retry-After": str(wait_s)})
        return method

    def _check_token(self, token: str | None, method: Method) -> None:
        if not token:
            raise SlackError("not_authed")
        kind = next((kind for kind, value in self.tokens.items() if value == token), None)
        if kind is None:
            raise SlackError("invalid_auth")
        if self.auth_error:
            raise SlackError(self.auth_error)
        if method.token not in ("any", kind):
            raise SlackError("not_allowed_token_type")


def _token(request: web.Request, arguments: Json) -> str | None:
    header = request.headers.get("Authorization", "")
    in_body = arguments.pop("token", None)
    return header.removeprefix("Bearer ").strip() if header.startswith("Bearer ") else in_body


async def _arguments(request: web.Request) -> Json:
    """The call's arguments from query, form or JSON; JSON texts within a form are opened."""
    found: Json = dict(request.query)
    if request.content_type == "application/json":
        try:
            body = json.loads(await request.read() or b"{}")
        except ValueError as error:
            raise SlackError("invalid_json") from error
        if not isinstance(body, dict):
            raise SlackError("json_not_object")
        found |= body
    elif request.method == "POST":
        form = await request.post()
        found |= {key: value for key, value in form.items() if isinstance(value, str)}
    for key in _JSON_ARGUMENTS:
        if isinstance(found.get(key), str) and found[key]:
            found[key] = _opened(key, found[key])
    return found


def _opened(key: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        wrong = {"blocks": "invalid_blocks_format", "metadata": "invalid_metadata_format"}
        raise SlackError(wrong.get(key, "invalid_arguments")) from error


def _in_slack_words(response: web.Response) -> web.Response:
    """A fault without a body: the body, and for 429 the header, that Slack would send."""
    words = {429: "ratelimited", 503: "service_unavailable"}
    headers = {
        key: value for key, value in response.headers.items() if key.lower() not in ("content-length", "content-type")
    }
    if response.status == 429:
        headers.setdefault("Retry-After", "1")
    error = words.get(response.status, "internal_error")
    return web.json_response({"ok": False, "error": error}, status=response.status, headers=headers)


def flag(arguments: Json, name: str) -> bool:
    """A yes or no, which forms carry as `true`, `1`, `0` or `false`."""
    return str(arguments.get(name, "")).lower() in ("1", "true")


def page_of(items: list[Any], arguments: Json, *, default: int = 100, most: int = 1000) -> tuple[list[Any], str]:
    """One page of a listing and the cursor of the next, empty at the end."""
    try:
        limit = min(int(arguments.get("limit") or default), most)
        start = int(str(arguments.get("cursor") or "next_0").removeprefix("next_"))
    except ValueError as error:
        raise SlackError("invalid_cursor" if arguments.get("cursor") else "invalid_limit") from error
    if limit < 1:
        raise SlackError("invalid_limit")
    end = start + limit
    return items[start:end], (f"next_{end}" if end < len(items) else "")

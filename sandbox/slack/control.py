"""`/_control/…`: everything a test or the page does as a person or as the world, by JSON, and the stream of news.

Not part of Slack. Requests of pages from elsewhere are refused, since nothing else guards it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.slack.model import Message

if TYPE_CHECKING:
    from sandbox.slack.server import LocalSlack

Json = dict[str, Any]
PAGE = Path(__file__).parent / "page"
CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' https: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Control:
    def __init__(self, slack: LocalSlack) -> None:
        self._slack = slack
        self._streams: set[asyncio.Queue[Json | None]] = set()

    def routes(self) -> list[web.RouteDef]:
        gets: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
            "/": self._page,
            "/archives/{rest:.*}": self._page,
            "/page/{name}": self._asset,
            "/_control/stream": self._stream,
            "/_control/state": _answering(lambda _: self.state()),
            "/_control/messages": _answering(self._messages),
            "/_control/ephemerals": _answering(self._ephemerals),
            "/_control/views": _answering(lambda request: self._open_views(request.query.get("user"))),
            "/_control/calls": _answering(self._calls),
            "/_control/hints": _answering(lambda _: self._slack.panel.hints),
            "/_control/panel": _answering(lambda _: self._slack.panel.groups),
        }
        posts: dict[str, Callable[[web.Request, Json], Awaitable[Any]]] = {
            "command": self._command,
            "message": self._say,
            "click": self._click,
            "view/click": self._view_click,
            "view/submit": self._submit,
            "view/close": self._close,
            "dismiss": self._dismiss,
            "users": self._add_user,
            "channels": self._add_channel,
            "usergroups": self._add_usergroup,
            "redeliver": self._redeliver,
            "event": self._event,
            "sockets": self._sockets,
            "settings": self._settings,
            "hints": self._set_hints,
            "panel/{id}": self._use_panel,
        }
        return [
            *(web.get(path, handler) for path, handler in gets.items()),
            *(web.post(f"/_control/{path}", _taking(handler)) for path, handler in posts.items()),
        ]

    # --- the page and its news

    async def _page(self, _: web.Request) -> web.StreamResponse:
        headers = {"Content-Security-Policy": CONTENT_POLICY, "Cache-Control": "no-cache"}
        return web.FileResponse(PAGE / "index.html", headers=headers)

    async def _asset(self, request: web.Request) -> web.StreamResponse:
        path = PAGE / Path(request.match_info["name"]).name
        if not path.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(path, headers={"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        queue: asyncio.Queue[Json | None] = asyncio.Queue()
        self._streams.add(queue)
        watchers = self._slack.workspace.watchers
        watchers.append(queue.put_nowait)
        try:
            await response.write(b": hello\n\n")
            while (news := await _next_of(queue)) is not None:
                await response.write(f"data: {json.dumps(news)}\n\n".encode() if news else b": still here\n\n")
        except ConnectionError:
            pass  # the page was closed
        finally:
            watchers.remove(queue.put_nowait)
            self._streams.discard(queue)
        return response

    async def close_streams(self, _: web.Application) -> None:
        for queue in self._streams:
            queue.put_nowait(None)

    def state(self) -> Json:
        """Everything the page shows."""
        slack, space = self._slack, self._slack.workspace
        users = [user for user in space.users.values() if user.id != space.bot_user]
        return {
            "team": {"id": space.team_id, "name": space.team_name},
            "bot": {"id": space.bot_user, "name": space.bot_name},
            "users": [
                {**user.shown(space.team_id), "real_name": user.real_name, "title": user.title} for user in users
            ],
            "channels": [
                {**channel.shown(space.bot_user), "name": channel.name, "members": channel.members}
                for channel in space.channels.values()
            ],
            "usergroups": [group.shown(space.team_id, with_users=True) for group in space.usergroups.values()],
            "messages": [space.page_message(item) for stored in space.messages.values() for item in stored],
            "ephemerals": [space.page_message(item) for item in space.ephemerals],
            "views": self._open_views(None),
            "connection": {"state": slack.connection_state(), "sockets": len(slack.sockets.connections)},
            "notice": slack.panel.notice,
            "hints": slack.panel.hints,
            "panel": slack.panel.groups,
        }

    def _open_views(self, user: str | None) -> list[Json]:
        space = self._slack.workspace
        return [
            {**space.shown_view(space.views[view_id]), "user": owner, "errors": space.views[view_id].errors}
            for owner, stack in space.stacks.items()
            if user in (None, owner)
            for view_id in stack
        ]

    # --- looking

    def _messages(self, request: web.Request) -> list[Json]:
        found = self._slack.messages(request.query["channel"], request.query.get("thread_ts"))
        return [self._slack.workspace.page_message(message) for message in found]

    def _ephemerals(self, request: web.Request) -> list[Json]:
        found = self._slack.ephemerals(request.query["user"])
        return [self._slack.workspace.page_message(message) for message in found]

    def _calls(self, request: web.Request) -> list[Json]:
        since = float(request.query.get("since", 0))
        found = self._slack.calls(request.query.get("method"))
        return [
            {"method": call.method, "args": call.args, "at": call.at, "status": call.status, "answer": call.answer}
            for call in found
            if call.at >= since
        ]

    # --- persons

    async def _command(self, _: web.Request, body: Json) -> Json:
        result = await self._slack.command(
            body["user"], body["text"], channel_id=body["channel"], command=body.get("command", "/forge")
        )
        return {
            "outcome": result.outcome,
            "timed_out": result.timed_out,
            "answer": result.answer,
            "shown": result.shown,
            "trigger_id": result.trigger_id,
            "response_url": result.response_url,
            "envelope_id": result.delivery.envelope_id,
        }

    async def _say(self, _: web.Request, body: Json) -> Json:
        message: Message = await self._slack.say(body["user"], body["channel"], body["text"], body.get("thread_ts"))
        return {"ts": message.ts}

    async def _click(self, _: web.Request, body: Json) -> Json:
        click = await self._slack.click(
            body["user"],
            body["channel"],
            body["ts"],
            body["action_id"],
            value=body.get("value"),
            block_id=body.get("block_id"),
        )
        return {
            "outcome": click.outcome,
            "trigger_id": click.trigger_id,
            "response_url": click.response_url,
            "envelope_id": click.delivery.envelope_id,
        }

    async def _view_click(self, _: web.Request, body: Json) -> Json:
        click = await self._slack.click_in_view(body["user"], body["view"], body["action_id"], value=body.get("value"))
        return {"outcome": click.outcome, "envelope_id": click.delivery.envelope_id}

    async def _submit(self, _: web.Request, body: Json) -> Json:
        result = await self._slack.submit_view(body["user"], body["view"], body.get("values", {}))
        return {"errors": result.errors, "is_open": result.is_open}

    async def _close(self, _: web.Request, body: Json) -> Json:
        await self._slack.close_view(body["user"], body["view"])
        return {}

    async def _dismiss(self, _: web.Request, body: Json) -> Json:
        for message in self._slack.ephemerals(body["user"]):
            if message.ts == body["ts"]:
                self._slack.workspace.remove_ephemeral(message)
        return {}

    # --- the world

    async def _add_user(self, _: web.Request, body: Json) -> Json:
        return {"id": self._slack.add_user(body.pop("id"), body.pop("name"), **body).id}

    async def _add_channel(self, _: web.Request, body: Json) -> Json:
        return {"id": self._slack.add_channel(body.pop("id"), body.pop("name"), body.pop("members", []), **body).id}

    async def _add_usergroup(self, _: web.Request, body: Json) -> Json:
        return {"id": self._slack.add_usergroup(body["id"], body["handle"], body["users"]).id}

    async def _redeliver(self, _: web.Request, body: Json) -> Json:
        delivery = await self._slack.redeliver(body.get("envelope_id"))
        return {"outcome": delivery.outcome, "envelope_id": delivery.envelope_id, "response": delivery.response}

    async def _event(self, _: web.Request, body: Json) -> Json:
        delivery = await self._slack.send_event(body)
        return {"outcome": delivery.outcome, "attempts": delivery.attempts}

    async def _sockets(self, _: web.Request, body: Json) -> Json:
        """`{"do": "deafen"|"undeafen"|"disconnect"|"down"|"up", "mode": …, "reason": …}`."""
        match body.get("do"):
            case "deafen":
                self._slack.deafen(body.get("mode", "silent"))
            case "undeafen":
                self._slack.undeafen()
            case "disconnect":
                await self._slack.disconnect_sockets(body.get("reason", "refresh_requested"))
            case "down":
                self._slack.go_down(body.get("mode", "refused"))
            case "up":
                self._slack.come_back()
            case unknown:
                raise ValueError(f"unknown word {unknown!r}")
        return {"state": self._slack.connection_state()}

    async def _settings(self, _: web.Request, body: Json) -> Json:
        """Any of scopes, is_paid, rate_limits, auth_error, request_url, notice."""
        slack = self._slack
        if "scopes" in body:
            slack.workspace.scopes = set(body["scopes"])
        if "is_paid" in body:
            slack.workspace.is_paid = bool(body["is_paid"])
        if "rate_limits" in body:
            slack.rate_limits = bool(body["rate_limits"])
        if "auth_error" in body:
            slack.api.auth_error = body["auth_error"]
        if "request_url" in body:
            slack.courier.request_url = body["request_url"]
        if "notice" in body:
            slack.set_notice(str(body["notice"]))
        return {}

    async def _set_hints(self, _: web.Request, body: Json) -> Json:
        self._slack.set_hints(body["hints"])
        return {}

    async def _use_panel(self, request: web.Request, body: Json) -> Json:
        return {"note": await self._slack.panel.use(request.match_info["id"], body.get("value"))}


async def _next_of(queue: asyncio.Queue[Json | None]) -> Json | None:
    """The next news; an empty one after 15 quiet seconds, so that a closed page is noticed."""
    try:
        return await asyncio.wait_for(queue.get(), 15)
    except TimeoutError:
        return {}


def _answering(find: Callable[[web.Request], Any]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return web.json_response(find(request))
        except KeyError as missing:
            return web.json_response({"error": f"missing or unknown: {missing.args[0]}"}, status=400)

    return handle


def _taking(
    act: Callable[[web.Request, Json], Awaitable[Any]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if origin is not None and origin.split("://")[-1] != request.host:
            return web.json_response({"error": "requests of other pages are refused"}, status=403)
        try:
            body = json.loads(await request.read() or b"{}")
            return web.json_response(await act(request, body))
        except KeyError as missing:
            return web.json_response({"error": f"missing or unknown: {missing.args[0]}"}, status=400)
        except (LookupError, ValueError, TypeError) as wrong:
            return web.json_response({"error": str(wrong)}, status=400)

    return handle

"""`LocalSlack`: a Slack workspace in one asyncio process, for tests and for the sandbox's page.

Real `slack_sdk` and `slack_bolt` clients talk to it by address alone. It must never be reachable from another machine:
it trusts whoever can connect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal

from aiohttp import web

from sandbox.faults import Faults
from sandbox.slack import methods_chat, methods_files, methods_reading, methods_views
from sandbox.slack.control import Control
from sandbox.slack.delivery import Courier
from sandbox.slack.httpmode import HttpMode
from sandbox.slack.modals import Modals, SubmitResult
from sandbox.slack.model import ApiCall, Channel, Message, User, Usergroup, View
from sandbox.slack.panel import OnPanel, Panel
from sandbox.slack.people import SLACKBOT, ClickResult, CommandResult, People
from sandbox.slack.ratelimits import RateLimits
from sandbox.slack.responses import ResponseUrls
from sandbox.slack.sockets import Deafness, Delivery, Reason, Sockets
from sandbox.slack.transcript import transcript
from sandbox.slack.webapi import Method, WebApi
from sandbox.slack.workspace import Workspace

Json = dict[str, Any]
Outage = Literal["refused", "503"]


class LocalSlack:
    """One workspace with one installed app.

    workspace: everything stored, free to be looked at; change it through the methods here. courier.request_url: set it for
    HTTP mode. scopes: the app's bot scopes, changeable at any time.
    """

    def __init__(
        self,
        *,
        team_id: str = "T0FORGE",
        team_name: str = "Acme",
        bot_token: str = "xoxb-local",  # noqa: S107  a token of this stand-in alone
        app_token: str = "xapp-local",  # noqa: S107
        signing_secret: str = "local",  # noqa: S107
        faults: Faults | None = None,
        rate_limits: bool = False,
        request_url: str | None = None,
        scopes: Iterable[str] | None = None,
        ping_interval_s: float = 5.0,
    ) -> None:
        self.faults = faults or Faults()
        self.bot_token, self.app_token, self.signing_secret = bot_token, app_token, signing_secret
        self.workspace = Workspace(team_id, team_name)
        if scopes is not None:
            self.workspace.scopes = set(scopes)
        self.sockets = Sockets(self.workspace.app_id, self._connection_changed, ping_interval_s=ping_interval_s)
        self.courier = Courier(
            self.sockets,
            HttpMode(signing_secret),
            app_id=self.workspace.app_id,
            team_id=team_id,
            on_change=self._connection_changed,
        )
        self.courier.request_url = request_url
        self.people = People(self.workspace, self.courier)
        self.modals = Modals(self.people)
        self.panel = Panel(self.workspace.tell)
        self.limits = RateLimits(is_on=rate_limits)
        self.api = WebApi(self.workspace, self._methods(), self.limits, {"bot": bot_token, "app": app_token})
        self.outage: Outage | None = None
        self._runner: web.AppRunner | None = None
        self._add_system_users()

    def _add_system_users(self) -> None:
        space = self.workspace
        space.users[space.bot_user] = User(space.bot_user, space.bot_name, "forge", space.team_id, is_bot=True)
        space.users[SLACKBOT] = User(SLACKBOT, "slackbot", "Slackbot", space.team_id)

    def _methods(self) -> dict[str, Method]:
        return {
            **methods_chat.METHODS,
            **methods_reading.METHODS,
            **methods_views.METHODS,
            **methods_files.METHODS,
            "apps.connections.open": Method(self._open_connection, token="app"),  # noqa: S106  a kind of token
        }

    def _open_connection(self, _: Workspace, arguments: Json) -> Json:
        return {"url": self.sockets.issue_url(str(arguments["_host"]))}

    # --- life

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Serves; returns the base address. The Web API is at `{address}/api/`."""
        app = web.Application(
            middlewares=[self._be_out, self.api.record, self.faults.middleware()], client_max_size=64 * 1024 * 1024
        )
        control = Control(self)
        files = methods_files.FileStore(self.workspace, self.bot_token)
        for routes in (self.api, self.sockets, ResponseUrls(self.workspace), files, self.faults, control):
            app.add_routes(routes.routes())
        app.on_shutdown.append(control.close_streams)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        actual = self._runner.addresses[0][1]
        self.workspace.base_url = f"http://{host}:{actual}"
        return self.workspace.base_url

    async def stop(self) -> None:
        await self.sockets.close()
        await self.courier.http.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        return self.workspace.base_url

    @property
    def api_url(self) -> str:
        """What `SLACK_API_URL` is set to."""
        return f"{self.workspace.base_url}/api/"

    @web.middleware
    async def _be_out(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """While down, only the page and the controls answer."""
        is_page = request.path == "/" or request.path.startswith(("/_control/", "/page/", "/archives/"))
        if self.outage is None or is_page:
            return await handler(request)
        if self.outage == "refused" and request.transport is not None:
            request.transport.abort()
        return web.json_response({"ok": False, "error": "service_unavailable"}, status=503)

    def go_down(self, mode: Outage = "refused") -> None:
        """Slack is unreachable: connections are cut at once (`refused`) or answered 503; sockets break."""
        self.outage, self.courier.is_down = mode, True
        self.sockets.drop_all()
        self._connection_changed()

    def come_back(self) -> None:
        self.outage, self.courier.is_down = None, False
        self._connection_changed()

    # --- settings

    @property
    def scopes(self) -> set[str]:
        return self.workspace.scopes

    @property
    def rate_limits(self) -> bool:
        return self.limits.is_on

    @rate_limits.setter
    def rate_limits(self, is_on: bool) -> None:
        self.limits.is_on = is_on

    def deafen(self, mode: Deafness = "silent") -> None:
        """Sockets, present and coming, stay open and hear nothing; see `Sockets.deafness`."""
        self.sockets.deafness = mode
        self._connection_changed()

    def undeafen(self) -> None:
        self.sockets.deafness = None
        self._connection_changed()

    async def disconnect_sockets(self, reason: Reason = "refresh_requested") -> None:
        await self.sockets.disconnect(reason)

    def connection_state(self) -> str:
        """`connected`, `deaf`, `offline` or, while Slack itself is down, `down`; `http` in HTTP mode."""
        if self.outage:
            return "down"
        return "http" if self.courier.request_url else self.sockets.state

    def _connection_changed(self) -> None:
        self.workspace.tell("connection", state=self.connection_state(), sockets=len(self.sockets.connections))

    # --- furniture

    def add_user(
        self,
        user_id: str,
        name: str,
        *,
        real_name: str = "",
        title: str = "",
        deleted: bool = False,
        is_bot: bool = False,
        is_restricted: bool = False,
        is_ultra_restricted: bool = False,
        is_stranger: bool = False,
        team_id: str | None = None,
        tz: str = "Europe/Berlin",
        email: str = "",
    ) -> User:
        """A person (or bot). title: the role that the page shows. team_id: another one makes a Slack Connect user."""
        user = User(
            user_id,
            name,
            real_name or name.title(),
            team_id or self.workspace.team_id,
            deleted=deleted,
            is_bot=is_bot,
            is_restricted=is_restricted or is_ultra_restricted,
            is_ultra_restricted=is_ultra_restricted,
            is_stranger=is_stranger,
            tz=tz,
            title=title,
            email=email,
        )
        self.workspace.users[user_id] = user
        self.workspace.tell("people")
        return user

    def add_channel(
        self,
        channel_id: str,
        name: str,
        members: Iterable[str] = (),
        *,
        is_private: bool = False,
        has_bot: bool = True,
        topic: str = "",
    ) -> Channel:
        everyone = [*members, *([self.workspace.bot_user] if has_bot else [])]
        channel = Channel(channel_id, name, list(dict.fromkeys(everyone)), is_private=is_private, topic=topic)
        self.workspace.channels[channel_id] = channel
        self.workspace.tell("channel", channel=channel_id)
        return channel

    def add_usergroup(self, group_id: str, handle: str, users: Iterable[str], *, name: str = "") -> Usergroup:
        """A group of users; Slack has no empty ones, so an empty list is refused."""
        members = list(users)
        if not members:
            raise ValueError("a Slack user group can't be empty")
        group = Usergroup(group_id, handle, name or handle, members)
        self.workspace.usergroups[group_id] = group
        self.workspace.tell("people")
        return group

    # --- persons

    async def command(self, user_id: str, text: str, *, channel_id: str, command: str = "/forge") -> CommandResult:
        """Types a slash command as a person does; returns when it is acknowledged or after 3 s."""
        return await self.people.command(user_id, text, channel_id=channel_id, command=command)

    async def click(
        self, user_id: str, channel_id: str, ts: str, action_id: str, *, value: Any = None, block_id: str | None = None
    ) -> ClickResult:
        """Clicks in a message; see `People.click` for stale and forged clicks."""
        return await self.people.click(user_id, channel_id, ts, action_id, value=value, block_id=block_id)

    async def say(self, user_id: str, channel_id: str, text: str, thread_ts: str | None = None) -> Message:
        return await self.people.say(user_id, channel_id, text, thread_ts)

    async def click_in_view(self, user_id: str, view_id: str, action_id: str, *, value: Any = None) -> ClickResult:
        return await self.modals.click(user_id, view_id, action_id, value=value)

    async def submit_view(self, user_id: str, view_id: str, values: Json) -> SubmitResult:
        """values: block id -> value or {action id -> value}; what is absent stays as it was shown."""
        return await self.modals.submit(user_id, view_id, values)

    async def close_view(self, user_id: str, view_id: str) -> Delivery | None:
        return await self.modals.close(user_id, view_id)

    async def redeliver(self, envelope_id: str | None = None) -> Delivery:
        """Slack sends again: the same payload in a new envelope."""
        return await self.courier.redeliver(envelope_id)

    async def send_event(self, event: Json) -> Delivery:
        return await self.courier.send_event(event)

    # --- looking

    def messages(self, channel_id: str, thread_ts: str | None = None) -> list[Message]:
        """Top-level messages of a channel, or a thread's replies; oldest first."""
        if thread_ts is not None:
            return self.workspace.thread(channel_id, thread_ts)
        return [message for message in self.workspace.messages.get(channel_id, []) if not message.is_reply]

    def ephemerals(self, user_id: str) -> list[Message]:
        return [message for message in self.workspace.ephemerals if message.ephemeral_for == user_id]

    def views(self, user_id: str) -> list[View]:
        """The open modals of a user, the topmost last."""
        return [self.workspace.views[view_id] for view_id in self.workspace.stacks.get(user_id, [])]

    def calls(self, method: str | None = None) -> list[ApiCall]:
        """Every call received, also the failed ones; `response_url` for answers to commands and clicks."""
        return [call for call in self.workspace.calls if method in (None, call.method)]

    def transcript(self, channel_id: str) -> str:
        """What people see in a channel, as plain text."""
        return transcript(self.workspace, channel_id)

    async def until(self, condition: Callable[[], object], *, timeout_s: float = 10.0) -> Any:
        """Waits until `condition()` is true, looking after every change; returns its value, raises TimeoutError."""
        changed = asyncio.Event()

        def watch(_: Json) -> None:
            changed.set()

        self.workspace.watchers.append(watch)
        try:
            async with asyncio.timeout(timeout_s):
                while not (found := condition()):
                    changed.clear()
                    # Conditions may look at more than this workspace: look again now and then without news.
                    try:
                        await asyncio.wait_for(changed.wait(), 0.05)
                    except TimeoutError:
                        continue
                return found
        finally:
            self.workspace.watchers.remove(watch)

    # --- the page

    def set_hints(self, hints: list[Json]) -> None:
        self.panel.set_hints(hints)

    def set_panel(self, groups: list[Json]) -> None:
        self.panel.set_groups(groups)

    def on_panel(self, callback: OnPanel) -> None:
        self.panel.on_use(callback)

    def set_notice(self, text: str) -> None:
        self.panel.set_notice(text)

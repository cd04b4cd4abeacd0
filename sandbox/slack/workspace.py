"""Everything the local workspace remembers, in memory, and the news it gives to whoever watches.

It knows nothing of HTTP; refusals are `SlackError`s in Slack's words.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.slack.errors import SlackError
from sandbox.slack.model import ApiCall, Channel, File, Message, User, Usergroup, View

Json = dict[str, Any]
Watcher = Callable[[Json], None]

TRIGGER_LIFE_S = 3.0
RESPONSE_URL_LIFE_S = 30 * 60.0
RESPONSE_URL_USES = 5
MAX_STACK = 3
MAX_AUDIT = 20_000

DEFAULT_SCOPES = (
    "channels:history",
    "channels:read",
    "chat:write",
    "commands",
    "files:read",
    "files:write",
    "groups:history",
    "groups:read",
    "im:history",
    "im:read",
    "im:write",
    "pins:write",
    "reactions:write",
    "team:read",
    "usergroups:read",
    "users:read",
    "users:read.email",
)


def random_id(prefix: str) -> str:
    return prefix + secrets.token_hex(5).upper()


@dataclass
class Trigger:
    """Leave to open one modal, once, for three seconds. `view`: the modal it was clicked in."""

    id: str
    user: str
    at: float
    view: str | None = None
    is_used: bool = False


@dataclass
class ResponseUrl:
    """Leave to answer one command or click. `message_ts`: the message that was clicked, None for a command."""

    secret: str
    user: str
    channel: str
    at: float
    message_ts: str | None = None
    thread_ts: str | None = None
    uses: int = 0


@dataclass
class Workspace:
    team_id: str
    team_name: str
    app_id: str = "A0FORGE"
    bot_id: str = "B0FORGE"
    bot_user: str = "U0FORGE"
    bot_name: str = "forge"
    scopes: set[str] = field(default_factory=lambda: set(DEFAULT_SCOPES))
    is_paid: bool = True
    uploads_refused: str = ""
    base_url: str = ""
    users: dict[str, User] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    usergroups: dict[str, Usergroup] = field(default_factory=dict)
    messages: dict[str, list[Message]] = field(default_factory=dict)
    ephemerals: list[Message] = field(default_factory=list)
    views: dict[str, View] = field(default_factory=dict)
    stacks: dict[str, list[str]] = field(default_factory=dict)
    homes: dict[str, View] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    response_urls: dict[str, ResponseUrl] = field(default_factory=dict)
    calls: list[ApiCall] = field(default_factory=list)
    watchers: list[Watcher] = field(default_factory=list)
    clock: Callable[[], float] = time.time
    _last_ts: int = 0
    _by_ts: dict[tuple[str, str], Message] = field(default_factory=dict)
    _replies: dict[tuple[str, str], list[Message]] = field(default_factory=dict)

    # --- news

    def tell(self, kind: str, **what: Any) -> None:
        for watcher in list(self.watchers):
            watcher({"kind": kind, **what})

    def next_ts(self) -> str:
        """A message's time and name: seconds with six digits, never twice the same."""
        self._last_ts = max(self._last_ts + 1, int(self.clock() * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    # --- finding

    def user(self, user_id: str) -> User:
        if user_id not in self.users:
            raise SlackError("user_not_found")
        return self.users[user_id]

    def channel(self, reference: object, *, error: str = "channel_not_found") -> Channel:
        """By id, by `#name`, or by a user's id (their direct messages with the app)."""
        name = str(reference or "")
        if name in self.channels:
            return self.channels[name]
        if name in self.users:
            return self.direct_messages(name)
        for channel in self.channels.values():
            if not channel.is_im and channel.name == name.removeprefix("#"):
                return channel
        raise SlackError(error)

    def direct_messages(self, user_id: str) -> Channel:
        for channel in self.channels.values():
            if channel.is_im and user_id in channel.members:
                return channel
        channel = Channel(
            id="D" + user_id[1:], name=user_id, members=[user_id, self.bot_user], is_im=True, is_private=True
        )
        self.channels[channel.id] = channel
        self.tell("channel", channel=channel.id)
        return channel

    def message(self, channel_id: str, ts: str) -> Message | None:
        return self._by_ts.get((channel_id, ts))

    def thread(self, channel_id: str, ts: str) -> list[Message]:
        return list(self._replies.get((channel_id, ts), ()))

    def shown(self, message: Message, *, with_metadata: bool = True) -> Json:
        """As history gives it: a parent carries the figures of its thread."""
        shown = message.shown(with_metadata=with_metadata)
        replies = [] if message.is_reply else self.thread(message.channel, message.ts)
        if replies:
            users = list(dict.fromkeys(reply.user for reply in replies))
            shown |= {
                "thread_ts": message.ts,
                "reply_count": len(replies),
                "reply_users_count": len(users),
                "reply_users": users,
                "latest_reply": replies[-1].ts,
            }
        if message.is_reply:
            parent = self.message(message.channel, str(message.thread_ts))
            shown["parent_user_id"] = parent.user if parent else ""
            if message.is_broadcast and parent:
                shown["root"] = parent.shown(with_metadata=with_metadata)
        return shown

    # --- messages

    def add(self, message: Message) -> Message:
        self.messages.setdefault(message.channel, []).append(message)
        self._by_ts[message.channel, message.ts] = message
        if message.is_reply:
            self._replies.setdefault((message.channel, str(message.thread_ts)), []).append(message)
        self._tell_of(message)
        self._tell_parent(message)
        return message

    def changed(self, message: Message) -> None:
        self._tell_of(message)

    def remove(self, message: Message) -> None:
        self.messages[message.channel].remove(message)
        del self._by_ts[message.channel, message.ts]
        if message.is_reply:
            self._replies[message.channel, str(message.thread_ts)].remove(message)
        self.tell("gone", channel=message.channel, ts=message.ts)
        self._tell_parent(message)

    def _tell_of(self, message: Message) -> None:
        if self.watchers:
            self.tell("message", message=self.page_message(message))

    def _tell_parent(self, message: Message) -> None:
        parent = self.message(message.channel, str(message.thread_ts)) if message.is_reply else None
        if parent:
            self.changed(parent)

    def add_ephemeral(self, message: Message) -> Message:
        self.ephemerals.append(message)
        self._tell_of(message)
        return message

    def remove_ephemeral(self, message: Message) -> None:
        self.ephemerals.remove(message)
        self.tell("gone", channel=message.channel, ts=message.ts)

    def page_message(self, message: Message) -> Json:
        """As the page wants it: the channel and whose eyes it is for besides."""
        return {
            **self.shown(message),
            "channel": message.channel,
            "ephemeral_for": message.ephemeral_for,
            "is_pinned": message.is_pinned,
        }

    # --- triggers and response_urls

    def new_trigger(self, user: str, view: str | None = None) -> Trigger:
        trigger = Trigger(
            f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}", user, self.clock(), view
        )
        self.triggers[trigger.id] = trigger
        _forget_oldest(self.triggers)
        return trigger

    def exchange(self, trigger_id: object) -> Trigger:
        """The trigger, used up; raises invalid_, expired_ or exchanged_trigger_id."""
        trigger = self.triggers.get(str(trigger_id))
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.is_used:
            raise SlackError("exchanged_trigger_id")
        if self.clock() - trigger.at > TRIGGER_LIFE_S:
            raise SlackError("expired_trigger_id")
        trigger.is_used = True
        return trigger

    def new_response_url(
        self, user: str, channel: str, *, message_ts: str | None = None, thread_ts: str | None = None
    ) -> str:
        kind = "commands" if message_ts is None else "actions"
        leave = ResponseUrl(secrets.token_hex(12), user, channel, self.clock(), message_ts, thread_ts)
        self.response_urls[leave.secret] = leave
        _forget_oldest(self.response_urls)
        return f"{self.base_url}/{kind}/{self.team_id}/{secrets.randbelow(10**13)}/{leave.secret}"

    # --- modals

    def open_view(self, user: str, content: Json, *, onto: View | None = None) -> View:
        stack = self.stacks.setdefault(user, [])
        if onto is None:
            self.close_all(user)
        elif len(stack) >= MAX_STACK:
            raise SlackError("push_limit_reached")
        self._refuse_known_external_id(content)
        view_id = random_id("V")
        view = View(
            view_id, user, content, self.new_hash(), onto.root_id if onto else view_id, onto.id if onto else None
        )
        self.views[view_id] = view
        self.stacks.setdefault(user, []).append(view_id)
        self.tell("views", user=user)
        return view

    def _refuse_known_external_id(self, content: Json) -> None:
        wanted = content.get("external_id")
        if wanted and any(view.content.get("external_id") == wanted for view in self.views.values()):
            raise SlackError("duplicate_external_id")

    def change_view(self, view: View, content: Json) -> None:
        view.content, view.hash, view.errors = content, self.new_hash(), {}
        self.tell("views", user=view.user)

    def close_top(self, user: str) -> None:
        stack = self.stacks.get(user, [])
        if stack:
            self.views.pop(stack.pop(), None)
        self.tell("views", user=user)

    def close_all(self, user: str) -> None:
        for view_id in self.stacks.pop(user, []):
            self.views.pop(view_id, None)
        self.tell("views", user=user)

    def new_hash(self) -> str:
        return f"{int(self.clock())}.{secrets.token_urlsafe(6)}"

    def shown_view(self, view: View, values: Json | None = None) -> Json:
        return view.shown(team_id=self.team_id, app_id=self.app_id, bot_id=self.bot_id, values=values)

    # --- what was called

    def record(self, call: ApiCall) -> None:
        self.calls.append(call)
        del self.calls[:-MAX_AUDIT]


def _forget_oldest(kept: dict[str, Any]) -> None:
    """A long-running sandbox must not grow for ever; what is dropped expired long ago."""
    while len(kept) > MAX_AUDIT:
        del kept[next(iter(kept))]

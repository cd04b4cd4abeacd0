"""Looking things up: `auth`, `api`, `bots`, `team`, `conversations`, `users`, `usergroups`."""

from __future__ import annotations

from typing import Any

from sandbox.slack.errors import SlackError
from sandbox.slack.model import Channel, Message
from sandbox.slack.webapi import Method, flag, page_of
from sandbox.slack.workspace import Workspace

Json = dict[str, Any]
_SCOPE_OF = {"public_channel": "channels", "private_channel": "groups", "im": "im", "mpim": "mpim"}
ANY_READ = ("channels:read", "groups:read", "im:read", "mpim:read")
ANY_HISTORY = ("channels:history", "groups:history", "im:history", "mpim:history")


def auth_test(workspace: Workspace, _: Json) -> Json:
    return {
        "url": f"{workspace.base_url}/",
        "team": workspace.team_name,
        "user": workspace.bot_name,
        "team_id": workspace.team_id,
        "user_id": workspace.bot_user,
        "bot_id": workspace.bot_id,
        "is_enterprise_install": False,
    }


def api_test(_: Workspace, arguments: Json) -> Json:
    arguments.pop("_host", None)
    if arguments.get("error"):
        raise SlackError(str(arguments["error"]), args=arguments)
    return {"args": arguments}


def bots_info(workspace: Workspace, arguments: Json) -> Json:
    if arguments.get("bot", workspace.bot_id) != workspace.bot_id:
        raise SlackError("bot_not_found")
    bot = {
        "id": workspace.bot_id,
        "deleted": False,
        "name": workspace.bot_name,
        "updated": 1700000000,
        "app_id": workspace.app_id,
        "user_id": workspace.bot_user,
        "icons": {},
    }
    return {"bot": bot}


def team_info(workspace: Workspace, _: Json) -> Json:
    domain = workspace.team_name.lower().replace(" ", "-")
    return {"team": {"id": workspace.team_id, "name": workspace.team_name, "domain": domain, "email_domain": ""}}


def _readable(workspace: Workspace, reference: object, *, to: str = "read") -> Channel:
    """to: `read` or `history`. Each kind of channel has a scope of its own."""
    channel = workspace.channel(reference)
    if channel.is_private and workspace.bot_user not in channel.members:
        raise SlackError("channel_not_found")
    _need_scope(workspace, f"{_SCOPE_OF[_kind(channel)]}:{to}")
    return channel


def _need_scope(workspace: Workspace, scope: str) -> None:
    if scope not in workspace.scopes:
        raise SlackError("missing_scope", needed=scope, provided=",".join(sorted(workspace.scopes)))


def conversations_info(workspace: Workspace, arguments: Json) -> Json:
    channel = _readable(workspace, arguments.get("channel"))
    shown = channel.shown(workspace.bot_user)
    if not flag(arguments, "include_num_members"):
        shown.pop("num_members", None)
    return {"channel": shown}


def conversations_list(workspace: Workspace, arguments: Json) -> Json:
    kinds = [kind.strip() for kind in str(arguments.get("types") or "public_channel").split(",")]
    for kind in kinds:
        if kind not in _SCOPE_OF:
            raise SlackError("invalid_types")
        _need_scope(workspace, f"{_SCOPE_OF[kind]}:read")
    found = [
        channel.shown(workspace.bot_user)
        for channel in workspace.channels.values()
        if _kind(channel) in kinds
        and not (channel.is_archived and flag(arguments, "exclude_archived"))
        and (not channel.is_private or workspace.bot_user in channel.members)
    ]
    page, cursor = page_of(found, arguments)
    return {"channels": page, "response_metadata": {"next_cursor": cursor}}


def _kind(channel: Channel) -> str:
    if channel.is_im:
        return "im"
    return "private_channel" if channel.is_private else "public_channel"


def conversations_members(workspace: Workspace, arguments: Json) -> Json:
    channel = _readable(workspace, arguments.get("channel"))
    page, cursor = page_of(channel.members, arguments)
    return {"members": page, "response_metadata": {"next_cursor": cursor}}


def conversations_open(workspace: Workspace, arguments: Json) -> Json:
    users = [name for name in str(arguments.get("users") or "").split(",") if name]
    if not users:
        raise SlackError("users_list_not_supplied")
    if len(users) > 1:
        raise SlackError("not_enough_users")
    user = workspace.user(users[0])
    if user.deleted:
        raise SlackError("user_disabled")
    if user.is_bot:
        raise SlackError("cannot_dm_bot")
    return {"channel": {"id": workspace.direct_messages(user.id).id}}


def conversations_join(workspace: Workspace, arguments: Json) -> Json:
    channel = workspace.channel(arguments.get("channel"))
    if channel.is_private:
        raise SlackError("method_not_supported_for_channel_type")
    if workspace.bot_user not in channel.members:
        channel.members.append(workspace.bot_user)
    return {"channel": channel.shown(workspace.bot_user)}


def _member_channel(workspace: Workspace, arguments: Json) -> Channel:
    channel = _readable(workspace, arguments.get("channel"), to="history")
    if workspace.bot_user not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def _within(messages: list[Message], arguments: Json) -> list[Message]:
    """Those between `oldest` and `latest`. Timestamps compare as text: ten digits, a dot, six digits."""
    oldest, latest = str(arguments.get("oldest") or "0"), str(arguments.get("latest") or "9" * 17)
    if flag(arguments, "inclusive"):
        return [message for message in messages if oldest <= message.ts <= latest]
    return [message for message in messages if oldest < message.ts < latest]


def conversations_history(workspace: Workspace, arguments: Json) -> Json:
    """Newest first; replies only where they were broadcast."""
    channel = _member_channel(workspace, arguments)
    stored = [item for item in workspace.messages.get(channel.id, []) if not item.is_reply or item.is_broadcast]
    return _listing(workspace, _within(stored, arguments)[::-1], arguments)


def conversations_replies(workspace: Workspace, arguments: Json) -> Json:
    """The parent, then its replies, oldest first."""
    channel = _member_channel(workspace, arguments)
    ts = str(arguments.get("ts"))
    found = workspace.message(channel.id, ts)
    if found is None:
        raise SlackError("thread_not_found")
    parent = found if not found.is_reply else workspace.message(channel.id, str(found.thread_ts))
    replies = workspace.thread(channel.id, parent.ts) if parent is not None and parent is found else [found]
    return _listing(workspace, [*([parent] if parent is found else []), *_within(replies, arguments)], arguments)


def _listing(workspace: Workspace, messages: list[Message], arguments: Json) -> Json:
    page, cursor = page_of(messages, arguments)
    with_metadata = flag(arguments, "include_all_metadata")
    answer: Json = {
        "messages": [workspace.shown(message, with_metadata=with_metadata) for message in page],
        "has_more": bool(cursor),
    }
    if cursor:
        answer["response_metadata"] = {"next_cursor": cursor}
    return answer


def users_info(workspace: Workspace, arguments: Json) -> Json:
    return {"user": workspace.user(str(arguments.get("user"))).shown(workspace.team_id)}


def users_lookup_by_email(workspace: Workspace, arguments: Json) -> Json:
    """Deactivated accounts and those of other workspaces aren't found. The scope alone isn't enough: users:read goes with it."""
    _need_scope(workspace, "users:read")
    email = str(arguments.get("email") or "").strip().lower()
    for user in workspace.users.values():
        if email and user.email.lower() == email and not user.deleted and user.team_id == workspace.team_id:
            return {"user": user.shown(workspace.team_id)}
    raise SlackError("users_not_found")


def users_list(workspace: Workspace, arguments: Json) -> Json:
    page, cursor = page_of([user.shown(workspace.team_id) for user in workspace.users.values()], arguments)
    return {"members": page, "response_metadata": {"next_cursor": cursor}}


def usergroups_list(workspace: Workspace, arguments: Json) -> Json:
    _refuse_unpaid(workspace)
    groups = [
        group.shown(workspace.team_id, with_users=flag(arguments, "include_users"))
        for group in workspace.usergroups.values()
        if not group.date_delete or flag(arguments, "include_disabled")
    ]
    return {"usergroups": groups}


def usergroups_users_list(workspace: Workspace, arguments: Json) -> Json:
    _refuse_unpaid(workspace)
    group = workspace.usergroups.get(str(arguments.get("usergroup")))
    if group is None or (group.date_delete and not flag(arguments, "include_disabled")):
        raise SlackError("no_such_subteam")
    return {"users": list(group.users)}


def _refuse_unpaid(workspace: Workspace) -> None:
    if not workspace.is_paid:
        raise SlackError("plan_upgrade_required")


METHODS = {
    "auth.test": Method(auth_test, token="any"),  # noqa: S106  a kind of token
    "api.test": Method(api_test, token="none"),  # noqa: S106
    "bots.info": Method(bots_info, ("users:read",)),
    "team.info": Method(team_info, ("team:read",)),
    "conversations.info": Method(conversations_info, ANY_READ),
    "conversations.list": Method(conversations_list, ANY_READ),
    "conversations.members": Method(conversations_members, ANY_READ),
    "conversations.open": Method(conversations_open, ("im:write", "mpim:write")),
    "conversations.join": Method(conversations_join, ("channels:join",)),
    "conversations.history": Method(conversations_history, ANY_HISTORY),
    "conversations.replies": Method(conversations_replies, ANY_HISTORY),
    "users.info": Method(users_info, ("users:read",)),
    "users.lookupByEmail": Method(users_lookup_by_email, ("users:read.email",)),
    "users.list": Method(users_list, ("users:read",)),
    "usergroups.list": Method(usergroups_list, ("usergroups:read",)),
    "usergroups.users.list": Method(usergroups_users_list, ("usergroups:read",)),
}

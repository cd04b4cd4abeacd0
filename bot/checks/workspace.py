"""What must be right in Slack: tokens, scopes, the channel, the user groups that hold roles, the clock. Posts nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from bot.adapters import Adapters
from bot.checks.findings import Finding, fail, of_error, ok, warn
from bot.configuration.connections import SlackConnection
from runbook.errors import ForgeError
from runbook.values import Role

_SKEW_WARN_S = 60.0
_SKEW_FAIL_S = 300.0  # Slack: a signed request is refused when its timestamp is off by more


async def check_bot(adapters: Adapters, slack: SlackConnection, *, by_email: bool = True) -> AsyncIterator[Finding]:
    """The bot token: whose it is, which scopes it has, and Slack's clock in the same answer. by_email: a schedule's people are looked for."""
    from integrations.slack.scopes import BOT_SCOPES, EMAIL_SCOPE

    answer = await _asked(adapters, "auth.test", slack.bot_token.reveal())
    found = answer.data
    yield ok("slack.token", f"the bot is {found.get('user')} in {found.get('team')}")
    if found.get("team_id") != slack.team:
        cause = f"the token is of workspace {found.get('team_id')}, but {slack.team} is configured"
        yield fail("slack.team", cause, "Correct `slack.team`, or use that workspace's token")
    headers = {str(name).lower(): str(value) for name, value in answer.headers.items()}
    if "x-oauth-scopes" in headers:
        granted = {scope.strip() for scope in headers["x-oauth-scopes"].split(",")}
        needed = [scope for scope in BOT_SCOPES if by_email or scope != EMAIL_SCOPE]
        missing = [scope for scope in needed if scope not in granted]
        if missing:
            remedy = "Add them under OAuth & Permissions, or update the app from manifest.yml, and install it again"
            yield fail("slack.scopes", f"the bot token lacks {', '.join(missing)}", remedy)
        else:
            yield ok("slack.scopes", f"all {len(needed)} scopes are granted")
    else:
        yield warn("slack.scopes", "Slack didn't say which scopes the token has", "Compare them with manifest.yml")
    if "date" in headers:
        yield judge_skew(headers["date"], datetime.now(UTC), signed=slack.mode == "http")


def judge_skew(date: str, now: datetime, *, signed: bool) -> Finding:
    """date: an HTTP date. signed: requests carry timestamps that are judged by this clock."""
    skew_s = abs((parsedate_to_datetime(date) - now).total_seconds())
    remedy = "Let the machine follow a time server (chrony, systemd-timesyncd)"
    if skew_s > _SKEW_FAIL_S and signed:
        return fail("clock", f"this clock is {skew_s:.0f} s off Slack's: signed requests are refused", remedy)
    if skew_s > _SKEW_WARN_S:
        return warn("clock", f"this clock is {skew_s:.0f} s off Slack's", remedy)
    return ok("clock", "this clock agrees with Slack's")


async def check_second_token(adapters: Adapters, slack: SlackConnection) -> AsyncIterator[Finding]:
    """The app token in Socket Mode; in HTTP mode the signing secret, which can only be looked at."""
    if slack.mode == "http":
        slack.signing_secret.reveal()
        yield ok("slack.signing_secret", "there is a signing secret; Slack's first request will prove it")
        return
    await _asked(adapters, "apps.connections.open", slack.app_token.reveal())
    yield ok("slack.app_token", "Slack opens sockets for the app token")


async def check_channel(adapters: Adapters, slack: SlackConnection) -> AsyncIterator[Finding]:
    """By reading its newest message: that needs no scope beyond those that the bot uses, and membership."""
    for name, channel in _channels(slack).items():
        try:
            await adapters.slack.call("conversations.history", channel=channel, limit=1)
        except ForgeError as error:
            if error.code.endswith("not_in_channel"):
                yield fail(name, f"the bot is not in {channel}", "Write /invite @forge in the channel")
            else:
                yield of_error(name, error)
            continue
        yield ok(name, f"the bot is in {channel}")


def _channels(slack: SlackConnection) -> dict[str, str]:
    """By key: the release channel, and that of incidents where it is another."""
    channels = {"slack.channel": slack.channel}
    return channels if slack.incidents == slack.channel else {**channels, "slack.incident_channel": slack.incidents}


async def check_groups(adapters: Adapters, roles: Mapping[Role, tuple[str, ...]]) -> AsyncIterator[Finding]:
    """Every user group that holds a role exists and has members."""
    groups = {member: role for role, members in roles.items() for member in members if member.startswith("S")}
    for group, role in groups.items():
        try:
            answer = await adapters.slack.call("usergroups.users.list", usergroup=group)
        except ForgeError as error:
            remedy = error.remedy or f"Correct `roles.{role}`, or name users"
            yield fail("slack.groups", f"{group} ({role}): {error.cause}", remedy)
            continue
        members = answer.get("users") or []
        if members:
            yield ok("slack.groups", f"{group} ({role}) has {len(members)} members")
        else:
            yield warn("slack.groups", f"{group} ({role}) has no members", "Add members to the group in Slack")


async def _asked(adapters: Adapters, method: str, token: str) -> Any:
    """The SDK's response with its headers. Raises `runbook.errors`."""
    from integrations.slack.errors import translated

    try:
        return await adapters.slack.sdk_client(token).api_call(method)
    except Exception as error:  # noqa: BLE001 - the SDK raises many kinds; `translated` knows them
        raise translated(error, method) from None

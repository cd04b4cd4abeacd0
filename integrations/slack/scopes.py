"""What forge asks of a Slack workspace, as data: the Web API methods that it calls and the bot scopes that they need.

`manifest.yml` and `forge doctor` are held against this; a call of a method that isn't named here is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Use:
    """One Web API method. scopes: all are needed, for public and private channels. why: what is lost without it."""

    scopes: tuple[str, ...]
    why: str


EMAIL_SCOPE = "users:read.email"
"""Needed only where a schedule names people."""

METHODS: Mapping[str, Use] = {
    "auth.test": Use((), "to learn which workspace and which bot the token belongs to"),
    "chat.postMessage": Use(("chat:write",), "to show runs, approvals and notes in the release channel"),
    "chat.update": Use(("chat:write",), "to keep a run's message up to date in place"),
    "chat.getPermalink": Use((), "to link to a run's message"),
    "conversations.history": Use(
        ("channels:history", "groups:history"), "to look for a message of its own before a doubtful post is repeated"
    ),
    "conversations.replies": Use(
        ("channels:history", "groups:history"), "to look for a reply of its own before a doubtful post is repeated"
    ),
    "files.getUploadURLExternal": Use(("files:write",), "to show charts in a run's thread"),
    "files.completeUploadExternal": Use(("files:write",), "to show charts in a run's thread"),
    "conversations.open": Use(("im:write",), "to show a chart to the one person who asked for it"),
    "users.info": Use(("users:read",), "to check who acts: deactivated users, guests and bots may do nothing"),
    "users.lookupByEmail": Use(
        (EMAIL_SCOPE, "users:read"),
        "to find whom a PagerDuty schedule names: it knows people by their e-mail address",
    ),
    "usergroups.users.list": Use(("usergroups:read",), "to see who is in a user group that holds a role"),
    "views.open": Use((), "to ask for a reason in a dialog"),
    "views.update": Use((), "to fill a dialog that was opened at once"),
}
"""Source of each method's scopes: https://docs.slack.dev/reference/methods."""

SLASH_COMMANDS = "commands"
"""The scope of the slash command itself."""

BOT_SCOPES: tuple[str, ...] = tuple(sorted({SLASH_COMMANDS, *(s for use in METHODS.values() for s in use.scopes)}))

APP_TOKEN_SCOPE = "connections:write"  # noqa: S105  a scope's name
"""Of the app-level token that opens the sockets; it isn't part of a manifest."""

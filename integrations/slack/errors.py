"""Slack's errors, translated to the runbook's at the border. No error carries a token or a response address."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from runbook.errors import ForgeError, Permanent, Temporary

SYSTEM = "slack"
DEFAULT_RETRY_AFTER_S = 30.0

_REMEDIES: Mapping[str, tuple[str, str]] = {
    "invalid_auth": ("Slack doesn't know the token", "Set SLACK_BOT_TOKEN to the app's bot token (xoxb-…)."),
    "not_authed": ("no token was sent to Slack", "Set SLACK_BOT_TOKEN to the app's bot token (xoxb-…)."),
    "token_revoked": ("the token was revoked", "Install the app again and set SLACK_BOT_TOKEN."),
    "token_expired": ("the token has expired", "Install the app again and set SLACK_BOT_TOKEN."),
    "account_inactive": ("the app was removed from the workspace", "Install the app again and set SLACK_BOT_TOKEN."),
    "channel_not_found": (
        "Slack shows forge no such channel",
        "Check slack.channel in forge.yaml, and invite the bot to it.",
    ),
    "not_in_channel": ("forge isn't in the channel", "Invite the bot to it: /invite @forge."),
    "is_archived": ("the channel is archived", "Unarchive it, or name another in slack.channel."),
    "restricted_action": (
        "the workspace doesn't let forge post there",
        "Ask an administrator to allow the app to post.",
    ),
    "msg_blocks_too_long": ("the message is too long for Slack", ""),
    "invalid_blocks": ("Slack refuses the message's layout", ""),
    "message_not_found": ("the message isn't there any more", ""),
    "cant_update_message": ("the message isn't forge's own", ""),
    "edit_window_closed": ("the workspace doesn't allow edits that late", "Allow message editing for apps."),
    "thread_not_found": ("the thread isn't there any more", ""),
    "file_uploads_disabled": (
        "the workspace allows no uploads",
        "Ask an administrator to allow files for the app.",
    ),
    "file_uploads_except_images_disabled": ("the workspace allows no such files", "Ask an administrator."),
    "storage_limit_reached": ("the workspace's storage is full", "Delete old files in Slack, or extend the plan."),
    "file_not_found": ("Slack lost the uploaded file", ""),
    "file_update_failed": ("Slack could not take the uploaded file", ""),
    "posting_to_channel_denied": (
        "the workspace doesn't let forge post there",
        "Ask an administrator to allow the app to post.",
    ),
    "messages_tab_disabled": (
        "the app takes no direct messages",
        "Switch on the app's Messages tab (manifest.yml has it).",
    ),
    "cannot_dm_bot": ("a bot can't be written to", ""),
    "user_disabled": ("the account is deactivated", ""),
    "plan_upgrade_required": ("user groups need a paid plan of Slack", "List users (U…) for the role in forge.yaml."),
    "no_such_subteam": ("there is no such user group", "Correct the S… id under roles in forge.yaml."),
    "users_not_found": ("Slack knows nobody with this e-mail address", ""),
    "user_not_found": ("Slack knows no such user", ""),
    "expired_trigger_id": ("Slack waited too long for the dialog", "Click again, or type the command."),
    "exchanged_trigger_id": ("the dialog was opened already", ""),
}
_TEMPORARY = frozenset({"service_unavailable", "team_added_to_org", "rollup_error"})
# Slack's own words for them: "some aspect of the operation may have succeeded".
_MAYBE_DONE = frozenset({"internal_error", "fatal_error", "request_timeout"})


def translated(error: Exception, method: str) -> ForgeError:
    """The runbook's error for what a call of `method` raised; its code ends in `.doubtful` when Slack may have done it."""
    if isinstance(error, SlackApiError):
        return _api_error(error, method)
    if isinstance(error, aiohttp.ClientConnectorError):
        return Temporary(SYSTEM, "unreachable", f"Slack can't be reached ({method})")
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return Temporary(SYSTEM, "timeout.doubtful", f"Slack gave no answer in time ({method})")
    if isinstance(error, aiohttp.ClientError | ConnectionError):
        return Temporary(SYSTEM, "lost.doubtful", f"the connection to Slack broke ({method}: {type(error).__name__})")
    if isinstance(error, ValueError):
        return Temporary(SYSTEM, "garbled.doubtful", f"Slack's answer was no JSON ({method})")
    raise error


def http_error(status: int, headers: Mapping[str, str], method: str) -> ForgeError:
    """For an answer that carries no error code of Slack's."""
    if status == 429:
        return Temporary(
            SYSTEM, "ratelimited", f"Slack limits the rate of {method}", retry_after_s=_retry_after(headers)
        )
    if status >= 500:
        return Temporary(SYSTEM, "server_error.doubtful", f"Slack answered {status} to {method}")
    if status == 200:
        return Temporary(SYSTEM, "garbled.doubtful", f"Slack's answer to {method} was not understood")
    return Permanent(SYSTEM, f"http_{status}", f"Slack answered {status} to {method}")


def _api_error(error: SlackApiError, method: str) -> ForgeError:
    response: Any = error.response
    status = int(getattr(response, "status_code", None) or getattr(response, "status", None) or 200)
    headers: Mapping[str, str] = getattr(response, "headers", None) or {}
    data = getattr(response, "data", None)
    code = str(data.get("error") or "") if isinstance(data, dict) else ""
    if status == 429 or code in ("ratelimited", "rate_limited"):
        return http_error(429, headers, method)
    if not code or (status >= 500 and code not in _TEMPORARY):
        return http_error(status, headers, method)
    if code in _MAYBE_DONE:
        return Temporary(SYSTEM, f"{code}.doubtful", f"Slack had an error of its own in {method} ({code})")
    if code in _TEMPORARY:
        return Temporary(SYSTEM, code, f"Slack is unavailable ({method}: {code})")
    if code == "missing_scope" and isinstance(data, dict):
        needed = str(data.get("needed") or "a scope")
        return Permanent(
            SYSTEM,
            "missing_scope",
            f"the app lacks {needed} for {method}",
            f"Add {needed} to the app's bot scopes (manifest.yml has them) and install it again.",
        )
    cause, remedy = _REMEDIES.get(code, (f"Slack refused {method}: {code}", ""))
    return Permanent(SYSTEM, code, f"{cause} ({method})", remedy)


def _retry_after(headers: Mapping[str, str]) -> float:
    found = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    try:
        return max(0.0, min(float(str(found)), 3600.0))
    except ValueError:
        return DEFAULT_RETRY_AFTER_S

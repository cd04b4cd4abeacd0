"""What is kept of a Slack payload: what the work needs and no more. Pure. Never a token, and no text of other people."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from messages.candidates import VERSION_BLOCK, VERSION_INPUT
from messages.dialogs import REASON_BLOCK, REASON_INPUT, DialogMemory
from messages.restore_dialog import AT_BLOCK, AT_INPUT, BACKUP_BLOCK, BACKUP_INPUT

COMMAND, CLICK, VIEW = "command", "click", "view"
MAX_TEXT = 12_000
"""More than this of a command's text is never looked at: the parser refuses it by its length."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The inbox row's payload. text: of a command. action: `action_id` or the dialog's. button: the clicked button's opaque value.

    response_url: where the answer goes; it expires after 30 minutes. environment, service, backup, at: of a restore's dialog; service,
    version: of the dialog that offers candidates.
    """

    team: str
    user: str
    channel: str = ""
    text: str = ""
    command: str = ""
    action: str = ""
    button: str = ""
    reason: str = ""
    trigger_id: str = ""
    response_url: str = ""
    environment: str = ""
    service: str = ""
    backup: str = ""
    at: str = ""
    version: str = ""

    def as_json(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def load(cls, payload: object) -> Kept:
        """From an inbox row; what isn't a text is dropped."""
        found = payload if isinstance(payload, Mapping) else {}
        names = cls.__dataclass_fields__
        texts = {name: value for name, value in found.items() if name in names and isinstance(value, str)}
        return cls(**{"team": "", "user": "", **texts})


def from_command(body: Mapping[str, Any]) -> Kept:
    return Kept(
        team=_text(body, "team_id"),
        user=_text(body, "user_id"),
        channel=_text(body, "channel_id"),
        text=_text(body, "text")[:MAX_TEXT],
        command=_text(body, "command"),
        trigger_id=_text(body, "trigger_id"),
        response_url=_text(body, "response_url"),
    )


def from_click(body: Mapping[str, Any]) -> Kept:
    """The user's own team, not the workspace's: in a shared channel they differ."""
    user, action = _part(body, "user"), first_action(body)
    return Kept(
        team=_text(user, "team_id") or _text(_part(body, "team"), "id"),
        user=_text(user, "id"),
        channel=_text(_part(body, "channel"), "id"),
        action=_text(action, "action_id"),
        button=_text(action, "value")[:255],
        trigger_id=_text(body, "trigger_id"),
        response_url=_text(body, "response_url"),
    )


def from_view(body: Mapping[str, Any]) -> Kept:
    """Of any dialog: what was typed and chosen in it, and what it carried. Whose action needs which of it is the consumer's to know."""
    user, view = _part(body, "user"), _part(body, "view")
    memory = DialogMemory.load(_text(view, "private_metadata"))
    values = _part(_part(view, "state"), "values")

    def given(block: str, name: str) -> Mapping[str, Any]:
        return _part(_part(values, block), name)

    return Kept(
        team=_text(user, "team_id") or _text(_part(body, "team"), "id"),
        user=_text(user, "id"),
        channel=memory.channel,
        action=_text(view, "callback_id"),
        button=memory.button[:255],
        reason=_text(given(REASON_BLOCK, REASON_INPUT), "value"),
        response_url=memory.response_url,
        environment=memory.environment,
        service=memory.service,
        backup=_text(_part(given(BACKUP_BLOCK, BACKUP_INPUT), "selected_option"), "value"),
        at=_text(given(AT_BLOCK, AT_INPUT), "value"),
        version=_text(_part(given(VERSION_BLOCK, VERSION_INPUT), "selected_option"), "value")[:150],
    )


def first_action(body: Mapping[str, Any]) -> Mapping[str, Any]:
    actions = body.get("actions")
    found = actions[0] if isinstance(actions, list) and actions else {}
    return found if isinstance(found, Mapping) else {}


def matter_named_by(body: Mapping[str, Any]) -> str:
    """What beside the run the clicked button's block names, such as `override`: for a dialog's words only."""
    parts = _text(first_action(body), "block_id").split(":")
    return parts[2][:40] if len(parts) > 2 and parts[0] == "run" else ""


def run_named_by(body: Mapping[str, Any]) -> str:
    """The run that the clicked button's block names: for a dialog's words only, never for what is done."""
    name, _, rest = _text(first_action(body), "block_id").partition(":")
    return rest.partition(":")[0][:40] if name == "run" else ""


def dedup_key(kind: str, body: Mapping[str, Any]) -> str:
    """What a redelivery keeps: the trigger of a command or click, the view and its hash; never the envelope's id.

    Where Slack sent none of them, a hash of the whole payload.
    """
    if kind == VIEW:
        view = _part(body, "view")
        parts = [_text(view, "id"), _text(view, "hash")]
    else:
        parts = [_text(body, "trigger_id")]
    if all(parts):
        return ":".join([kind, *parts])
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), default=str)
    return f"{kind}:sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    return found if isinstance(found, Mapping) else {}


def _text(body: Mapping[str, Any], name: str) -> str:
    found = body.get(name)
    return found if isinstance(found, str) else ""

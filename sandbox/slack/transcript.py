"""A channel as plain text, for terminals and for tests that read what people see. Must never change anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sandbox.slack.model import Message
from sandbox.slack.workspace import Workspace

Json = dict[str, Any]
_ENTITY = re.compile(r"<([^<>|]+)(?:\|([^<>]*))?>")


def transcript(workspace: Workspace, channel_id: str) -> str:
    """Every top-level message, oldest first, as `HH:MM name  text` (UTC), its thread indented below it."""
    lines: list[str] = []
    for message in workspace.messages.get(channel_id, []):
        if message.is_reply:
            continue
        lines += _drawn(workspace, message, "")
        for reply in workspace.thread(channel_id, message.ts):
            lines += _drawn(workspace, reply, "      ")
    return "\n".join(lines)


def _drawn(workspace: Workspace, message: Message, indent: str) -> list[str]:
    user = workspace.users.get(message.user)
    time = datetime.fromtimestamp(float(message.ts), UTC).strftime("%H:%M")
    body = text_of(workspace, message).split("\n")
    head = f"{indent}{time} {user.name if user else message.user}  "
    return [head + body[0], *(" " * len(head) + line for line in body[1:])]


def text_of(workspace: Workspace, message: Message) -> str:
    """What a person sees of a message: its blocks, or its text where it has none; buttons as `[Approve]`."""
    shown = message.shown()
    parts = [_block(block) for block in shown.get("blocks", [])] or [message.text]
    for attachment in shown.get("attachments", []):
        parts += [f"| {line}" for block in attachment.get("blocks", []) for line in _block(block).split("\n")]
        parts += [f"| {attachment[key]}" for key in ("pretext", "title", "text") if attachment.get(key)]
    parts += [_file(file) for file in shown.get("files", [])]
    return _ENTITY.sub(lambda match: _readable(workspace, match), "\n".join(part for part in parts if part))


def _file(file: Json) -> str:
    if not file["mimetype"].startswith("image/"):
        return f"[file: {file['title']}]"
    return f"[picture: {file['title']}]" + (f"\n{file['alt_txt']}" if file["alt_txt"] else "")


def _block(block: Json) -> str:
    match block.get("type"):
        case "divider":
            return "-" * 20
        case "actions":
            return " ".join(_element(element) for element in block["elements"])
        case "context":
            return " ".join(str(item.get("text") or f"[{item.get('alt_text')}]") for item in block["elements"])
        case "image":
            return f"[picture: {block.get('alt_text', '')}]"
        case "rich_text":
            return "".join(_rich(block))
        case _:
            fields = [field["text"].replace("\n", " ") for field in block.get("fields", [])]
            text = block.get("text") or block.get("label") or {}
            own = text if isinstance(text, str) else text.get("text", "")
            accessory = block.get("accessory")
            return "\n".join(part for part in (own, *fields, _element(accessory) if accessory else "") if part)


def _element(element: Json) -> str:
    label = element.get("text") or element.get("placeholder") or {}
    return f"[{label.get('text') or element.get('alt_text') or element['type']}]"


def _rich(node: Json) -> Iterator[str]:
    for element in node.get("elements", []):
        if "elements" in element:
            yield from _rich(element)
            yield "" if node.get("type") == "rich_text" else "\n"
        else:
            named = element.get("text") or element.get("url") or element.get("fallback") or element.get("name")
            yield str(named or f"@{element.get('user_id', '')}")


def _readable(workspace: Workspace, match: re.Match[str]) -> str:
    target, label = match[1], match[2]
    if target.startswith("@"):
        user = workspace.users.get(target[1:])
        return f"@{user.name}" if user else f"@{target[1:]}"
    if target.startswith("!date^"):
        return label or target.split("^")[1]
    if target.startswith("!subteam^"):
        group = workspace.usergroups.get(target.removeprefix("!subteam^"))
        return f"@{group.handle}" if group else f"@{target}"
    if target.startswith("#"):
        channel = workspace.channels.get(target[1:])
        return f"#{channel.name}" if channel else f"#{label or target[1:]}"
    return f"{label} ({target})" if label else target.replace("!", "@")

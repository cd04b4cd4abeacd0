"""`chat.*`, `reactions.*`, `pins.*`. Errors as on https://docs.slack.dev/reference/methods."""

from __future__ import annotations

import json
from typing import Any

from sandbox.slack.blocks import check_message_blocks
from sandbox.slack.errors import SlackError
from sandbox.slack.model import Channel, Message
from sandbox.slack.webapi import Method, flag
from sandbox.slack.workspace import Workspace

Json = dict[str, Any]
MAX_POST_TEXT = 40_000  # Slack cuts longer texts; refusing them here makes the mistake visible
MAX_UPDATE_TEXT = 4_000
MAX_ATTACHMENTS = 100
MAX_METADATA_BYTES = 16_000


def content_of(arguments: Json, *, longest: int) -> Json:
    """Checked text, blocks, attachments, metadata of a message; None where the argument is absent."""
    text = arguments.get("text")
    if text is not None and len(str(text)) > longest:
        raise SlackError("msg_too_long")
    blocks, attachments = arguments.get("blocks"), arguments.get("attachments")
    return {
        "text": None if text is None else str(text),
        "blocks": None if blocks is None else check_message_blocks(blocks),
        "attachments": None if attachments is None else _checked_attachments(attachments),
        "metadata": _checked_metadata(arguments.get("metadata")),
    }


def _checked_attachments(attachments: object) -> list[Json]:
    if not isinstance(attachments, list) or not all(isinstance(item, dict) for item in attachments):
        raise SlackError("invalid_attachments")
    if len(attachments) > MAX_ATTACHMENTS:
        raise SlackError("too_many_attachments")
    checked = []
    for number, attachment in enumerate(attachments, start=1):
        attachment = {"id": number, "fallback": "[no preview available]", **attachment}
        if "blocks" in attachment:
            attachment["blocks"] = check_message_blocks(attachment["blocks"])
        checked.append(attachment)
    return checked


def _checked_metadata(metadata: object) -> Json | None:
    if metadata is None:
        return None
    if metadata == {}:
        return {}
    if not isinstance(metadata, dict):
        raise SlackError("invalid_metadata_format")
    if not isinstance(metadata.get("event_type"), str) or not isinstance(metadata.get("event_payload"), dict):
        raise SlackError("invalid_metadata_schema")
    if len(json.dumps(metadata)) > MAX_METADATA_BYTES:
        raise SlackError("metadata_too_large")
    return metadata


def writable(workspace: Workspace, reference: object) -> Channel:
    channel = workspace.channel(reference)
    if channel.is_archived:
        raise SlackError("is_archived")
    if workspace.bot_user not in channel.members:
        if channel.is_private:
            raise SlackError("channel_not_found")
        if "chat:write.public" not in workspace.scopes:
            raise SlackError("not_in_channel")
    return channel


def _refuse_empty(content: Json) -> None:
    if not (content["text"] or content["blocks"] or content["attachments"]):
        raise SlackError("no_text")


def new_message(workspace: Workspace, channel: Channel, content: Json, **more: Any) -> Message:
    """A message of the app's, not yet stored."""
    return Message(
        channel=channel.id,
        ts=workspace.next_ts(),
        user=workspace.bot_user,
        text=content["text"] or "",
        blocks=content["blocks"] or [],
        attachments=content["attachments"] or [],
        metadata=content["metadata"] or None,
        bot_id=workspace.bot_id,
        app_id=workspace.app_id,
        team=workspace.team_id,
        **more,
    )


def thread_of(workspace: Workspace, channel: Channel, arguments: Json) -> str | None:
    """The parent's ts. Slack accepts a reply's ts too and files under its parent; an unknown one is refused."""
    wanted = arguments.get("thread_ts")
    if not wanted:
        return None
    parent = workspace.message(channel.id, str(wanted))
    if parent is None:
        raise SlackError("thread_not_found")
    return parent.thread_ts if parent.is_reply else parent.ts


def post_message(workspace: Workspace, arguments: Json) -> Json:
    content = content_of(arguments, longest=MAX_POST_TEXT)
    channel = writable(workspace, arguments.get("channel"))
    _refuse_empty(content)
    thread_ts = thread_of(workspace, channel, arguments)
    broadcast = thread_ts is not None and flag(arguments, "reply_broadcast")
    message = workspace.add(new_message(workspace, channel, content, thread_ts=thread_ts, is_broadcast=broadcast))
    return {"channel": channel.id, "ts": message.ts, "message": workspace.shown(message)}


def post_ephemeral(workspace: Workspace, arguments: Json) -> Json:
    content = content_of(arguments, longest=MAX_POST_TEXT)
    channel = writable(workspace, arguments.get("channel"))
    user = str(arguments.get("user") or "")
    if user not in workspace.users:
        raise SlackError("user_not_found")
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    _refuse_empty(content)
    thread_ts = thread_of(workspace, channel, arguments)
    message = new_message(workspace, channel, content, ephemeral_for=user, thread_ts=thread_ts)
    workspace.add_ephemeral(message)
    return {"message_ts": message.ts}


def _own(workspace: Workspace, arguments: Json, refusal: str) -> Message:
    channel = workspace.channel(arguments.get("channel"))
    message = workspace.message(channel.id, str(arguments.get("ts")))
    if message is None:
        raise SlackError("message_not_found")
    if message.bot_id != workspace.bot_id:
        raise SlackError(refusal)
    return message


def change(workspace: Workspace, message: Message, content: Json) -> None:
    """`text` without `blocks` removes the blocks; absent attachments and metadata stay, empty ones go."""
    text, blocks = content["text"], content["blocks"]
    if text is not None:
        message.text = text
    if blocks is not None or text is not None:
        message.blocks = blocks or []
    if content["attachments"] is not None:
        message.attachments = content["attachments"]
    if content["metadata"] is not None:
        message.metadata = content["metadata"] or None
    message.edited = {"user": workspace.bot_user, "ts": f"{int(workspace.clock())}.000000"}


def update(workspace: Workspace, arguments: Json) -> Json:
    content = content_of(arguments, longest=MAX_UPDATE_TEXT)
    message = _own(workspace, arguments, "cant_update_message")
    if content["text"] is None and content["blocks"] is None and content["attachments"] is None:
        raise SlackError("no_text")
    change(workspace, message, content)
    if flag(arguments, "reply_broadcast") and message.is_reply:
        message.is_broadcast = True
    workspace.changed(message)
    return {
        "channel": message.channel,
        "ts": message.ts,
        "text": message.text,
        "message": workspace.shown(message),
    }


def delete(workspace: Workspace, arguments: Json) -> Json:
    message = _own(workspace, arguments, "cant_delete_message")
    workspace.remove(message)
    return {"channel": message.channel, "ts": message.ts}


def permalink(workspace: Workspace, arguments: Json) -> Json:
    channel = workspace.channel(arguments.get("channel"))
    message = workspace.message(channel.id, str(arguments.get("message_ts")))
    if message is None:
        raise SlackError("message_not_found")
    return {"channel": channel.id, "permalink": link_to(workspace, message)}


def link_to(workspace: Workspace, message: Message) -> str:
    link = f"{workspace.base_url}/archives/{message.channel}/p{message.ts.replace('.', '')}"
    return f"{link}?thread_ts={message.thread_ts}&cid={message.channel}" if message.is_reply else link


def add_reaction(workspace: Workspace, arguments: Json) -> Json:
    message = _named(workspace, arguments)
    users = message.reactions.setdefault(str(arguments.get("name", "")).strip(":"), [])
    if workspace.bot_user in users:
        raise SlackError("already_reacted")
    users.append(workspace.bot_user)
    workspace.changed(message)
    return {}


def remove_reaction(workspace: Workspace, arguments: Json) -> Json:
    message = _named(workspace, arguments)
    name = str(arguments.get("name", "")).strip(":")
    users = message.reactions.get(name, [])
    if workspace.bot_user not in users:
        raise SlackError("no_reaction")
    users.remove(workspace.bot_user)
    if not users:
        del message.reactions[name]
    workspace.changed(message)
    return {}


def pin(workspace: Workspace, arguments: Json) -> Json:
    message = _named(workspace, arguments)
    if message.is_pinned:
        raise SlackError("already_pinned")
    message.is_pinned = True
    workspace.changed(message)
    return {}


def unpin(workspace: Workspace, arguments: Json) -> Json:
    message = _named(workspace, arguments)
    if not message.is_pinned:
        raise SlackError("no_pin")
    message.is_pinned = False
    workspace.changed(message)
    return {}


def _named(workspace: Workspace, arguments: Json) -> Message:
    channel = workspace.channel(arguments.get("channel"))
    message = workspace.message(channel.id, str(arguments.get("timestamp")))
    if message is None:
        raise SlackError("message_not_found")
    return message


METHODS = {
    "chat.postMessage": Method(post_message, ("chat:write",)),
    "chat.postEphemeral": Method(post_ephemeral, ("chat:write",)),
    "chat.update": Method(update, ("chat:write",)),
    "chat.delete": Method(delete, ("chat:write",)),
    "chat.getPermalink": Method(permalink),
    "reactions.add": Method(add_reaction, ("reactions:write",)),
    "reactions.remove": Method(remove_reaction, ("reactions:write",)),
    "pins.add": Method(pin, ("pins:write",)),
    "pins.remove": Method(unpin, ("pins:write",)),
}

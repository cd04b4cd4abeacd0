"""The chat port on Slack's Web API. It posts at most once a call: a doubtful post is looked for, not repeated, and not here."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from engine.ports import Message, Placed
from integrations.slack.web import SlackWeb
from runbook.errors import ForgeError, Temporary
from runbook.wording import shortened

EVENT_TYPE = "forge_message"
PERMALINK_TIMEOUT_S = 3.0
PAGE = 200
MAX_PAGES = 10
MAX_ALT = 1_000
MAX_TITLE = 250
CLOCK_SLACK = timedelta(minutes=2)
"""How far Slack's clock and ours may differ when history is searched from a moment on."""


class SlackChat:
    """Fulfils `engine.ports.Chat` and the handlers' `Dialogs`. bot_id: of `auth.test`; empty: metadata alone tells ours."""

    def __init__(self, web: SlackWeb, *, bot_id: str = "") -> None:
        self._web = web
        self.bot_id = bot_id

    async def post(
        self, channel: str, message: Message, message_id: str, *, thread_ts: str = "", broadcast: bool = False
    ) -> Placed:
        answer = await self._web.call(
            "chat.postMessage",
            channel=channel,
            text=message.text,
            blocks=list(message.blocks) or None,
            thread_ts=thread_ts or None,
            reply_broadcast=True if broadcast and thread_ts else None,
            metadata={"event_type": EVENT_TYPE, "event_payload": {"id": message_id}},
            unfurl_links=False,
            unfurl_media=False,
        )
        where, ts = str(answer.get("channel") or channel), str(answer.get("ts") or "")
        if not ts:
            raise Temporary("slack", "garbled.doubtful", "Slack's answer to chat.postMessage names no message")
        return Placed(where, ts, "" if thread_ts else await self._permalink(where, ts))

    async def update(self, channel: str, ts: str, message: Message) -> None:
        # Without metadata Slack keeps the message's own: it stays findable by its id.
        await self._web.call(
            "chat.update", channel=channel, ts=ts, text=message.text, blocks=[dict(block) for block in message.blocks]
        )

    async def find(self, channel: str, message_id: str, *, thread_ts: str = "", since: datetime) -> Placed | None:
        async for message in self._messages(channel, thread_ts, since):
            if self._is_ours(message, message_id):
                ts = str(message["ts"])
                return Placed(channel, ts, "" if thread_ts else await self._permalink(channel, ts))
        return None

    async def upload(self, channel: str, name: str, title: str, alt: str, data: bytes, *, thread_ts: str = "") -> None:
        """In Slack's three steps; only the last one shows anything to anybody, so that it alone can be doubtful."""
        try:
            ticket = await self._web.call(
                "files.getUploadURLExternal", filename=name, length=len(data), alt_txt=shortened(alt, MAX_ALT)
            )
            address, file_id = str(ticket.get("upload_url") or ""), str(ticket.get("file_id") or "")
            if not address or not file_id:
                raise Temporary("slack", "garbled", "Slack's answer to files.getUploadURLExternal names no address")
            await self._web.put_file(address, data)
        except Temporary as error:
            raise _nothing_shown(error) from error
        await self._web.call(
            "files.completeUploadExternal",
            files=json.dumps([{"id": file_id, "title": shortened(title, MAX_TITLE) or name}]),
            channel_id=channel,
            thread_ts=thread_ts or None,
        )

    async def find_file(self, channel: str, name: str, *, thread_ts: str = "", since: datetime) -> bool:
        async for message in self._messages(channel, thread_ts, since):
            if any(file.get("name") == name for file in message.get("files") or ()):
                return True
        return False

    async def direct(self, user_id: str) -> str:
        answer = await self._web.call("conversations.open", users=user_id)
        channel = str((answer.get("channel") or {}).get("id") or "")
        if not channel:
            raise Temporary("slack", "garbled", "Slack's answer to conversations.open names no channel")
        return channel

    async def respond(self, address: str, message: Message) -> None:
        await self._web.respond(
            address,
            {
                "response_type": "ephemeral",
                "replace_original": False,
                "text": message.text,
                "blocks": [dict(block) for block in message.blocks],
                "unfurl_links": False,
            },
        )

    async def open_dialog(self, trigger_id: str, view: Mapping[str, Any], *, timeout_s: float) -> str:
        """Opens a modal, returns its id. Raises `runbook.errors`; code `slack.exchanged_trigger_id` when it was opened already."""
        answer = await self._web.call("views.open", timeout_s=timeout_s, trigger_id=trigger_id, view=dict(view))
        return str((answer.get("view") or {}).get("id") or "")

    async def update_dialog(self, view_id: str, view: Mapping[str, Any], *, timeout_s: float) -> None:
        """Puts another view in its place. Raises `runbook.errors`; code `slack.not_found` when it was closed meanwhile."""
        await self._web.call("views.update", timeout_s=timeout_s, view_id=view_id, view=dict(view))

    async def _messages(self, channel: str, thread_ts: str, since: datetime) -> AsyncIterator[Mapping[str, Any]]:
        """What was written since then in the thread, or in the channel, at most `MAX_PAGES` pages of it."""
        method = "conversations.replies" if thread_ts else "conversations.history"
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self._web.call(
                method,
                channel=channel,
                ts=thread_ts or None,
                oldest=f"{(since - CLOCK_SLACK).timestamp():.6f}",
                include_all_metadata="true",
                limit=PAGE,
                cursor=cursor,
            )
            for message in page.get("messages") or ():
                yield message
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                return

    async def _permalink(self, channel: str, ts: str) -> str:
        """Best effort: a message without its link is better than a second message."""
        with contextlib.suppress(ForgeError):
            answer = await self._web.call(
                "chat.getPermalink", channel=channel, message_ts=ts, timeout_s=PERMALINK_TIMEOUT_S
            )
            return str(answer.get("permalink") or "")
        return ""

    def _is_ours(self, message: Mapping[str, Any], message_id: str) -> bool:
        metadata = message.get("metadata") or {}
        return (
            metadata.get("event_type") == EVENT_TYPE
            and (metadata.get("event_payload") or {}).get("id") == message_id
            and (not self.bot_id or message.get("bot_id") == self.bot_id)
        )


def _nothing_shown(error: Temporary) -> Temporary:
    """The same, without the doubt: a file that isn't completed is seen by nobody, and Slack forgets it."""
    code = error.code.removeprefix("slack.").removesuffix(".doubtful")
    return Temporary("slack", code, error.cause, error.remedy, error.retry_after_s)

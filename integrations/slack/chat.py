"""The chat port on Slack's Web API. It posts at most once a call: a doubtful post is looked for, not repeated, and not here."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from engine.ports import Message, Placed
from integrations.slack.web import SlackWeb
from runbook.errors import ForgeError, Temporary

EVENT_TYPE = "forge_message"
PERMALINK_TIMEOUT_S = 3.0
PAGE = 200
MAX_PAGES = 10
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
            found = next((m for m in page.get("messages") or () if self._is_ours(m, message_id)), None)
            if found is not None:
                ts = str(found["ts"])
                return Placed(channel, ts, "" if thread_ts else await self._permalink(channel, ts))
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                return None
        return None

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

    async def open_dialog(self, trigger_id: str, view: Mapping[str, Any], *, timeout_s: float) -> None:
        """Opens a modal. Raises `runbook.errors`; code `slack.exchanged_trigger_id` when it was opened already."""
        await self._web.call("views.open", timeout_s=timeout_s, trigger_id=trigger_id, view=dict(view))

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

"""A channel read as plain text."""

from __future__ import annotations

import re


async def test_a_channel_reads_as_text_with_threads_buttons_and_names(slack, client):
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": "stg-1 waits"}},
        {"type": "section", "fields": [{"type": "mrkdwn", "text": "*By*\n<@U0ADA>"}]},
        {
            "type": "context",
            "elements": [{"type": "mrkdwn", "text": "<https://x.dev|changes> for <!subteam^S0OWNERS>"}],
        },
        {
            "type": "actions",
            "elements": [{"type": "button", "action_id": "a", "text": {"type": "plain_text", "text": "Approve"}}],
        },
    ]
    parent = await client.chat_postMessage(channel="C0REL", text="stg-1 waits", blocks=blocks)
    await client.chat_postMessage(channel="C0REL", text="done in <#C0REL>", thread_ts=parent["ts"])
    read = re.sub(r"\d\d:\d\d", "hh:mm", slack.transcript("C0REL"))
    assert read.split("\n") == [
        "hh:mm forge  stg-1 waits",
        "             *By* @ada",
        "             changes (https://x.dev) for @owners",
        "             [Approve]",
        "      hh:mm forge  done in #releases",
    ]

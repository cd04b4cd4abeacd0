"""Tells what a channel shows while it happens, as lines for a terminal. Must never change anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

from sandbox.slack import LocalSlack, Message
from sandbox.world.acting import RUN, Actors

Json = dict[str, Any]
SIGNS = {
    ":alarm_clock:": "⏰",
    ":arrows_counterclockwise:": "🔄",
    ":bulb:": "💡",
    ":double_vertical_bar:": "⏸",
    ":heavy_minus_sign:": "➖",
    ":hourglass_flowing_sand:": "⏳",
    ":information_source:": "ℹ",
    ":leftwards_arrow_with_hook:": "↩",
    ":lock:": "🔒",
    ":no_entry:": "⛔",
    ":no_entry_sign:": "🚫",
    ":point_right:": "👉",
    ":raised_hand:": "✋",
    ":rotating_light:": "🚨",
    ":warning:": "⚠",
    ":white_check_mark:": "✅",
    ":white_circle:": "○",
    ":x:": "❌",
}
MARKS = re.compile(r"(?<!\w)[*_`]+(?=\S)|(?<=\S)[*_`]+(?!\w)")
NOISE = re.compile(r"sha256:[0-9a-f]{12,}|\b[0-9a-f]{40}\b")
MOST_LINES = 14
WIDTH = 150


class Teller:
    """Prints every message of one channel once, and the headline again when its state changes."""

    def __init__(self, slack: LocalSlack, actors: Actors, say: Callable[[str], None]) -> None:
        self._slack = slack
        self._actors = actors
        self._say = say
        self._told: dict[str, str] = {}

    def __enter__(self) -> Teller:
        self._slack.workspace.watchers.append(self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        self._slack.workspace.watchers.remove(self._hear)

    def person(self, user: str, does: str) -> None:
        """Somebody types or clicks something."""
        named = self._slack.workspace.users[user]
        self._say(click.style(f"\n{named.name} ({named.title}) {does}", bold=True))

    def _hear(self, news: Json) -> None:
        if news["kind"] != "message":
            return
        shown = news["message"]
        message = self._find(shown)
        if message is None or message.user != self._slack.workspace.bot_user:
            return
        name, lines = self._told_of(message)
        if self._told.get(message.ts) == name:
            return
        is_first = message.ts not in self._told
        self._told[message.ts] = name
        self._print(message, lines, is_first=is_first)

    def _find(self, shown: Json) -> Message | None:
        if shown.get("ephemeral_for"):
            theirs = self._slack.ephemerals(shown["ephemeral_for"])
            return next((each for each in theirs if each.ts == shown["ts"]), None)
        return self._slack.workspace.message(shown["channel"], shown["ts"])

    def _told_of(self, message: Message) -> tuple[str, list[str]]:
        """What has to differ for the message to be worth telling again, and its lines."""
        if not message.is_reply and message.ephemeral_for is None and RUN.match(message.text):
            state = _headline(message.text)
            return state, [state]
        lines = self._actors.text(message).split("\n")
        return lines[0], lines

    def _print(self, message: Message, lines: list[str], *, is_first: bool) -> None:
        if message.ephemeral_for:
            name = self._slack.workspace.users[message.ephemeral_for].name
            lead = f"   (only {name} sees) "
        else:
            lead = "      | " if message.is_reply else "   "
        shown = [plain(line) for line in (lines if is_first else lines[:1])]
        more = len(shown) - MOST_LINES
        shown = shown[:MOST_LINES] + ([f"… {more} more lines"] if more > 0 else [])
        for number, line in enumerate(shown):
            self._say((lead if number == 0 or message.is_reply else " " * len(lead)) + line)


def _headline(text: str) -> str:
    """Its one sentence; of a running step only the name, for what it does meanwhile changes every second."""
    before, dash, after = text.partition(" – ")
    return f"{before}{dash}{after.partition(': ')[0]}" if after.startswith("running") else text


def plain(text: str) -> str:
    """Without Slack's mark-up and long hashes, within the width of a terminal."""
    for name, sign in SIGNS.items():
        text = text.replace(name, sign)
    text = NOISE.sub(
        lambda match: match[0][:19] if match[0].startswith("sha256:") else match[0][:12], MARKS.sub("", text)
    )
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"

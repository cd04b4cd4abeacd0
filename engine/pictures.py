"""Charts on their way to Slack: drawn when they are sent, uploaded once, and said in words where they can't be shown.

A picture must never hold up the messages behind it for long: it has few tries.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from engine.notes import Note, Tone
from engine.ports import Chat, Painter
from engine.records import Outgoing
from runbook.charts import Chart, chart_from_json
from runbook.errors import ForgeError, Permanent
from runbook.plan import to_json

PICTURE, PRIVATE_PICTURE, PRIVATE_NOTE = "picture", "private_picture", "private_note"
PICTURES = (PICTURE, PRIVATE_PICTURE)
PRIVATE = (PRIVATE_PICTURE, PRIVATE_NOTE)
"""In somebody's direct messages, at most once: what arrived there can't be looked up."""

TRIES = 3
DRAWING_TRIES = 2
WITHOUT_END = ("slack.unreachable", "slack.ratelimited")
"""Nothing is wrong with the picture: it waits with everything else until Slack takes messages again."""


class Pictures:
    """Draws and uploads. The newest drawing is kept until it is delivered, so that a repeat doesn't draw again."""

    def __init__(self, chat: Chat, painter: Painter) -> None:
        self._chat = chat
        self._painter = painter
        self._drawn: dict[int | None, bytes] = {}

    async def deliver(self, row: Outgoing, channel: str, thread_ts: str, *, doubtful: bool) -> None:
        """Raises `runbook.errors`. doubtful: it may have arrived already, and is looked for first. Private ones ignore channel and thread."""
        chart, name = chart_of(row), file_name(row)
        if doubtful and await self._chat.find_file(channel, name, thread_ts=thread_ts, since=row.created_at):
            self.forget(row)
            return
        data = await self._png(row, chart)
        if row.kind == PRIVATE_PICTURE:
            channel, thread_ts = await self._chat.direct(row.payload["user"]), ""
        await self._chat.upload(channel, name, chart.title, chart.alt, data, thread_ts=thread_ts)
        self.forget(row)

    async def _png(self, row: Outgoing, chart: Chart) -> bytes:
        if row.id not in self._drawn:
            self._drawn = {row.id: await self._painter.draw(chart)}
        return self._drawn[row.id]

    def forget(self, row: Outgoing) -> None:
        self._drawn.pop(row.id, None)


def chart_of(row: Outgoing) -> Chart:
    """Raises Permanent for what is no chart: it will never be one."""
    try:
        return chart_from_json(row.payload["chart"])
    except (KeyError, TypeError, ValueError) as error:
        raise Permanent("charts", "unfit", "what is stored is no chart") from error


def file_name(row: Outgoing) -> str:
    """`staging-12-1f0c9a6b52d3.png`: tells what it belongs to and is found again after a doubtful upload."""
    key = hashlib.sha256(f"{row.subject}#{row.id}".encode()).hexdigest()[:12]
    return f"{row.run or 'forge'}-{key}.png"


def is_hopeless(row: Outgoing, error: ForgeError) -> bool:
    """Whether its words take the picture's place now."""
    if row.kind not in (*PICTURES, "report"):
        return False
    if isinstance(error, Permanent):
        return True
    most = DRAWING_TRIES if error.system == "charts" else TRIES
    return error.code not in WITHOUT_END and row.attempts >= most


def in_words(row: Outgoing, error: ForgeError) -> Outgoing:
    """The same row, in its place among the others, as a note with the alt text and why there is no picture."""
    try:
        chart = chart_of(row)
        title, alt = chart.title, chart.alt
    except Permanent:
        title, alt = ("A report", "") if row.kind == "report" else ("A chart", "")
    what = "report" if row.kind == "report" else "picture"
    why = f"The {what} can't be shown: {error.cause}." + (f" {error.remedy}" if error.remedy else "")
    note = to_json(Note(tone=Tone.INFO, title=title, text=f"{alt}\n{why}"))
    is_private = row.kind == PRIVATE_PICTURE
    payload = {"note": note, "user": row.payload["user"]} if is_private else note
    kind = PRIVATE_NOTE if is_private else "note"
    return replace(row, kind=kind, payload=payload, state="pending", attempts=0, not_before=None, error=error.code)

"""What a program printed, as plain text that is safe to show: no terminal escapes, no control characters, no secrets, bounded."""

from __future__ import annotations

import re

from runbook.redaction import redacted
from runbook.wording import shortened

LINE_LIMIT = 200
TEXT_LIMIT = 2500
"""Of all shown lines together, in characters."""
_LOOKED_AT = 64 * 1024

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    r"|\x1b\[[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Tabs and line ends stay; marks that turn the direction of writing would show another text than there is."""


def plain(text: str) -> str:
    """Without escape sequences and control characters. A line that was overwritten by carriage returns keeps its last state."""
    text = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    if "\r" in text:
        text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return _CONTROLS.sub("", text)


def last_lines(text: str, count: int) -> str:
    """The last lines that aren't blank, at most `count` and TEXT_LIMIT characters; long ones shortened, secrets taken out."""
    tail = text[-_LOOKED_AT:]
    if len(tail) < len(text):
        # What begins in the middle of a line may be a secret whose name was cut off.
        tail = tail.partition("\n")[2] or tail
    # Taken out before lines are shortened: a shortened secret wouldn't be recognised.
    lines = [line.rstrip() for line in redacted(plain(tail)).split("\n") if line.strip()]
    shown: list[str] = []
    size = 0
    for line in reversed(lines[-count:] if count > 0 else []):
        line = shortened(line, LINE_LIMIT)
        size += len(line) + 1
        if size > TEXT_LIMIT:
            break
        shown.append(line)
    return "\n".join(reversed(shown))


def one_line(text: str, limit: int = LINE_LIMIT) -> str:
    """The first line that isn't blank, for a sentence."""
    lines = redacted(plain(text[: 16 * limit])).split("\n")
    return shortened(next((line.strip() for line in lines if line.strip()), ""), limit)

"""Words of strangers, made fit to be shown: one line, bounded, and nobody is called by them."""

from __future__ import annotations

import unicodedata

LONGEST_TITLE = 200
LONGEST_NAME = 80


def first_line(message: str) -> str:
    """The first line that says something."""
    return _cut(next((line for line in message.splitlines() if _plain(line)), ""), LONGEST_TITLE)


def person(name: str) -> str:
    """A name for people: of an address of mail only what stands before its `@`, and no `@` that would call somebody."""
    plain = _plain(name)
    if "@" in plain.strip("@"):
        plain = plain.strip("@").partition("@")[0]
    return _cut(plain.replace("@", ""), LONGEST_NAME) or "unknown"


def _cut(text: str, longest: int) -> str:
    plain = _plain(text)
    return plain if len(plain) <= longest else plain[: longest - 1].rstrip() + "…"


def _plain(text: str) -> str:
    """Without what isn't seen (control and format characters, such as those that turn the direction of writing), spaces as one."""
    return " ".join("".join(" " if unicodedata.category(sign)[0] == "C" else sign for sign in text).split())

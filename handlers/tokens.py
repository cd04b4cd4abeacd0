"""Typed text made plain: Slack's escapes undone, Unicode normalised, split into words with quotes. Pure; knows no command."""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass

_SLACK_TOKEN = re.compile(r"<([@#!]?)([^<>|\s]*)(?:\|([^<>]*))?>")
_SPACES = re.compile(r"\s")
_QUOTES = str.maketrans(
    {
        "\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201b": "'", "\u2039": "'", "\u203a": "'",
        "\u201c": '"', "\u201d": '"', "\u201e": '"', "\u201f": '"', "\u00ab": '"', "\u00bb": '"', "\uff02": '"',
    }
)  # fmt: skip
_WORD = re.compile(
    r"""(?P<option>(?:--|[\u2010-\u2015\u2212])[a-z]+=)?(?P<quote>["'])(?P<inside>(?:\\.|(?!(?P=quote)(?:\s|$)).)*)(?P=quote)(?=\s|$)|(?P<bare>\S+)""",
    re.DOTALL,
)
_OPENS_QUOTE = re.compile(r"""(?:(?:--|[\u2010-\u2015\u2212])[a-z]+=)?["']""")
_ESCAPED = re.compile(r"\\([\"'\\])")
MAX_EXCERPT = 40


class TokenError(Exception):
    """The text can't be taken as a command: code, cause and remedy for the answer."""

    def __init__(self, code: str, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.code, self.cause, self.remedy = code, cause, remedy


@dataclass(frozen=True, slots=True)
class Word:
    """One word. quoted: it stood in quotes, so that dashes in it are no option. option: `--name="…"`, an option all the same."""

    text: str
    quoted: bool = False
    option: bool = False


def from_slack(text: str) -> str:
    """Undoes Slack's markup: `<@U1|ann>` is `@ann`, `<https://x|x>` is `x`, `&amp;` is `&`.

    Source: https://docs.slack.dev/messaging/formatting-message-text (mentions, links and the three escapes).
    """
    return html.unescape(_SLACK_TOKEN.sub(_plain_token, text)) if "<" in text or "&" in text else text


def _plain_token(match: re.Match[str]) -> str:
    sign, target, label = match.groups()
    if sign in ("@", "#"):
        return f"{sign}{label or target}"
    if sign == "!":
        return f"@{(label or target.partition('^')[0]).removeprefix('@')}"
    return label or target.removeprefix("mailto:")


def clean(text: str) -> str:
    """NFKC, straight quotes, plain spaces; invisible characters dropped. Raises `TokenError` for control characters."""
    plain = unicodedata.normalize("NFKC", text.translate(_QUOTES)).translate(_QUOTES)
    kept: list[str] = []
    for char in plain:
        if _SPACES.match(char):
            kept.append(" ")
            continue
        category = unicodedata.category(char)
        if category in ("Cc", "Cs"):
            raise TokenError(
                "parse.control_character",
                f"There is a control character in it (U+{ord(char):04X}).",
                "Type the command instead of pasting it.",
            )
        if category != "Cf" and char not in _INVISIBLE:
            kept.append(char)
    return "".join(kept).strip()


# Invisible, and yet no format characters to Unicode: fillers and variation selectors.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0") | {chr(n) for n in range(0xFE00, 0xFE10)}


def split(text: str) -> list[Word]:
    """Words of a cleaned text. A quote opens at the beginning of a word only: the apostrophe in `don't` is a letter. It
    closes at the end of one."""
    words: list[Word] = []
    for match in _WORD.finditer(text):
        bare = match["bare"]
        if bare is None:
            inside = _ESCAPED.sub(r"\1", match["inside"])
            words.append(Word((match["option"] or "") + inside, quoted=True, option=bool(match["option"])))
        elif _OPENS_QUOTE.match(bare):
            raise TokenError(
                "parse.open_quote",
                f"A quote isn't closed: {excerpt(bare)}",
                'A reason stands in quotes: --reason "load test until noon".',
            )
        else:
            words.append(Word(bare))
    return words


def excerpt(text: str) -> str:
    """A piece of what was typed, short enough to quote in an answer."""
    return text if len(text) <= MAX_EXCERPT else text[: MAX_EXCERPT - 1] + "…"

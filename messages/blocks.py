"""The builder of Slack's blocks: the one place that knows the limits and that escapes. Pure; knows no run and no plan.

`Markup` is text that is safe to show as Slack's mrkdwn. Only the functions here make it, so that nothing that a person or a system wrote can
mention anybody, link anywhere or break out of its quotes. Limits: https://docs.slack.dev/reference/block-kit/blocks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NewType
from urllib.parse import quote, urlsplit

Block = dict[str, Any]
Markup = NewType("Markup", str)

MAX_BLOCKS = 50
MAX_CHARACTERS = 13_000  # Slack refuses above about 13,200; undocumented, so with room
MAX_HEAD = 7_000
MAX_TAIL = 3_500
MAX_SECTION = 3_000
MAX_HEADER = 150
MAX_CONTEXT = 2_000
MAX_LOG = 2_500
MAX_BUTTON = 75
MAX_CONFIRM_TITLE = 100
MAX_CONFIRM_TEXT = 300
MAX_CONFIRM_BUTTON = 30
MAX_LINE = 600
MAX_TOP_TEXT = 600
MAX_MODAL_TITLE = 24
MAX_BLOCK_ID = 255
ELLIPSIS = "…"

_SPACES = re.compile(r"\s+")
_USER = re.compile(r"[UW][A-Z0-9]{1,30}")
_GROUP = re.compile(r"S[A-Z0-9]{1,30}")
# Marks that would format: at a word's edge only, so that `error_ratio` stays what it is.
_EDGE = re.compile(r"(?<!\w)_|_(?!\w)")
_COMMAND = re.compile(r"`(/?forge [a-z0-9. -]{1,80})`")
_QUOTED = re.compile(r"`([^`]+)`")
_EMOJI = re.compile(r":(?=[a-z0-9_+-]*[a-z][a-z0-9_+-]*:)")
_LOOK_ALIKES = str.maketrans({"*": "\u2217", "~": "\u223c", "`": "\u02cb"})
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


# --- text -----------------------------------------------------------------------------------------------------------


def plain(text: object, limit: int = MAX_LINE) -> str:
    """One line of plain text: controls, invisible and direction-changing characters gone, at most `limit` long."""
    return shorten(_shown(_SPACES.sub(" ", str(text))).strip(), limit)


def _shown(text: str) -> str:
    if text.isprintable():  # nearly always, and then there is nothing to look for
        return text
    return "".join(char for char in text if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn"))


def shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: max(0, limit - 1)].rstrip() + ELLIPSIS


def esc(text: object, limit: int = MAX_LINE) -> Markup:
    """Untrusted text within mrkdwn: it formats nothing, links nothing, mentions nobody, shows no emoji."""
    # A command that is quoted in a sentence may be code: it holds nothing but letters, and code does nothing.
    pieces = _COMMAND.split(plain(text, limit))
    return Markup("".join(f"`{piece}`" if place % 2 else _inert(piece) for place, piece in enumerate(pieces)))


def _inert(text: str) -> str:
    shown = _EDGE.sub("\u02cd", text.translate(_LOOK_ALIKES))
    return _EMOJI.sub("\ua789", shown).translate(_ESCAPES)


def with_code(text: object, limit: int = MAX_LINE) -> Markup:
    """A sentence of forge's own, such as a remedy: what stands between its backticks is there to be copied, and is shown as code.

    Whatever else is in it is as inert as in `esc`, within the code too.
    """
    pieces = _QUOTED.split(plain(text, limit))
    return Markup("".join(code(piece, limit) if place % 2 else _inert(piece) for place, piece in enumerate(pieces)))


def code(text: object, limit: int = 200) -> Markup:
    """Untrusted text as code: versions, digests, ids."""
    shown = plain(text, limit).replace("`", "\u02cb")
    return Markup(f"`{shown.translate(_ESCAPES)}`") if shown else Markup("")


def bold(markup: Markup) -> Markup:
    return Markup(f"*{markup}*") if markup.strip() else Markup("")


def italic(markup: Markup) -> Markup:
    return Markup(f"_{markup}_") if markup.strip() else Markup("")


def join(*parts: str, by: str = " ") -> Markup:
    """Parts that are markup or words of ours; empty ones are left out."""
    return Markup(by.join(part for part in parts if part))


def mention(slack_id: str) -> Markup:
    """A user or a user group; anything else is shown as text and notifies nobody. `T…:U…` is an actor's id."""
    name = slack_id.rpartition(":")[2]
    if _USER.fullmatch(name):
        return Markup(f"<@{name}>")
    if _GROUP.fullmatch(name):
        return Markup(f"<!subteam^{name}>")
    return esc(slack_id, 100)


def link(url: str, label: object) -> Markup:
    """A link, when the address is http(s); else its label alone."""
    shown = esc(str(label).replace("|", "/"), 150)
    try:
        parts = urlsplit(url)
    except ValueError:
        return shown
    if parts.scheme not in ("http", "https") or not parts.netloc or len(url) > 1_000:
        return shown
    # What could end the link's own syntax is percent-encoded; `&` is escaped as everywhere.
    safe = quote(url, safe="%/:?#[]@!$&'()*+,;=~-._").translate(_ESCAPES)
    return Markup(f"<{safe}|{shown}>")


def moment(at: datetime, style: str = "{date_short_pretty} at {time}") -> Markup:
    """In the reader's own time zone; UTC where Slack can't. Source: https://docs.slack.dev/messaging/formatting-message-text"""
    return Markup(f"<!date^{int(at.timestamp())}^{style}|{at:%Y-%m-%d %H:%M} UTC>")


def clock_time(at: datetime) -> Markup:
    return moment(at, "{time}")


def cut(markup: str, limit: int) -> Markup:
    """Shortens markup without cutting a token, an entity or a piece of code in two."""
    if len(markup) <= limit:
        return Markup(markup)
    kept = markup[: max(0, limit - 1)]
    if kept.rfind("<") > kept.rfind(">"):
        kept = kept[: kept.rfind("<")]
    entity = kept.rfind("&")
    if entity >= 0 and ";" not in kept[entity:]:
        kept = kept[:entity]
    if kept.count("`") % 2:
        kept = kept[: kept.rfind("`")]
    return Markup(kept.rstrip() + ELLIPSIS)


# --- blocks ---------------------------------------------------------------------------------------------------------


def _plain_text(text: object, limit: int) -> Block:
    return {"type": "plain_text", "text": plain(text, limit) or "–", "emoji": False}


def _mrkdwn(markup: str, limit: int) -> Block:
    # verbatim: Slack makes no links and mentions of its own from words that look like some.
    return {"type": "mrkdwn", "text": cut(markup, limit) or "–", "verbatim": True}


def header(text: object) -> Block:
    return {"type": "header", "text": {**_plain_text(text, MAX_HEADER), "emoji": True}}


def section(markup: Markup, *, block_id: str = "") -> Block:
    block: Block = {"type": "section", "text": _mrkdwn(markup, MAX_SECTION)}
    return block | ({"block_id": block_id[:MAX_BLOCK_ID]} if block_id else {})


def context(*parts: Markup) -> Block:
    """Small print, at most ten pieces."""
    shown = [_mrkdwn(part, MAX_CONTEXT) for part in parts if part][:10]
    return {"type": "context", "elements": shown or [_mrkdwn("–", MAX_CONTEXT)]}


def divider() -> Block:
    return {"type": "divider"}


def preformatted(text: str, limit: int = MAX_LOG) -> Block:
    """Several lines as they are, their end kept where there is no room: rich text, in which nothing formats, links or mentions."""
    lines = [plain_line(line) for line in text.splitlines()]
    shown = "\n".join(lines)
    if len(shown) > limit:
        shown = ELLIPSIS + shown[-(limit - 1) :]
    element = {"type": "text", "text": shown or "–"}
    return {"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": [element]}]}


def plain_line(line: str) -> str:
    """Its indentation stays; controls and invisible characters go."""
    return _shown(line.expandtabs(4)).rstrip()


def paragraphs(lines: Iterable[Markup]) -> list[Block]:
    """Lines packed into as few sections as they fit in, none torn."""
    blocks: list[Block] = []
    current = ""
    for line in lines:
        piece = cut(line, MAX_SECTION)
        if current and len(current) + 1 + len(piece) > MAX_SECTION:
            blocks.append(section(Markup(current)))
            current = piece
        else:
            current = f"{current}\n{piece}" if current else piece
    return [*blocks, section(Markup(current))] if current else blocks


def confirm(title: str, text: str, yes: str, *, danger: bool = True) -> Block:
    """Slack's question before a click counts: it names the thing."""
    return {
        "title": _plain_text(title, MAX_CONFIRM_TITLE),
        "text": _plain_text(text, MAX_CONFIRM_TEXT),
        "confirm": _plain_text(yes, MAX_CONFIRM_BUTTON),
        "deny": _plain_text("Go back", MAX_CONFIRM_BUTTON),
        "style": "danger" if danger else "primary",
    }


def button(
    text: str, action_id: str, value: str, *, style: str = "", question: Block | None = None, label: str = ""
) -> Block:
    """label: what a screen reader says, when the text alone wouldn't do. value: an opaque id."""
    made: Block = {
        "type": "button",
        "text": _plain_text(text, MAX_BUTTON),
        "action_id": action_id,
        "value": value,
    }
    if style:
        made["style"] = style
    if question is not None:
        made["confirm"] = question
    if label:
        made["accessibility_label"] = plain(label, MAX_BUTTON)
    return made


def actions(buttons: Sequence[Block], *, block_id: str) -> Block:
    return {"type": "actions", "block_id": block_id[:MAX_BLOCK_ID], "elements": list(buttons)[:25]}


# --- the whole message ----------------------------------------------------------------------------------------------


def size(blocks: Iterable[Mapping[str, Any]]) -> int:
    """Characters as Slack counts them: all texts in the blocks."""
    return sum(_characters(block) for block in blocks)


def _characters(value: object) -> int:
    if isinstance(value, Mapping):
        own = len(value["text"]) if isinstance(value.get("text"), str) else 0
        return own + sum(_characters(item) for item in value.values() if not isinstance(item, str))
    return sum(_characters(item) for item in value) if isinstance(value, list | tuple) else 0


def fit(head: Sequence[Block], middle: Sequence[Block], tail: Sequence[Block], *, more: str) -> list[Block]:
    """As much as Slack takes: the head and the tail first, buttons always, then the middle; `more` says where the rest is."""
    notice = context(esc(more))
    first = _within(head, MAX_HEAD, MAX_BLOCKS // 3)
    last = _with_buttons(tail)
    room = MAX_CHARACTERS - size([*first, *last, notice])
    kept = _within(middle, room, MAX_BLOCKS - len(first) - len(last) - 1)
    is_whole = (len(first), len(kept), len(last)) == (len(head), len(middle), len(tail))
    return [*first, *kept, *([] if is_whole else [notice]), *last]


def _with_buttons(tail: Sequence[Block]) -> list[Block]:
    """The tail in its order: every row of buttons, and of the rest what fits."""
    rows = [block for block in tail if block["type"] == "actions"]
    rest = len(_within([b for b in tail if b["type"] != "actions"], MAX_TAIL - size(rows), MAX_BLOCKS // 3))
    kept: list[Block] = []
    for block in tail:
        if block["type"] != "actions":
            rest -= 1
            if rest < 0:
                continue
        kept.append(block)
    return kept


def _within(blocks: Sequence[Block], room: int, places: int) -> list[Block]:
    """The first blocks, as many as fit."""
    kept: list[Block] = []
    for block in blocks[: max(0, places)]:
        room -= size([block])
        if room < 0:
            break
        kept.append(block)
    return kept


def top_text(*parts: str) -> str:
    """The text that stands alone on a phone."""
    return cut(join(*parts), MAX_TOP_TEXT) or "forge"

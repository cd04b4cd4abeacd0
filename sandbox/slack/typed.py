"""What Slack makes of text that a person types into a slash command with `should_escape`, or into a message.

Source: https://docs.slack.dev/interactivity/implementing-slash-commands, "Escaping".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial

from sandbox.slack.model import Channel, User, Usergroup

_LINK = re.compile(r"https?://[^\s<>|]+")
_MAIL = re.compile(r"(?<![\w.+-])([\w.+-]+@[\w-]+(?:\.[\w-]+)+)")
_DOMAIN = re.compile(
    r"(?<![\w@./:-])((?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|app)(?:/[^\s<>|]*)?)(?![\w.-])", re.IGNORECASE
)
_BROADCAST = re.compile(r"(?<!\w)@(here|channel|everyone)\b")
_KEPT = re.compile("\x00(\\d+)\x00")


def as_sent(text: str, users: Iterable[User], channels: Iterable[Channel], groups: Iterable[Usergroup]) -> str:
    """`@ada` becomes `<@U1|ada>`, `#releases` `<#C1|releases>`, a link `<https://…>`; `&`, `<`, `>` are escaped."""
    kept: list[str] = []

    def keep(replacement: str) -> str:
        kept.append(replacement)
        return f"\x00{len(kept) - 1}\x00"

    def keep_named(replacement: str, _: re.Match[str]) -> str:
        return keep(replacement)

    text = text.replace("\x00", "").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _LINK.sub(lambda m: keep(f"<{m[0]}>"), text)
    text = _MAIL.sub(lambda m: keep(f"<mailto:{m[1]}|{m[1]}>"), text)
    for sign, name, replacement in _names(users, channels, groups):
        text = re.sub(
            rf"(?<![\w&]){sign}{re.escape(name)}(?![\w-])", partial(keep_named, replacement), text, flags=re.IGNORECASE
        )
    text = _BROADCAST.sub(lambda m: keep(f"<!{m[1]}>"), text)
    text = _DOMAIN.sub(lambda m: keep(f"<http://{m[1]}|{m[1]}>"), text)
    while _KEPT.search(text):
        text = _KEPT.sub(lambda m: kept[int(m[1])], text)
    return text


def _names(
    users: Iterable[User], channels: Iterable[Channel], groups: Iterable[Usergroup]
) -> list[tuple[str, str, str]]:
    found = [("@", user.name, f"<@{user.id}|{user.name}>") for user in users]
    found += [("@", user.real_name, f"<@{user.id}|{user.name}>") for user in users if user.real_name]
    found += [("#", channel.name, f"<#{channel.id}|{channel.name}>") for channel in channels if not channel.is_im]
    found += [("@", group.handle, f"<!subteam^{group.id}|@{group.handle}>") for group in groups]
    return sorted(found, key=lambda entry: -len(entry[1]))

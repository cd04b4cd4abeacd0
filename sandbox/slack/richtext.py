"""Slack's rules for `rich_text` blocks. Source: https://docs.slack.dev/reference/block-kit/blocks/rich-text-block."""

from __future__ import annotations

from sandbox.slack.check import Check

LEAVES: dict[str, tuple[str, ...]] = {
    "text": ("text",),
    "link": ("url",),
    "user": ("user_id",),
    "usergroup": ("usergroup_id",),
    "channel": ("channel_id",),
    "emoji": ("name",),
    "date": ("timestamp", "format"),
    "broadcast": ("range",),
    "color": ("value",),
    "team": ("team_id",),
}
SECTIONS: dict[str, set[str]] = {
    "rich_text_section": {"type", "elements"},
    "rich_text_list": {"type", "elements", "style", "indent", "offset", "border"},
    "rich_text_preformatted": {"type", "elements", "border", "language"},
    "rich_text_quote": {"type", "elements", "border"},
}


def check_rich_text(check: Check, elements: object, pointer: str) -> None:
    if not check.items(elements, pointer, most=1000, least=0):
        return
    for place, element in enumerate(elements):
        here = f"{pointer}/{place}"
        if not check.mapping(element, here):
            continue
        kind = element.get("type")
        if kind not in SECTIONS:
            check.fail(f"unsupported type: {kind}", f"{here}/type")
            continue
        check.keys(element, here, allowed=SECTIONS[kind], needed=("elements",))
        if kind == "rich_text_list":
            check.choice(element.get("style"), f"{here}/style", ("bullet", "ordered"))
            check_rich_text(check, element.get("elements"), f"{here}/elements")
        else:
            _check_leaves(check, element.get("elements"), f"{here}/elements")


def _check_leaves(check: Check, leaves: object, pointer: str) -> None:
    if not check.items(leaves, pointer, most=1000, least=0):
        return
    for place, leaf in enumerate(leaves):
        here = f"{pointer}/{place}"
        if not check.mapping(leaf, here):
            continue
        kind = leaf.get("type")
        if kind not in LEAVES:
            check.fail(f"unsupported type: {kind}", f"{here}/type")
            continue
        for key in LEAVES[kind]:
            if leaf.get(key) is None:
                check.fail(f"missing required field: {key}", here)
        if kind == "text":
            check.string(leaf.get("text"), f"{here}/text", most=MAX_TEXT)
        style = leaf.get("style")
        if style is not None and check.mapping(style, f"{here}/style"):
            check.keys(style, f"{here}/style", allowed=STYLES, needed=())


MAX_TEXT = 13_200
STYLES = ("bold", "italic", "strike", "code", "underline", "highlight", "client_highlight", "unlink")

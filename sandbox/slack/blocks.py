"""Slack's rules for blocks in messages and views; refuses what real Slack refuses.

Own checks come first, for exact pointers; the SDK's models, which know the newest block types, give a second opinion.
Source: https://docs.slack.dev/reference/block-kit/blocks.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block

from sandbox.slack.check import Check
from sandbox.slack.elements import IN_ACTIONS, IN_INPUT, IN_SECTION, check_element
from sandbox.slack.errors import SlackError, invalid
from sandbox.slack.richtext import check_rich_text

Json = dict[str, Any]
MAX_MESSAGE_BLOCKS = 50
MAX_VIEW_BLOCKS = 100
MAX_CHARACTERS = 13_200
BASE = {"type", "block_id"}
ALLOWED: dict[str, set[str]] = {
    "section": BASE | {"text", "fields", "accessory", "expand"},
    "header": BASE | {"text", "level"},
    "divider": BASE,
    "context": BASE | {"elements"},
    "actions": BASE | {"elements"},
    "image": BASE | {"image_url", "slack_file", "alt_text", "title"},
    "input": BASE | {"label", "element", "hint", "optional", "dispatch_action"},
    "rich_text": BASE | {"elements"},
    "markdown": BASE | {"text"},
}
NEEDED: dict[str, tuple[str, ...]] = {
    "header": ("text",),
    "context": ("elements",),
    "actions": ("elements",),
    "image": ("alt_text",),
    "input": ("label", "element"),
    "rich_text": ("elements",),
    "markdown": ("text",),
}
ONLY_SDK = {"video", "table", "plan", "task_card", "alert", "card", "carousel", "container", "context_actions"}
_PRIVATE_HOSTS = ("localhost", "127.", "10.", "192.168.", "0.0.0.0", "[::1]")  # noqa: S104  compared, never bound


def check_message_blocks(blocks: object) -> list[Json]:
    """The blocks, ids filled in as Slack does; raises invalid_blocks_format, invalid_blocks, msg_blocks_too_long."""
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    check = Check()
    check_blocks(check, blocks, "/blocks", most=MAX_MESSAGE_BLOCKS)
    if check.problems:
        raise invalid("invalid_blocks", check.problems)
    if sum(len(text) for text in texts_in(blocks)) > MAX_CHARACTERS:
        raise SlackError("msg_blocks_too_long")
    return with_ids(blocks)


def check_blocks(check: Check, blocks: list[Any], pointer: str, *, most: int) -> None:
    if len(blocks) > most:
        check.fail(f"no more than {most} items allowed", pointer)
    seen: set[str] = set()
    for place, block in enumerate(blocks):
        here = f"{pointer}/{place}"
        if not check.mapping(block, here):
            continue
        check_block(check, block, here)
        block_id = block.get("block_id")
        if isinstance(block_id, str):
            if block_id in seen:
                check.fail(f'`block_id` "{block_id}" already exists', f"{here}/block_id")
            seen.add(block_id)


def check_block(check: Check, block: Json, pointer: str) -> None:
    kind = block.get("type")
    if kind is None:
        check.fail("missing required field: type", pointer)
    elif kind in ALLOWED:
        before = len(check.problems)
        check.keys(block, pointer, allowed=ALLOWED[kind], needed=NEEDED.get(kind, ()))
        check.string(block.get("block_id"), f"{pointer}/block_id", most=255)
        _RULES[kind](check, block, pointer)
        _check_action_ids(check, block, pointer)
        if len(check.problems) == before:
            _second_opinion(check, block, pointer)
    elif kind in ONLY_SDK:
        _second_opinion(check, block, pointer)
    else:
        check.fail(f"unsupported type: {kind}", f"{pointer}/type")


def _second_opinion(check: Check, block: Json, pointer: str) -> None:
    try:
        parsed = Block.parse(dict(block))
        if parsed is not None:
            parsed.validate_json()
    except (SlackObjectFormationError, TypeError) as refusal:
        check.fail(str(refusal), pointer)


def _section(check: Check, block: Json, pointer: str) -> None:
    if block.get("text") is None and not block.get("fields"):
        check.fail("must define either `text` or `fields`", pointer)
    check.text(block.get("text"), f"{pointer}/text", most=3000)
    fields = block.get("fields")
    if fields is not None and check.items(fields, f"{pointer}/fields", most=10):
        for place, field in enumerate(fields):
            check.text(field, f"{pointer}/fields/{place}", most=2000)
    accessory = block.get("accessory")
    if accessory is not None:
        check_element(check, accessory, f"{pointer}/accessory", IN_SECTION)
        if isinstance(accessory, dict) and accessory.get("type") == "image":
            _picture(check, accessory, f"{pointer}/accessory")


def _header(check: Check, block: Json, pointer: str) -> None:
    check.text(block.get("text"), f"{pointer}/text", most=150, plain=True)


def _divider(_: Check, __: Json, ___: str) -> None:
    return


def _context(check: Check, block: Json, pointer: str) -> None:
    elements = block.get("elements")
    if not check.items(elements, f"{pointer}/elements", most=10):
        return
    for place, element in enumerate(elements):
        here = f"{pointer}/elements/{place}"
        if isinstance(element, dict) and element.get("type") == "image":
            check_element(check, element, here, {"image"})
            _picture(check, element, here)
        else:
            check.text(element, here, most=3000)


def _actions(check: Check, block: Json, pointer: str) -> None:
    elements = block.get("elements")
    if check.items(elements, f"{pointer}/elements", most=25):
        for place, element in enumerate(elements):
            check_element(check, element, f"{pointer}/elements/{place}", IN_ACTIONS)


def _image(check: Check, block: Json, pointer: str) -> None:
    _picture(check, block, pointer)
    check.text(block.get("title"), f"{pointer}/title", most=2000, plain=True)


def _picture(check: Check, holder: Json, pointer: str) -> None:
    check.string(holder.get("alt_text"), f"{pointer}/alt_text", most=2000, least=0)
    url, file = holder.get("image_url"), holder.get("slack_file")
    if (url is None) == (file is None):
        check.fail("must define either `image_url` or `slack_file`", pointer)
    elif isinstance(url, str):
        check.string(url, f"{pointer}/image_url", most=3000)
        # Slack fetches the picture itself: what it can't reach it refuses.
        host = urlsplit(url).netloc
        if urlsplit(url).scheme not in ("http", "https") or host.startswith(_PRIVATE_HOSTS):
            check.fail("downloading image failed", f"{pointer}/image_url")
    elif check.mapping(file, f"{pointer}/slack_file") and not (file.get("id") or file.get("url")):
        check.fail("must define either `id` or `url`", f"{pointer}/slack_file")


def _input(check: Check, block: Json, pointer: str) -> None:
    check.text(block.get("label"), f"{pointer}/label", most=2000, plain=True)
    check.text(block.get("hint"), f"{pointer}/hint", most=2000, plain=True)
    if block.get("element") is not None:
        check_element(check, block["element"], f"{pointer}/element", IN_INPUT)


def _rich_text(check: Check, block: Json, pointer: str) -> None:
    check_rich_text(check, block.get("elements"), f"{pointer}/elements")


def _markdown(check: Check, block: Json, pointer: str) -> None:
    check.string(block.get("text"), f"{pointer}/text", most=12_000)


_RULES: dict[str, Callable[[Check, Json, str], None]] = {
    "section": _section,
    "header": _header,
    "divider": _divider,
    "context": _context,
    "actions": _actions,
    "image": _image,
    "input": _input,
    "rich_text": _rich_text,
    "markdown": _markdown,
}


def elements_of(block: Json) -> list[Json]:
    """The interactive elements of a block, with their place in it lost."""
    found = [block.get("accessory"), block.get("element")]
    if block.get("type") in ("actions", "context_actions"):
        found += block.get("elements") or []
    return [element for element in found if isinstance(element, dict) and element.get("type") != "image"]


def _check_action_ids(check: Check, block: Json, pointer: str) -> None:
    seen: set[str] = set()
    for element in elements_of(block):
        action_id = element.get("action_id")
        if isinstance(action_id, str) and action_id in seen:
            check.fail(
                f'`action_id` "{action_id}" already exists for `block_id` "{block.get("block_id", "")}"',
                f"{pointer}/elements",
            )
        seen.add(str(action_id)) if action_id else None


def with_ids(blocks: list[Json]) -> list[Json]:
    """Missing `block_id`s and `action_id`s filled with short random ones."""
    named = []
    for block in blocks:
        block = {**block, "block_id": block.get("block_id") or secrets.token_urlsafe(4)}
        for key in ("accessory", "element"):
            if isinstance(block.get(key), dict):
                block[key] = _with_action_id(block[key])
        if block.get("type") == "actions":
            block["elements"] = [_with_action_id(element) for element in block["elements"]]
        named.append(block)
    return named


def _with_action_id(element: Json) -> Json:
    if element.get("type") == "image" or element.get("action_id"):
        return element
    return {**element, "action_id": secrets.token_urlsafe(4)}


def texts_in(value: object) -> Iterator[str]:
    """Every text that people see in blocks."""
    if isinstance(value, list):
        for item in value:
            yield from texts_in(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "text" and isinstance(item, str):
                yield item
            elif isinstance(item, (dict, list)):
                yield from texts_in(item)

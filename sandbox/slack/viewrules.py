"""Slack's rules for modals and Home tabs, and the shape of what a person fills in.

Source: https://docs.slack.dev/reference/views.
"""

from __future__ import annotations

import json
from typing import Any

from sandbox.slack.blocks import MAX_VIEW_BLOCKS, check_blocks, with_ids
from sandbox.slack.check import Check
from sandbox.slack.errors import SlackError, invalid

Json = dict[str, Any]
MAX_VIEW_BYTES = 250_000
KEYS = {
    "type",
    "title",
    "blocks",
    "close",
    "submit",
    "private_metadata",
    "callback_id",
    "clear_on_close",
    "notify_on_close",
    "external_id",
    "submit_disabled",
}


def check_view(view: object, *, kind: str) -> Json:
    """The view with ids filled in; raises invalid_arguments with pointers under `/view`, or view_too_large."""
    if not isinstance(view, dict):
        raise invalid("invalid_arguments", ["must provide an object [json-pointer:/view]"])
    if len(json.dumps(view)) > MAX_VIEW_BYTES:
        raise SlackError("view_too_large")
    check = Check()
    if view.get("type") != kind:
        check.fail(f"unsupported type: {view.get('type')}", "/view/type")
    check.keys(
        view, "/view", allowed=KEYS, needed=("type", "blocks", "title") if kind == "modal" else ("type", "blocks")
    )
    for part in ("title", "submit", "close"):
        check.text(view.get(part), f"/view/{part}", most=24, plain=True)
    check.string(view.get("private_metadata"), "/view/private_metadata", most=3000, least=0)
    check.string(view.get("callback_id"), "/view/callback_id", most=255, least=0)
    check.string(view.get("external_id"), "/view/external_id", most=255, least=0)
    blocks = view.get("blocks")
    if check.items(blocks, "/view/blocks", most=MAX_VIEW_BLOCKS, least=0):
        check_blocks(check, blocks, "/view/blocks", most=MAX_VIEW_BLOCKS)
        has_input = any(isinstance(block, dict) and block.get("type") == "input" for block in blocks)
        if kind == "modal" and has_input and view.get("submit") is None:
            check.fail("must define `submit` to use an `input` block in modals", "/view")
    if check.problems:
        raise invalid("invalid_arguments", list(dict.fromkeys(check.problems)))
    return {**view, "blocks": with_ids(view["blocks"])}


def state_of(element: Json, value: object) -> Json:
    """A filled-in value as `view.state.values` has it. `value`: a string, a list of strings, or None for nothing chosen."""
    kind = str(element["type"])
    several = value if isinstance(value, list) else ([] if value in (None, "") else [value])
    single = several[0] if several else None
    match kind:
        case "static_select" | "radio_buttons" | "external_select" | "overflow":
            return {"type": kind, "selected_option": _option(element, single)}
        case "multi_static_select" | "checkboxes" | "multi_external_select":
            return {"type": kind, "selected_options": [_option(element, item) for item in several]}
        case "datepicker" | "timepicker":
            return {"type": kind, f"selected_{kind.removesuffix('picker')}": single}
        case "datetimepicker":
            return {"type": kind, "selected_date_time": int(str(single)) if single is not None else None}
        case "users_select" | "channels_select" | "conversations_select":
            return {"type": kind, f"selected_{kind.removesuffix('s_select')}": single}
        case "multi_users_select":
            return {"type": kind, "selected_users": several}
        case _:
            return {"type": kind, "value": single}


def initial_of(element: Json) -> object:
    """What an element holds before anybody touched it, as `state_of` takes it."""
    for key in ("initial_option", "initial_options"):
        if element.get(key):
            chosen = element[key]
            return [item["value"] for item in chosen] if isinstance(chosen, list) else chosen["value"]
    names = ("value", "date", "time", "date_time", "user", "users", "channel", "conversation")
    return next((element[f"initial_{name}"] for name in names if element.get(f"initial_{name}")), None)


def _option(element: Json, value: object) -> Json | None:
    if value is None:
        return None
    groups = element.get("option_groups") or []
    options = list(element.get("options") or []) + [option for group in groups for option in group["options"]]
    for option in options:
        if option["value"] == value:
            return {key: option[key] for key in ("text", "value", "description") if key in option}
    return {"text": {"type": "plain_text", "text": str(value)}, "value": value}


def is_empty(state: Json) -> bool:
    """Nothing was filled in."""
    return not any(value for key, value in state.items() if key != "type")


def refused_inputs(view: Json, values: dict[str, Json]) -> dict[str, str]:
    """What Slack's own client says before it sends a submission: block id -> sentence; empty when it would be sent."""
    refused: dict[str, str] = {}
    for block in view["blocks"]:
        if block["type"] != "input":
            continue
        element = block["element"]
        state = values.get(block["block_id"], {}).get(element["action_id"], {})
        text = state.get("value") or ""
        if is_empty(state):
            if not block.get("optional"):
                refused[block["block_id"]] = "Please complete this required field."
        elif len(text) < (element.get("min_length") or 0):
            refused[block["block_id"]] = f"Must be at least {element['min_length']} characters"
        elif len(text) > (element.get("max_length") or 3000):
            refused[block["block_id"]] = f"Must be at most {element.get('max_length') or 3000} characters"
    return refused

"""Slack's rules for the interactive parts of blocks: buttons, menus, inputs, confirm dialogs.

Source: https://docs.slack.dev/reference/block-kit/block-elements and …/composition-objects.
"""

from __future__ import annotations

import re
from typing import Any

from sandbox.slack.check import Check

Json = dict[str, Any]

CONFIRM = {"type", "action_id", "confirm"}
MENU = CONFIRM | {"placeholder", "focus_on_load"}
ALLOWED: dict[str, set[str]] = {
    "button": CONFIRM | {"text", "url", "value", "style", "accessibility_label"},
    "workflow_button": CONFIRM | {"text", "workflow", "style", "accessibility_label"},
    "overflow": CONFIRM | {"options"},
    "static_select": MENU | {"options", "option_groups", "initial_option"},
    "multi_static_select": MENU | {"options", "option_groups", "initial_options", "max_selected_items"},
    "external_select": MENU | {"initial_option", "min_query_length"},
    "multi_external_select": MENU | {"initial_options", "min_query_length", "max_selected_items"},
    "users_select": MENU | {"initial_user"},
    "multi_users_select": MENU | {"initial_users", "max_selected_items"},
    "channels_select": MENU | {"initial_channel", "response_url_enabled"},
    "conversations_select": MENU
    | {"initial_conversation", "default_to_current_conversation", "response_url_enabled", "filter"},
    "datepicker": MENU | {"initial_date"},
    "timepicker": MENU | {"initial_time", "timezone"},
    "datetimepicker": CONFIRM | {"initial_date_time", "focus_on_load"},
    "checkboxes": CONFIRM | {"options", "initial_options", "focus_on_load"},
    "radio_buttons": CONFIRM | {"options", "initial_option", "focus_on_load"},
    "plain_text_input": {
        "type",
        "action_id",
        "initial_value",
        "multiline",
        "min_length",
        "max_length",
        "dispatch_action_config",
        "focus_on_load",
        "placeholder",
    },
    "email_text_input": {
        "type",
        "action_id",
        "initial_value",
        "dispatch_action_config",
        "focus_on_load",
        "placeholder",
    },
    "url_text_input": {"type", "action_id", "initial_value", "dispatch_action_config", "focus_on_load", "placeholder"},
    "number_input": {
        "type",
        "action_id",
        "is_decimal_allowed",
        "initial_value",
        "min_value",
        "max_value",
        "dispatch_action_config",
        "focus_on_load",
        "placeholder",
    },
    "file_input": {"type", "action_id", "filetypes", "max_files"},
    "rich_text_input": {"type", "action_id", "initial_value", "dispatch_action_config", "focus_on_load", "placeholder"},
    "image": {"type", "image_url", "alt_text", "slack_file"},
}
NEEDED: dict[str, tuple[str, ...]] = {
    "button": ("text",),
    "overflow": ("options",),
    "checkboxes": ("options",),
    "radio_buttons": ("options",),
    "image": ("alt_text",),
    "number_input": ("is_decimal_allowed",),
}
TEXT_INPUTS = {
    "plain_text_input",
    "email_text_input",
    "url_text_input",
    "number_input",
    "file_input",
    "rich_text_input",
}
IN_ACTIONS = set(ALLOWED) - TEXT_INPUTS - {"image"} | {"rich_text_input"}
IN_SECTION = set(ALLOWED) - TEXT_INPUTS
IN_INPUT = set(ALLOWED) - {"button", "workflow_button", "overflow", "image"}
_OPTION_LIMITS = {"overflow": 5, "checkboxes": 10, "radio_buttons": 10}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def check_element(check: Check, element: object, pointer: str, allowed_types: set[str]) -> None:
    """One element in a place where only `allowed_types` may stand."""
    if not check.mapping(element, pointer):
        return
    kind = element.get("type")
    if kind not in allowed_types:
        check.fail(f"unsupported type: {kind}", f"{pointer}/type")
        return
    check.keys(element, pointer, allowed=ALLOWED[kind], needed=NEEDED.get(kind, ()))
    check.string(element.get("action_id"), f"{pointer}/action_id", most=255)
    check.text(element.get("placeholder"), f"{pointer}/placeholder", most=150, plain=True)
    _check_confirm(check, element.get("confirm"), f"{pointer}/confirm")
    if kind in ("button", "workflow_button"):
        _check_button(check, element, pointer)
    elif "options" in ALLOWED[kind]:
        _check_menu(check, element, pointer)
    elif kind == "plain_text_input":
        _check_text_input(check, element, pointer)
    elif kind == "datepicker" and not _DATE.fullmatch(element.get("initial_date") or "2000-01-01"):
        check.fail("must be in format YYYY-MM-DD", f"{pointer}/initial_date")


def _check_confirm(check: Check, confirm: object, pointer: str) -> None:
    if confirm is None or not check.mapping(confirm, pointer):
        return
    check.keys(confirm, pointer, allowed=("title", "text", "confirm", "deny", "style"), needed=("title", "text"))
    check.text(confirm.get("title"), f"{pointer}/title", most=100, plain=True)
    check.text(confirm.get("text"), f"{pointer}/text", most=300)
    check.text(confirm.get("confirm"), f"{pointer}/confirm", most=30, plain=True)
    check.text(confirm.get("deny"), f"{pointer}/deny", most=30, plain=True)
    check.choice(confirm.get("style"), f"{pointer}/style", ("primary", "danger"))


def _check_button(check: Check, button: Json, pointer: str) -> None:
    check.text(button.get("text"), f"{pointer}/text", most=75, plain=True)
    check.string(button.get("value"), f"{pointer}/value", most=2000, least=0)
    check.string(button.get("url"), f"{pointer}/url", most=3000)
    check.string(button.get("accessibility_label"), f"{pointer}/accessibility_label", most=75)
    check.choice(button.get("style"), f"{pointer}/style", ("primary", "danger"))


def _check_text_input(check: Check, element: Json, pointer: str) -> None:
    least, most = element.get("min_length") or 0, element.get("max_length") or 3000
    if not 0 <= least <= 3000:
        check.fail("must be between 0 and 3000", f"{pointer}/min_length")
    if not 1 <= most <= 3000:
        check.fail("must be between 1 and 3000", f"{pointer}/max_length")
    if least > most:
        check.fail("must be less than max_length", f"{pointer}/min_length")
    check.string(element.get("initial_value"), f"{pointer}/initial_value", most=3000, least=0)


def _check_menu(check: Check, element: Json, pointer: str) -> None:
    options, groups = element.get("options"), element.get("option_groups")
    if options is None and groups is None:
        check.fail("must define either `options` or `option_groups`", pointer)
        return
    if options is not None and groups is not None:
        check.fail("`options` and `option_groups` can't both be defined", pointer)
        return
    known: list[Any] = []
    if options is not None and check.items(
        options, f"{pointer}/options", most=_OPTION_LIMITS.get(element["type"], 100)
    ):
        known += options
        _check_options(check, element, options, f"{pointer}/options")
    if groups is not None and check.items(groups, f"{pointer}/option_groups", most=100):
        for place, group in enumerate(groups):
            here = f"{pointer}/option_groups/{place}"
            if check.mapping(group, here):
                check.text(group.get("label"), f"{here}/label", most=75, plain=True)
                if check.items(group.get("options"), f"{here}/options", most=100):
                    known += group["options"]
                    _check_options(check, element, group["options"], f"{here}/options")
    _check_initial(check, element, known, pointer)


def _check_initial(check: Check, element: Json, known: list[Any], pointer: str) -> None:
    chosen = list(element.get("initial_options") or [])
    if element.get("initial_option") is not None:
        chosen.append(element["initial_option"])
    values = [option.get("value") for option in known if isinstance(option, dict)]
    for option in chosen:
        if not isinstance(option, dict) or option.get("value") not in values:
            check.fail("initial option must match one of the options", pointer)


def _check_options(check: Check, element: Json, options: list[Any], pointer: str) -> None:
    plain = element["type"] not in ("checkboxes", "radio_buttons")
    for place, option in enumerate(options):
        here = f"{pointer}/{place}"
        if not check.mapping(option, here):
            continue
        check.keys(option, here, allowed=("text", "value", "description", "url"), needed=("text", "value"))
        check.text(option.get("text"), f"{here}/text", most=75, plain=plain)
        check.string(option.get("value"), f"{here}/value", most=150)
        check.text(option.get("description"), f"{here}/description", most=75, plain=plain)
        if option.get("url") is not None and element["type"] != "overflow":
            check.fail("invalid additional property: url", here)

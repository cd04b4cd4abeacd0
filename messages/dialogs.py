"""Modals: the question for a reason, and what replaces it when the answer is no. Pure views within Slack's limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from messages.blocks import MAX_MODAL_TITLE, Block, esc, paragraphs, plain, with_code

REASON_BLOCK = "reason"
REASON_INPUT = "text"
MAX_REASON = 500
REFUSAL = "reject an override"
"""The words for a `reject` beneath an override: the run doesn't end by it."""

MAX_PRIVATE = 3_000
MAX_REMEMBERED = 500
"""Characters of each part of a memory that are believed."""

_TITLES = {"abort": "Abort", "reject": "Reject", "continue": "Continue", "override": "Override", REFUSAL: "Refuse"}
_REQUIRED = ("abort", "continue", "override")
"""Those whose reason is part of the record, and can't be left out."""

_SAID = {
    "abort": "{run} stops now and returns to the previous state. Everyone sees the reason in its thread.",
    "continue": "{run} goes on in spite of what on-call was asked about. Everyone sees the reason in its thread.",
    "override": "A second person has to agree before {run} goes on in spite of the gate. Both names and the reason stay on record.",
    REFUSAL: "{run} stays held by its gate. Everyone sees the reason.",
    "reject": "{run} ends without going on; what it changed already is returned. Everyone sees the reason in its thread.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogMemory:
    """What a dialog carries from where it was opened to its submission. It may come back forged: all of it is looked up and authorised again.

    button: of a clicked button, the opaque value. environment, service: what a dialog that a command opened is about. response_url,
    channel: where the answer goes.
    """

    button: str = ""
    environment: str = ""
    service: str = ""
    channel: str = ""
    response_url: str = ""

    def dump(self) -> str:
        """Within Slack's limit: of what would be too long, where the answer goes is left out."""
        text = json.dumps(asdict(self))
        if len(text) <= MAX_PRIVATE:
            return text
        about = {"button": self.button[:255], "environment": self.environment[:63], "service": self.service[:63]}
        return json.dumps({name: value.encode("ascii", "ignore").decode() for name, value in about.items()})

    @classmethod
    def load(cls, text: str) -> DialogMemory:
        """An empty memory when the text isn't one."""
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        given = found if isinstance(found, Mapping) else {}
        return cls(**{name: str(given.get(name) or "")[:MAX_REMEMBERED] for name in cls.__dataclass_fields__})


def reason_dialog(action: str, run: str, memory: DialogMemory, about: str = "") -> dict[str, Any]:
    """Asks why. run, about: for the words only; about: what beside the run, such as `override`. The submission's `callback_id` is the action."""
    named = run or "The run"
    said = REFUSAL if (action, about) == ("reject", "override") else action
    word = _TITLES.get(said, said.capitalize())
    is_optional = action not in _REQUIRED
    return {
        "type": "modal",
        "callback_id": action,
        "private_metadata": memory.dump(),
        "title": plain_text(f"{word} {run}".strip(), MAX_MODAL_TITLE),
        "submit": plain_text(word, MAX_MODAL_TITLE),
        "close": plain_text("Go back", MAX_MODAL_TITLE),
        "blocks": [
            *paragraphs([esc(_SAID.get(said, "{run}").format(run=named))]),
            reason_input(is_optional=is_optional),
        ],
    }


def closing_dialog(title: str, text: str, remedy: str = "") -> dict[str, Any]:
    """Replaces a dialog by a plain answer."""
    lines = [esc(text, 1_500)] + ([with_code(remedy, 1_000)] if remedy else [])
    return {
        "type": "modal",
        "title": plain_text(title, MAX_MODAL_TITLE),
        "close": plain_text("Close", MAX_MODAL_TITLE),
        "blocks": paragraphs(lines),
    }


def reason_input(*, is_optional: bool, given: str = "") -> Block:
    """given: what was typed already."""
    typed = {"initial_value": given[:MAX_REASON]} if given else {}
    return {
        "type": "input", "block_id": REASON_BLOCK, "optional": is_optional, "label": plain_text("Reason", 100),
        "element": {
            "type": "plain_text_input", "action_id": REASON_INPUT, "multiline": True, "max_length": MAX_REASON, **typed,
        },
    }  # fmt: skip


def plain_text(text: str, limit: int) -> Block:
    """limit: in characters; what is empty becomes a dash, since Slack refuses it."""
    return {"type": "plain_text", "text": plain(text, limit) or "–"}

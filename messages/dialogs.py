"""Modals: the question for a reason, and what replaces it when the answer is no. Pure views within Slack's limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from messages.blocks import MAX_MODAL_TITLE, Block, esc, paragraphs, plain

REASON_BLOCK = "reason"
REASON_INPUT = "text"
MAX_REASON = 500
REFUSAL = "reject an override"
"""The words for a `reject` beneath an override: the run doesn't end by it."""

MAX_PRIVATE = 3_000

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


@dataclass(frozen=True, slots=True)
class DialogMemory:
    """What a dialog carries from the click to its submission. It may come back forged: only ids that are looked up again."""

    button: str
    response_url: str = ""
    channel: str = ""

    def dump(self) -> str:
        text = json.dumps({"button": self.button, "response_url": self.response_url, "channel": self.channel})
        return (
            text
            if len(text) <= MAX_PRIVATE
            else json.dumps({"button": self.button.encode("ascii", "ignore").decode()[:255]})
        )

    @classmethod
    def load(cls, text: str) -> DialogMemory:
        """An empty memory when the text isn't one."""
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if not isinstance(found, Mapping):
            return cls("")
        return cls(*(str(found.get(name) or "") for name in ("button", "response_url", "channel")))


def _text(text: str, limit: int) -> Block:
    return {"type": "plain_text", "text": plain(text, limit) or "–"}


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
        "title": _text(f"{word} {run}".strip(), MAX_MODAL_TITLE),
        "submit": _text(word, MAX_MODAL_TITLE),
        "close": _text("Go back", MAX_MODAL_TITLE),
        "blocks": [
            *paragraphs([esc(_SAID.get(said, "{run}").format(run=named))]),
            {
                "type": "input",
                "block_id": REASON_BLOCK,
                "optional": is_optional,
                "label": _text("Reason", 100),
                "element": {
                    "type": "plain_text_input",
                    "action_id": REASON_INPUT,
                    "multiline": True,
                    "max_length": MAX_REASON,
                },
            },
        ],
    }


def closing_dialog(title: str, text: str, remedy: str = "") -> dict[str, Any]:
    """Replaces a dialog by a plain answer."""
    lines = [esc(text, 1_500)] + ([esc(remedy, 1_000)] if remedy else [])
    return {
        "type": "modal",
        "title": _text(title, MAX_MODAL_TITLE),
        "close": _text("Close", MAX_MODAL_TITLE),
        "blocks": paragraphs(lines),
    }

"""The cards of checklists and overrides: what Slack takes, and that each button does what stands on it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import Any

from engine.ports import Message
from engine.views import ChecklistView, ItemView, OverrideView
from messages.checklists import checklist_card, override_card
from messages.words import evidence
from runbook.verdicts import Evidence
from sandbox.slack.blocks import check_message_blocks, elements_of

NOW = datetime(2026, 3, 2, 14, 2, tzinfo=UTC)
OVERRIDE = OverrideView(
    id="prod-1/o1", run="prod-1", gate="backup", verdict="no backup is on record", state="asked", asked_by="U0ADA",
    asked_by_name="ada", reason="it was made by hand", at=NOW, follow_up="Look into “backup”", who=("U0SAM", "S0ONCALL"),
    closing="", buttons={"approve": "b1", "reject": "b2"},
)  # fmt: skip
ITEMS = (
    ItemView(name="window", text="The change window is open", by="forge", at=NOW, evidence="weekdays until 17:00"),
    ItemView(name="docs", text="The help pages are ready", button="b7"),
)


def buttons(message: Message) -> dict[str, tuple[str, str]]:
    """action id -> (what stands on it, its opaque value)"""
    check_message_blocks(message.blocks)
    found: dict[str, tuple[str, str]] = {}
    for block in message.blocks:
        for each in elements_of(block):
            if each.get("type") == "button":
                found[each["action_id"]] = (each["text"]["text"], each["value"])
    return found


def shown(message: Message) -> str:
    return str(message.blocks)


def test_an_overrides_buttons_are_those_of_a_decision_and_say_what_they_do() -> None:
    assert buttons(override_card(OVERRIDE)) == {"approve": ("Agree: override", "b1"), "reject": ("Refuse", "b2")}


def test_a_decided_override_has_no_button_and_mentions_nobody() -> None:
    decided: dict[str, Any] = {"state": "granted", "closing": "agreed to by sam.", "buttons": {}}
    card = override_card(dataclasses.replace(OVERRIDE, **decided))
    assert buttons(card) == {}
    assert "OVERRIDDEN" in shown(card)
    assert "agreed to by sam." in shown(card)
    assert "<@" not in shown(card) + card.text


def test_an_open_line_of_a_checklist_has_a_button_with_its_own_words() -> None:
    view = ChecklistView(
        run="prod-1", index=4, which="pre_deployment", title="Pre-deployment checklist", service="shop", version="v1.4.0",
        environment="prod", items=ITEMS, waits=True, roles=("release_engineer",),
    )  # fmt: skip
    card = checklist_card(view)
    assert buttons(card) == {"tick": ("Tick: The help pages are ready", "b7")}
    assert "(1 of 2)" in shown(card)
    assert "weekdays until 17:00" in shown(card)


def test_a_digest_in_evidence_is_told_by_its_first_digits() -> None:
    whole = "web goes back to registry.example/acme/web@sha256:" + "0123456789abcdef" * 4
    told = evidence(Evidence(name="1", value=whole))
    assert told == "1 web goes back to registry.example/acme/web@sha256:0123456789ab…"

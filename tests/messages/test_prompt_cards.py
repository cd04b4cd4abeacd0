"""The cards of prompts and choices: what Slack takes, what stands alone on a phone, who is mentioned, and what is left after the answer."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.ports import Message
from engine.questions import ChoiceView, OptionView, PromptView
from messages.blocks import MAX_BLOCKS, MAX_CHARACTERS, size
from messages.dialogs import MAX_PRIVATE, DialogMemory, reason_dialog
from messages.render import Messages
from runbook.verdicts import Evidence, Verdict
from sandbox.slack.blocks import check_message_blocks
from sandbox.slack.viewrules import check_view

NOW = datetime(2026, 3, 2, 14, 2, tzinfo=UTC)
BREACH = Verdict.failed(
    "error rate of stable",
    "guard.breached",
    "error rate of stable was above 3 % for 5 min, at worst 20 %",
    Evidence(name="error rate", value=0.2, limit=0.03, unit="ratio", window_s=300.0),
)


def prompt(**changes: Any) -> PromptView:
    return dataclasses.replace(
        PromptView(
            id="prod-12/p1", run="prod-12", number=1, service="shop", environment="prod", version="v1.4.0",
            trigger="critical_alert", reason=BREACH.reason, state="open", since=NOW - timedelta(minutes=5), opened_at=NOW,
            deadline=NOW + timedelta(minutes=15), mitigate="15 min", verdicts=(BREACH,),
            way_back=("Traffic goes back to web:v1.3.0", "Migration 0007 stays: the previous version works with it"),
            recovers=True, who=("S0ONCALL",), buttons={"rollback": "b1", "extend": "b2", "continue": "b3"},
        ),
        **changes,
    )  # fmt: skip


def choice(**changes: Any) -> ChoiceView:
    options = (
        OptionView(name="rollback_keep_schema", label="Keep the schema", text="Only the application goes back.", button="c1"),
        OptionView(name="rollback_undo_schema", label="Take it back", text="The down Jobs run.", button="c2", leaves=True),
        OptionView(name="rollback_restore", label="Restore", text="At stake: what was written since 13:20 UTC, 42 min", button="c3"),
    )  # fmt: skip
    return dataclasses.replace(
        ChoiceView(
            run="prod-12", index=14, title="What becomes of the schema?", service="shop", environment="prod",
            version="v1.4.0", role="database_owner", who=("U0DORA",), options=options, is_open=True, opened_at=NOW,
            deadline=NOW + timedelta(minutes=15), why="error rate was above 3 %",
        ),
        **changes,
    )  # fmt: skip


def shown(message: Message) -> str:
    """All of the message's text; refused where Slack would refuse it."""
    blocks = [dict(block) for block in message.blocks]
    check_message_blocks(blocks)
    assert message.text
    assert len(blocks) <= MAX_BLOCKS
    assert size(blocks) <= MAX_CHARACTERS
    return message.text + "\n" + "\n".join(_texts(blocks))


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["text"]] if isinstance(value.get("text"), str) else []
        return own + [text for item in value.values() for text in _texts(item)]
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []


def elements(message: Message) -> dict[str, dict[str, Any]]:
    rows = [block for block in message.blocks if block["type"] == "actions"]
    return {element["action_id"]: element for row in rows for element in row["elements"]}


def test_a_prompt_says_what_since_when_until_when_and_what_a_rollback_would_do() -> None:
    text = shown(Messages().prompt_card(prompt()))
    for part in (
        "Critical alert", "error rate of stable was above 3 % for 5 min, at worst 20 %", "`v1.4.0`",
        "What a rollback would do", "Traffic goes back to web:v1.3.0", "Migration 0007 stays",
        f"<!date^{int(NOW.timestamp())}^",
        f"<!date^{int((NOW - timedelta(minutes=5)).timestamp())}^",
        f"<!date^{int((NOW + timedelta(minutes=15)).timestamp())}^",
    ):  # fmt: skip
        assert part in text


def test_the_text_that_phones_show_stands_alone_and_mentions_on_call() -> None:
    text = Messages().prompt_card(prompt()).text
    for part in (
        "<!subteam^S0ONCALL>",
        "prod-12: shop v1.4.0 on prod: roll back?",
        "error rate of stable",
        "14:17 UTC",
    ):
        assert part in text


def test_the_three_buttons_carry_opaque_ids_and_rolling_back_asks_first() -> None:
    found = elements(Messages().prompt_card(prompt()))
    assert {action: element["value"] for action, element in found.items()} == {
        "rollback": "b1", "extend": "b2", "continue": "b3",
    }  # fmt: skip
    assert [element["text"]["text"] for element in found.values()] == ["Roll back", "Give me 15 minutes", "Continue …"]
    assert "Roll back prod-12?" in found["rollback"]["confirm"]["title"]["text"]
    assert found["rollback"]["style"] == "danger"


@pytest.mark.parametrize(
    ("state", "closing", "word"),
    [
        ("continued", "Ona let it go on: a partner's outage", "it goes on"),
        ("over", "Ona let it go on: a partner's outage", "has cleared"),
        ("rolled_back", "Rolled back: on-call did not answer for 15 min", "rolled back"),
        ("closed", "Closed: the condition has been gone for 5 min", "no answer needed any more"),
    ],
)
def test_after_the_answer_who_when_and_why_stand_in_place_of_the_buttons(state: str, closing: str, word: str) -> None:
    message = Messages().prompt_card(
        prompt(state=state, closing=closing, answered_at=NOW + timedelta(minutes=8), buttons={}, way_back=())
    )
    text = shown(message)
    assert elements(message) == {}
    assert word in text
    assert closing in text
    assert f"<!date^{int((NOW + timedelta(minutes=8)).timestamp())}^" in text
    assert "<!subteam" not in message.text


def test_more_time_and_a_held_run_are_said() -> None:
    text = shown(Messages().prompt_card(prompt(extended=2, is_held=True, recovers=False)))
    assert "more time was taken 2 times" in text
    assert "The run is held meanwhile." in text
    assert "closes by itself" not in text


def test_a_choice_says_who_must_choose_what_each_answer_does_and_until_when() -> None:
    message = Messages().choice_card(choice())
    text = shown(message)
    for part in (
        "database owner",
        "<@U0DORA>",
        "Keep the schema",
        "The down Jobs run.",
        "42 min",
        "error rate was above 3 %",
    ):
        assert part in text
    assert "<@U0DORA>" in message.text
    assert "Keep the schema, Take it back or Restore" in message.text
    found = elements(message)
    assert [*found] == ["choose:rollback_keep_schema", "choose:rollback_undo_schema", "choose:rollback_restore"]
    assert all("confirm" in element for element in found.values())


def test_a_choice_without_anybody_to_choose_says_so() -> None:
    assert "nobody holds this role" in shown(Messages().choice_card(choice(who=())))


def test_a_choice_that_was_made_has_no_buttons() -> None:
    message = Messages().choice_card(choice(is_open=False, deadline=None, closing="Keep the schema, by Dora"))
    assert elements(message) == {}
    assert "Keep the schema, by Dora" in shown(message)
    assert "decided" in message.text


def test_the_default_and_the_wait_without_an_end_are_said() -> None:
    assert "then: Keep the schema" in shown(Messages().choice_card(choice(default="Keep the schema")))
    assert "until somebody chooses" in shown(Messages().choice_card(choice(deadline=None)))


def test_going_on_asks_for_a_reason_that_cannot_be_left_out() -> None:
    view = reason_dialog(
        "continue", "prod-12", DialogMemory(button="b3", channel="C1", response_url="https://hooks.test/1")
    )
    check_view(view, kind="modal")
    (field,) = [block for block in view["blocks"] if block["type"] == "input"]
    assert field["optional"] is False
    assert view["callback_id"] == "continue"
    assert DialogMemory.load(view["private_metadata"]).button == "b3"


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=4000), many=st.integers(0, 30))
def test_whatever_the_words_are_slack_takes_the_cards_and_nobody_else_is_mentioned(text: str, many: int) -> None:
    asked = prompt(reason=text + "<!channel> <@U0EVIL>", way_back=(text,) * many, who=(), version=text[:100])
    options = tuple(
        OptionView(name=f"o{n}", label=text[:200] or "–", text=text, button=f"c{n}") for n in range(min(many, 20))
    )
    for message in (
        Messages().prompt_card(asked),
        Messages().prompt_card(dataclasses.replace(asked, state="closed", closing=text, buttons={})),
        Messages().choice_card(choice(title=text, options=options, why=text, who=())),
    ):
        assert "<!channel>" not in shown(message)
        assert "<@U0EVIL>" not in shown(message)


def test_a_dialog_remembers_what_it_was_opened_for() -> None:
    memory = DialogMemory(button="b3", environment="prod", service="shop", channel="C1", response_url="https://x")
    assert DialogMemory.load(memory.dump()) == memory


def test_a_memory_too_long_for_slack_forgets_where_to_answer_before_what_to_do() -> None:
    memory = DialogMemory(button="b3", environment="prod", service="shop", response_url="https://x/" + "\x07" * 1_000)
    assert len(memory.dump()) <= MAX_PRIVATE
    assert DialogMemory.load(memory.dump()) == DialogMemory(button="b3", environment="prod", service="shop")


def test_a_forged_memory_is_bounded_and_no_more_than_text() -> None:
    assert DialogMemory.load('{"button": "' + "x" * 9_000 + '", "to": "all"}') == DialogMemory(button="x" * 500)

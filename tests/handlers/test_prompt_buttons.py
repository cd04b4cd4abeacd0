"""The buttons of prompts and choices on real Bolt: one click each, a dialog where a reason is needed, and an answer always."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engine.intents import Intent
from engine.ports import Message
from handlers.consumer import CHOICE, intent_of
from handlers.payloads import CLICK, VIEW, Kept
from messages.blocks import actions, button
from sandbox.faults import Fault
from tests.handlers.slack_world import CHANNEL, World, shown_text, slack_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with slack_world() as made:
        yield made


@pytest.mark.parametrize("action", ["rollback", "extend"])
async def test_a_prompts_button_is_one_click(world: World, action: str) -> None:
    ts = await world.post_buttons(action, run="prod-12")
    click = await world.slack.click("U0ALICE", CHANNEL, ts, action)
    assert click.outcome == "acknowledged"
    await world.slack.until(lambda: world.operations.acted)
    [(intent, actor)] = world.operations.acted
    assert (intent.name, intent.button, actor.id) == (action, f"btn-{action}", "T0FORGE:U0ALICE")
    await world.slack.until(lambda: "It is done." in world.told("U0ALICE"))


async def test_going_on_asks_for_a_reason_in_a_dialog_that_cannot_be_sent_without_one(world: World) -> None:
    ts = await world.post_buttons("continue", run="prod-12")
    await world.slack.click("U0ALICE", CHANNEL, ts, "continue")
    [view] = world.slack.views("U0ALICE")
    assert view.content["title"]["text"] == "Continue prod-12"
    assert not world.operations.rows
    await world.slack.submit_view("U0ALICE", view.id, {})
    assert not world.operations.acted
    await world.slack.submit_view("U0ALICE", view.id, {"reason": {"text": "a partner's outage"}})
    await world.slack.until(lambda: world.operations.acted)
    [(intent, _)] = world.operations.acted
    assert (intent.name, intent.button, intent.reason) == ("continue", "btn-continue", "a partner's outage")


async def test_a_dialog_that_does_not_open_names_no_command_that_is_none(world: World) -> None:
    ts = await world.post_buttons("continue", run="prod-12")
    world.slack.faults.add(Fault(path="/api/views.open", status=500))
    await world.slack.click("U0ALICE", CHANNEL, ts, "continue")
    await world.slack.until(lambda: "Slack didn't open the dialog" in world.told("U0ALICE"))
    assert "/forge continue" not in world.told("U0ALICE")


async def test_an_option_of_a_choice_is_one_click_whatever_its_name(world: World) -> None:
    names = ["choose:rollback_keep_schema", "choose:rollback_restore"]
    blocks = [actions([button(name, name, f"btn-{name}") for name in names], block_id="run:prod-12:c14")]
    ts = (await world.chat.post(CHANNEL, Message("choose", blocks), "m-2")).ts
    await world.slack.click("U0OLGA", CHANNEL, ts, names[1])
    await world.slack.until(lambda: world.operations.acted)
    [(intent, _)] = world.operations.acted
    assert (intent.name, intent.button) == (names[1], f"btn-{names[1]}")


async def test_a_guest_presses_nothing(world: World) -> None:
    ts = await world.post_buttons("continue", run="prod-12")
    await world.slack.click("U0GUEST", CHANNEL, ts, "continue")
    [view] = world.slack.views("U0GUEST")
    await world.slack.submit_view("U0GUEST", view.id, {"reason": {"text": "because"}})
    [view] = world.slack.views("U0GUEST")
    assert "guests may not use forge" in shown_text(view.content)
    assert not world.operations.rows


@pytest.mark.parametrize("action", ["choose:", "choose:" + "x" * 101, "choose:a b", "choose:<b>", "chosen:x"])
def test_what_only_looks_like_an_option_is_a_retired_button(action: str) -> None:
    assert CHOICE.fullmatch(action) is None
    answer = intent_of(CLICK, Kept(team="T", user="U", action=action))
    assert not isinstance(answer, Intent)
    assert answer.code == "button.retired"


def test_a_forged_submission_of_a_button_without_a_dialog_does_nothing() -> None:
    for action in ("rollback", "extend", "choose:keep"):
        assert not isinstance(intent_of(VIEW, Kept(team="T", user="U", action=action)), Intent)
    assert not isinstance(intent_of(CLICK, Kept(team="T", user="U", action="continue")), Intent)

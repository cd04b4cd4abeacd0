"""Real Bolt and the real SDK on a local Slack: every payload is kept once, acknowledged in time, and answered visibly."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from engine.answers import refused
from handlers import slack_app
from runbook.values import Environment, Role
from sandbox.faults import Fault
from sandbox.slack.sockets import ACK_WITHIN_S
from sandbox.slack.workspace import TRIGGER_LIFE_S
from tests.handlers.slack_world import CHANNEL, World, shown_text, slack_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with slack_world() as made:
        yield made


async def test_a_command_is_kept_acknowledged_and_carried_out_as_who_typed_it(world: World) -> None:
    result = await world.slack.command("U0ALICE", "deploy staging v1.4.0-rc.2 --reason “load test”", channel_id=CHANNEL)
    assert result.outcome == "acknowledged"
    assert "Looking at deploy staging" in "".join(result.shown)
    await world.slack.until(lambda: "It is done." in world.told("U0ALICE"))
    [(intent, actor)] = world.operations.acted
    assert (intent.name, intent.environment, intent.version) == ("deploy", Environment.STAGING, "v1.4.0-rc.2")
    assert intent.reason == "load test"
    assert (actor.id, actor.roles, actor.can_decide) == ("T0FORGE:U0ALICE", frozenset({Role.RELEASE_ENGINEER}), True)
    [row] = world.operations.rows.values()
    assert row.dedup == f"command:{result.trigger_id}"
    assert "xox" not in str(row.payload)
    assert "verification" not in str(row.payload)


async def test_the_same_slash_command_delivered_three_times_starts_one_release(world: World) -> None:
    await world.slack.command("U0ALICE", "deploy staging v1.4.0-rc.2", channel_id=CHANNEL)
    for _ in range(2):
        again = await world.slack.redeliver()
        assert again.acked
    await world.slack.until(lambda: world.operations.acted)
    assert len(world.operations.rows) == 1
    assert len(world.operations.acted) == 1


async def test_a_role_held_by_a_user_group_counts(world: World) -> None:
    ts = await world.post_buttons("approve")
    click = await world.slack.click("U0OLGA", CHANNEL, ts, "approve")
    assert click.outcome == "acknowledged"
    await world.slack.until(lambda: world.operations.acted)
    [(intent, actor)] = world.operations.acted
    assert (intent.name, intent.button) == ("approve", "btn-approve")
    assert actor.roles == {Role.SERVICE_OWNER}
    await world.slack.until(lambda: "It is done." in world.told("U0OLGA"))


async def test_a_click_delivered_twice_is_kept_once(world: World) -> None:
    ts = await world.post_buttons("pause")
    await world.slack.click("U0ALICE", CHANNEL, ts, "pause")
    assert (await world.slack.redeliver()).acked
    await world.slack.until(lambda: world.operations.acted)
    assert len(world.operations.acted) == 1


@pytest.mark.parametrize(
    ("user", "why"),
    [
        ("U0GUEST", "guests may not use forge"),
        ("U0SINGLE", "guests may not use forge"),
        ("U0GONE", "your account is deactivated"),
        ("U0ROBOT", "bots may not use forge"),
        ("U0OTHER", "you belong to another workspace"),
    ],
)
async def test_who_is_no_full_member_comes_to_the_engine_with_the_reason_why_not(
    world: World, user: str, why: str
) -> None:
    ts = await world.post_buttons("approve")
    await world.slack.click(user, CHANNEL, ts, "approve")
    await world.slack.until(lambda: world.operations.acted)
    [(_, actor)] = world.operations.acted
    assert why in actor.refusal
    assert actor.roles == frozenset()


async def test_a_guests_mistyped_command_is_refused_as_a_guests(world: World) -> None:
    await world.slack.command("U0GUEST", "deplyo staging", channel_id=CHANNEL)
    await world.slack.until(lambda: world.operations.answered)
    [(answer, actor)] = world.operations.answered
    assert answer.code == "authority.refused"
    assert actor is not None
    assert actor.refusal


async def test_when_nothing_can_be_kept_the_acknowledgement_says_so(world: World) -> None:
    world.operations.refuses_to_keep = True
    result = await world.slack.command("U0ALICE", "deploy staging v1.4.0-rc.2", channel_id=CHANNEL)
    assert result.outcome == "acknowledged"
    assert "nothing was started" in "".join(result.shown)
    assert not world.operations.acted


async def test_when_a_click_cant_be_kept_the_caller_is_told(world: World) -> None:
    ts = await world.post_buttons("pause")
    world.operations.refuses_to_keep = True
    click = await world.slack.click("U0ALICE", CHANNEL, ts, "pause")
    assert click.outcome == "acknowledged"
    await world.slack.until(lambda: "nothing was started" in world.told("U0ALICE"))


def test_the_limits_leave_room_within_those_that_slack_sets() -> None:
    """A quarter of a second remains for everything that has no limit of its own."""
    alone = {name: getattr(slack_app, name) for name in ("COMMIT_S", "DIALOG_S")}
    after_a_look_up = {
        name: slack_app.LOOKUP_S + getattr(slack_app, name) for name in ("VIEW_COMMIT_S", "RESTORE_DIALOG_S")
    }
    assert max((alone | after_a_look_up).values()) <= ACK_WITHIN_S - 0.25
    assert slack_app.LOOKUP_S + slack_app.RESTORE_DIALOG_S <= TRIGGER_LIFE_S - 0.25


async def test_a_commit_that_takes_too_long_is_acknowledged_before_it_is_done_and_not_torn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_app, "COMMIT_S", 0.1)
    world.operations.keeping = asyncio.Event()
    result = await world.slack.command("U0ALICE", "status", channel_id=CHANNEL)
    assert result.outcome == "acknowledged"
    assert "may yet carry this out" in "".join(result.shown)
    world.operations.keeping.set()
    await world.slack.until(lambda: world.operations.acted)


async def test_an_exception_before_the_acknowledgement_is_answered_with_a_reference(world: World) -> None:
    world.operations.crash = RuntimeError("a bug with a secret")
    result = await world.slack.command("U0ALICE", "status", channel_id=CHANNEL)
    assert result.outcome == "acknowledged"
    shown = "".join(result.shown)
    assert "reference" in shown
    assert "secret" not in shown


async def test_a_retired_button_is_answered_visibly(world: World) -> None:
    ts = await world.post_buttons("launch_missiles")
    click = await world.slack.click("U0ALICE", CHANNEL, ts, "launch_missiles")
    assert click.outcome == "acknowledged"
    await world.slack.until(lambda: "does nothing any more" in world.told("U0ALICE"))
    assert not world.operations.rows


async def test_an_unknown_slash_command_is_acknowledged_with_an_answer(world: World) -> None:
    result = await world.slack.command("U0ALICE", "x", channel_id=CHANNEL, command="/forge-old")
    assert result.outcome == "acknowledged"
    assert result.shown
    assert not world.operations.rows


async def test_nothing_is_done_when_slack_cant_say_who_it_is(world: World) -> None:
    world.slack.faults.add(Fault(path="/api/users.info", status=500, times=-1))
    await world.slack.command("U0ALICE", "deploy staging v1.4.0-rc.2", channel_id=CHANNEL)
    await world.slack.until(lambda: "could not check who you are" in world.told("U0ALICE"))
    assert not world.operations.acted


async def test_abort_asks_for_a_reason_in_a_dialog_that_names_the_run(world: World) -> None:
    ts = await world.post_buttons("abort")
    click = await world.slack.click("U0ALICE", CHANNEL, ts, "abort")
    assert click.outcome == "acknowledged"
    [view] = world.slack.views("U0ALICE")
    assert view.content["title"]["text"] == "Abort staging-12"
    assert not world.operations.rows
    result = await world.slack.submit_view("U0ALICE", view.id, {"reason": {"text": "error rate ‘up’"}})
    assert result.delivery is not None
    assert result.delivery.acked
    await world.slack.until(lambda: world.operations.acted)
    [(intent, actor)] = world.operations.acted
    assert (intent.name, intent.button, intent.reason) == ("abort", "btn-abort", "error rate 'up'")
    assert actor.id == "T0FORGE:U0ALICE"
    await world.slack.until(lambda: "It is done." in world.told("U0ALICE"))
    assert world.slack.views("U0ALICE") == []


async def test_a_reject_may_have_no_reason(world: World) -> None:
    ts = await world.post_buttons("reject")
    await world.slack.click("U0OLGA", CHANNEL, ts, "reject")
    [view] = world.slack.views("U0OLGA")
    await world.slack.submit_view("U0OLGA", view.id, {})
    await world.slack.until(lambda: world.operations.acted)
    assert world.operations.acted[0][0].reason == ""


async def test_a_submission_is_authorised_before_its_acknowledgement(world: World) -> None:
    world.operations.preview_result = refused("authority.role_missing", "you may not abort this", "Ask olga.")
    ts = await world.post_buttons("abort")
    await world.slack.click("U0ALICE", CHANNEL, ts, "abort")
    [view] = world.slack.views("U0ALICE")
    await world.slack.submit_view("U0ALICE", view.id, {"reason": {"text": "because"}})
    [view] = world.slack.views("U0ALICE")
    assert "you may not abort this" in shown_text(view.content)
    assert not world.operations.rows


async def test_a_guests_submission_is_refused_in_the_dialog(world: World) -> None:
    ts = await world.post_buttons("abort")
    await world.slack.click("U0GUEST", CHANNEL, ts, "abort")
    [view] = world.slack.views("U0GUEST")
    await world.slack.submit_view("U0GUEST", view.id, {"reason": {"text": "because"}})
    [view] = world.slack.views("U0GUEST")
    assert "guests may not use forge" in shown_text(view.content)
    assert not world.operations.rows
    assert not world.operations.previewed


async def test_a_submission_that_cant_be_kept_says_so_in_the_dialog(world: World) -> None:
    ts = await world.post_buttons("abort")
    await world.slack.click("U0ALICE", CHANNEL, ts, "abort")
    world.operations.refuses_to_keep = True
    [view] = world.slack.views("U0ALICE")
    await world.slack.submit_view("U0ALICE", view.id, {"reason": {"text": "because"}})
    [view] = world.slack.views("U0ALICE")
    assert "nothing was started" in shown_text(view.content)


async def test_a_submission_while_slack_cant_say_who_it_is_is_refused_without_waiting_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_app, "LOOKUP_S", 0.1)
    ts = await world.post_buttons("abort")
    await world.slack.click("U0ALICE", CHANNEL, ts, "abort")
    world.slack.faults.add(Fault(kind="hang", path="/api/users.info", times=-1))
    [view] = world.slack.views("U0ALICE")
    result = await world.slack.submit_view("U0ALICE", view.id, {"reason": {"text": "because"}})
    assert result.delivery is not None
    assert result.delivery.acked
    [view] = world.slack.views("U0ALICE")
    assert "could not check who you are" in shown_text(view.content)
    assert not world.operations.rows


async def test_a_submission_delivered_twice_is_carried_out_once_and_not_judged_again(world: World) -> None:
    ts = await world.post_buttons("abort")
    await world.slack.click("U0ALICE", CHANNEL, ts, "abort")
    [view] = world.slack.views("U0ALICE")
    await world.slack.submit_view("U0ALICE", view.id, {"reason": {"text": "because"}})
    await world.slack.until(lambda: world.operations.acted)
    world.operations.preview_result = refused("run.ended", "it ended already")
    again = await world.slack.redeliver()
    assert again.acked
    assert not again.response
    assert len(world.operations.acted) == 1


async def test_a_dialog_that_slack_doesnt_open_is_told_with_the_way_around(world: World) -> None:
    ts = await world.post_buttons("abort")
    world.slack.faults.add(Fault(path="/api/views.open", status=500))
    click = await world.slack.click("U0ALICE", CHANNEL, ts, "abort")
    assert click.outcome == "acknowledged"
    await world.slack.until(lambda: "/forge abort" in world.told("U0ALICE"))


async def test_a_dialog_click_delivered_twice_opens_one_dialog_and_complains_of_nothing(world: World) -> None:
    ts = await world.post_buttons("abort")
    await world.slack.click("U0ALICE", CHANNEL, ts, "abort")
    assert (await world.slack.redeliver()).acked
    await world.listeners.close()
    assert len(world.slack.views("U0ALICE")) == 1
    assert world.told("U0ALICE") == ""


async def test_hostile_text_is_answered_to_its_writer_alone_and_notifies_nobody(world: World) -> None:
    for text in (
        "@channel hello",
        "$(rm -rf)",
        "deploy <!channel> v1",
        "help " + "x" * 10_000,
        "deploy productoin v1.4.0",
    ):
        result = await world.slack.command("U0ALICE", text, channel_id=CHANNEL)
        assert result.outcome == "acknowledged"
    await world.slack.until(lambda: "10,005 characters" in world.told("U0ALICE"))
    await world.slack.until(lambda: "Did you mean prod?" in world.told("U0ALICE"))
    await world.slack.until(lambda: len(world.operations.answered) == 5)
    assert not world.operations.acted
    assert world.slack.messages(CHANNEL) == []
    assert "<!" not in world.told("U0ALICE")
    assert "Looking at" not in world.told("U0ALICE")


async def test_no_acknowledgement_waits_for_the_web_api(world: World) -> None:
    world.slack.faults.add(Fault(kind="hang", path="/api/", times=-1))
    with contextlib.suppress(TimeoutError):
        result = await world.slack.command("U0ALICE", "status", channel_id=CHANNEL)
        assert result.outcome == "acknowledged"
    world.slack.faults.clear()

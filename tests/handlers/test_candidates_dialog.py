"""`/forge deploy staging` without a version opens a dialog, on real Bolt and a local Slack; its submission is the command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.answers import info, refused
from engine.candidates import CandidateLine, CandidatesView
from engine.intents import Intent
from handlers.consumer import intent_of
from handlers.payloads import VIEW, Kept, from_view
from messages.candidates import MAX_OPTION, MAX_OPTIONS, candidates_dialog
from messages.dialogs import DialogMemory
from runbook.values import Environment
from sandbox.faults import Fault
from tests.handlers.slack_world import CHANNEL, World, shown_text, slack_world

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def lines(count: int = 3) -> tuple[CandidateLine, ...]:
    return tuple(
        CandidateLine(
            version=f"v1.4.0-rc.{count - n}", commit=f"{n:040x}", validated=n == 0,
            validated_at=NOON - timedelta(hours=2) if n == 0 else None, decided="go" if n == 1 else "", runs_now=n == 1,
        )
        for n in range(count)
    )  # fmt: skip


def view(**changes: Any) -> CandidatesView:
    given: dict[str, Any] = {"service": "shop", "lines": lines(), "total": 3, "has_dev": True, "now": NOON}
    return CandidatesView(**given | changes)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with slack_world() as made:
        made.operations.choices_result = info("candidates", "", view=view())
        yield made


async def opened(world: World, text: str = "deploy staging") -> Any:
    await world.slack.command("U0ALICE", text, channel_id=CHANNEL)
    await world.slack.until(lambda: world.slack.views("U0ALICE"))
    [shown] = world.slack.views("U0ALICE")
    await world.slack.until(lambda: "Looking for candidates" not in shown_text(shown.content))
    return shown


async def test_the_dialog_offers_the_candidates_with_what_is_known_of_them(world: World) -> None:
    shown = await opened(world)
    text = shown_text(shown.content)
    assert "Which candidate of shop goes to staging?" in text
    assert "v1.4.0-rc.3 · dev-validated 2 h ago" in text
    assert "got its go, runs in staging now" in text
    assert "v1.4.0-rc.1 · NOT validated in dev" in text
    assert not world.operations.rows
    assert not world.operations.acted


async def test_the_chosen_candidate_is_deployed_to_staging(world: World) -> None:
    shown = await opened(world)
    values = {"version": {"chosen": "v1.4.0-rc.3"}, "reason": {"text": "the basket"}}
    await world.slack.submit_view("U0ALICE", shown.id, values)
    await world.slack.until(lambda: world.operations.acted)
    [(intent, actor)] = world.operations.acted
    assert (intent.name, intent.environment, intent.version) == ("deploy", Environment.STAGING, "v1.4.0-rc.3")
    assert (intent.service, intent.reason, actor.id) == ("shop", "the basket", "T0FORGE:U0ALICE")
    await world.slack.until(lambda: "It is done." in world.told("U0ALICE"))


async def test_a_reason_that_was_typed_already_stands_in_the_dialog(world: World) -> None:
    shown = await opened(world, 'deploy staging --reason "the basket"')
    (block,) = [each for each in shown.content["blocks"] if each.get("block_id") == "reason"]
    assert block["element"]["initial_value"] == "the basket"


async def test_a_submission_is_authorised_again_before_anything_is_deployed(world: World) -> None:
    shown = await opened(world)
    world.operations.preview_result = refused("authority.role_missing", "you may not run deploy any more")
    await world.slack.submit_view("U0ALICE", shown.id, {"version": {"chosen": "v1.4.0-rc.3"}})
    [shown] = world.slack.views("U0ALICE")
    assert "you may not run deploy any more" in shown_text(shown.content)
    assert not world.operations.rows


async def test_whoever_may_not_deploy_is_told_so_in_the_dialog(world: World) -> None:
    world.operations.choices_result = refused("authority.role_missing", "you may not run deploy", "Ask Ada.")
    text = shown_text((await opened(world)).content)
    assert "you may not run deploy" in text
    assert "Ask Ada." in text
    await world.slack.command("U0GUEST", "deploy staging", channel_id=CHANNEL)
    await world.slack.until(lambda: world.slack.views("U0GUEST"))
    [guests] = world.slack.views("U0GUEST")
    await world.slack.until(lambda: "You can't use forge" in shown_text(guests.content))


async def test_the_dialog_says_why_there_is_nothing_to_choose_from(world: World) -> None:
    world.operations.choices_result = refused("candidate.slow", "GitHub gave no answer", "Name the candidate")
    assert "GitHub gave no answer" in shown_text((await opened(world)).content)


async def test_a_dialog_that_does_not_open_says_which_command_to_type(world: World) -> None:
    world.slack.faults.add(Fault(path="/api/views.open", status=500))
    await world.slack.command("U0ALICE", "deploy staging", channel_id=CHANNEL)
    await world.slack.until(lambda: "Slack didn't open the dialog" in world.told("U0ALICE"))
    assert "/forge deploy staging vX.Y.Z-rc.N" in world.told("U0ALICE")


async def test_a_dialog_that_can_not_be_filled_says_which_command_to_type(world: World) -> None:
    world.slack.faults.add(Fault(path="/api/views.update", status=500))
    await world.slack.command("U0ALICE", "deploy staging", channel_id=CHANNEL)
    await world.slack.until(lambda: "/forge deploy staging vX.Y.Z-rc.N" in world.told("U0ALICE"))
    assert not world.operations.rows


async def test_a_deployment_that_names_its_candidate_opens_no_dialog(world: World) -> None:
    for text in ("deploy staging v1.4.0-rc.3", "deploy dev", "plan staging"):
        await world.slack.command("U0ALICE", text, channel_id=CHANNEL)
    await world.slack.until(lambda: len(world.operations.acted) == 3)
    assert world.slack.views("U0ALICE") == []


def test_a_hundred_candidates_fit_into_the_dialog() -> None:
    made = candidates_dialog(
        view(lines=lines(100), total=300, has_dev=False),
        DialogMemory(service="shop", channel="C1", response_url="https://x"),
    )
    (block,) = [each for each in made["blocks"] if each.get("block_id") == "version"]
    options = block["element"]["options"]
    assert len(options) == MAX_OPTIONS
    assert all(len(each[part]["text"]) <= MAX_OPTION for each in options for part in ("text", "description"))
    assert "Nothing is validated in dev" in shown_text(made)


@pytest.mark.parametrize("memory", ["", "{", "[]", '{"service": 7}', '{"service": "no such thing!"}'])
def test_a_forged_memory_without_a_choice_deploys_nothing(memory: str) -> None:
    body = {"user": {"id": "U", "team_id": "T"}, "view": {"callback_id": "candidates", "private_metadata": memory}}
    found = intent_of(VIEW, from_view(body))
    assert not isinstance(found, Intent) or not found.version


@pytest.mark.parametrize("version", ["prod v1.4.0", "--service=x", "v1.4.0-rc.3 --reason=y", "a" * 500, "dev"])
def test_a_forged_choice_is_no_version(version: str) -> None:
    kept = Kept(team="T", user="U", action="candidates", service="shop", version=version)
    assert not isinstance(intent_of(VIEW, kept), Intent)

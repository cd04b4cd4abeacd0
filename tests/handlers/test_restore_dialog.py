"""`/forge restore <env>` without a backup or a moment opens a dialog, on real Bolt; its submission is the command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.answers import info, refused
from engine.backup_views import BackupLine, RestoreChoices
from engine.intents import Intent
from handlers.consumer import intent_of
from handlers.payloads import VIEW, Kept, from_view
from messages.dialogs import DialogMemory
from messages.restore_dialog import MAX_OPTION, restore_dialog
from runbook.backups import RecoveryWindow
from runbook.values import Environment
from sandbox.faults import Fault
from tests.handlers.slack_world import CHANNEL, World, shown_text, slack_world

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def lines(count: int = 2) -> tuple[BackupLine, ...]:
    return tuple(
        BackupLine(
            id=f"shop-prod-2026030{n % 9 + 1}T020000Z-{n:04x}", kind="logical", state="decoded",
            at=NOON - timedelta(days=n), stored_bytes=80_000_000, plain_bytes=400_000_000, restorable=True,
        )
        for n in range(count)
    )  # fmt: skip


def choices(**changes: Any) -> RestoreChoices:
    window = RecoveryWindow(NOON - timedelta(days=7), NOON - timedelta(minutes=4), "base-1")
    given: dict[str, Any] = {"service": "shop", "environment": "prod", "lines": lines(), "window": window, "now": NOON}
    return RestoreChoices(**given | changes)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with slack_world() as made:
        made.operations.choices_result = info("restore.choices", "", view=choices())
        yield made


async def opened(world: World) -> Any:
    await world.slack.command("U0ALICE", "restore prod", channel_id=CHANNEL)
    [view] = world.slack.views("U0ALICE")
    return view


async def test_the_dialog_offers_the_backups_and_says_which_moments_can_be_recovered(world: World) -> None:
    view = await opened(world)
    text = shown_text(view.content)
    assert "shop on prod is restored beside the one in use" in text
    assert "Mon 23 Feb 2026 12:00 UTC until Mon 02 Mar 2026 11:56 UTC" in text
    assert "01 Mar 12:00 UTC, full, 400 MB, 1 d old, read back whole" in text
    assert not world.operations.rows
    assert not world.operations.acted


async def test_a_chosen_backup_is_restored_for_the_reason_given(world: World) -> None:
    view = await opened(world)
    wanted = lines()[1].id
    await world.slack.submit_view("U0ALICE", view.id, {"backup": {"chosen": wanted}, "reason": {"text": "it's gone"}})
    await world.slack.until(lambda: world.operations.acted)
    [(intent, actor)] = world.operations.acted
    assert (intent.name, intent.environment, intent.service) == ("restore", Environment.PROD, "shop")
    assert (dict(intent.options), intent.reason) == ({"backup": wanted}, "it's gone")
    assert (intent.button, actor.id) == ("", "T0FORGE:U0ALICE")
    await world.slack.until(lambda: "It is done." in world.told("U0ALICE"))


async def test_a_moment_is_taken_as_it_was_typed(world: World) -> None:
    view = await opened(world)
    await world.slack.submit_view(
        "U0ALICE", view.id, {"at": {"text": "10m ago"}, "reason": {"text": "dropped a table"}}
    )
    await world.slack.until(lambda: world.operations.acted)
    [(intent, _)] = world.operations.acted
    assert dict(intent.options) == {"at": "10m ago"}


async def test_whoever_may_not_restore_sees_no_dialog(world: World) -> None:
    world.operations.choices_result = refused("authority.role_missing", "you may not run restore")
    await world.slack.command("U0ALICE", "restore prod", channel_id=CHANNEL)
    assert world.slack.views("U0ALICE") == []
    assert "you may not run restore" in world.told("U0ALICE")
    await world.slack.command("U0GUEST", "restore prod", channel_id=CHANNEL)
    assert world.slack.views("U0GUEST") == []


async def test_a_submission_is_authorised_again(world: World) -> None:
    view = await opened(world)
    world.operations.preview_result = refused("authority.role_missing", "you may not run restore any more")
    await world.slack.submit_view("U0ALICE", view.id, {"at": {"text": "10m"}, "reason": {"text": "x"}})
    [view] = world.slack.views("U0ALICE")
    assert "you may not run restore any more" in shown_text(view.content)
    assert not world.operations.rows


async def test_a_dialog_that_does_not_open_says_what_to_type(world: World) -> None:
    world.slack.faults.add(Fault(path="/api/views.open", status=500))
    await world.slack.command("U0ALICE", "restore prod", channel_id=CHANNEL)
    await world.slack.until(lambda: "Slack didn't open the dialog" in world.told("U0ALICE"))
    assert f"/forge restore prod --service shop --backup {lines()[0].id}" in world.told("U0ALICE")


async def test_a_restore_that_names_what_it_wants_opens_no_dialog(world: World) -> None:
    await world.slack.command("U0ALICE", "restore prod --at 17:55", channel_id=CHANNEL)
    await world.slack.until(lambda: world.operations.acted)
    assert world.slack.views("U0ALICE") == []


def test_fifty_backups_fit_into_the_dialog_and_every_option_into_its_line() -> None:
    memory = DialogMemory(environment="prod", service="shop", channel="C1", response_url="https://x")
    view = restore_dialog(choices(lines=lines(50), window=None), memory)
    (block,) = [each for each in view["blocks"] if each.get("block_id") == "backup"]
    assert len(block["element"]["options"]) == 50
    assert all(len(option["text"]["text"]) <= MAX_OPTION for option in block["element"]["options"])
    assert "only what a backup itself holds" in shown_text(view)


@pytest.mark.parametrize("memory", ["", "{", "[]", '{"environment": 7}', '{"environment": "mars", "service": "shop"}'])
def test_a_forged_memory_restores_nothing(memory: str) -> None:
    body = {"user": {"id": "U", "team_id": "T"}, "view": {"callback_id": "restore", "private_metadata": memory}}
    assert not isinstance(intent_of(VIEW, from_view(body)), Intent)


@pytest.mark.parametrize("backup", ["../../etc", "x --reason=y", "a" * 500])
def test_a_forged_choice_is_no_backup(backup: str) -> None:
    kept = Kept(team="T", user="U", action="restore", environment="prod", service="shop", backup=backup, reason="r")
    assert not isinstance(intent_of(VIEW, kept), Intent)


def test_a_reason_with_dashes_and_quotes_stays_a_reason() -> None:
    kept = Kept(team="T", user="U", action="restore", environment="prod", at="17:55", reason='--backup x "it\'s"')
    found = intent_of(VIEW, kept)
    assert isinstance(found, Intent)
    assert (dict(found.options), found.reason) == ({"at": "17:55"}, '--backup x "it\'s"')

"""Who somebody is: asked of Slack, kept briefly, and refused where Slack can't or won't say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from integrations.slack import directory as module
from integrations.slack.directory import SlackDirectory
from integrations.slack.web import SlackWeb
from runbook.errors import Permanent, Temporary
from runbook.values import Role
from sandbox.faults import Fault
from sandbox.slack import LocalSlack


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    made = LocalSlack()
    made.add_user("U0ALICE", "alice")
    made.add_user("U0OLGA", "olga")
    made.add_usergroup("S0OWNERS", "owners", ["U0OLGA"])
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def roles() -> dict[Role, tuple[str, ...]]:
    return {Role.RELEASE_ENGINEER: ("U0ALICE", "S0OWNERS"), Role.SERVICE_OWNER: ("S0OWNERS",), Role.PRODUCT: ()}


@pytest.fixture
async def directory(
    slack: LocalSlack, seconds: Seconds, roles: dict[Role, tuple[str, ...]]
) -> AsyncIterator[SlackDirectory]:
    async with SlackWeb(slack.bot_token, api_url=slack.api_url, timeout_s=1.0) as web:
        yield SlackDirectory(web, team_id="T0FORGE", roles=lambda: roles, monotonic=seconds)


async def test_roles_come_from_users_and_from_user_groups(directory: SlackDirectory) -> None:
    assert (await directory.actor("T0FORGE", "U0ALICE")).roles == {Role.RELEASE_ENGINEER}
    olga = await directory.actor("T0FORGE", "U0OLGA")
    assert olga.roles == {Role.RELEASE_ENGINEER, Role.SERVICE_OWNER}
    assert (olga.id, olga.name) == ("T0FORGE:U0OLGA", "olga")


async def test_answers_are_kept_for_half_a_minute_and_no_longer(
    slack: LocalSlack, directory: SlackDirectory, seconds: Seconds
) -> None:
    await directory.actor("T0FORGE", "U0OLGA")
    slack.workspace.users["U0OLGA"].deleted = True
    seconds.now = 29.0
    assert (await directory.actor("T0FORGE", "U0OLGA")).refusal == ""
    assert len(slack.calls("users.info")) == 1
    seconds.now = 31.0
    assert "deactivated" in (await directory.actor("T0FORGE", "U0OLGA")).refusal


async def test_many_who_ask_at_once_cost_one_call(slack: LocalSlack, directory: SlackDirectory) -> None:
    await asyncio.gather(*(directory.actor("T0FORGE", "U0OLGA") for _ in range(20)))
    assert len(slack.calls("users.info")) == 1
    assert len(slack.calls("usergroups.users.list")) == 1


async def test_an_impatient_caller_doesnt_take_the_answer_from_the_others(
    slack: LocalSlack, directory: SlackDirectory
) -> None:
    slack.faults.add(Fault(kind="delay", path="users.info", delay_s=0.3))
    patient = asyncio.ensure_future(directory.actor("T0FORGE", "U0OLGA"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(directory.actor("T0FORGE", "U0OLGA"), 0.05)
    assert (await patient).refusal == ""


async def test_a_new_configuration_holds_at_once(directory: SlackDirectory, roles: dict[Role, tuple[str, ...]]) -> None:
    await directory.actor("T0FORGE", "U0ALICE")
    roles[Role.RELEASE_ENGINEER] = ()
    assert (await directory.actor("T0FORGE", "U0ALICE")).roles == frozenset()


async def test_an_error_is_passed_on_and_not_kept(slack: LocalSlack, directory: SlackDirectory) -> None:
    slack.faults.add(Fault(status=500, path="users.info"))
    with pytest.raises(Temporary):
        await directory.actor("T0FORGE", "U0OLGA")
    slack.faults.add(Fault(status=429, headers={"Retry-After": "3"}, path="usergroups.users.list"))
    with pytest.raises(Temporary):
        await directory.actor("T0FORGE", "U0OLGA")
    assert (await directory.actor("T0FORGE", "U0OLGA")).roles


async def test_a_missing_scope_gives_nobody_anything(slack: LocalSlack, directory: SlackDirectory) -> None:
    slack.scopes.discard("users:read")
    with pytest.raises(Permanent):
        await directory.actor("T0FORGE", "U0ALICE")


async def test_another_workspaces_user_is_refused_without_asking(slack: LocalSlack, directory: SlackDirectory) -> None:
    assert "another workspace" in (await directory.actor("T0OTHER", "U0ALICE")).refusal
    assert slack.calls() == []


async def test_a_user_whom_slack_doesnt_know_is_refused(directory: SlackDirectory) -> None:
    assert "no such member" in (await directory.actor("T0FORGE", "U0NOBODY")).refusal


async def test_a_group_that_doesnt_exist_gives_nobody_a_role_and_is_named(
    directory: SlackDirectory, roles: dict[Role, tuple[str, ...]]
) -> None:
    roles[Role.PRODUCT] = ("S0GONE",)
    assert Role.PRODUCT not in (await directory.actor("T0FORGE", "U0ALICE")).roles
    assert "S0GONE" in directory.group_problems
    assert "forge.yaml" in directory.group_problems["S0GONE"]


async def test_without_a_paid_plan_groups_give_nobody_a_role(slack: LocalSlack, directory: SlackDirectory) -> None:
    slack.workspace.is_paid = False
    assert (await directory.actor("T0FORGE", "U0OLGA")).roles == frozenset()
    assert (await directory.actor("T0FORGE", "U0ALICE")).roles == {Role.RELEASE_ENGINEER}
    assert "paid plan" in directory.group_problems["S0OWNERS"]


async def test_what_is_kept_is_bounded(
    slack: LocalSlack, directory: SlackDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_USERS", 3)
    for number in range(6):
        slack.add_user(f"U0X{number}", f"x{number}")
        await directory.actor("T0FORGE", f"U0X{number}")
    await directory.actor("T0FORGE", "U0X0")
    assert len(slack.calls("users.info")) == 7

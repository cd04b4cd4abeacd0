"""Who holds a role: by configuration, by user groups, and by a schedule whose outage is never "nobody"."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp.web import Request, Response, json_response, post

from integrations.slack import directory as module
from integrations.slack.directory import SlackDirectory
from integrations.slack.web import SlackWeb
from runbook.authority import may_run
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.policy import Policy
from runbook.ports import Shift
from runbook.values import Role
from sandbox.faults import Fault
from sandbox.serving import listen
from sandbox.slack import LocalSlack

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
ROLES: dict[Role, tuple[str, ...]] = {
    Role.SERVICE_OWNER: ("U0ALICE", "S0OWNERS", "os:root"),
    Role.RELEASE_ENGINEER: ("U0ALICE",),
    Role.ON_CALL: ("U0ALICE",),
    Role.PRODUCT: (),
}
OUTAGE = Temporary("pagerduty", "timeout", "PagerDuty gave no answer")


class Times:
    def __init__(self) -> None:
        self.passed_s = 0.0

    def monotonic(self) -> float:
        return self.passed_s

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.passed_s)


class Calendar:
    """Fulfils `Schedule`."""

    def __init__(self) -> None:
        self.shifts: tuple[Shift, ...] = (Shift("Olga", "Olga@acme.test", "Primary", NOON + timedelta(hours=2)),)
        self.error: ForgeError | None = None
        self.asked = 0

    async def on_call(self) -> tuple[Shift, ...]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self.shifts


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    made = LocalSlack()
    made.add_user("U0ALICE", "alice")
    made.add_user("U0OLGA", "olga", email="olga@acme.test")
    made.add_user("U0GONE", "gus", deleted=True)
    made.add_user("U0GUEST", "guest", is_restricted=True, email="guest@acme.test")
    made.add_usergroup("S0OWNERS", "owners", ["U0OLGA", "U0GONE", "U0ALICE"])
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def calendar() -> Calendar:
    return Calendar()


@pytest.fixture
async def web(slack: LocalSlack) -> AsyncIterator[SlackWeb]:
    async with SlackWeb(slack.bot_token, api_url=slack.api_url, timeout_s=1.0) as made:
        yield made


def directory_of(web: SlackWeb, times: Times, calendar: Calendar | None = None) -> SlackDirectory:
    return SlackDirectory(
        web, team_id="T0FORGE", roles=lambda: ROLES, monotonic=times.monotonic, schedule=calendar, now=times.now
    )


# --- configuration and groups -----------------------------------------------------------------------------------------


async def test_users_and_groups_hold_a_role_each_person_once(web: SlackWeb, times: Times) -> None:
    found = await directory_of(web, times).holders(Role.SERVICE_OWNER)
    assert {p.id: (p.name, p.reachable, p.source) for p in found} == {
        "U0ALICE": ("alice", True, "U0ALICE"),
        "U0OLGA": ("olga", True, "S0OWNERS"),
        "U0GONE": ("gus", False, "S0OWNERS"),
    }
    assert next(p.reason for p in found if p.id == "U0GONE") == "the account is deactivated"


async def test_a_role_that_nobody_holds_is_empty(web: SlackWeb, times: Times) -> None:
    directory = directory_of(web, times)
    assert await directory.holders(Role.PRODUCT) == ()
    assert await directory.holders(Role.SECURITY_OWNER) == ()


async def test_a_group_that_gives_nobody_a_role_is_named_with_its_reason(
    slack: LocalSlack, web: SlackWeb, times: Times
) -> None:
    slack.workspace.is_paid = False
    found = await directory_of(web, times).holders(Role.SERVICE_OWNER)
    group = next(p for p in found if p.id == "S0OWNERS")
    assert not group.reachable
    assert "paid plan" in group.reason


async def test_a_user_whom_slack_doesnt_know_cant_be_reached(slack: LocalSlack, web: SlackWeb, times: Times) -> None:
    del slack.workspace.users["U0GONE"]
    found = await directory_of(web, times).holders(Role.SERVICE_OWNER)
    assert "no such member" in next(p.reason for p in found if p.id == "U0GONE")


async def test_when_slack_cant_be_asked_nobody_is_said_to_be_unreachable(
    slack: LocalSlack, web: SlackWeb, times: Times
) -> None:
    slack.faults.add(Fault(path="users.info", status=503, times=-1))
    with pytest.raises(Temporary):
        await directory_of(web, times).holders(Role.SERVICE_OWNER)


async def test_a_crowd_costs_a_bounded_number_of_calls(slack: LocalSlack, web: SlackWeb, times: Times) -> None:
    crowd = [f"U0CROWD{number}" for number in range(100)]
    for user in crowd:
        slack.add_user(user, user.lower())
    slack.add_usergroup("S0OWNERS", "owners", crowd)
    found = await directory_of(web, times).holders(Role.SERVICE_OWNER)
    assert len(found) == module.MOST_HOLDERS
    assert len(slack.calls("users.info")) == module.MOST_HOLDERS


# --- a schedule -------------------------------------------------------------------------------------------------------


async def test_the_schedule_says_who_is_on_call_in_place_of_the_configuration(
    web: SlackWeb, times: Times, calendar: Calendar
) -> None:
    directory = directory_of(web, times, calendar)
    (olga,) = await directory.holders(Role.ON_CALL)
    assert (olga.id, olga.reachable, olga.source) == ("U0OLGA", True, "schedule Primary")
    assert olga.until == NOON + timedelta(hours=2)
    assert await directory.on_call_ids() == ("U0OLGA",)
    assert Role.ON_CALL in (await directory.actor("T0FORGE", "U0OLGA")).roles
    assert Role.ON_CALL not in (await directory.actor("T0FORGE", "U0ALICE")).roles
    assert await directory_of(web, times).on_call_ids() is None


async def test_nobodys_address_stands_in_a_request_line(times: Times, calendar: Calendar) -> None:
    """Proxies write request lines down."""
    seen: list[tuple[str, object]] = []

    async def answer(request: Request) -> Response:
        seen.append((request.query_string, (await request.post()).get("email")))
        return json_response({"ok": True, "user": {"id": "U0OLGA", "team_id": "T0FORGE", "name": "olga"}})

    runner, url = await listen([post("/api/users.lookupByEmail", answer)], [], "127.0.0.1", 0)
    async with SlackWeb("xoxb-1", api_url=f"{url}/api/") as there:
        (olga,) = await directory_of(there, times, calendar).holders(Role.ON_CALL)
    await runner.cleanup()
    assert olga.reachable
    assert seen == [("", "Olga@acme.test")]


@pytest.mark.parametrize(
    ("email", "words"),
    [("", "doesn't tell an e-mail"), ("nobody@acme.test", "knows no member"), ("guest@acme.test", "is a guest")],
)
async def test_whom_slack_cant_reach_is_named_with_the_reason(
    web: SlackWeb, times: Times, calendar: Calendar, email: str, words: str
) -> None:
    calendar.shifts = (Shift("Somebody", email, "Primary"),)
    directory = directory_of(web, times, calendar)
    (person,) = await directory.holders(Role.ON_CALL)
    assert not person.reachable
    assert words in person.reason
    assert email not in person.reason or not email
    assert await directory.on_call_ids() == ()


async def test_a_missing_scope_is_an_error_with_the_remedy(
    slack: LocalSlack, web: SlackWeb, times: Times, calendar: Calendar
) -> None:
    slack.workspace.scopes.discard("users:read.email")
    with pytest.raises(Permanent) as caught:
        await directory_of(web, times, calendar).holders(Role.ON_CALL)
    assert "users:read.email" in str(caught.value)


async def test_answers_are_kept_for_half_a_minute_and_not_beyond_the_end_of_a_turn(
    web: SlackWeb, times: Times, calendar: Calendar
) -> None:
    directory = directory_of(web, times, calendar)
    await directory.holders(Role.ON_CALL)
    times.passed_s = 29.0
    await directory.holders(Role.ON_CALL)
    assert calendar.asked == 1
    times.passed_s = 31.0
    calendar.shifts = (replace(calendar.shifts[0], until=times.now() + timedelta(seconds=5)),)
    await directory.holders(Role.ON_CALL)
    times.passed_s = 37.0
    await directory.holders(Role.ON_CALL)
    assert calendar.asked == 3


async def test_an_outage_is_an_error_for_gates_and_is_not_asked_for_again_at_once(
    web: SlackWeb, times: Times, calendar: Calendar
) -> None:
    directory = directory_of(web, times, calendar)
    calendar.error = OUTAGE
    for _ in range(3):
        with pytest.raises(Temporary):
            await directory.holders(Role.ON_CALL)
    assert calendar.asked == 1
    times.passed_s = 11.0
    calendar.error = None
    assert len(await directory.holders(Role.ON_CALL)) == 1


async def test_in_an_outage_those_who_were_on_call_lately_keep_the_role_until_their_turn_ends(
    web: SlackWeb, times: Times, calendar: Calendar
) -> None:
    directory = directory_of(web, times, calendar)
    calendar.shifts = (replace(calendar.shifts[0], until=NOON + timedelta(minutes=12)),)
    await directory.actor("T0FORGE", "U0OLGA")
    calendar.error = OUTAGE
    times.passed_s = 11 * 60.0
    assert Role.ON_CALL in (await directory.actor("T0FORGE", "U0OLGA")).roles
    times.passed_s = 13 * 60.0
    assert Role.ON_CALL not in (await directory.actor("T0FORGE", "U0OLGA")).roles


async def test_beyond_that_nobody_is_on_call_by_memory_and_the_refusal_says_that_it_cant_be_asked(
    web: SlackWeb, times: Times, calendar: Calendar
) -> None:
    directory = directory_of(web, times, calendar)
    await directory.actor("T0FORGE", "U0OLGA")
    calendar.error = OUTAGE
    times.passed_s = 16 * 60.0
    guest = await directory.actor("T0FORGE", "U0OLGA")
    assert guest.unasked == {Role.ON_CALL}
    policy = replace(Policy(), commands={**Policy().commands, "rollback": (Role.ON_CALL, Role.RELEASE_ENGINEER)})
    refusal = may_run("rollback", guest, policy)
    assert refusal.code == "authority.unasked"
    assert "on call" in refusal.reason
    alice = await directory.actor("T0FORGE", "U0ALICE")
    assert may_run("rollback", alice, policy).code == "ok"

"""`/forge oncall` through the engine: who is named, what is unknown, and that nothing hangs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import engine.oncall_lookup as lookup
from engine.answers import AnswerKind
from engine.oncall_lookup import PeopleView, look_up_people
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.policy import Policy, ProdPolicy
from runbook.ports import Person, Ports
from runbook.values import Role
from runbook.verdicts import Outcome
from tests.engine.harness import ADA, GUEST, bench
from tests.fakes.clock import NOON, SimulatedClock

OLGA = Person("UOLGA", "Olga", until=NOON + timedelta(hours=2))
SAM, PIA, BO = Person("USAM", "Sam"), Person("UPIA", "Pia"), Person("UBO", "Bo", False, "the account is deactivated")


class Town:
    """Fulfils `People`."""

    def __init__(self, **held: tuple[Person, ...]) -> None:
        self.held = {Role(role): people for role, people in held.items()}
        self.errors: dict[Role, ForgeError] = {}
        self.hangs: set[Role] = set()

    async def holders(self, role: Role) -> tuple[Person, ...]:
        if role in self.hangs:
            await asyncio.Event().wait()
        if role in self.errors:
            raise self.errors[role]
        return self.held.get(role, ())


def town() -> Town:
    return Town(on_call=(OLGA,), service_owner=(SAM,), product=(PIA,), operations=(BO,), database_owner=())


def ports(people: Any) -> Ports:
    nothing: Any = None
    return Ports(
        clock=SimulatedClock(), clusters={}, metrics={}, code=nothing, images=nothing, signatures=nothing,
        probes=nothing, memory=nothing, people=people,
    )  # fmt: skip


async def looked(people: Town, policy: Policy | None = None) -> tuple[str, PeopleView]:
    answer = await look_up_people(ports(people), policy or Policy())
    assert answer.kind is AnswerKind.INFO
    assert isinstance(answer.view, PeopleView)
    return answer.text, answer.view


def verdict(view: PeopleView, title: str) -> str:
    found = next(each.verdict for each in view.decisions if each.title == title)
    return "unknown" if found is None else found.code


async def test_who_is_on_call_until_when_and_who_can_decide_what() -> None:
    text, view = await looked(town())
    assert text.startswith("On call: Olga until")
    assert view.roles[0].role is Role.ON_CALL
    assert verdict(view, "Deploy to staging") == "ok"
    assert verdict(view, "Ship to production") == "ok"
    assert verdict(view, "Contract migrations") == "approvers.nobody"


async def test_nobody_on_call_is_said() -> None:
    text, _ = await looked(Town(service_owner=(SAM,)))
    assert text == "Nobody is on call."


async def test_a_schedule_that_cant_be_asked_is_unknown_and_hides_nothing_else() -> None:
    people = town()
    people.errors[Role.ON_CALL] = Temporary("pagerduty", "timeout", "PagerDuty gave no answer", "Try again")
    text, view = await looked(people)
    assert text == "Nobody can say who is on call: PagerDuty gave no answer."
    assert (view.roles[0].trouble, view.roles[0].remedy) == ("PagerDuty gave no answer", "Try again")
    assert verdict(view, "Ship to production") == "ok"


async def test_a_decision_is_unknown_only_where_what_is_unknown_matters() -> None:
    people = town()
    people.errors[Role.OPERATIONS] = Permanent("slack", "missing_scope", "no scope")
    _, view = await looked(people)
    assert verdict(view, "Ship to production") == "ok"
    people.errors[Role.SERVICE_OWNER] = Permanent("slack", "missing_scope", "no scope")
    _, view = await looked(people)
    assert verdict(view, "Ship to production") == "unknown"


async def test_what_gives_no_answer_in_time_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "LONGEST_S", 0.05)
    people = town()
    people.hangs = {Role.ON_CALL}
    text, view = await looked(people)
    assert "no answer within" in text
    assert view.roles[1].people


async def test_without_any_of_roles_production_asks_for_the_others_alone() -> None:
    policy = replace(Policy(), prod=ProdPolicy(approvers_any_of=()))
    _, view = await looked(town(), policy)
    ship = next(each for each in view.decisions if each.title == "Ship to production")
    assert ship.slots == ((Role.SERVICE_OWNER,),)
    assert ship.verdict is not None
    assert ship.verdict.outcome is Outcome.PASS


async def test_every_member_may_ask_and_others_may_not(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        answer = await here.act("oncall", ADA)
        assert answer.kind is AnswerKind.INFO
        assert "nobody can say" in answer.text.lower()
        assert (await here.act("oncall", GUEST)).kind is AnswerKind.REFUSED

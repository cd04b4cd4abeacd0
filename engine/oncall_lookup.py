"""`/forge oncall`: who is on call now and until when, who can decide what, and who can't be reached. Asks, bounded in time, and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from engine.answers import Answer, info
from runbook.errors import ForgeError
from runbook.policy import Policy
from runbook.ports import People, Person, Ports
from runbook.rules.people import check_approvers, check_on_call
from runbook.values import Role
from runbook.verdicts import Outcome, Verdict

LONGEST_S = 20.0
"""Somebody waits for the answer; the command line gives up after 30 seconds."""


@dataclass(frozen=True, kw_only=True)
class HoldersView:
    """Who holds a role now. trouble: why nobody can say, or empty; then `people` says nothing."""

    role: Role
    people: tuple[Person, ...] = ()
    trouble: str = ""
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class DecisionView:
    """One thing that people decide. slots: each with the roles that may fill it. verdict: whether enough people can; None: unknown."""

    title: str
    slots: tuple[tuple[Role, ...], ...]
    verdict: Verdict | None


@dataclass(frozen=True, kw_only=True)
class PeopleView:
    """roles: those that decide something, on-call first. at: when it was asked."""

    at: datetime
    roles: tuple[HoldersView, ...]
    decisions: tuple[DecisionView, ...]


def decisions_of(policy: Policy) -> tuple[tuple[str, tuple[tuple[Role, ...], ...]], ...]:
    """(what is decided, its slots), in the order of a release's life."""
    staging, prod = policy.staging, policy.prod
    any_of = (prod.approvers_any_of,) if prod.approvers_any_of else ()
    return (
        ("Deploy to staging", tuple((role,) for role in staging.approvers)),
        ("Go in staging", tuple((role,) for role in staging.go_approvers)),
        ("Ship to production", (*((role,) for role in prod.approvers), *any_of)),
        ("Contract migrations", tuple((role,) for role in policy.migrations.contract_approvers)),
    )


async def look_up_people(ports: Ports, policy: Policy, requester: str = "") -> Answer:
    """requester: `Actor.id` of who asks, who couldn't approve a release of their own; empty: nobody in particular."""
    wanted = decisions_of(policy)
    roles = tuple(dict.fromkeys((Role.ON_CALL, *(role for _, slots in wanted for slot in slots for role in slot))))
    found = await asyncio.gather(*(_asked(ports.people, role) for role in roles))
    known = {view.role: view for view in found}
    at = ports.clock.now()
    decisions = tuple(
        DecisionView(title=title, slots=slots, verdict=_enough(slots, known, requester)) for title, slots in wanted
    )
    view = PeopleView(at=at, roles=tuple(found), decisions=decisions)
    return info("oncall", _summary(known[Role.ON_CALL], at), view=view)


async def _asked(people: People, role: Role) -> HoldersView:
    try:
        async with asyncio.timeout(LONGEST_S):
            return HoldersView(role=role, people=await people.holders(role))
    except ForgeError as error:
        return HoldersView(role=role, trouble=error.cause, remedy=error.remedy)
    except TimeoutError:
        return HoldersView(role=role, trouble=f"no answer within {LONGEST_S:g} s", remedy="Try again in a moment")


def _enough(slots: tuple[tuple[Role, ...], ...], known: Mapping[Role, HoldersView], requester: str) -> Verdict | None:
    """What is unknown of one role makes the whole unknown, unless the others are enough."""
    people = {role: view.people for role, view in known.items()}
    verdicts = check_approvers(slots, people, requester)
    is_unsure = any(known[role].trouble for slot in slots for role in slot)
    worst = next((verdict for verdict in verdicts if verdict.outcome is not Outcome.PASS), verdicts[0])
    return None if is_unsure and worst.outcome is not Outcome.PASS else worst


def _summary(on_call: HoldersView, at: datetime) -> str:
    if on_call.trouble:
        return f"Nobody can say who is on call: {on_call.trouble}."
    reason = check_on_call(on_call.people, at).reason
    return f"{reason[:1].upper()}{reason[1:]}."

"""Whether the people that a release needs are there: somebody on call, and enough approvers. Runbook: Production Deployment 1 and 2,
"On-call and approvers available". Values in, verdicts out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from runbook.authority import fill_slots
from runbook.ports import Person
from runbook.values import Role
from runbook.verdicts import Evidence, Verdict
from runbook.wording import duration, listing, shortened

ON_CALL_GATE = "on call"
APPROVERS_GATE = "approvers"
_NAMED = 8
_LONGEST_NAME = 60

Slot = tuple[Role, ...]


def role_name(role: Role) -> str:
    return role.value.replace("_", " ")


def slot_name(slot: Slot) -> str:
    return listing((role_name(role) for role in slot), "or")


def person_name(person: Person) -> str:
    """A name as people gave it, bounded and on one line, else the id."""
    return shortened(" ".join(person.name.split()), _LONGEST_NAME) or person.id or "somebody without a name"


def shift_words(person: Person, now: datetime) -> str:
    """`Olga until 18:00 UTC (in 2 h)`; only the name where no end is known."""
    if person.until is None:
        return person_name(person)
    left = (person.until - now).total_seconds()
    return f"{person_name(person)} until {person.until:%d %b %H:%M} UTC{f' (for {duration(left)})' if left > 0 else ''}"


def check_on_call(holders: Sequence[Person], now: datetime) -> Verdict:
    """Somebody is on call and can be reached. holders: of the role on_call now."""
    reachable = [person for person in holders if person.reachable]
    evidence = tuple(_person_evidence(person) for person in holders[:_NAMED])
    if reachable:
        who = [shift_words(person, now) for person in reachable[:_NAMED]]
        if more := len(reachable) - _NAMED:
            who += [f"{more} more"] if more > 0 else []
        return Verdict.passed(ON_CALL_GATE, f"on call: {listing(who)}", *evidence)
    if not holders:
        remedy = "Fill the schedule, or add members to `roles.on_call`"
        return Verdict.failed(ON_CALL_GATE, "on_call.nobody", "nobody is on call", remedy=remedy)
    why = listing(f"{person_name(person)}: {person.reason or 'unknown'}" for person in holders[:_NAMED])
    remedy = "Hand the shift to somebody who can be reached in Slack, or correct the person's account"
    reason = f"nobody who is on call can be reached in Slack ({why})"
    return Verdict.failed(ON_CALL_GATE, "on_call.unreachable", reason, *evidence, remedy=remedy)


def check_approvers(
    slots: Sequence[Slot], holders: Mapping[Role, Sequence[Person]], requester: str = ""
) -> tuple[Verdict, ...]:
    """Every slot of the approval can be filled by a reachable person of its own; the requester fills none.

    slots: each with the roles that may fill it, as `Approval.slots`. holders: of every role among them. requester: `Actor.id`, or empty.
    """
    wanted = [slot for slot in slots if slot]
    own = requester.rpartition(":")[2]
    free = {slot: _free(slot, holders, own) for slot in wanted}
    empty = [slot for slot in dict.fromkeys(wanted) if not free[slot]]
    if empty:
        return tuple(_nobody(slot, holders, own) for slot in empty)
    there = {person.id for people in free.values() for person in people}
    held = [(p.id, [role]) for role, people in holders.items() for p in people if p.id in there]
    assigned = fill_slots(wanted, held).slots
    evidence = tuple(Evidence(name=slot_name(slot), value=_names(people)) for slot, people in free.items())
    if all(assigned):
        words = [f"{slot_name(slot)}: {_names(free[slot])}" for slot in free]
        return (Verdict.passed(APPROVERS_GATE, "; ".join(words) or "no approval is asked for", *evidence),)
    open_slots = listing(slot_name(slot) for slot, who in zip(wanted, assigned, strict=True) if not who)
    count = sum(1 for who in assigned if who)
    reason = f"{len(wanted)} approvals need {len(wanted)} people, and only {count} can be found: nobody is left for {open_slots}"
    remedy = f"Add somebody else to a role among {open_slots}"
    return (Verdict.failed(APPROVERS_GATE, "approvers.too_few", reason, *evidence, remedy=remedy),)


def _free(slot: Slot, holders: Mapping[Role, Sequence[Person]], requester: str) -> tuple[Person, ...]:
    found = {person.id: person for role in slot for person in holders.get(role, ())}
    return tuple(person for person in found.values() if person.reachable and person.id and person.id != requester)


def _nobody(slot: Slot, holders: Mapping[Role, Sequence[Person]], requester: str) -> Verdict:
    found = {person.id: person for role in slot for person in holders.get(role, ())}
    evidence = tuple(_person_evidence(person) for person in list(found.values())[:_NAMED])
    where = listing((f"`roles.{role.value}`" for role in slot), "or")
    if not found:
        reason = f"nobody holds the role {slot_name(slot)}, which must approve"
        return Verdict.failed(APPROVERS_GATE, "approvers.nobody", reason, remedy=f"Add members to {where}")
    why = listing(
        f"{person_name(p)}: {'asked for the release' if p.id == requester else p.reason or 'unknown'}"
        for p in list(found.values())[:_NAMED]
    )
    reason = f"nobody who holds the role {slot_name(slot)} can approve ({why})"
    remedy = f"Add somebody who can be reached in Slack to {where}"
    return Verdict.failed(APPROVERS_GATE, "approvers.unreachable", reason, *evidence, remedy=remedy)


def _names(people: Sequence[Person]) -> str:
    names = [person_name(person) for person in people[:_NAMED]]
    return listing([*names, f"{len(people) - _NAMED} more"] if len(people) > _NAMED else names)


def _person_evidence(person: Person) -> Evidence:
    value = "reachable" if person.reachable else shortened(person.reason or "not reachable", 200)
    return Evidence(name=person_name(person), value=value, source=person.source, at=person.until)

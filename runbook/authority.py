"""Who may do what: pure rules over an actor as looked up now. Fail closed: what isn't named here or in the policy is refused.

Runbook: Roles and Responsibilities; Promotion Criteria Summary, "Manual approvals".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runbook.commands import BY_NAME
from runbook.policy import Policy
from runbook.values import Actor, Role
from runbook.verdicts import Evidence, Verdict

GATE = "authority"


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who fills which slot. slots: an actor's id, or "" for an open slot, in the order of the roles asked for.

    spare: actors who hold no slot, in the order they came.
    """

    slots: tuple[str, ...]
    spare: tuple[str, ...] = ()

    @property
    def filled(self) -> int:
        return sum(1 for slot in self.slots if slot)

    @property
    def complete(self) -> bool:
        return all(self.slots)


def may_run(command_name: str, actor: Actor, policy: Policy) -> Verdict:
    """This person may give this command (or press the button of the same name) at all.

    A decision passes here for every member who can decide: which roles it needs, its step says (`may_fill`).
    """
    command = BY_NAME.get(command_name)
    if actor.refusal:
        return _refused(actor)
    if command is None:
        return Verdict.failed(
            GATE, "authority.unknown_command", f"nobody may run {command_name!r}: it is no command here"
        )
    if command.decision and not actor.can_decide:
        return _slack_only(command_name)
    if command.reading or command.decision:
        return Verdict.passed(GATE, f"{command_name} is open to every full member")
    return _holds_one_of(policy.commands.get(command_name, ()), actor, f"run {command_name}")


def may_fill(roles_needed: Iterable[Role], actor: Actor, requester: str) -> Verdict:
    """This person may decide where these roles are asked for. requester: `Actor.id` of who asked for the run."""
    if actor.refusal:
        return _refused(actor)
    if not actor.can_decide:
        return _slack_only("approving, rejecting and signing off")
    if actor.id == requester:
        return Verdict.failed(
            GATE,
            "authority.requester",
            "you asked for this run, so you can't decide on it",
            remedy="Somebody else with the role has to.",
        )
    return _holds_one_of(tuple(dict.fromkeys(roles_needed)), actor, "decide this")


def fill_slots(
    roles: Sequence[Role | tuple[Role, ...]],
    approvals: Iterable[tuple[str, Iterable[Role]]],
    *,
    requester: str = "",
) -> Assignment:
    """Gives every slot to a person of their own, as many slots as can be filled at once; the requester fills none.

    roles: for each slot the role that fills it, or several of which one does. A role may be asked for several times.
    Earlier approvals keep a slot, though perhaps another one, when later ones come
    (augmenting paths: Kuhn's algorithm for maximum bipartite matching).
    """
    held: dict[str, frozenset[Role]] = {}
    for actor, actor_roles in approvals:
        if actor != requester:
            held[actor] = held.get(actor, frozenset()) | frozenset(actor_roles)
    slots = [""] * len(roles)
    wanted = [role if isinstance(role, tuple) else (role,) for role in roles]
    spare = [actor for actor in held if not _seat(actor, wanted, held, slots, set())]
    return Assignment(tuple(slots), tuple(spare))


def _seat(
    actor: str, wanted: Sequence[tuple[Role, ...]], held: dict[str, frozenset[Role]], slots: list[str], tried: set[int]
) -> bool:
    """Seats this person, moving others to slots that are free for them where it needs to; False when it can't be done."""
    for place, roles in enumerate(wanted):
        if held[actor].isdisjoint(roles) or place in tried:
            continue
        tried.add(place)
        if not slots[place] or _seat(slots[place], wanted, held, slots, tried):
            slots[place] = actor
            return True
    return False


def _holds_one_of(roles: tuple[Role, ...], actor: Actor, what: str) -> Verdict:
    if not roles:
        return Verdict.failed(
            GATE,
            "authority.nobody",
            f"nobody may {what}: its list of roles is empty",
            remedy="Name the roles in the policy of forge.yaml.",
        )
    held = sorted(actor.roles & set(roles))
    needed = " or ".join(role.replace("_", " ") for role in roles)
    evidence = Evidence(name="roles", value=", ".join(sorted(actor.roles)) or "none", limit=needed, source=actor.id)
    if not held and actor.unasked & set(roles):
        unknown = " or ".join(sorted(role.replace("_", " ") for role in actor.unasked & set(roles)))
        return Verdict.failed(
            GATE,
            "authority.unasked",
            f"you may not {what}: it takes the role {needed}, and nobody can say now whether you are {unknown}",
            evidence,
            remedy="Try again in a moment, or ask somebody who holds another of the roles.",
        )
    if not held:
        return Verdict.failed(
            GATE,
            "authority.role_missing",
            f"you may not {what}: it takes the role {needed}",
            evidence,
            remedy="Ask somebody who holds the role, or have yourself added to it in forge.yaml.",
        )
    return Verdict.passed(GATE, f"{actor.name} acts as {held[0].replace('_', ' ')}", evidence)


def _refused(actor: Actor) -> Verdict:
    return Verdict.failed(GATE, "authority.refused", actor.refusal, Evidence(name="actor", value=actor.id))


def _slack_only(what: str) -> Verdict:
    return Verdict.failed(
        GATE,
        "authority.slack_only",
        f"the command line can't do this: {what} takes a person in Slack",
        remedy="Use the button or the /forge command in Slack.",
    )

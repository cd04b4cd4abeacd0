"""Who may do what: fail closed, nobody decides on their own request, one slot a person."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.authority import fill_slots, may_fill, may_run
from runbook.commands import COMMANDS
from runbook.policy import Policy
from runbook.values import Actor, Role
from runbook.verdicts import Outcome

ENGINEER = Actor("T1:U1", "ann", frozenset({Role.RELEASE_ENGINEER}))
MEMBER = Actor("T1:U2", "bob")
GUEST = Actor("T1:U3", "cy", frozenset(Role), refusal="guests may not use forge")
SHELL = Actor("os:deploy", "deploy", frozenset({Role.RELEASE_ENGINEER, Role.SERVICE_OWNER}), can_decide=False)


def test_a_release_engineer_may_deploy_and_a_member_without_a_role_may_not() -> None:
    assert may_run("deploy", ENGINEER, Policy()).outcome is Outcome.PASS
    refused = may_run("deploy", MEMBER, Policy())
    assert refused.code == "authority.role_missing"
    assert "release engineer or service owner or on call" in refused.reason
    assert refused.remedy


def test_reading_is_for_every_full_member_and_for_no_guest() -> None:
    for command in COMMANDS:
        if command.reading:
            assert may_run(command.name, MEMBER, Policy()).outcome is Outcome.PASS
        assert may_run(command.name, GUEST, Policy()).code == "authority.refused"


def test_an_empty_or_missing_list_of_roles_allows_nobody() -> None:
    everything = Actor("T1:U9", "zoe", frozenset(Role))
    assert may_run("deploy", everything, Policy(commands={"deploy": ()})).code == "authority.nobody"
    assert may_run("deploy", everything, Policy(commands={})).code == "authority.nobody"
    assert may_fill((), everything, "T1:U1").code == "authority.nobody"


@pytest.mark.parametrize("name", ["celebrate", "", "DEPLOY", "launch"])
def test_an_unknown_command_is_open_to_nobody(name: str) -> None:
    assert may_run(name, Actor("T1:U9", "zoe", frozenset(Role)), Policy()).code == "authority.unknown_command"


def test_the_command_line_decides_nothing_and_deploys_where_it_holds_a_role() -> None:
    for name in ("approve", "reject", "withdraw"):
        refused = may_run(name, SHELL, Policy())
        assert refused.code == "authority.slack_only"
        assert "Slack" in refused.remedy
    assert may_fill((Role.SERVICE_OWNER,), SHELL, "T1:U1").code == "authority.slack_only"
    assert may_run("deploy", SHELL, Policy()).outcome is Outcome.PASS


def test_nobody_decides_on_their_own_request_whatever_they_hold() -> None:
    assert may_fill(tuple(Role), Actor("T1:U1", "ann", frozenset(Role)), "T1:U1").code == "authority.requester"


def test_who_holds_one_of_the_roles_may_fill_it() -> None:
    owner = Actor("T1:U4", "dee", frozenset({Role.SERVICE_OWNER}))
    assert may_fill((Role.PRODUCT, Role.SERVICE_OWNER), owner, "T1:U1").outcome is Outcome.PASS
    assert may_fill((Role.PRODUCT,), owner, "T1:U1").code == "authority.role_missing"


def test_one_person_in_two_roles_fills_one_slot() -> None:
    found = fill_slots((Role.PRODUCT, Role.SERVICE_OWNER), [("a", [Role.PRODUCT, Role.SERVICE_OWNER])])
    assert found.filled == 1
    assert not found.complete


def test_an_earlier_person_moves_over_when_a_later_one_can_fill_only_their_slot() -> None:
    both, product = ("a", [Role.PRODUCT, Role.SERVICE_OWNER]), ("b", [Role.PRODUCT])
    assert fill_slots((Role.PRODUCT, Role.SERVICE_OWNER), [both, product]).slots == ("b", "a")


def test_a_role_asked_for_twice_takes_two_people() -> None:
    twice = (Role.ON_CALL, Role.ON_CALL)
    assert fill_slots(twice, [("a", [Role.ON_CALL]), ("a", [Role.ON_CALL])]).filled == 1
    assert fill_slots(twice, [("a", [Role.ON_CALL]), ("b", [Role.ON_CALL])]).complete


_ROLES = st.lists(st.sampled_from(list(Role)), max_size=4)
_APPROVALS = st.lists(
    st.tuples(st.sampled_from("abcde"), st.lists(st.sampled_from(list(Role)), max_size=4)), max_size=6
)


@settings(deadline=None)
@given(_ROLES, _APPROVALS, st.sampled_from("abcdex"))
def test_as_many_slots_are_filled_as_can_be_and_each_by_somebody_entitled(
    roles: list[Role], approvals: list[tuple[str, list[Role]]], requester: str
) -> None:
    found = fill_slots(roles, approvals, requester=requester)
    held: dict[str, set[Role]] = {}
    for actor, theirs in approvals:
        held.setdefault(actor, set()).update(theirs)
    seated = [actor for actor in found.slots if actor]
    assert len(seated) == len(set(seated))
    assert requester not in seated
    assert requester not in found.spare
    assert all(role in held[actor] for role, actor in zip(roles, found.slots, strict=True) if actor)
    assert found.filled == _best(roles, {actor: theirs for actor, theirs in held.items() if actor != requester})


@settings(deadline=None)
@given(_ROLES, _APPROVALS)
def test_a_later_approval_takes_nobodys_slot_away(roles: list[Role], approvals: list[tuple[str, list[Role]]]) -> None:
    seated: set[str] = set()
    for count in range(len(approvals) + 1):
        distinct = {actor for actor, _ in approvals[:count]}
        if len(distinct) < count:
            return
        now = {actor for actor in fill_slots(roles, approvals[:count]).slots if actor}
        assert seated <= now
        seated = now


def _best(roles: list[Role], held: dict[str, set[Role]]) -> int:
    """By trying every order of people on the slots."""
    people = [*held, *([""] * len(roles))]
    return max(
        (
            sum(1 for role, actor in zip(roles, order, strict=True) if actor and role in held[actor])
            for order in set(permutations(people, len(roles)))
        ),
        default=0,
    )

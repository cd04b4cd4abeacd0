"""Whether the people are there that a release needs: who is on call, by a schedule or by configuration, and roles that nobody holds. Reads only."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot.adapters import Adapters
from bot.checks.findings import Finding, fail, of_error, ok, warn
from bot.configuration.connections import Connections
from runbook.errors import ForgeError
from runbook.policy import Setting
from runbook.ports import People
from runbook.rules.people import person_name, role_name
from runbook.values import Environment, Role
from runbook.wording import listing

_NAMED = 5


async def check_people(adapters: Adapters, connections: Connections, setting: Setting) -> AsyncIterator[Finding]:
    """The schedule, who is on call where there is a production, and every role that an approval asks for."""
    people = adapters.directory(lambda: setting.roles)
    if adapters.schedule is not None:
        try:
            yield ok("pagerduty", f"PagerDuty shows the schedule {await adapters.schedule.name()}")
        except ForgeError as error:
            yield of_error("pagerduty", error)
            return
    if adapters.schedule is not None or Environment.PROD in connections.clusters:
        yield await _on_call(people, by_schedule=adapters.schedule is not None)
    for role in _deciding(connections, setting):
        found = await _role(people, role)
        if found is not None:
            yield found


async def _on_call(people: People, *, by_schedule: bool) -> Finding:
    try:
        holders = await people.holders(Role.ON_CALL)
    except ForgeError as error:
        return of_error("on_call", error)
    there = [person_name(person) for person in holders if person.reachable]
    if there:
        return ok("on_call", f"{listing(there[:_NAMED])} {'is' if len(there) == 1 else 'are'} on call")
    if holders:
        why = listing(f"{person_name(person)}: {person.reason}" for person in holders[:_NAMED])
        return fail("on_call", f"nobody who is on call can be reached in Slack ({why})", "Correct their accounts")
    if by_schedule:
        remedy = "Fill the schedule; PagerDuty names nobody of a schedule that no escalation policy uses"
        return warn("on_call", "the schedule has nobody on call now", remedy)
    return warn("on_call", "nobody is on call", "Add members to `roles.on_call`, or configure a schedule")


def _deciding(connections: Connections, setting: Setting) -> tuple[Role, ...]:
    """Roles that approvals ask for where there is something to approve; each slot's alternatives count alone."""
    policy = setting.policy
    roles: list[Role] = []
    if Environment.STAGING in connections.clusters:
        roles += [*policy.staging.approvers, *policy.staging.go_approvers]
    if Environment.PROD in connections.clusters:
        roles += policy.prod.approvers
        if not any(setting.members(role) for role in policy.prod.approvers_any_of):
            roles += policy.prod.approvers_any_of
    return tuple(dict.fromkeys(role for role in roles if role is not Role.ON_CALL))


async def _role(people: People, role: Role) -> Finding | None:
    """None where somebody can decide, and where Slack didn't say: its own checks tell why."""
    name = f"roles.{role.value}"
    try:
        holders = await people.holders(role)
    except ForgeError:
        return None
    if any(person.reachable for person in holders):
        return None
    if not holders:
        return warn(name, f"nobody holds the role {role_name(role)}, which must approve", f"Add members to `{name}`")
    why = listing(f"{person_name(person)}: {person.reason}" for person in holders[:_NAMED])
    remedy = f"Add somebody who can be reached to `{name}`"
    return warn(name, f"nobody with the role {role_name(role)} can be reached in Slack ({why})", remedy)

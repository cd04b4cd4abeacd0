"""Who somebody is, asked of Slack and kept for seconds: full member or not, which roles they hold, and who holds a role. Fails closed.

An answer is never made up: when Slack can't be asked, the caller gets the error and the person may do nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from integrations.slack.shifts import OnShift
from integrations.slack.web import SlackWeb
from runbook.errors import ForgeError, Permanent
from runbook.ports import Person, Schedule, Shift
from runbook.values import Actor, Role

log = structlog.get_logger(__name__)
CACHE_S = 30.0
MAX_USERS = 2_000
LOOKUP_TIMEOUT_S = 5.0
MOST_HOLDERS = 25
"""People of one role who are looked at: each costs a call of `users.info`, of which Slack allows about a hundred a minute."""
_AT_ONCE = 8
_GROUP_PROBLEMS = frozenset({"slack.plan_upgrade_required", "slack.no_such_subteam", "slack.subteam_not_found"})


@dataclass(frozen=True, slots=True)
class _Kept:
    value: Any
    until: float


@dataclass(frozen=True, slots=True)
class _Refusal:
    """The same fact, told to the person and of the person."""

    to_them: str
    of_them: str


_FOREIGN = _Refusal("you belong to another workspace than the one forge serves", "belongs to another workspace")
_DEACTIVATED = _Refusal("your account is deactivated", "the account is deactivated")
_BOT = _Refusal("bots may not use forge", "is a bot")
_GUEST = _Refusal("guests may not use forge", "is a guest")


class SlackDirectory:
    """Fulfils the handlers' `Directory` and `runbook.ports.People`.

    team_id: the one workspace whose members may act. roles: members as configured (`Setting.roles`), asked anew at each
    look-up, so that a new configuration holds at once. monotonic: seconds, for the age of what is kept. schedule: names who is on call,
    in place of the configured members of that role; None: those count.
    """

    def __init__(
        self,
        web: SlackWeb,
        *,
        team_id: str,
        roles: Callable[[], Mapping[Role, tuple[str, ...]]],
        cache_s: float = CACHE_S,
        monotonic: Callable[[], float] = time.monotonic,
        schedule: Schedule | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._web = web
        self._team_id = team_id
        self._roles = roles
        self._cache_s = cache_s
        self._monotonic = monotonic
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Any]] = {}
        self.group_problems: dict[str, str] = {}
        """Configured user groups that give nobody a role, and why: for `forge doctor`."""
        self._schedule = schedule
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._on_shift = OnShift(self._asked_schedule, monotonic, now)

    async def actor(self, team_id: str, user_id: str) -> Actor:
        """The person as Slack knows them now. Raises `Temporary` or `Permanent` when Slack can't say."""
        actor_id = f"{team_id}:{user_id}"
        if team_id != self._team_id:
            return Actor(actor_id, user_id, refusal="you belong to another workspace than the one forge serves")
        try:
            user = await self._cached(f"user:{user_id}", lambda: self._user(user_id))
        except Permanent as error:
            if error.code in ("slack.user_not_found", "slack.user_not_visible"):
                return Actor(actor_id, user_id, refusal="Slack knows no such member of this workspace")
            raise
        name = _name(user) or user_id
        refusal = self._refusal(user)
        if refusal:
            return Actor(actor_id, name, refusal=refusal.to_them)
        roles = await self._roles_of(user_id)
        if self._schedule is None:
            return Actor(actor_id, name, roles=roles)
        return await self._with_shift(Actor(actor_id, name, roles=roles), user_id)

    async def holders(self, role: Role) -> tuple[Person, ...]:
        """See the port; at most MOST_HOLDERS of a role. A group that gives nobody a role stands among them as what can't be reached."""
        if role is Role.ON_CALL and self._schedule is not None:
            return await self._on_shift.people()
        members: dict[str, str] = {}
        unusable: list[Person] = []
        for member in self._roles().get(role, ()):
            if member.startswith("S"):
                members |= {user: member for user in await self.members_of_group(member) if user not in members}
                if member in self.group_problems:
                    unusable.append(Person(member, member, False, self.group_problems[member], member))
            elif not member.startswith("os:"):
                members.setdefault(member, member)
        found = await asyncio.gather(*(self._person(user, by) for user, by in list(members.items())[:MOST_HOLDERS]))
        return (*found, *unusable)

    async def on_call_ids(self) -> tuple[str, ...] | None:
        """Slack ids of those whose turn it is, to mention them; None without a schedule. Raises as `holders`."""
        if self._schedule is None:
            return None
        return tuple(person.id for person in await self._on_shift.people() if person.reachable)

    async def members_of_group(self, group_id: str) -> tuple[str, ...]:
        """Users in a group; nobody when the group doesn't exist or the plan has no groups."""
        found: tuple[str, ...] = await self._cached(f"group:{group_id}", lambda: self._group(group_id))
        return found

    def forget(self) -> None:
        """Asks anew from now on."""
        self._kept.clear()
        self._on_shift.forget()

    async def _with_shift(self, actor: Actor, user_id: str) -> Actor:
        """An outage of the schedule takes nobody's other roles away."""
        try:
            on_shift = await self._on_shift.ids()
        except ForgeError as error:
            log.warning("nobody can say who is on call", code=error.code, remedy=error.remedy)
            return replace(actor, unasked=frozenset({Role.ON_CALL}))
        return replace(actor, roles=actor.roles | {Role.ON_CALL}) if user_id in on_shift else actor

    async def _asked_schedule(self) -> tuple[Person, ...]:
        assert self._schedule is not None  # noqa: S101 - asked only where there is one
        shifts = await self._schedule.on_call()
        return tuple(await asyncio.gather(*(self._on_turn(shift) for shift in shifts[:MOST_HOLDERS])))

    async def _on_turn(self, shift: Shift) -> Person:
        """Whom a schedule names, by their e-mail address, as a member of the workspace."""
        source = f"schedule {shift.schedule}"
        if not shift.email:
            reason = "the schedule doesn't tell an e-mail address by which Slack could know them"
            return Person("", shift.name, False, reason, source, shift.until)
        user = await self._cached(f"email:{shift.email.lower()}", lambda: self._user_by_email(shift.email))
        if user is None:
            reason = "Slack knows no member with the e-mail address that the schedule has"
            return Person("", shift.name, False, reason, source, shift.until)
        return self._as_person(user, str(user["id"]), source, shift.until)

    async def _person(self, user_id: str, source: str) -> Person:
        async with self._places:
            try:
                user = await self._cached(f"user:{user_id}", lambda: self._user(user_id))
            except Permanent as error:
                if error.code not in ("slack.user_not_found", "slack.user_not_visible"):
                    raise
                return Person(user_id, user_id, False, "Slack knows no such member of this workspace", source)
        return self._as_person(user, user_id, source)

    def _as_person(self, user: Mapping[str, Any], user_id: str, source: str, until: datetime | None = None) -> Person:
        refusal = self._refusal(user)
        reason = refusal.of_them if refusal else ""
        return Person(user_id, _name(user) or user_id, not reason, reason, source, until)

    async def _roles_of(self, user_id: str) -> frozenset[Role]:
        held: set[Role] = set()
        for role, members in self._roles().items():
            if role is Role.ON_CALL and self._schedule is not None:
                continue
            if user_id in members:
                held.add(role)
                continue
            for group_id in members:
                if group_id.startswith("S") and user_id in await self.members_of_group(group_id):
                    held.add(role)
                    break
        return frozenset(held)

    def _refusal(self, user: Mapping[str, Any]) -> _Refusal | None:
        """Why this user may do nothing. Source: https://docs.slack.dev/reference/objects/user-object."""
        teams = {user.get("team_id"), *((user.get("enterprise_user") or {}).get("teams") or ())}
        if user.get("is_stranger") or self._team_id not in teams:
            return _FOREIGN
        if user.get("deleted"):
            return _DEACTIVATED
        if user.get("is_bot") or user.get("is_workflow_bot") or user.get("id") == "USLACKBOT":
            return _BOT
        if user.get("is_restricted") or user.get("is_ultra_restricted"):
            return _GUEST
        return None

    async def _user(self, user_id: str) -> dict[str, Any]:
        answer = await self._web.call("users.info", user=user_id, timeout_s=LOOKUP_TIMEOUT_S)
        user = answer.get("user")
        if not isinstance(user, dict) or user.get("id") != user_id:
            raise Permanent("slack", "user_not_found", f"Slack's answer for {user_id} has no such user")
        return user

    async def _user_by_email(self, email: str) -> dict[str, Any] | None:
        """None for nobody whom Slack knows: deactivated accounts aren't found by their address either."""
        try:
            answer = await self._web.call("users.lookupByEmail", email=email, timeout_s=LOOKUP_TIMEOUT_S)
        except Permanent as error:
            if error.code != "slack.users_not_found":
                raise
            return None
        user = answer.get("user")
        if not isinstance(user, dict) or not user.get("id"):
            raise Permanent("slack", "user_not_found", "Slack's answer to an e-mail address has no user")
        return user

    async def _group(self, group_id: str) -> tuple[str, ...]:
        try:
            answer = await self._web.call("usergroups.users.list", usergroup=group_id, timeout_s=LOOKUP_TIMEOUT_S)
        except Permanent as error:
            if error.code not in _GROUP_PROBLEMS:
                raise
            if group_id not in self.group_problems:
                log.warning("user group gives nobody a role", group=group_id, code=error.code, remedy=error.remedy)
            self.group_problems[group_id] = str(error)
            return ()
        self.group_problems.pop(group_id, None)
        return tuple(str(user) for user in answer.get("users") or ())

    async def _cached(self, key: str, ask: Callable[[], Any]) -> Any:
        """What is kept and fresh, else asked: once, though several want it at the same time. Errors are not kept."""
        kept = self._kept.get(key)
        if kept is not None and self._monotonic() < kept.until:
            return kept.value
        asking = self._asking.get(key)
        if asking is None:
            asking = asyncio.ensure_future(self._ask(key, ask))
            self._asking[key] = asking
            asking.add_done_callback(lambda done: self._asked(key, done))
        # Shielded: one impatient caller must not take the answer from the others.
        return await asyncio.shield(asking)

    async def _ask(self, key: str, ask: Callable[[], Any]) -> Any:
        value = await ask()
        self._kept[key] = _Kept(value, self._monotonic() + self._cache_s)
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_USERS:
            self._kept.popitem(last=False)
        return value

    def _asked(self, key: str, done: asyncio.Task[Any]) -> None:
        self._asking.pop(key, None)
        if not done.cancelled():
            done.exception()  # looked at, so that an error nobody waited for is no noise


def _name(user: Mapping[str, Any]) -> str:
    profile = user.get("profile") or {}
    return str(profile.get("display_name") or user.get("real_name") or user.get("name") or "")

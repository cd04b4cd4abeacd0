"""Who somebody is, asked of Slack and kept for seconds: full member or not, and which roles they hold. Fails closed.

An answer is never made up: when Slack can't be asked, the caller gets the error and the person may do nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from integrations.slack.web import SlackWeb
from runbook.errors import Permanent
from runbook.values import Actor, Role

log = structlog.get_logger(__name__)
CACHE_S = 30.0
MAX_USERS = 2_000
LOOKUP_TIMEOUT_S = 5.0
_GROUP_PROBLEMS = frozenset({"slack.plan_upgrade_required", "slack.no_such_subteam", "slack.subteam_not_found"})


@dataclass(frozen=True, slots=True)
class _Kept:
    value: Any
    until: float


class SlackDirectory:
    """Fulfils the handlers' `Directory`.

    team_id: the one workspace whose members may act. roles: members as configured (`Setting.roles`), asked anew at each
    look-up, so that a new configuration holds at once. monotonic: seconds, for the age of what is kept.
    """

    def __init__(
        self,
        web: SlackWeb,
        *,
        team_id: str,
        roles: Callable[[], Mapping[Role, tuple[str, ...]]],
        cache_s: float = CACHE_S,
        monotonic: Callable[[], float] = time.monotonic,
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
            return Actor(actor_id, name, refusal=refusal)
        return Actor(actor_id, name, roles=await self._roles_of(user_id))

    async def members_of_group(self, group_id: str) -> tuple[str, ...]:
        """Users in a group; nobody when the group doesn't exist or the plan has no groups."""
        found: tuple[str, ...] = await self._cached(f"group:{group_id}", lambda: self._group(group_id))
        return found

    def forget(self) -> None:
        """Asks anew from now on."""
        self._kept.clear()

    async def _roles_of(self, user_id: str) -> frozenset[Role]:
        held: set[Role] = set()
        for role, members in self._roles().items():
            if user_id in members:
                held.add(role)
                continue
            for group_id in members:
                if group_id.startswith("S") and user_id in await self.members_of_group(group_id):
                    held.add(role)
                    break
        return frozenset(held)

    def _refusal(self, user: Mapping[str, Any]) -> str:
        """Why this user may do nothing, or empty. Source: https://docs.slack.dev/reference/objects/user-object."""
        teams = {user.get("team_id"), *((user.get("enterprise_user") or {}).get("teams") or ())}
        if user.get("is_stranger") or self._team_id not in teams:
            return "you belong to another workspace than the one forge serves"
        if user.get("deleted"):
            return "your account is deactivated"
        if user.get("is_bot") or user.get("is_workflow_bot") or user.get("id") == "USLACKBOT":
            return "bots may not use forge"
        if user.get("is_restricted") or user.get("is_ultra_restricted"):
            return "guests may not use forge"
        return ""

    async def _user(self, user_id: str) -> dict[str, Any]:
        answer = await self._web.call("users.info", user=user_id, timeout_s=LOOKUP_TIMEOUT_S)
        user = answer.get("user")
        if not isinstance(user, dict) or user.get("id") != user_id:
            raise Permanent("slack", "user_not_found", f"Slack's answer for {user_id} has no such user")
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

"""People and their turns on call, and what they decided: incidents and freezes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from runbook.errors import Permanent
from runbook.values import Role


@dataclass(frozen=True, slots=True)
class Person:
    """id: Slack's `U…`. reachable: an active full member. source: how the role is held: `U…` in the file, a group's id, a schedule's name.

    until: the end of a shift, where a schedule says it.
    """

    id: str
    name: str
    reachable: bool = True
    reason: str = ""
    source: str = ""
    until: datetime | None = None


class People(Protocol):
    async def holders(self, role: Role) -> tuple[Person, ...]:
        """Everybody who holds the role now, from configuration, user groups and (on-call) the schedule. Raises `Temporary` or `Permanent`
        where somebody could not be asked: nobody is then known to be unreachable either."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Somebody's turn in an on-call schedule. email: of their account there, or empty. schedule: its name, or its id.

    until: when the turn ends; None: it doesn't.
    """

    name: str
    email: str
    schedule: str
    until: datetime | None = None


class Schedule(Protocol):
    """Who is on call by a calendar kept elsewhere."""

    async def on_call(self) -> tuple[Shift, ...]:
        """Everybody whose turn it is now, each person once; empty: nobody."""


class NoPeople:
    """Where no directory is wired: unknown is not yes."""

    async def holders(self, role: Role) -> tuple[Person, ...]:
        raise Permanent("people", "missing", f"nobody can say who is {role.value.replace('_', ' ')}")


@dataclass(frozen=True, slots=True)
class Incident:
    """id: `incident-7`. severity: 1 (the gravest) to 4. service: empty for all of an environment. run: whose way back opened it, or empty."""

    id: str
    service: str
    environment: str
    severity: int
    title: str
    opened_by: str
    opened_at: datetime
    run: str = ""
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Freeze:
    """Nothing is released in this environment until it ends; a rollback is never held up by it. until: None: until it is lifted."""

    environment: str
    service: str
    owner: str
    reason: str
    at: datetime
    until: datetime | None = None

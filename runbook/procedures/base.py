"""What a procedure is: a function from facts and policy to a plan, with the looking-around that finds the facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from runbook.plan import Plan
from runbook.policy import Setting
from runbook.ports import Ports
from runbook.values import Environment
from runbook.verdicts import Verdict


@dataclass(frozen=True, kw_only=True)
class Request:
    """What somebody asked for. version: empty for a rollback: what runs now. to: the version to go back to; empty: the one before.

    options: what backup, drill and restore take beside it: `backup` (an id; empty: the newest restorable one), `at` (ISO time, aware: the
    moment to recover to, a point in time; empty: all that the backup has) and `from` (the environment whose backup it is; empty: the same).
    The engine turns what was typed into these before it calls the procedure.
    """

    service: str
    environment: Environment
    version: str
    to: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """plan: None when a verdict forbids it. verdicts: every obstacle at once, and what passed."""

    plan: Plan | None
    verdicts: tuple[Verdict, ...]


class Procedure(Protocol):
    """Entered by a request; made anew from the same request until its first effect."""

    async def __call__(self, request: Request, setting: Setting, ports: Ports) -> Prepared:
        """Changes nothing but the memory of tags first seen. Raises `Temporary` or `Permanent` when it could not ask."""


class Continuation(Protocol):
    """Entered from a running plan (a way back, a replan): pure, from the plan left and the facts recorded so far.

    None: there is nothing to do (no effect was had).
    """

    def __call__(self, left: Plan, facts: Mapping[str, Any]) -> Plan | None: ...

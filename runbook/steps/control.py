"""The steps that the engine itself carries out: waits for people, words to people, records, and turns of the plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from runbook.plan import Step
from runbook.values import Role


@dataclass(frozen=True, kw_only=True)
class Approval(Step):
    """Waits until distinct people fill the roles. purpose: `deploy` before effects, `go` for the decision on a result, `contract`."""

    kind: ClassVar[str] = "approval"
    roles: tuple[Role, ...]
    expires_s: float
    purpose: str = "deploy"

    @property
    def sentence(self) -> str:
        who = " and ".join(role.value.replace("_", " ").title() for role in self.roles)
        return f"{self.title}: {who} decide{'s' if len(self.roles) == 1 else ''}"


@dataclass(frozen=True, kw_only=True)
class Option:
    """One answer of a choice. procedure: what the run goes on with; empty: the plan simply goes on."""

    name: str
    label: str
    procedure: str = ""


@dataclass(frozen=True, kw_only=True)
class Choice(Step):
    """Asks one person of a role; without an answer by the deadline the default is taken (empty: it holds)."""

    kind: ClassVar[str] = "choice"
    role: Role
    options: tuple[Option, ...]
    deadline_s: float
    default: str = ""


@dataclass(frozen=True, kw_only=True)
class Replan(Step):
    """Ends the segment; the procedure makes the next one from the facts recorded so far."""

    kind: ClassVar[str] = "replan"
    procedure: str


@dataclass(frozen=True, kw_only=True)
class Announce(Step):
    """Tells the release channel. moment: `started`, `completed`, `contracted`, `returned`."""

    kind: ClassVar[str] = "announce"
    moment: str

    @property
    def sentence(self) -> str:
        return f"Announce in the release channel: {self.moment}"


@dataclass(frozen=True, kw_only=True)
class RecordDecision(Step):
    """Records the environment's result for this version: `go`, `no_go`, `contracted` or `not_contracted`. Runbook: Staging Deployment 7."""

    kind: ClassVar[str] = "record_decision"
    result: str

    @property
    def sentence(self) -> str:
        return f"Record the result and the decision: {self.result.replace('_', '-')}"

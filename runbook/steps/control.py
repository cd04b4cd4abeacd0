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
    any_of: tuple[tuple[Role, ...], ...] = ()
    """Further slots, each of which one of several roles fills: ((PRODUCT, OPERATIONS),)."""

    @property
    def slots(self) -> tuple[tuple[Role, ...], ...]:
        """Every slot with the roles that may fill it."""
        return (*((role,) for role in self.roles), *self.any_of)

    @property
    def everybody(self) -> tuple[Role, ...]:
        """Every role that can fill some slot."""
        return tuple(dict.fromkeys(role for slot in self.slots for role in slot))

    @property
    def sentence(self) -> str:
        who = " and ".join("/".join(role.value.replace("_", " ").title() for role in slot) for slot in self.slots)
        return f"{self.title}: {who} decide{'s' if len(self.slots) == 1 else ''}"


@dataclass(frozen=True, kw_only=True)
class Option:
    """One answer of a choice. procedure: what the run goes on with; empty: the plan simply goes on.

    text: what it means, in a sentence. since: ISO time: what was written since then is at stake with this answer; the card says how many minutes.
    """

    name: str
    label: str
    procedure: str = ""
    text: str = ""
    since: str = ""


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
    """Tells the release channel. moment: `started`, `phase`, `completed`, `validated`, `contracted`, `released`, `rolled_back`, `returned`.

    A `phase` says the step's title.
    """

    kind: ClassVar[str] = "announce"
    moment: str

    @property
    def sentence(self) -> str:
        return f"Announce in the release channel: {self.moment}"


@dataclass(frozen=True, kw_only=True)
class RecordDecision(Step):
    """Records the environment's result for this version: `go`, `no_go`, `contracted`, `not_contracted`, `released`, `rolled_back`,
    `validated` or `not_validated`.

    Runbook: Staging Deployment 7, Production Deployment 6.
    """

    kind: ClassVar[str] = "record_decision"
    result: str

    @property
    def sentence(self) -> str:
        return f"Record the result and the decision: {self.result.replace('_', '-')}"


@dataclass(frozen=True)
class Item:
    """One line of a checklist. name: stable and unique in it, such as `backup`. text: the runbook's words.

    gates: names of the run's verdicts (`Verdict.gate`, or the title of a step) that tick it when they passed; empty: a person ticks it.
    """

    name: str
    text: str
    gates: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Checklist(Step):
    """Runbook: Operational Checklists. which: `pre_deployment`, `post_deployment`, `post_incident`.

    roles: who may tick what isn't ticked by the machine. waits: the run waits until every item is ticked; else it goes on beside it.
    """

    kind: ClassVar[str] = "checklist"
    which: str
    items: tuple[Item, ...]
    roles: tuple[Role, ...]
    waits: bool = True


@dataclass(frozen=True, kw_only=True)
class UpdateIncident(Step):
    """Runbook: Rollback Procedure 1 and 6. stage: `opened` (the roll-out is frozen: opens an incident for this run, or joins the one that is
    open), `rolled_back` (an update with a hypothesis from the evidence, and the next action)."""

    kind: ClassVar[str] = "update_incident"
    stage: str

"""What people are asked, and what they answer: approvals, prompts, checklists, overrides, and the buttons of them all."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from engine.records.json_values import Json


@dataclass(frozen=True, kw_only=True)
class Click:
    """One person's decision on one approval step: `approve` or `reject`. roles: those that the person held then.

    withdrawn_at, void_at: it no longer counts. plan_hash: of the plan that the person saw.
    """

    key: ClassVar[tuple[str, ...]] = ("id",)
    id: int | None = None
    run: str
    index: int
    actor: str
    actor_name: str
    roles: Json
    decision: str
    plan_hash: str
    reason: str = ""
    at: datetime
    withdrawn_at: datetime | None = None
    void_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Button:
    """What an opaque button value stands for. action: an `action_id`. argument: JSON. Stays after use, so that a dead button can say why."""

    key: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    action: str
    run: str
    index: int | None = None
    plan_hash: str = ""
    argument: Json = None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """On-call is asked whether to roll back. id: `<run>/p<number>`. subject: the guard's name, or the step's index as text.

    kind: `guard` or `step`. state: `open`, `rolled_back`, `continued`, `closed` (the run went on without it, or it recovered).
    deadline: when it is rolled back unanswered. reminded_at: the last reminder. extended: how often more time was given.
    """

    key: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    run: str
    number: int
    kind: str
    subject: str
    trigger: str
    segment: int
    state: str = "open"
    reason: str
    verdicts: Json = field(default_factory=list)
    opened_at: datetime
    deadline: datetime
    reminded_at: datetime | None = None
    extended: int = 0
    answered_by: str = ""
    answered_by_name: str = ""
    answer_reason: str = ""
    answered_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Tick:
    """One ticked line of a run's checklist. by: an `Actor.id`, or `forge` where a gate ticked it; evidence: what it rests on."""

    key: ClassVar[tuple[str, ...]] = ("run", "checklist", "item")
    run: str
    checklist: str
    item: str
    by: str
    by_name: str
    role: str = ""
    evidence: str = ""
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Override:
    """Somebody wants a run to go on in spite of a gate's verdict; a second person must agree. gate: the verdict's `gate`.

    state: `asked`, `granted`, `refused`, `void`. code: the verdict's code then. follow_up: what has to be done afterwards; done_at: when it was.
    """

    key: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    run: str
    index: int
    gate: str
    code: str
    verdict_reason: str
    state: str = "asked"
    asked_by: str
    asked_by_name: str
    reason: str
    asked_at: datetime
    decided_by: str = ""
    decided_by_name: str = ""
    decided_at: datetime | None = None
    follow_up: str = ""
    done_at: datetime | None = None

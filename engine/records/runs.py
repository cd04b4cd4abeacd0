"""Runs: where each stands, its plans and its steps, what it decided, and what it brings."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from engine.records.json_values import Json


class RunState(StrEnum):
    """QUEUED waits for the lock of its service and environment. WAITING: for a decision. HELD: a person must look. ENDED: see `ending`."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    HELD = "held"
    ENDED = "ended"


class Ending(StrEnum):
    """How a run ended. FAILED: stopped before any effect. RETURNED: the previous state is back. INCOMPLETE: the way back failed in part."""

    COMPLETED = "completed"
    FAILED = "failed"
    RETURNED = "returned"
    INCOMPLETE = "incomplete"
    CANCELLED = "cancelled"


class StepState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    HELD = "held"
    DONE = "done"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One execution of a procedure. id: typeable, `staging-12`.

    arguments: what was asked (version, …). requester: an `Actor.id`. position: index of the current step. segment: number of the newest
    segment. plan_hash: its hash, to which approvals are bound. interrupt: what pre-empts the running step (`{"kind": "abort"|"breach", …}`)
    until it is answered. paused_at: set while paused. setting_hash: of the configuration that the plan was made with.
    """

    key: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    number: int
    service: str
    environment: str
    procedure: str
    version: str
    arguments: Json
    requester: str
    requester_name: str
    reason: str = ""
    state: str
    ending: str | None = None
    ending_code: str = ""
    ending_reason: str = ""
    position: int = 0
    segment: int = 0
    plan_hash: str = ""
    setting_hash: str = ""
    facts: Json = field(default_factory=dict)
    interrupt: Json = None
    first_effect_at: datetime | None = None
    paused_at: datetime | None = None
    created_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One plan of a run, as the canonical JSON text whose SHA-256 approvals are bound to. first_index: of its first step.

    replaced_at: set when it was made anew before any effect; its steps are gone then.
    """

    key: ClassVar[tuple[str, ...]] = ("run", "number")
    run: str
    number: int
    procedure: str
    plan: str
    hash: str
    first_index: int
    created_at: datetime
    replaced_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class StepRow:
    """One step's position. progress: what a long step saved on its way. deadline: when its wait or its hold is looked at again.

    attempt: from 1 once begun. outcome: a `Verdict.outcome` when done. verdicts, facts: JSON as the step returned them.
    escalation: how far a hold has been carried (0 none, 1 reminded, 2 escalated). tries: attempts since a person retried it.
    """

    key: ClassVar[tuple[str, ...]] = ("run", "index")
    run: str
    index: int
    segment: int
    kind: str
    title: str
    state: str = StepState.PENDING
    attempt: int = 0
    started_at: datetime | None = None
    deadline: datetime | None = None
    finished_at: datetime | None = None
    outcome: str | None = None
    code: str = ""
    reason: str = ""
    verdicts: Json = field(default_factory=list)
    progress: Json = None
    escalation: int = 0
    tries: int = 0


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The recorded result of a procedure for a version, with the artifact that it speaks of: `go`, `no_go`, `contracted`, `not_contracted`,
    `released`, `rolled_back`, `validated` or `not_validated`.

    release: JSON of `values.Release`. approvers: JSON list of {actor, name, role}.
    """

    key: ClassVar[tuple[str, ...]] = ("run",)
    run: str
    service: str
    environment: str
    version: str
    result: str
    release: Json
    approvers: Json
    at: datetime


@dataclass(frozen=True, kw_only=True)
class RunChanges:
    """What a run brings beyond what ran before it: see `engine.changes.look_up_changes` for the JSON. at: when the run was opened."""

    key: ClassVar[tuple[str, ...]] = ("run",)
    run: str
    found: Json
    at: datetime

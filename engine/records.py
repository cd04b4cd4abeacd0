"""The rows that the engine keeps: a run's position is data, and there is no second truth beside it.

Each record is a frozen dataclass whose fields are its table's columns (`state.schema` has the tables); change one by `dataclasses.replace`
and save it in the same transaction as its audit entry. JSON fields hold only JSON values. All times are aware UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

Json = Any
"""A JSON value; typed loosely because the standard library's `json` is."""


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
class Received:
    """One payload from outside, committed before it was acknowledged. dedup: what a redelivery keeps.

    kind: `command`, `click`, `view`, `local`. done_at: set in the transaction of the change that it caused.
    """

    key: ClassVar[tuple[str, ...]] = ("id",)
    id: int | None = None
    dedup: str
    kind: str
    payload: Json
    received_at: datetime
    done_at: datetime | None = None
    result: str = ""


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """One message to be shown. subject: what it shows, `headline:staging-12`, `approval:staging-12:3`, `note:staging-12:7:…`.

    kind: `view` (rendered from stored rows when sent; coalesced by subject, edited in place), `note` (once, in the run's thread; `broadcast`
    shows it in the channel too), `picture` (a chart, once, as a file in the run's thread; payload: `chart`), `private_picture` (the same in
    the direct messages of payload's `user`, at most once), `incident` and `incident_note` (a view and a note of an incident, in the channel of
    incidents, the note in its card's thread), `answer` (to the caller alone, at most once; payload has `received`, the inbox row
    whose response address it uses). state: `pending`, `sending` (committed before the call: a crash leaves it doubtful), `sent`, `dropped`.
    """

    key: ClassVar[tuple[str, ...]] = ("id",)
    id: int | None = None
    subject: str
    kind: str
    run: str = ""
    payload: Json = None
    broadcast: bool = False
    state: str = "pending"
    attempts: int = 0
    not_before: datetime | None = None
    error: str = ""
    created_at: datetime
    sent_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Posted:
    """Where a subject stands in Slack. rendered: hash of what is shown, so that an equal edit is not sent."""

    key: ClassVar[tuple[str, ...]] = ("subject",)
    subject: str
    run: str = ""
    channel: str
    ts: str
    thread_ts: str = ""
    permalink: str = ""
    rendered: str = ""
    posted_at: datetime


@dataclass(frozen=True, kw_only=True)
class Lock:
    """Nothing starts in this environment for this service (`*`: for any) while it stands. run: set when a run holds it."""

    key: ClassVar[tuple[str, ...]] = ("environment", "service")
    environment: str
    service: str
    owner: str
    owner_name: str
    reason: str
    run: str = ""
    at: datetime


@dataclass(frozen=True, kw_only=True)
class SeenTag:
    key: ClassVar[tuple[str, ...]] = ("service", "tag")
    service: str
    tag: str
    tag_object: str
    commit: str
    first_seen_at: datetime


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A moment worth remembering across a restart. name: `guards`, when the guards looked last; `schedule:<service>:<environment>:<kind>`, which
    occurrence of a schedule was begun last, and `schedule-told:…`, of which one people were told that it was missed; `repository:<folder>`,
    when the repository of backups there was begun.
    """

    key: ClassVar[tuple[str, ...]] = ("name",)
    name: str
    at: datetime


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
class ScanRow:
    """One security scan that was handed in. subject: the image's digest. content: hex SHA-256 of what was received, each kept once.

    counts: open findings by severity. critical: the first ids of the critical ones. source: how it came, such as `webhook`.
    """

    key: ClassVar[tuple[str, ...]] = ("id",)
    id: int | None = None
    subject: str
    tool: str
    format: str
    taken_at: datetime
    received_at: datetime
    counts: Json
    critical: Json
    source: str
    url: str
    content: str


@dataclass(frozen=True, kw_only=True)
class IncidentRow:
    """One incident. service: empty for all of the environment. run: whose way back opened it. updates: JSON list of {at, by, text}."""

    key: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    number: int
    service: str
    environment: str
    severity: int
    title: str
    opened_by: str
    opened_by_name: str
    opened_at: datetime
    run: str = ""
    updates: Json = field(default_factory=list)
    resolved_at: datetime | None = None
    resolved_by: str = ""


@dataclass(frozen=True, kw_only=True)
class FreezeRow:
    """Nothing is released in this environment (service `*`: of any service) until it ends or is lifted."""

    key: ClassVar[tuple[str, ...]] = ("environment", "service")
    environment: str
    service: str
    owner: str
    owner_name: str
    reason: str
    at: datetime
    until: datetime | None = None


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


@dataclass(frozen=True, kw_only=True)
class BackupRow:
    """A backup on record: see `runbook.backups.BackupRecord` for the fields. held_by: an `Actor.id`."""

    key: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    kind: str
    service: str
    environment: str
    state: str
    run: str
    operator: str
    started_at: datetime
    finished_at: datetime | None = None
    proven_at: datetime | None = None
    plain_bytes: int = 0
    stored_bytes: int = 0
    sha256: str = ""
    server_version_num: int = 0
    system_identifier: str = ""
    timeline: int = 0
    lsn_start: str = ""
    lsn_end: str = ""
    manifest: str = ""
    held_by: str = ""
    held_by_name: str = ""
    held_reason: str = ""
    busy: str = ""
    failure: str = ""
    deleted_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class DrillRow:
    """One restore drill: see `runbook.backups.DrillRecord`. milliseconds: from its beginning to its last check. until: recovered to.
    compared: what of it was held against its source."""

    key: ClassVar[tuple[str, ...]] = ("run",)
    run: str
    service: str
    environment: str
    backup: str
    kind: str
    started_at: datetime
    finished_at: datetime
    passed: bool
    milliseconds: int
    major: int
    reason: str = ""
    until: datetime | None = None
    signed_off_by: str = ""
    signed_off_at: datetime | None = None
    compared: str = ""


@dataclass(frozen=True, kw_only=True)
class WalRow:
    """One archived WAL segment. file: JSON of `runbook.backups.StoredFile`. ended_at: when its last byte was received."""

    key: ClassVar[tuple[str, ...]] = ("service", "environment", "system_identifier", "name")
    service: str
    environment: str
    system_identifier: str
    name: str
    timeline: int
    file: Json
    ended_at: datetime


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One delivery of a GitHub webhook that was authentic. guid: `X-GitHub-Delivery`. sha256: of the body, hex; the body itself is not kept.

    repository: as the configuration writes it; empty where no service is of it.
    """

    key: ClassVar[tuple[str, ...]] = ("guid",)
    guid: str
    event: str
    repository: str
    sha256: str
    received_at: datetime


@dataclass(frozen=True, kw_only=True)
class CiResult:
    """What a CI system other than GitHub's said of a commit last. state: `success`, `failure` or `pending`. at: as told, else when received."""

    key: ClassVar[tuple[str, ...]] = ("repository", "commit", "name")
    repository: str
    commit: str
    name: str
    state: str
    url: str
    at: datetime
    received_at: datetime


@dataclass(frozen=True, kw_only=True)
class RunChanges:
    """What a run brings beyond what ran before it: see `engine.changes.look_up_changes` for the JSON. at: when the run was opened."""

    key: ClassVar[tuple[str, ...]] = ("run",)
    run: str
    found: Json
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One audit entry, before the ledger gives it a sequence number and chains it.

    actor: an `Actor.id`; role: in which role; action: a stable word such as `run.created`; subject: on what (a run, a lock, …).
    evidence: JSON. Never a secret, a token or a response address.
    """

    actor: str
    action: str
    subject: str
    role: str = ""
    what: str = ""
    why: str = ""
    evidence: Json = None


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """An audit entry as stored. previous, hash: hex SHA-256; hash covers the canonical JSON of all other fields."""

    key: ClassVar[tuple[str, ...]] = ("seq",)
    seq: int
    at: datetime
    actor: str
    role: str
    action: str
    subject: str
    what: str
    why: str
    evidence: Json
    previous: str
    hash: str


Record = (
    Run
    | Segment
    | StepRow
    | Click
    | Button
    | Received
    | Outgoing
    | Posted
    | Lock
    | SeenTag
    | Mark
    | Decision
    | ScanRow
    | IncidentRow
    | FreezeRow
    | Prompt
    | Tick
    | Override
    | BackupRow
    | DrillRow
    | WalRow
    | Delivery
    | CiResult
    | RunChanges
)
"""What `Ledger.add`, `save`, `get` and `find` take; `Sealed` is written through `Ledger.audit` alone."""

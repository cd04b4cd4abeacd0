"""What people see, as plain values made from stored rows: the messages layer turns them into blocks, the command line into text or JSON.

Times are aware UTC. Names and texts come from people and systems and are not escaped here: that happens where blocks are built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from engine.records import Decision, Lock, Sealed
from runbook.commands import Command
from runbook.values import FrozenImage
from runbook.verdicts import Verdict


@dataclass(frozen=True, kw_only=True)
class StepView:
    """One line of the checklist. state: a `StepState`; outcome: a verdict's outcome once done. doing: what it does now, or why it waits.

    in_way_back: it belongs to the return to the previous state. effect: it changes something outside.
    """

    index: int
    title: str
    sentence: str
    state: str
    outcome: str = ""
    reason: str = ""
    doing: str = ""
    attempt: int = 0
    effect: bool = False
    in_way_back: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    deadline: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class RunView:
    """The headline. why: the answer to "why am I waiting?", always present while the run isn't ended. behind: the run or lock it queues for.

    buttons: `action_id -> opaque id` of what makes sense now. guards: what is watched now, in words. procedure: of the run: a backup is
    told in other words than a deployment.
    """

    id: str
    service: str
    environment: str
    version: str
    requester: str
    requester_name: str
    reason: str
    state: str
    ending: str = ""
    ending_reason: str = ""
    why: str = ""
    behind: str = ""
    steps: tuple[StepView, ...] = ()
    buttons: Mapping[str, str] = field(default_factory=dict)
    guards: tuple[str, ...] = ()
    paused_at: datetime | None = None
    created_at: datetime
    ended_at: datetime | None = None
    notice: str = ""
    procedure: str = ""


@dataclass(frozen=True, kw_only=True)
class SlotView:
    """One role that an approval needs. by, by_name: who fills it, or empty. groups: Slack ids (`U…`, `S…`) of those who may: to mention them."""

    role: str
    by: str = ""
    by_name: str = ""
    at: datetime | None = None
    who: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CommitLine:
    """author: a name for people; never mentioned."""

    sha: str
    title: str
    author: str


@dataclass(frozen=True, kw_only=True)
class PullLine:
    """A pull request that a change came by."""

    number: int
    title: str
    author: str
    url: str


@dataclass(frozen=True, kw_only=True)
class ChangesView:
    """What a run brings beyond what ran before it. base_version: what ran; empty where nothing is on record.

    relation: `ahead`, `identical`, `behind`, `diverged`, `first`, or empty where trouble says why it is not known. commits: the newest first.
    total: how many there are. url: where they are compared. runs_there: the base is what runs in the environment. is_whole: every pull request
    could be asked for.
    """

    base_version: str
    relation: str
    total: int = 0
    url: str = ""
    trouble: str = ""
    commits: tuple[CommitLine, ...] = ()
    pull_requests: tuple[PullLine, ...] = ()
    runs_there: bool = True
    is_whole: bool = True


@dataclass(frozen=True, kw_only=True)
class ApprovalView:
    """An approval card. state: `open`, `approved`, `rejected`, `expired`, `void` (the plan changed: see changed) or `dead` (the run went on
    or ended without it). steps: what will run after it, in words. closing: the sentence that takes the buttons' place.

    plan_hash: what approvals are bound to. evidence: verdicts that the decision rests on (for the go). migrations: what the release declares
    of its schema, in words; risky: one of them leaves the version that runs now unable to work, or can't be taken back.
    """

    run: str
    index: int
    title: str
    service: str
    environment: str
    version: str
    commit: str
    images: tuple[FrozenImage, ...]
    changes_url: str
    requester: str
    requester_name: str
    reason: str
    steps: tuple[str, ...]
    slots: tuple[SlotView, ...]
    expires_at: datetime | None
    plan_hash: str
    state: str
    closing: str = ""
    changed: tuple[str, ...] = ()
    evidence: tuple[Verdict, ...] = ()
    migrations: tuple[str, ...] = ()
    risky: bool = False
    buttons: Mapping[str, str] = field(default_factory=dict)
    procedure: str = ""
    purpose: str = "deploy"
    """See `runbook.steps.control.Approval`."""

    changes: ChangesView | None = None
    """What it brings, as it was found when the run was opened; None: nothing is known of it."""


@dataclass(frozen=True, kw_only=True)
class PlanView:
    """What deploy would do. verdicts: what the checks say now. steps carry no states. hash: of the plan's canonical JSON."""

    service: str
    environment: str
    version: str
    steps: tuple[StepView, ...]
    verdicts: tuple[Verdict, ...]
    hash: str
    approvers: tuple[str, ...]
    waits: tuple[str, ...]
    """Observations, expiries and other durations, in words."""
    criteria: tuple[tuple[str, str, str], ...] = ()
    """Promotion Criteria Summary: (criterion, dev → staging, staging → prod), in words."""
    migrations: tuple[str, ...] = ()
    """What the release declares of its schema, in words."""
    procedure: str = ""
    changes: ChangesView | None = None


@dataclass(frozen=True, kw_only=True)
class RunLine:
    id: str
    service: str
    environment: str
    version: str
    state: str
    ending: str
    why: str
    requester_name: str
    created_at: datetime
    permalink: str = ""
    procedure: str = ""


@dataclass(frozen=True, kw_only=True)
class IncidentUpdate:
    """at: ISO time. text: one or more lines."""

    at: str
    by_name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class IncidentView:
    """An incident's card. service: empty for all of the environment. run: whose way back opened it. who: Slack ids of those who must act.

    holds_releases: no release passes its gate while it is open.
    """

    id: str
    service: str
    environment: str
    severity: int
    title: str
    opened_by_name: str
    opened_at: datetime
    run: str = ""
    updates: tuple[IncidentUpdate, ...] = ()
    resolved_at: datetime | None = None
    resolved_by_name: str = ""
    holds_releases: bool = False
    who: tuple[str, ...] = ()
    permalink: str = ""


@dataclass(frozen=True, kw_only=True)
class IncidentsView:
    """incidents: open ones, the gravest first. total: how many are open."""

    incidents: tuple[IncidentView, ...]
    total: int
    now: datetime


@dataclass(frozen=True, kw_only=True)
class FreezeView:
    """service: empty for all of the environment. until: None: until it is lifted. undo: the command that lifts it."""

    environment: str
    service: str
    owner_name: str
    reason: str
    at: datetime
    until: datetime | None
    undo: str


@dataclass(frozen=True, kw_only=True)
class PlaceView:
    """What runs of a service in an environment. version: by the ledger; empty: nothing is on record there. digest: of its first image,
    shortened, and how many others there are. since, by_name, run: when, by whom and by which run it came to run there, or came back.
    is_back: what followed it was taken back.

    under_way: a run that changes it now. drift: what the cluster says that differs, in words. newer: what could follow, in words, the nearest
    first. unknown: what could not be asked, and why. is_asked: whether the cluster has confirmed it.
    """

    service: str
    environment: str
    version: str = ""
    digest: str = ""
    since: datetime | None = None
    by_name: str = ""
    run: str = ""
    is_back: bool = False
    under_way: str = ""
    drift: str = ""
    newer: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    is_asked: bool = False


@dataclass(frozen=True, kw_only=True)
class WaitView:
    """What waits for somebody: an approval, a hold, a prompt to on-call, an override. text: who must do what. permalink: of its card."""

    run: str
    service: str
    environment: str
    text: str
    since: datetime | None = None
    until: datetime | None = None
    permalink: str = ""


@dataclass(frozen=True, kw_only=True)
class StatusView:
    """active: running, waiting, held. queued: in order. recent: ended lately. decisions: the newest recorded result per service and environment.

    places: what runs where. waiting: what waits for whom.
    """

    active: tuple[RunLine, ...]
    queued: tuple[RunLine, ...]
    recent: tuple[RunLine, ...]
    locks: tuple[Lock, ...]
    decisions: tuple[Decision, ...]
    now: datetime
    freezes: tuple[FreezeView, ...] = ()
    incidents: tuple[IncidentView, ...] = ()
    places: tuple[PlaceView, ...] = ()
    waiting: tuple[WaitView, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AuditView:
    """entries: the newest last. total: how many match."""

    entries: tuple[Sealed, ...]
    total: int


@dataclass(frozen=True, kw_only=True)
class HelpView:
    """commands: those that the caller may run; one alone when asked for. others: names of those they may not."""

    commands: tuple[Command, ...]
    others: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ItemView:
    """One line of a checklist. by: an actor's id, `forge` where a gate ticked it, empty while it is open. evidence: what that rests on.

    button: the opaque value that ticks it, while it is open.
    """

    name: str
    text: str
    by: str = ""
    by_name: str = ""
    at: datetime | None = None
    evidence: str = ""
    button: str = ""


@dataclass(frozen=True, kw_only=True)
class ChecklistView:
    """waits: the run waits for it."""

    run: str
    index: int
    which: str
    title: str
    service: str
    version: str
    environment: str
    items: tuple[ItemView, ...]
    waits: bool
    roles: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class OverrideView:
    """state: `asked`, `granted`, `refused`, `void`. closing: the sentence in the buttons' place. who: people to ask for the second click."""

    id: str
    run: str
    gate: str
    verdict: str
    state: str
    asked_by: str
    asked_by_name: str
    reason: str
    at: datetime
    closing: str
    who: tuple[str, ...]
    follow_up: str
    buttons: Mapping[str, str] = field(default_factory=dict)

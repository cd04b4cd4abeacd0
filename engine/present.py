"""From rows to views: what is shown is always made from what is stored, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from engine import freezes, incidents
from engine.approvals import assigned, closing_of, standing
from engine.changes import changes_of
from engine.endings import stop_command
from engine.journal import RUN_BUTTONS, Turn, plan_of, segment_of
from engine.lanes import is_beside
from engine.lifecycle import verdicts_of
from engine.places import Seen, place_views
from engine.prompts import open_prompts
from engine.queue import ANY_SERVICE, ahead_of, lock_for, release_command
from engine.records import Button, Click, Decision, Lock, Posted, Run, RunState, Sealed, Segment, StepRow, StepState
from engine.spans import watched
from engine.views import (
    ApprovalView,
    AuditView,
    ChangesView,
    PlanView,
    RunLine,
    RunView,
    SlotView,
    StatusView,
    StepView,
)
from engine.waits import waits_of
from runbook.criteria import Criterion, Promotion
from runbook.describe import what_changed
from runbook.plan import Plan, Step, from_json
from runbook.procedures.base import Prepared
from runbook.rules.guards import watch_words
from runbook.rules.ratio_watch import ratio_words
from runbook.steps.control import Approval
from runbook.steps.observations import Observe
from runbook.values import FrozenImage, Role
from runbook.verdicts import Outcome, Verdict

RECENT = 5
_SHOWN = ["validated", "go", "released", "rolled_back"]
"""Results of which the newest stands in the status: what an environment runs, and why it isn't something newer."""


def slot_words(slot: tuple[Role, ...]) -> str:
    """Who fills it, such as `Product or Operations`."""
    return " or ".join(role.value.replace("_", " ").title() for role in slot)


def step_views(turn: Turn, run: Run) -> tuple[StepView, ...]:
    segments = {s.number: s for s in turn.ledger.find(Segment, run=run.id)}
    first = min((n for n, s in segments.items() if s.replaced_at is None), default=1)
    plans = {number: list(plan_of(segment).steps()) for number, segment in segments.items()}
    views = []
    for row in turn.steps(run.id):
        step = plans[row.segment][row.index - segments[row.segment].first_index]
        views.append(_step_view(row, step, in_way_back=row.segment != first))
    return tuple(views)


def _step_view(row: StepRow, step: Step, *, in_way_back: bool) -> StepView:
    return StepView(
        index=row.index,
        title=row.title,
        sentence=step.sentence,
        state=row.state,
        outcome=row.outcome or "",
        reason=row.reason,
        attempt=row.attempt,
        effect=step.effect,
        in_way_back=in_way_back,
        started_at=row.started_at,
        finished_at=row.finished_at,
        deadline=row.deadline,
    )


def headline(turn: Turn, run: Run, doing: str = "") -> RunView:
    """The run as its one headline message shows it."""
    steps = step_views(turn, run)
    steps = tuple(_doing_now(view, doing) if view.state == StepState.RUNNING else view for view in steps)
    behind, why = why_waiting(turn, run, doing)
    return RunView(
        id=run.id,
        service=run.service,
        environment=run.environment,
        version=run.version,
        procedure=run.procedure,
        requester=run.requester,
        requester_name=run.requester_name,
        reason=run.reason,
        state=run.state,
        ending=run.ending or "",
        ending_reason=run.ending_reason,
        why=_asked(turn, run, why),
        behind=behind,
        steps=steps,
        buttons=_buttons(turn, run),
        guards=_guards(turn, run),
        paused_at=run.paused_at,
        created_at=run.created_at,
        ended_at=run.ended_at,
        notice=turn.setting.notice,
    )


def _asked(turn: Turn, run: Run, why: str) -> str:
    """What on-call is asked beside it comes first: it has a deadline."""
    told = [
        f"On-call is asked until {p.deadline:%H:%M} UTC whether to roll back: {p.reason}."
        for p in open_prompts(turn, run)
    ]
    return " ".join([*told, why])


def _doing_now(view: StepView, doing: str) -> StepView:
    return replace(view, doing=doing)


def why_waiting(turn: Turn, run: Run, doing: str = "") -> tuple[str, str]:
    """(what the run queues behind, the sentence that answers "why am I waiting?"). Empty only when the run has ended."""
    if run.state == RunState.ENDED:
        return "", ""
    if run.state == RunState.QUEUED:
        return _queued_behind(turn, run)
    row = turn.step(run.id, run.position)
    if row is None:
        return "", "Finishing."
    if run.paused_at is not None:
        return "", f"Paused since {run.paused_at:%H:%M} UTC: resume it to go on with “{row.title}”."
    if row.state == StepState.HELD:
        return "", f"Held at “{row.title}”: {row.reason}. Retry it, or {stop_command(run)} the run."
    if row.state == StepState.WAITING:
        return "", _waits_for(turn, run, row)
    if row.state == StepState.PENDING and row.deadline is not None and row.deadline > turn.now:
        return "", f"“{row.title}” could not be asked ({row.reason}); trying again at {row.deadline:%H:%M:%S} UTC."
    return "", f"{row.title}{f': {doing}' if doing else ''}"


def _queued_behind(turn: Turn, run: Run) -> tuple[str, str]:
    lock = lock_for(turn, run)
    if lock is not None:
        age = _age(turn.now - lock.at)
        what = run.environment if lock.service == ANY_SERVICE else f"{run.service} on {run.environment}"
        why = f"{lock.owner_name} locked {what} {age} ago: {lock.reason or 'no reason given'}."
        why += f" {release_command(run.environment, lock.service)} releases it."
        return f"lock {run.environment}/{lock.service}", why
    other = ahead_of(turn, run)
    if other is None:
        return "", "About to start."
    return (
        other.id,
        f"Queued behind {other.id} ({other.version} by {other.requester_name}, {_age(turn.now - other.created_at)} old).",
    )


def _waits_for(turn: Turn, run: Run, row: StepRow) -> str:
    step = _step_at(turn, run, row)
    if not isinstance(step, Approval):
        return f"Waiting for an answer: {row.title}"
    clicks = standing(turn.ledger.find(Click, run=run.id, index=row.index, plan_hash=run.plan_hash, order="id"))
    slots = assigned(step, clicks).slots
    open_roles = [slot_words(slot) for slot, by in zip(step.slots, slots, strict=True) if not by]
    return f"Waiting for {' and '.join(open_roles)}: {step.title}"


def _step_at(turn: Turn, run: Run, row: StepRow) -> Step:
    segment = segment_of(turn, run, row.segment)
    return list(plan_of(segment).steps())[row.index - segment.first_index]


def _age(age: timedelta) -> str:
    minutes = int(age.total_seconds() // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"


def _buttons(turn: Turn, run: Run) -> dict[str, str]:
    """The buttons that make sense in this state."""
    if run.state == RunState.ENDED:
        return {}
    wanted = {"cancel"} if run.first_effect_at is None or is_beside(run) else {"abort"}
    if run.state != RunState.QUEUED:
        wanted.add("resume" if run.paused_at is not None else "pause")
    if run.state == RunState.HELD:
        wanted.add("retry")
        row = turn.step(run.id, run.position)
        if row is not None and row.kind == "gate":
            wanted.add("override")
    if segment_of(turn, run).procedure != run.procedure:
        wanted &= {"retry"}
    found = {b.action: b.id for b in turn.ledger.find(Button, run=run.id, index=None)}
    return {action: found[action] for action in RUN_BUTTONS if action in wanted and action in found}


def _guards(turn: Turn, run: Run) -> tuple[str, ...]:
    span = watched(turn, run)
    if span is None:
        return ()
    return (*(watch_words(guard) for guard in span.guards), *(ratio_words(ratio) for ratio in span.ratios))


def approval_card(turn: Turn, run: Run, index: int, number: int) -> ApprovalView | None:
    """The card of the approval step at index of the run's segment `number`, in whatever state it is by now."""
    segment = turn.ledger.get(Segment, run.id, number)
    if segment is None:
        return None
    plan = plan_of(segment)
    steps = list(plan.steps())
    step = steps[index - segment.first_index]
    if not isinstance(step, Approval):
        return None
    row = turn.step(run.id, index)
    row = row if row is not None and row.segment == number else None
    clicks = standing(turn.ledger.find(Click, run=run.id, index=index, plan_hash=segment.hash, order="id"))
    state = _card_state(run, segment, row)
    about = plan.about
    release = about.get("release") or {}
    found = turn.ledger.find(Button, run=run.id, index=index, plan_hash=segment.hash)
    return ApprovalView(
        run=run.id,
        index=index,
        title=step.title,
        service=run.service,
        environment=run.environment,
        version=run.version,
        procedure=segment.procedure,
        purpose=step.purpose,
        commit=str(release.get("commit", "")),
        images=tuple(from_json(FrozenImage, image) for image in release.get("images", ())),
        changes_url=str(about.get("changes_url", "")),
        requester=run.requester,
        requester_name=run.requester_name,
        reason=run.reason,
        steps=tuple(s.sentence for s in steps[index - segment.first_index + 1 :]),
        slots=_slots(turn, step, clicks),
        expires_at=row.deadline if row is not None else None,
        plan_hash=segment.hash,
        state=state,
        closing="" if state == "open" or row is None else closing_of(turn, run, row, step),
        changed=_changes_after(turn, run, segment),
        evidence=_evidence_before(turn, run, index),
        migrations=tuple(_migration_words(stored) for stored in about.get("migrations", ())),
        risky=any(not stored["backward_compatible"] for stored in about.get("migrations", ())),
        buttons={b.action: b.id for b in found} if state == "open" else {},
        changes=changes_of(turn, run.id),
    )


def _card_state(run: Run, segment: Segment, row: StepRow | None) -> str:
    if segment.replaced_at is not None or row is None:
        return "void"
    if row.state == StepState.WAITING and run.state != RunState.ENDED:
        return "open"
    if row.state == StepState.DONE:
        return "approved" if row.outcome == Outcome.PASS else row.code.removeprefix("approval.")
    return "dead"


def _slots(turn: Turn, step: Approval, clicks: Sequence[Click]) -> tuple[SlotView, ...]:
    by = {c.actor: c for c in clicks}
    views = []
    for slot, actor in zip(step.slots, assigned(step, clicks).slots, strict=True):
        click = by.get(actor)
        views.append(
            SlotView(
                role=slot_words(slot),
                by=actor,
                by_name=click.actor_name if click is not None else "",
                at=click.at if click is not None else None,
                who=turn.members(*slot),
            )
        )
    return tuple(views)


def _changes_after(turn: Turn, run: Run, segment: Segment) -> tuple[str, ...]:
    if segment.replaced_at is None:
        return ()
    newer = turn.ledger.get(Segment, run.id, segment.number + 1)
    return what_changed(plan_of(segment), plan_of(newer)) if newer is not None else ()


def _evidence_before(turn: Turn, run: Run, index: int) -> tuple[Verdict, ...]:
    rows = [r for r in turn.steps(run.id) if r.index < index and r.verdicts]
    return tuple(v for row in rows[-4:] for v in verdicts_of(row.verdicts))


def plan_view(prepared: Prepared, plan: Plan, plan_hash: str, changes: ChangesView | None = None) -> PlanView:
    steps = list(plan.steps())
    views = tuple(
        StepView(index=i, title=s.title, sentence=s.sentence, state=StepState.PENDING, effect=s.effect)
        for i, s in enumerate(steps)
    )
    approvals = [s for s in steps if isinstance(s, Approval)]
    waits = [f"{s.title}: expires after {s.expires_s / 3600:g} h" for s in approvals]
    waits += [f"{s.title}: {s.duration_s / 60:g} min of observed time" for s in steps if isinstance(s, Observe)]
    return PlanView(
        service=plan.service,
        environment=plan.environment.value,
        version=plan.version,
        procedure=plan.procedure,
        steps=views,
        verdicts=prepared.verdicts,
        hash=plan_hash,
        approvers=tuple(f"{s.title}: {', '.join(slot_words(slot) for slot in s.slots)}" for s in approvals),
        waits=tuple(waits),
        criteria=tuple(
            (row.title, row.words(Promotion.TO_STAGING), row.words(Promotion.TO_PROD))
            for row in (from_json(Criterion, stored) for stored in plan.about.get("criteria", ()))
        ),
        migrations=tuple(_migration_words(stored) for stored in plan.about.get("migrations", ())),
        changes=changes,
    )


def _migration_words(stored: Mapping[str, Any]) -> str:
    """`0007-currency: expand, backward compatible`."""
    compatible = "backward compatible" if stored["backward_compatible"] else "not backward compatible"
    back = "" if stored["backward_compatible"] else (", with a way back" if stored["down"] else ", without a way back")
    return f"{stored['name']}: {stored['stage']}, {compatible}{back}"


def run_line(turn: Turn, run: Run) -> RunLine:
    posted = turn.ledger.get(Posted, f"headline:{run.id}")
    return RunLine(
        id=run.id,
        service=run.service,
        environment=run.environment,
        version=run.version,
        procedure=run.procedure,
        state=run.state,
        ending=run.ending or "",
        why=why_waiting(turn, run)[1] or run.ending_reason,
        requester_name=run.requester_name,
        created_at=run.created_at,
        permalink=posted.permalink if posted is not None else "",
    )


def status(turn: Turn, service: str = "", environment: str = "", seen: Seen | None = None) -> StatusView:
    """service, environment: empty for all. seen: what clusters and GitHub said; None where they weren't asked."""
    wanted = {"service": service, "environment": environment}
    conditions: dict[str, Any] = {name: value for name, value in wanted.items() if value}
    states = [RunState.RUNNING, RunState.WAITING, RunState.HELD]
    active = turn.ledger.find(Run, state=states, order="created_at", **conditions)
    queued = turn.ledger.find(Run, state=RunState.QUEUED, order="number", **conditions)
    ended = turn.ledger.find(Run, state=RunState.ENDED, order="-ended_at", limit=RECENT, **conditions)
    newest: dict[tuple[str, str], Decision] = {}
    for decision in turn.ledger.find(Decision, order="-at", limit=200, result=_SHOWN, **conditions):
        newest.setdefault((decision.service, decision.environment), decision)
    lines = tuple(run_line(turn, r) for r in active)
    return StatusView(
        active=lines,
        queued=tuple(run_line(turn, r) for r in queued),
        recent=tuple(run_line(turn, r) for r in ended),
        locks=tuple(lock for lock in turn.ledger.find(Lock) if environment in ("", lock.environment)),
        decisions=tuple(newest.values()),
        now=turn.now,
        freezes=tuple(
            freezes.view_of(row)
            for row in freezes.freezes_of(turn.ledger, turn.now)
            if environment in ("", row.environment)
        ),
        incidents=tuple(
            incidents.view_of(turn, row)
            for row in incidents.open_rows(turn.ledger, **({"environment": environment} if environment else {}))
            if service in ("", row.service) or not row.service
        ),
        places=tuple(p for p in place_views(turn, service, seen) if environment in ("", p.environment)),
        waiting=waits_of(turn, active, [why_waiting(turn, r)[1] for r in active]),
    )


def audit_view(turn: Turn, subject: str = "", limit: int = 20) -> AuditView:
    """The newest entries, oldest of them first. subject: a run's id; its steps' entries belong to it."""
    if not subject:
        entries = turn.ledger.find(Sealed, order="-seq", limit=limit)
        return AuditView(entries=tuple(reversed(entries)), total=turn.ledger.count(Sealed))
    subjects = [subject, *(f"{subject}/{row.index}" for row in turn.steps(subject))]
    entries = turn.ledger.find(Sealed, order="-seq", limit=limit, subject=subjects)
    return AuditView(entries=tuple(reversed(entries)), total=turn.ledger.count(Sealed, subject=subjects))

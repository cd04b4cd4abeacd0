"""What a run does next: one transaction that looks at its rows, moves them as far as it can without I/O, and says what is to be done.

The answer is an `Action` for the driver. Pure but for the ledger: it may be asked any number of times.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from engine.approvals import open_approval, settle, standing
from engine.checklists import open_checklist, settle_checklist
from engine.choices import looked_at, open_choice, settle_choice
from engine.endings import stop_command
from engine.incident_updates import update_incident
from engine.journal import Turn, append_segment, plan_of, segment_of, step_of
from engine.lanes import escalated_to, is_of_database, is_of_dev, responsible
from engine.lifecycle import Continuations, close_plan, end_run, leave_plan, on_way_back, verdicts_of, way_back
from engine.notes import Note, Tone
from engine.prompts import WENT_ON, ask_about_step
from engine.queue import ahead_of, lock_for
from engine.records import Click, Decision, Ending, Run, RunState, StepRow, StepState
from runbook.plan import CONTINUE, HOLD, PROMPT, STOP, Result, Step, Work, to_json
from runbook.steps.control import Announce, Approval, Checklist, Choice, RecordDecision, Replan, UpdateIncident
from runbook.values import Role
from runbook.verdicts import Outcome


@dataclass(frozen=True)
class Perform:
    """Carry out this work step; then `finish`."""

    run: Run
    row: StepRow
    step: Work


@dataclass(frozen=True)
class Remake:
    """Make the plan anew from the world as it is, before the run goes on."""

    run: Run


@dataclass(frozen=True)
class Wait:
    """until: the next deadline, or None for a wake-up alone."""

    until: datetime | None = None


@dataclass(frozen=True)
class Ended:
    run: Run


Action = Perform | Remake | Wait | Ended

MOST_REASONS = 4

UNFORESEEN = "engine.unforeseen"
"""The code of a bug: it is on-call who hears of it, but not of one in a deployment to dev."""

AHEAD = ("rollback",)
"""Procedures that no lock holds up."""

STORE_TROUBLE_LOOK = timedelta(seconds=1)
"""How often what may not begin because the store is in trouble looks again."""


def next_action(turn: Turn, run_id: str, continuations: Continuations, *, remade: bool, may_begin: bool) -> Action:
    """remade: the plan was just made anew. may_begin: False while the store is in trouble: then no new step starts."""
    while True:
        run = turn.run(run_id)
        if run is None or run.state == RunState.ENDED:
            return Ended(run) if run is not None else Wait()
        if run.interrupt is not None:
            _interrupted(turn, run, continuations)
            continue
        if run.state == RunState.QUEUED:
            if not may_begin:
                return Wait(turn.now + STORE_TROUBLE_LOOK)
            if not _may_start(turn, run):
                return Wait()
            continue
        action = _at_position(turn, run, continuations, remade=remade, may_begin=may_begin)
        if action is not None:
            return action


def _interrupted(turn: Turn, run: Run, continuations: Continuations) -> None:
    why: dict[str, Any] = run.interrupt
    verdicts = verdicts_of(why.get("verdicts", ()))
    leave_plan(
        turn, run, why.get("procedure") or way_back(run), why["code"], why["reason"], verdicts, continuations,
        decided_at=why.get("decided_at", ""),
    )  # fmt: skip


def _may_start(turn: Turn, run: Run) -> bool:
    locked = lock_for(turn, run) is not None and run.procedure not in AHEAD
    if locked or ahead_of(turn, run) is not None:
        turn.show(run)
        return False
    turn.save_run(run, state=RunState.RUNNING)
    turn.audit("run.started", run.id, what=f"{run.version} on {run.environment}")
    turn.show(run)
    return True


def _at_position(turn: Turn, run: Run, continuations: Continuations, *, remade: bool, may_begin: bool) -> Action | None:
    """None: something moved, look again."""
    row = turn.step(run.id, run.position)
    if row is None:
        close_plan(turn, run)
        return None
    step = step_of(turn, run, row)
    match row.state:
        case StepState.PENDING:
            return _begin(turn, run, row, step, continuations, remade=remade, may_begin=may_begin)
        case StepState.RUNNING if isinstance(step, Work):
            return Perform(run, row, step)
        case StepState.WAITING:
            return _waiting(turn, run, row, step)
        case StepState.HELD:
            return _held(turn, run, row)
        case _:
            _after(turn, run, row, step, continuations)
            return None


def _begin(
    turn: Turn, run: Run, row: StepRow, step: Step, continuations: Continuations, *, remade: bool, may_begin: bool
) -> Action | None:
    back = on_way_back(turn, run)
    if run.paused_at is not None and not back:
        return Wait()
    if not may_begin and not back:
        return Wait(turn.now + STORE_TROUBLE_LOOK)
    if row.deadline is not None and row.deadline > turn.now:  # between two attempts
        return Wait(row.deadline)
    if run.first_effect_at is None and not remade and not back:
        return Remake(run)
    if isinstance(step, Work):
        return _begin_work(turn, run, row, step)
    _begin_control(turn, run, row, step, continuations)
    return None


def _begin_work(turn: Turn, run: Run, row: StepRow, step: Work) -> Action:
    row = turn.save_step(
        row, state=StepState.RUNNING, attempt=row.attempt + 1, tries=row.tries + 1, started_at=turn.now, deadline=None,
        finished_at=None,
        outcome=None, code="", reason="",
    )  # fmt: skip
    changes: dict[str, Any] = {"state": RunState.RUNNING}
    if step.effect and run.first_effect_at is None:
        changes["first_effect_at"] = turn.now
    run = turn.save_run(run, **changes)
    turn.audit("step.started", f"{run.id}/{row.index}", what=step.title, evidence={"attempt": row.attempt})
    turn.show(run)
    return Perform(run, row, step)


def _begin_control(turn: Turn, run: Run, row: StepRow, step: Step, continuations: Continuations) -> None:
    match step:
        case Approval():
            open_approval(turn, run, row, step)
        case Announce():
            _announce(turn, run, step)
            _done(turn, row)
        case RecordDecision():
            _record(turn, run, step)
            _done(turn, row)
        case Choice():
            open_choice(turn, run, row, step)
        case Checklist():
            open_checklist(turn, run, row, step)
        case UpdateIncident():
            update_incident(turn, run, step)
            _done(turn, row)
        case Replan():
            _replan(turn, run, row, step, continuations)
        case _:
            raise LookupError(f"no part of the engine carries out a step of kind {step.kind}")


def _done(turn: Turn, row: StepRow) -> None:
    turn.save_step(
        row, state=StepState.DONE, outcome=Outcome.PASS, attempt=1, started_at=turn.now, finished_at=turn.now
    )


def _announce(turn: Turn, run: Run, step: Announce) -> None:
    name = f"{run.service} {run.version} on {run.environment}"
    titles = {
        "started": (
            Tone.INFO,
            f"{run.id}: {name} has begun" if is_of_database(run.procedure) else f"{run.id}: deploying {name}",
        ),
        "contracted": (Tone.GOOD, f"{run.id}: the contract migrations of {name} are done"),
        "completed": (Tone.GOOD, f"{run.id}: {name} got its go"),
        "validated": (Tone.GOOD, f"{run.id}: {name} is validated"),
        "phase": (Tone.INFO, f"{run.id}: {name}: {step.title}"),
        "released": (Tone.GOOD, f"{run.id}: {name} is released; all gates passed and no trigger was met"),
        "backed_up": (Tone.GOOD, f"{run.id}: {name} is made and published"),
        "drilled": (Tone.GOOD, f"{run.id}: {name} has passed"),
        "restore_started": (
            Tone.WARN,
            f"{run.id}: {run.service} on {run.environment} is being restored, beside the database in use",
        ),
        "not_restored": (Tone.BAD, f"{run.id}: {run.service} on {run.environment} was not restored"),
        "restored": (Tone.GOOD, f"{run.id}: {run.service} on {run.environment} is restored and signed off"),
        "rolled_back": (Tone.BAD, f"{run.id}: {name} is rolled back"),
        "returned": (Tone.BAD, f"{run.id}: {run.environment} has returned to the previous state"),
    }
    tone, title = titles.get(step.moment, (Tone.INFO, f"{run.id}: {step.moment}"))
    subject = f"announce:{step.moment}" + (f":{run.position}" if step.moment == "phase" else "")
    turn.note(run, subject, Note(tone=tone, title=title, text=run.ending_reason), broadcast=True)
    turn.audit("announced", run.id, what=step.title if step.moment == "phase" else step.moment)


def _record(turn: Turn, run: Run, step: RecordDecision) -> None:
    first = plan_of(segment_of(turn, run, 1 if on_way_back(turn, run) else run.segment))
    clicks = standing(turn.ledger.find(Click, run=run.id, order="id"))
    approvers = [{"actor": c.actor, "name": c.actor_name, "roles": c.roles, "decision": c.decision} for c in clicks]
    decision = Decision(
        run=run.id, service=run.service, environment=run.environment, version=run.version, result=step.result,
        release=first.about.get("release"), approvers=approvers, at=turn.now,
    )  # fmt: skip
    turn.ledger.save(decision)
    turn.audit("decision.recorded", run.id, what=f"{step.result} for {run.version}", why=run.ending_reason,
               evidence={"release": decision.release, "approvers": approvers})  # fmt: skip


def _replan(turn: Turn, run: Run, row: StepRow, step: Replan, continuations: Continuations) -> None:
    _done(turn, row)
    plan = continuations[step.procedure](plan_of(segment_of(turn, run)), run.facts)
    if plan is None:
        turn.save_run(run, position=row.index + 1)
        return
    rows = turn.steps(run.id)
    for later in rows:
        if later.index > row.index:
            turn.save_step(later, state=StepState.SKIPPED, code="replanned")
    append_segment(turn, run, plan, rows[-1].index + 1)
    turn.audit("plan.appended", run.id, what=step.procedure)


def _waiting(turn: Turn, run: Run, row: StepRow, step: Step) -> Action | None:
    if isinstance(step, Choice):
        settled = settle_choice(turn, run, row, step)
        return Wait(looked_at(turn, settled)) if settled.state == StepState.WAITING else None
    if isinstance(step, Checklist):
        ticked = settle_checklist(turn, run, row, step)
        return Wait(ticked.deadline) if ticked.state == StepState.WAITING else None
    assert isinstance(step, Approval)  # noqa: S101 - only these three wait
    settled = settle(turn, run, row, step)
    return Wait(row.deadline) if settled.state == StepState.WAITING else None


def _held(turn: Turn, run: Run, row: StepRow) -> Action:
    """A hold reminds, then escalates to on-call (in dev to the service's own people). Its timer never rolls back."""
    if row.deadline is None or row.deadline > turn.now:
        return Wait(row.deadline)
    waiting = turn.setting.policy.waiting
    since = turn.now - (row.finished_at or turn.now)
    if row.escalation == 0:
        left = max(waiting.hold_escalate_s - waiting.hold_remind_s, 1.0)
        deadline = turn.now + timedelta(seconds=left)
        who, title = turn.members(*responsible(run, Role.RELEASE_ENGINEER)), f"{run.id} is still held: {row.title}"
    else:
        deadline = None
        who, title = (
            turn.members(*escalated_to(run)),
            f"{run.id} has been held for {since.total_seconds() / 60:.0f} minutes: {row.title}",
        )
    note = Note(tone=Tone.ASK, title=title, text=row.reason, mention=who)
    turn.note(run, f"hold:{row.index}:{row.segment}:{row.attempt}:{row.escalation + 1}", note, broadcast=True)
    turn.audit(
        "hold.reminded" if row.escalation == 0 else "hold.escalated",
        f"{run.id}/{row.index}",
        what=row.title,
        why=row.reason,
    )
    turn.save_step(row, escalation=row.escalation + 1, deadline=deadline)
    return Wait(deadline)


def finish(turn: Turn, run_id: str, index: int, attempt: int, result: Result) -> None:
    """Records what a work step found. Ignored when the run has moved on since: no late write lands."""
    run, row = turn.run(run_id), turn.step(run_id, index)
    if run is None or row is None or row.state != StepState.RUNNING or row.attempt != attempt or run.position != index:
        return
    step = step_of(turn, run, row)
    outcome = result.outcome
    decisive = [v for v in result.verdicts if v.binding and v.outcome is not Outcome.PASS]
    first = next((v for v in result.verdicts if v.binding and v.outcome is outcome), None)
    code, reason = (first.code, first.reason) if first is not None else ("ok", "")
    binding = sum(1 for v in result.verdicts if v.binding)
    if outcome is Outcome.PASS and binding > MOST_REASONS:
        reason = f"all {binding} checks passed"
    elif outcome is not Outcome.PASS:
        reason = _sentence([v.reason for v in sorted(decisive, key=lambda v: v.outcome is not outcome)])
    verdicts = [to_json(v) for v in result.verdicts]
    run = turn.save_run(run, facts={**run.facts, **result.facts})
    row = turn.save_step(row, outcome=outcome, code=code, reason=reason, verdicts=verdicts, finished_at=turn.now)
    turn.audit("step.finished", f"{run.id}/{index}", what=f"{step.title}: {outcome}", why=reason, evidence=verdicts)
    if outcome is Outcome.ERROR and row.tries <= step.retries:
        again = turn.now + timedelta(seconds=step.retry_wait_s * 2 ** (row.tries - 1))
        turn.save_step(row, state=StepState.PENDING, deadline=again)
        turn.show(run)
        return
    if outcome in (Outcome.PASS, Outcome.FAIL) or step.on_fail == CONTINUE:
        turn.save_step(row, state=StepState.DONE, deadline=None)
        if not (outcome is Outcome.FAIL and step.on_fail == HOLD):
            _tell(turn, run, row, result)
            _draw(turn, run, row, result)
            turn.show(run)
            return
    hold(turn, run, row, result)
    _draw(turn, run, row, result)


def _draw(turn: Turn, run: Run, row: StepRow, result: Result) -> None:
    for number, chart in enumerate(result.charts, 1):
        turn.picture(run, f"step:{row.index}:{row.segment}:{row.attempt}:{number}", chart)


def _sentence(reasons: list[str]) -> str:
    """What decides comes first; the rest is beneath, with its evidence: a headline isn't the place for twenty reasons."""
    more = len(reasons) - MOST_REASONS
    return "; ".join([*reasons[:MOST_REASONS], *([f"and {more} more"] if more > 0 else [])])


def _tell(turn: Turn, run: Run, row: StepRow, result: Result) -> None:
    tone = Tone.GOOD if row.outcome == Outcome.PASS else Tone.BAD
    title = f"{row.title}: {'passed' if row.outcome == Outcome.PASS else row.outcome}"
    note = Note(tone=tone, title=title, text=row.reason if tone is Tone.BAD else "", verdicts=result.verdicts)
    turn.note(run, f"step:{row.index}:{row.segment}:{row.attempt}", note)


def hold(turn: Turn, run: Run, row: StepRow, result: Result) -> None:
    """Nothing goes on until a person retries or aborts; guards stay active."""
    deadline = turn.now + timedelta(seconds=turn.setting.policy.waiting.hold_remind_s)
    turn.save_step(row, state=StepState.HELD, deadline=deadline, escalation=0, finished_at=turn.now)
    turn.save_run(run, state=RunState.HELD)
    turn.audit("step.held", f"{run.id}/{row.index}", what=row.title, why=row.reason)
    is_grave = row.code == UNFORESEEN and not is_of_dev(run)
    who = (Role.ON_CALL, Role.RELEASE_ENGINEER) if is_grave else responsible(run, Role.RELEASE_ENGINEER)
    note = Note(
        tone=Tone.ASK, title=f"{run.id} is held: {row.title}", text=f"{row.reason}\nRetry it, or {stop_command(run)} the run.",
        verdicts=result.verdicts, mention=turn.members(*who),
    )  # fmt: skip
    turn.note(run, f"held:{row.index}:{row.segment}:{row.attempt}", note, broadcast=True)
    turn.show(run)


def _after(turn: Turn, run: Run, row: StepRow, step: Step, continuations: Continuations) -> None:
    """The step at the position is done: go on, or do what its `on_fail` says."""
    passed = row.outcome != Outcome.FAIL or row.state == StepState.SKIPPED or row.code == WENT_ON
    if passed or step.on_fail == CONTINUE:
        turn.save_run(run, position=row.index + 1, state=RunState.RUNNING)
        return
    on_fail = row.progress["on_fail"] if isinstance(step, Choice) else step.on_fail
    if on_fail == STOP:
        end_run(turn, run, Ending.FAILED, row.code, f"{row.title}: {row.reason}")
    elif on_fail == PROMPT:
        ask_about_step(turn, run, row)
    else:
        name = on_fail.removeprefix("procedure:")
        leave_plan(turn, run, name, row.code, f"{row.title}: {row.reason}", verdicts_of(row.verdicts), continuations)

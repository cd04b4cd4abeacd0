"""Choices: one person of a role picks an option; without an answer by the deadline the default is taken, or it holds."""

from __future__ import annotations

from datetime import timedelta

from engine.answers import Answer, done, refused
from engine.journal import Turn, add_buttons, step_of
from engine.notes import Note, Tone
from engine.records import Run, RunState, StepRow, StepState
from runbook.authority import may_fill
from runbook.plan import procedure
from runbook.steps.control import Choice, Option
from runbook.values import FORGE, Actor, Role
from runbook.verdicts import Outcome


def open_choice(turn: Turn, run: Run, row: StepRow, step: Choice) -> None:
    deadline = turn.now + timedelta(seconds=step.deadline_s)
    turn.save_step(row, state=StepState.WAITING, attempt=row.attempt + 1, started_at=turn.now, deadline=deadline)
    turn.save_run(run, state=RunState.WAITING)
    add_buttons(turn, run, tuple(f"choose:{option.name}" for option in step.options), row.index)
    turn.audit("choice.opened", run.id, what=step.title, evidence={"options": [o.name for o in step.options]})
    labels = "\n".join(f"• {option.label}" for option in step.options)
    note = Note(tone=Tone.ASK, title=f"{run.id}: {step.title}", text=labels, mention=turn.members(step.role))
    turn.note(run, f"choice:{row.index}:{row.segment}", note, broadcast=True)
    turn.show(run)


def choose(turn: Turn, run: Run, row: StepRow, actor: Actor, name: str) -> Answer:
    step = step_of(turn, run, row)
    if not isinstance(step, Choice) or row.state != StepState.WAITING or run.state == RunState.ENDED:
        return refused("choice.closed", f"Already decided: {row.reason or 'the run has gone on'}.", run=run.id)
    verdict = may_fill((step.role,), actor, "")
    if verdict.outcome is not Outcome.PASS:
        turn.audit("choice.refused", run.id, actor, what=name, why=verdict.reason)
        return refused(verdict.code, verdict.reason, verdict.remedy, run=run.id)
    option = next((o for o in step.options if o.name == name), None)
    if option is None:
        return refused("choice.unknown", f"{name} is no option here.", run=run.id)
    take(turn, run, row, option, actor)
    return done("choice.made", f"{run.id} goes on with: {option.label}.", run=run.id)


def take(turn: Turn, run: Run, row: StepRow, option: Option, actor: Actor) -> StepRow:
    turn.audit("choice.made", run.id, actor, what=option.label)
    who = "by default, nobody answered" if actor is FORGE else f"by {actor.name}"
    turn.show(run)
    return turn.save_step(
        row,
        state=StepState.DONE,
        outcome=Outcome.FAIL if option.procedure else Outcome.PASS,
        code=f"choice.{option.name}",
        reason=f"{option.label}, {who}",
        progress={"on_fail": procedure(option.procedure)} if option.procedure else None,
        finished_at=turn.now,
        deadline=None,
    )


def settle_choice(turn: Turn, run: Run, row: StepRow, step: Choice) -> StepRow:
    """Takes the default when the deadline has come; without a default it holds and escalates."""
    if row.deadline is None or row.deadline > turn.now:
        return row
    option = next((o for o in step.options if o.name == step.default), None)
    if option is not None:
        return take(turn, run, row, option, FORGE)
    note = Note(
        tone=Tone.ASK, title=f"{run.id} still waits: {step.title}", mention=turn.members(step.role, Role.ON_CALL)
    )
    turn.note(run, f"choice:{row.index}:{row.segment}:late", note, broadcast=True)
    return turn.save_step(row, deadline=None)

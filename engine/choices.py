"""Choices: one person of a role picks an option; without an answer by the deadline the default is taken, or it goes on waiting.

It reminds the role, then on-call too, ever more seldom; a reminder decides nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from engine.answers import Answer, done, refused
from engine.journal import Turn, add_buttons, step_of
from engine.notes import Note, Tone
from engine.records import Outgoing, Run, RunState, StepRow, StepState
from runbook.authority import may_fill
from runbook.plan import procedure
from runbook.steps.control import Choice, Option
from runbook.values import FORGE, Actor, Role
from runbook.verdicts import Outcome
from runbook.wording import duration


def open_choice(turn: Turn, run: Run, row: StepRow, step: Choice) -> None:
    deadline = turn.now + timedelta(seconds=step.deadline_s)
    row = turn.save_step(
        row, state=StepState.WAITING, attempt=row.attempt + 1, started_at=turn.now, deadline=deadline, escalation=0
    )
    turn.save_run(run, state=RunState.WAITING)
    add_buttons(turn, run, tuple(f"choose:{option.name}" for option in step.options), row.index)
    turn.audit("choice.opened", run.id, what=step.title, evidence={"options": [o.name for o in step.options]})
    show_choice(turn, run, row)
    turn.show(run)


def show_choice(turn: Turn, run: Run, row: StepRow) -> None:
    """Its card, drawn from the rows when it is sent: first as a broadcast in the run's thread, then in place."""
    subject = f"choice:{run.id}:{row.index}:{row.segment}"
    if not turn.ledger.count(Outgoing, subject=subject, state="pending"):
        turn.ledger.add(Outgoing(subject=subject, kind="view", run=run.id, broadcast=True, created_at=turn.now))


def choose(turn: Turn, run: Run, row: StepRow, actor: Actor, name: str) -> Answer:
    step = step_of(turn, run, row)
    if not isinstance(step, Choice) or row.state != StepState.WAITING or run.state == RunState.ENDED:
        return refused("choice.closed", f"Already decided: {closing_of(run, row)}.", run=run.id)
    if run.interrupt is not None:
        return refused("choice.closed", f"{run.id} is being stopped already.", run=run.id)
    verdict = may_fill((step.role,), actor, "")
    if verdict.outcome is not Outcome.PASS:
        turn.audit("choice.refused", run.id, actor, what=name, why=verdict.reason)
        return refused(verdict.code, verdict.reason, verdict.remedy, run=run.id)
    option = next((o for o in step.options if o.name == name), None)
    if option is None:
        return refused("choice.unknown", f"{name} is no option here.", run=run.id)
    take(turn, run, row, option, actor)
    return done("choice.made", f"{run.id} goes on with: {option.label}.", run=run.id)


def closing_of(run: Run, row: StepRow) -> str:
    """Why its buttons are dead."""
    if row.code.startswith("choice."):
        return row.reason
    return run.ending_reason or "the run has gone on"


def take(turn: Turn, run: Run, row: StepRow, option: Option, actor: Actor) -> StepRow:
    turn.audit("choice.made", run.id, actor, what=option.label)
    who = "by default, nobody answered" if actor is FORGE else f"by {actor.name}"
    row = turn.save_step(
        row,
        state=StepState.DONE,
        outcome=Outcome.FAIL if option.procedure else Outcome.PASS,
        code=f"choice.{option.name}",
        reason=f"{option.label}, {who}",
        progress={"on_fail": procedure(option.procedure)} if option.procedure else None,
        finished_at=turn.now,
        deadline=None,
    )
    show_choice(turn, run, row)
    turn.show(run)
    return row


def looked_at(turn: Turn, row: StepRow) -> datetime:
    """When a waiting choice has to be looked at again: its deadline, or its next reminder."""
    reminder = _reminder(turn, row)
    return reminder if row.deadline is None else min(row.deadline, reminder)


def settle_choice(turn: Turn, run: Run, row: StepRow, step: Choice) -> StepRow:
    """Takes the default when the deadline has come; without a default it goes on waiting, and people are told."""
    if row.deadline is not None and row.deadline <= turn.now:
        option = next((o for o in step.options if o.name == step.default), None)
        if option is not None:
            return take(turn, run, row, option, FORGE)
        row = turn.save_step(row, deadline=None)
        return _remind(turn, run, row, step, late=True)
    return _remind(turn, run, row, step) if _reminder(turn, row) <= turn.now else row


def _reminder(turn: Turn, row: StepRow) -> datetime:
    """Each reminder comes after twice the time: 15 minutes, half an hour, an hour, …"""
    first_s = turn.setting.policy.prod.choice_remind_s
    return (row.started_at or turn.now) + timedelta(seconds=first_s * 2**row.escalation)


def _remind(turn: Turn, run: Run, row: StepRow, step: Choice, *, late: bool = False) -> StepRow:
    while _reminder(turn, row) <= turn.now:  # of those that were missed while nobody looked one is told
        row = turn.save_step(row, escalation=row.escalation + 1)
    roles = (step.role,) if row.escalation <= 1 and not late else (step.role, Role.ON_CALL)
    since = duration(round((turn.now - (row.started_at or turn.now)).total_seconds()))
    labels = "\n".join(f"• {option.label}" for option in step.options)
    text = f"Asked {since} ago. The buttons are in the run's thread.\n{labels}"
    note = Note(tone=Tone.ASK, title=f"{run.id} still waits: {step.title}", text=text, mention=turn.members(*roles))
    turn.note(run, f"choice:{row.index}:{row.segment}:{turn.now.isoformat()}", note, broadcast=True)
    show_choice(turn, run, row)  # the minutes at stake have grown
    turn.audit("choice.reminded", run.id, what=step.title, evidence={"roles": [role.value for role in roles]})
    return row

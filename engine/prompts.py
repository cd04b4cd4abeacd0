"""Prompts to on-call: the rows, from opened to closed. A guard or a step asks whether to roll back, and until when it waits for an answer.

Every change here is part of the caller's transaction, with its audit entry and what people see. It never rolls back by itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from engine.journal import Turn, plan_of, segment_of
from engine.records import Button, Outgoing, Prompt, Run, RunState, StepRow, StepState
from engine.spans import all_guards
from runbook.plan import from_json, to_json
from runbook.values import FORGE, Actor
from runbook.verdicts import Verdict
from runbook.wording import duration

GUARD, STEP = "guard", "step"
OPEN, ROLLED_BACK, CONTINUED, CLOSED, OVER = "open", "rolled_back", "continued", "closed", "over"
"""OVER: on-call let the run go on, and the condition has cleared since, or the run is over: the same guard may ask again."""

BUTTONS = ("rollback", "extend", "continue")

WENT_ON = "prompt.continued"
"""The code of a failed step past which on-call let the run go."""

TRIGGERS = "triggers"
"""The fact that completion is judged by: rollback triggers that were met in a run that went on, as {name, at, reason}."""

STEP_TRIGGERS = {"verify_migrations": "migration_regression"}
"""Which of the Rollback Triggers a failed step stands for, by its kind; else the kind itself."""


def open_prompt(
    turn: Turn,
    run: Run,
    *,
    kind: str,
    subject: str,
    trigger: str,
    reason: str,
    verdicts: Sequence[Verdict],
    mitigate_s: float,
) -> Prompt:
    """A new question to on-call with its card and buttons. subject: the guard's name, or the step's index as text."""
    number = turn.ledger.count(Prompt, run=run.id) + 1
    prompt = Prompt(
        id=f"{run.id}/p{number}", run=run.id, number=number, kind=kind, subject=subject, trigger=trigger,
        segment=run.segment, reason=reason, verdicts=[to_json(v) for v in verdicts], opened_at=turn.now,
        deadline=turn.now + timedelta(seconds=mitigate_s),
    )  # fmt: skip
    turn.ledger.add(prompt)
    met = {"name": subject if kind == GUARD else trigger, "at": turn.now.isoformat(), "reason": reason}
    run = turn.save_run(run, facts={**run.facts, TRIGGERS: [*run.facts.get(TRIGGERS, ()), met]})
    for action in BUTTONS:
        turn.ledger.add(
            Button(
                id=secrets.token_urlsafe(12), action=action, run=run.id, index=-number, plan_hash=run.plan_hash,
                argument={"prompt": prompt.id}, created_at=turn.now,
            )
        )  # fmt: skip
    evidence = {"prompt": prompt.id, "deadline": prompt.deadline.isoformat(), "verdicts": prompt.verdicts}
    turn.audit("prompt.opened", run.id, what=f"on-call is asked whether to roll back: {trigger}", why=reason,
               evidence=evidence)  # fmt: skip
    show_prompt(turn, prompt)
    turn.show(run)
    return prompt


def ask_about_step(turn: Turn, run: Run, row: StepRow) -> None:
    """A step failed whose failure is for on-call to judge: the run is held meanwhile."""
    turn.save_step(row, state=StepState.HELD, deadline=None, escalation=0)
    run = turn.save_run(run, state=RunState.HELD)
    turn.audit("step.held", f"{run.id}/{row.index}", what=row.title, why=row.reason)
    open_prompt(
        turn, run, kind=STEP, subject=str(row.index), trigger=STEP_TRIGGERS.get(row.kind, row.kind),
        reason=f"{row.title}: {row.reason}", verdicts=[from_json(Verdict, v) for v in row.verdicts],
        mitigate_s=_planned_mitigate_s(turn, run, run.segment),
    )  # fmt: skip


def show_prompt(turn: Turn, prompt: Prompt) -> None:
    """Its card, drawn from the row when it is sent: first as a broadcast in the run's thread, then in place."""
    subject = f"prompt:{prompt.run}:{prompt.number}"
    if not turn.ledger.count(Outgoing, subject=subject, state="pending"):
        row = Outgoing(subject=subject, kind="view", run=prompt.run, broadcast=True, created_at=turn.now)
        turn.ledger.add(row)


def close_prompt(turn: Turn, prompt: Prompt, state: str, reason: str, actor: Actor = FORGE) -> Prompt:
    """reason: a sentence that stands in the buttons' place."""
    closed = replace(
        prompt, state=state, answered_by=actor.id, answered_by_name=actor.name, answer_reason=reason, answered_at=turn.now
    )  # fmt: skip
    turn.ledger.save(closed)
    turn.audit(
        f"prompt.{state}", prompt.run, actor, role=role_of(turn, actor), what=prompt.reason, why=reason,
        evidence={"prompt": prompt.id},
    )  # fmt: skip
    show_prompt(turn, closed)
    return closed


def role_of(turn: Turn, actor: Actor) -> str:
    """In which of the roles that may answer somebody does."""
    return ", ".join(sorted(role.value for role in actor.roles & set(turn.setting.policy.commands.get("rollback", ()))))


def close_prompts(turn: Turn, run: Run, reason: str, *, kind: str | None = None) -> None:
    """All open ones of the run: it goes on without an answer. kind: only those. What was let go on is over with it."""
    conditions: dict[str, Any] = {} if kind is None else {"kind": kind}
    for prompt in open_prompts(turn, run, **conditions):
        close_prompt(turn, prompt, CLOSED, reason)
    for prompt in turn.ledger.find(Prompt, run=run.id, state=CONTINUED) if kind is None else ():
        turn.ledger.save(replace(prompt, state=OVER))


def open_prompts(turn: Turn, run: Run, **conditions: Any) -> list[Prompt]:
    return turn.ledger.find(Prompt, run=run.id, state=OPEN, order="number", **conditions)


def newest_about(turn: Turn, run: Run, subject: str) -> Prompt | None:
    """The last time that this guard asked in this segment of the run."""
    found = turn.ledger.find(Prompt, run=run.id, segment=run.segment, subject=subject, order="-number", limit=1)
    return found[0] if found else None


def mitigate_s_of(turn: Turn, run: Run, prompt: Prompt) -> float:
    """How long on-call has to mitigate: as the guard in the plan says, or the plan itself."""
    for _, _, span in plan_of(segment_of(turn, run, prompt.segment)).spans() if prompt.kind == GUARD else ():
        for guard in all_guards(span):
            if guard.name == prompt.subject:
                return guard.mitigate_s
    return _planned_mitigate_s(turn, run, prompt.segment)


def _planned_mitigate_s(turn: Turn, run: Run, segment: int) -> float:
    """As it was when the plan was made: an edit of the policy changes no release under way. A plan that doesn't say has the policy's."""
    durations = plan_of(segment_of(turn, run, segment)).about.get("durations")
    planned = durations.get("mitigate_s") if isinstance(durations, Mapping) else None
    return float(planned) if isinstance(planned, int | float) else turn.setting.policy.prod.mitigate_s


def shift_prompts(turn: Turn, runs: Sequence[Run], jump: timedelta) -> None:
    """The wall clock jumped: what is left to answer in stays."""
    for run in runs:
        for prompt in open_prompts(turn, run):
            reminded_at = prompt.reminded_at + jump if prompt.reminded_at is not None else None
            turn.ledger.save(
                replace(
                    prompt,
                    opened_at=prompt.opened_at + jump,
                    deadline=prompt.deadline + jump,
                    reminded_at=reminded_at,
                )
            )


def due_at(prompt: Prompt, remind_every_s: float) -> datetime:
    """When something is to be done about an open prompt: its next reminder, or its deadline."""
    return min(prompt.deadline, (prompt.reminded_at or prompt.opened_at) + timedelta(seconds=remind_every_s))


def closing_of(prompt: Prompt, *, timed: bool = True) -> str:
    """Why its buttons are dead, with who decided. timed: with the moment in UTC; a card shows it in the reader's own time."""
    at = f" at {prompt.answered_at:%H:%M} UTC" if timed and prompt.answered_at is not None else ""
    by = f" by {prompt.answered_by_name}" if prompt.answered_by != FORGE.id else ""
    match prompt.state:
        case "rolled_back":
            return f"Rolled back{by}{at}: {prompt.answer_reason}"
        case "continued" | "over":
            return f"{prompt.answered_by_name} let it go on{at}: {prompt.answer_reason}"
        case "closed":
            return f"Closed{at}: {prompt.answer_reason}"
    return ""


def waited(prompt: Prompt, now: datetime) -> str:
    return duration(round((now - prompt.opened_at).total_seconds()))

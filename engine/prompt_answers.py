"""What becomes of a prompt: on-call's click, a reminder, or the deadline at which it is rolled back unanswered. One transaction each.

Runbook: Rollback Triggers, "on-call/service owner cannot mitigate within 15 minutes".
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from engine import controls
from engine.answers import Answer, AnswerKind, done, info, refused
from engine.intents import Intent
from engine.journal import Turn
from engine.lifecycle import on_way_back, way_back
from engine.notes import Note, Tone
from engine.prompts import (
    CLOSED,
    CONTINUED,
    OPEN,
    ROLLED_BACK,
    STEP,
    WENT_ON,
    close_prompt,
    closing_of,
    due_at,
    mitigate_s_of,
    role_of,
    show_prompt,
    waited,
)
from engine.records import Button, Prompt, Run, RunState, StepState
from engine.spans import watched
from runbook.values import Actor, Role
from runbook.wording import duration

UNANSWERED = "prompt.unanswered"


def press(turn: Turn, intent: Intent, actor: Actor, run: Run) -> Answer:
    """One of a prompt's buttons; who may is known by now. Fulfils what `operations.ON_RUN` asks for."""
    button = turn.ledger.get(Button, intent.button) if intent.button else None
    prompt = turn.ledger.get(Prompt, (button.argument or {}).get("prompt", "")) if button is not None else None
    if prompt is None:
        return refused(
            "prompt.none", f"Nobody is asked about {run.id} by this.", f"`/forge status {run.id}`", run=run.id
        )
    if not actor.can_decide:
        return refused(
            "authority.slack_only", "The command line can't do this: it takes a person in Slack.", run=run.id
        )
    if prompt.state != OPEN:
        where = (
            f"`/forge status {run.id}` shows where it is; `/forge rollback {run.environment}` rolls back at any time."
        )
        return refused("prompt.closed", f"This button is dead. {closing_of(prompt)}.", where, run=run.id)
    if run.interrupt is not None:
        return info("prompt.stopping", f"{run.id} is being stopped already.", run=run.id)
    match intent.name:
        case "rollback":
            return _roll_back(turn, run, prompt, actor)
        case "extend":
            return _extend(turn, run, prompt, actor)
    return _go_on(turn, run, prompt, actor, intent.reason)


def _roll_back(turn: Turn, run: Run, prompt: Prompt, actor: Actor) -> Answer:
    procedure = _procedure(turn, run)
    answer = controls.roll_back(turn, run, actor, prompt.reason)
    left = turn.run(run.id)
    if answer.kind is not AnswerKind.DONE or left is None or left.interrupt is None:
        return answer
    turn.save_run(left, interrupt={**left.interrupt, "procedure": procedure, "verdicts": prompt.verdicts})
    close_prompt(turn, prompt, ROLLED_BACK, prompt.reason, actor)
    return answer


def _extend(turn: Turn, run: Run, prompt: Prompt, actor: Actor) -> Answer:
    """As often as wanted: each time is audited and shown."""
    length_s = mitigate_s_of(turn, run, prompt)
    deadline = max(prompt.deadline, turn.now + timedelta(seconds=length_s))
    extended = replace(prompt, deadline=deadline, extended=prompt.extended + 1, reminded_at=turn.now)
    turn.ledger.save(extended)
    turn.audit("prompt.extended", run.id, actor, role=role_of(turn, actor), what=prompt.reason,
               evidence={"prompt": prompt.id, "deadline": deadline.isoformat(), "times": extended.extended})  # fmt: skip
    text = f"{actor.name} takes {duration(length_s)} more to mitigate: until {deadline:%H:%M} UTC"
    turn.note(
        run,
        f"{prompt.id}:extended:{extended.extended}",
        Note(tone=Tone.INFO, title=f"{run.id}: {text}", text=prompt.reason),
    )
    show_prompt(turn, extended)
    turn.show(run)
    return done("prompt.extended", f"You have until {deadline:%H:%M} UTC; then {run.id} is rolled back.", run=run.id)


def _go_on(turn: Turn, run: Run, prompt: Prompt, actor: Actor, reason: str) -> Answer:
    if not reason.strip():
        return refused("prompt.reason", "Say why it may go on: the reason is part of the record.", run=run.id)
    if prompt.kind == STEP and not _pass_step(turn, run, prompt, actor, reason):
        return refused("prompt.closed", f"{run.id} isn't held at this step any more.", run=run.id)
    close_prompt(turn, prompt, CONTINUED, reason, actor)
    note = Note(
        tone=Tone.WARN,
        title=f"{run.id}: {actor.name} lets it go on in spite of: {prompt.reason}",
        text=f"Reason: {reason}",
    )
    turn.note(run, f"{prompt.id}:continued", note, broadcast=True)
    turn.show(run)
    return done("prompt.continued", f"{run.id} goes on.", run=run.id)


def _pass_step(turn: Turn, run: Run, prompt: Prompt, actor: Actor, reason: str) -> bool:
    """The run goes on past the failed step; the verdict stays what it is."""
    row = turn.step(run.id, int(prompt.subject))
    if row is None or row.state != StepState.HELD or run.position != row.index:
        return False
    words = f"{row.reason}; {actor.name} lets it go on: {reason}"
    turn.save_step(row, state=StepState.DONE, code=WENT_ON, reason=words, finished_at=turn.now)
    turn.save_run(run, state=RunState.RUNNING)
    return True


def _procedure(turn: Turn, run: Run) -> str:
    span = watched(turn, run)
    return span.on_breach if span is not None else way_back(run)


# --- time -------------------------------------------------------------------------------------------------------------


def next_due(prompts: list[Prompt], remind_every_s: float) -> datetime | None:
    return min((due_at(prompt, remind_every_s) for prompt in prompts), default=None)


def settle_prompts(turn: Turn) -> list[str]:
    """Does what is due about every open prompt. Returns the runs that have to look."""
    every_s = turn.setting.policy.prod.remind_every_s
    runs = []
    for prompt in turn.ledger.find(Prompt, state=OPEN, order="id"):
        if prompt.deadline <= turn.now:
            _unanswered(turn, prompt)
            runs.append(prompt.run)
        elif due_at(prompt, every_s) <= turn.now:
            _remind(turn, prompt)
            runs.append(prompt.run)
    return runs


def _unanswered(turn: Turn, prompt: Prompt) -> None:
    run = turn.run(prompt.run)
    if run is None or run.state == RunState.ENDED or run.interrupt is not None or on_way_back(turn, run):
        close_prompt(turn, prompt, CLOSED, "the run has gone on without an answer")
        return
    words = f"on-call did not answer for {waited(prompt, turn.now)}"
    if prompt.extended:
        times = "once" if prompt.extended == 1 else f"{prompt.extended} times"
        words = f"it was not mitigated within {waited(prompt, turn.now)}, though on-call took more time {times}"
    reason = f"{prompt.reason}; {words}"
    interrupt = {
        "kind": "rollback", "code": UNANSWERED, "reason": reason, "procedure": _procedure(turn, run),
        "verdicts": prompt.verdicts, "decided_at": turn.now.isoformat(),
    }  # fmt: skip
    turn.save_run(run, interrupt=interrupt)
    turn.audit(UNANSWERED, run.id, what=prompt.trigger, why=reason, evidence={"prompt": prompt.id})
    close_prompt(turn, prompt, ROLLED_BACK, words)


def _remind(turn: Turn, prompt: Prompt) -> None:
    run = turn.run(prompt.run)
    turn.ledger.save(replace(prompt, reminded_at=turn.now))
    if run is None:
        return
    left = duration(round((prompt.deadline - turn.now).total_seconds()))
    note = Note(
        tone=Tone.ASK,
        title=f"{run.id} is rolled back in {left} unless somebody answers",
        text=f"{prompt.reason}\nOn-call has been asked for {waited(prompt, turn.now)}.",
        mention=turn.members(Role.ON_CALL),
    )
    turn.note(run, f"{prompt.id}:remind:{turn.now.isoformat()}", note, broadcast=True)
    turn.audit("prompt.reminded", run.id, what=prompt.trigger, why=prompt.reason, evidence={"prompt": prompt.id})

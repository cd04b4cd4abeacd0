"""A run's life: opened, started, ended; left for a way back. Rules of the transitions, without any I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.endings import completed_words, ending_remedy, ending_words, leaving_words
from engine.journal import RUN_BUTTONS, Turn, add_buttons, append_segment, open_steps, plan_of, segment_of, show_view
from engine.lanes import called_at_once, is_beside, is_of_database, responsible
from engine.notes import Note, Tone
from engine.prompts import close_prompts
from engine.records import Click, Ending, Override, Run, RunState, StepRow, StepState
from runbook.plan import BEGUN, Plan, from_json, to_json
from runbook.procedures import WAYS_BACK
from runbook.procedures.base import Continuation, Request
from runbook.values import FORGE, Actor, Environment
from runbook.verdicts import Outcome, Verdict

Continuations = Mapping[str, Continuation]

LEFT_BECAUSE = "left_because"
"""The fact that says why the run's own procedure was left, the first time: {at, code, reason, verdicts}."""

RETURN = "return_to_previous"
"""The way back where a procedure has none of its own."""

_CANCELLED = ("aborted", "cancelled", "superseded")
"""Codes of an end that was wanted."""

ROLLBACK = "rollback"
"""The procedure of a run that is nothing but a way back: what was released goes back."""


def way_back(run: Run) -> str:
    """The continuation that leads back from what this run does."""
    return WAYS_BACK.get(run.procedure, RETURN)


def open_run(turn: Turn, request: Request, plan: Plan, actor: Actor, reason: str) -> Run:
    """A new run in state QUEUED; whether it may start is decided when it is looked at."""
    series = f"runs:{request.environment.value}"
    number = turn.ledger.next_number(series)
    run = Run(
        id=f"{request.environment.value}-{number}",
        number=number,
        service=request.service,
        environment=request.environment.value,
        procedure=plan.procedure,
        version=request.version,
        arguments=_arguments(request),
        requester=actor.id,
        requester_name=actor.name,
        reason=reason,
        state=RunState.QUEUED,
        setting_hash=turn.setting.hash,
        created_at=turn.now,
    )
    turn.ledger.add(run)
    run = append_segment(turn, run, plan, 0)
    add_buttons(turn, run, RUN_BUTTONS)
    turn.audit(
        "run.created",
        run.id,
        actor,
        what=_asked_for(request, plan),
        why=reason,
        evidence={"plan": run.plan_hash, "setting": turn.setting.hash, "about": dict(plan.about)},
    )
    turn.show(run)
    return run


def _arguments(request: Request) -> dict[str, Any]:
    more = {"to": request.to, "options": dict(request.options)}
    return {"version": request.version, **{name: value for name, value in more.items() if value}}


def request_of(run: Run) -> Request:
    """What was asked for, to make the plan anew."""
    asked = run.arguments
    return Request(
        service=run.service, environment=Environment(run.environment), version=run.version,
        to=str(asked.get("to", "")), options=asked.get("options") or {},
    )  # fmt: skip


def _asked_for(request: Request, plan: Plan) -> str:
    if is_of_database(plan.procedure):
        return f"{request.version} of {request.service} on {request.environment.value}"
    verb = "deploy" if plan.procedure == plan.environment.value else plan.procedure
    return f"{verb} {request.version} of {request.service} to {request.environment.value}"


def replace_plan(turn: Turn, run: Run, plan: Plan, changes: Sequence[str]) -> Run:
    """The plan made anew differs, before any effect: approvals are void and it begins again from its first gate."""
    old = segment_of(turn, run)
    turn.ledger.save(replace(old, replaced_at=turn.now))
    _void_clicks(turn, run)
    for row in turn.steps(run.id):
        if row.kind == "approval" and row.started_at is not None:
            show_view(turn, f"approval:{run.id}:{row.index}:{old.number}", run.id)
    close_prompts(turn, run, "the plan has changed")
    turn.ledger.remove(StepRow, run=run.id)
    run = append_segment(turn, run, plan, 0)
    run = turn.save_run(run, setting_hash=turn.setting.hash, facts={}, state=RunState.RUNNING)
    turn.audit(
        "plan.replaced", run.id, what="approvals are void", why="; ".join(changes),
        evidence={"old": old.hash, "new": run.plan_hash, "changes": list(changes)},
    )  # fmt: skip
    text = "\n".join(f"• {change}" for change in changes)
    turn.note(
        run,
        f"replaced:{run.segment}",
        Note(tone=Tone.WARN, title="The plan has changed: approvals are void", text=text),
    )
    turn.show(run)
    return run


def void_approvals(turn: Turn, run: Run, reason: str) -> None:
    """What was approved is no longer what it was: nothing has been done with it yet, and the cards say what changed."""
    if not _void_clicks(turn, run):
        return
    for row in turn.steps(run.id):
        if row.kind == "approval" and row.state == StepState.DONE:
            turn.save_step(row, outcome=Outcome.FAIL, code="approval.void", reason=reason)
    turn.audit("approval.voided", run.id, why=reason)


def _void_clicks(turn: Turn, run: Run) -> bool:
    clicks = turn.ledger.find(Click, run=run.id, void_at=None)
    for click in clicks:
        turn.ledger.save(replace(click, void_at=turn.now))
    return bool(clicks)


def end_run(turn: Turn, run: Run, ending: Ending, code: str = "", reason: str = "") -> Run:
    run = turn.save_run(
        run,
        state=RunState.ENDED,
        ending=ending,
        ending_code=code or run.ending_code,
        ending_reason=reason or run.ending_reason,
        interrupt=None,
        paused_at=None,
        ended_at=turn.now,
    )
    turn.audit(f"run.{ending}", run.id, what=f"{run.version} on {run.environment}", why=run.ending_reason)
    for row in open_steps(turn, run):
        turn.save_step(row, state=StepState.SKIPPED, deadline=None, code=row.code or "not_reached")
    close_prompts(turn, run, f"{run.id} has ended")
    _void_overrides(turn, run, f"{run.id} has ended")
    _refresh_cards(turn, run)
    turn.show(run)
    if ending != Ending.COMPLETED:
        turn.note(run, "ended", _ending_note(turn, run), broadcast=True)
    return run


def _ending_note(turn: Turn, run: Run) -> Note:
    """What is left undone goes to on-call (in dev to the Release Engineer) with what a hand has to type: each verdict carries its command."""
    name = f"{run.service} {run.version} on {run.environment}"
    tone, title = ending_words(run)
    if run.ending != Ending.INCOMPLETE:
        text = "\n".join(part for part in (run.ending_reason, ending_remedy(run)) if part)
        who = turn.members(*responsible(run)) if run.ending == Ending.FAILED and is_beside(run) else ()
        return Note(tone=tone, title=f"{run.id}: {name}: {title}", text=text, mention=who)
    rows = [row for row in turn.steps(run.id) if row.segment == run.segment and row.outcome not in (Outcome.PASS, None)]
    left = [v for row in rows for v in verdicts_of(row.verdicts) if v.binding and v.outcome is not Outcome.PASS]
    text = "\n".join([run.ending_reason, "Left to do:", *(f"• {row.title}: {row.reason}" for row in rows)])
    who = turn.members(*called_at_once(run))
    return Note(tone=tone, title=f"{run.id}: {name}: {title}", text=text, verdicts=tuple(left), mention=who)


def _void_overrides(turn: Turn, run: Run, reason: str) -> None:
    """Nobody can agree any more to go on where the run no longer is."""
    for asked in turn.ledger.find(Override, run=run.id, state="asked"):
        void = replace(asked, state="void", decided_by=FORGE.id, decided_by_name=FORGE.name, decided_at=turn.now)
        turn.ledger.save(void)
        turn.audit("override.void", run.id, what=asked.gate, why=reason, evidence={"asked_by": asked.asked_by})
        show_view(turn, f"override:{asked.id}", run.id)


def _refresh_cards(turn: Turn, run: Run) -> None:
    for row in turn.steps(run.id):
        if row.kind in ("approval", "choice") and row.started_at is not None:
            show_view(turn, f"{row.kind}:{run.id}:{row.index}:{row.segment}", run.id)


def leave_plan(
    turn: Turn,
    run: Run,
    name: str,
    code: str,
    reason: str,
    verdicts: Sequence[Verdict],
    continuations: Continuations,
    *,
    decided_at: str = "",
) -> Run:
    """Leaves the running plan for a procedure such as the return; without an effect so far the run just ends.

    The fact BEGUN tells it which steps of the plan were begun, finished or not; `decided_at` (ISO time) when it was decided: now, where
    it isn't given.
    """
    segment = segment_of(turn, run)
    begun = [
        row.index - segment.first_index for row in turn.steps(run.id) if row.segment == run.segment and row.attempt
    ]
    for row in open_steps(turn, run):
        was = row.state
        outcome = Outcome.FAIL if row.index == run.position and was != StepState.PENDING else None
        turn.save_step(
            row, state=StepState.SKIPPED, deadline=None, finished_at=turn.now,
            outcome=outcome, code=code if outcome else "not_reached", reason=reason if outcome else "",
        )  # fmt: skip
    close_prompts(turn, run, f"{run.id} has left the plan: {reason}")
    _void_overrides(turn, run, f"{run.id} has left the plan: {reason}")
    facts = {**run.facts, BEGUN: begun, "decided_at": decided_at or turn.now.isoformat()}
    facts.setdefault(LEFT_BECAUSE, _because(facts["decided_at"], code, reason, verdicts))
    run = turn.save_run(run, interrupt=None, paused_at=None, ending_code=code, ending_reason=reason, facts=facts)
    plan = continuations[name](plan_of(segment), run.facts) if run.first_effect_at is not None else None
    cancelled = code in _CANCELLED
    if plan is None:
        return end_run(turn, run, Ending.CANCELLED if cancelled else Ending.FAILED)
    rows = turn.steps(run.id)
    run = append_segment(turn, run, plan, rows[-1].index + 1)
    run = turn.save_run(run, state=RunState.RUNNING)
    evidence = {"plan": run.plan_hash, "verdicts": [to_json(v) for v in verdicts]}
    turn.audit("run.left", run.id, what=f"goes on with {name}", why=reason, evidence=evidence)
    _refresh_cards(turn, run)
    note = Note(
        tone=Tone.INFO if cancelled and is_beside(run) else Tone.BAD,
        title=f"{run.id}: {leaving_words(run)}",
        text=reason,
        verdicts=tuple(verdicts),
    )
    turn.note(run, f"left:{run.segment}", note)
    turn.show(run)
    return run


def _because(at: str, code: str, reason: str, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    return {"at": at, "code": code, "reason": reason, "verdicts": [to_json(verdict) for verdict in verdicts]}


def on_way_back(turn: Turn, run: Run) -> bool:
    """True once the run has left its first procedure, and of a run that is a rollback from its beginning: nothing stops it half way."""
    return run.procedure == ROLLBACK or segment_of(turn, run).procedure != run.procedure


def close_plan(turn: Turn, run: Run) -> Run:
    """All steps of the newest segment are done."""
    if not on_way_back(turn, run):
        return end_run(turn, run, Ending.COMPLETED, "completed", completed_words(run))
    rows = [row for row in turn.steps(run.id) if row.segment == run.segment]
    whole = all(row.outcome in (Outcome.PASS, None) for row in rows)
    code, reason = ("rollback.asked", _asked(run)) if run.procedure == ROLLBACK and not run.ending_reason else ("", "")
    return end_run(turn, run, _end_of_way_back(run) if whole else Ending.INCOMPLETE, code, reason)


def _end_of_way_back(run: Run) -> Ending:
    """A backup or a drill changes nothing that could return: it was cancelled, or it has failed."""
    if not is_beside(run):
        return Ending.RETURNED
    return Ending.CANCELLED if run.ending_code in _CANCELLED else Ending.FAILED


def _asked(run: Run) -> str:
    return f"{run.requester_name} asked for it" + (f": {run.reason}" if run.reason else "")


def verdicts_of(stored: Sequence[Any]) -> list[Verdict]:
    """Verdicts as a row keeps them, as values again."""
    return [from_json(Verdict, v) for v in stored]

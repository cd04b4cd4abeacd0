"""Overrides: a run that a gate holds goes on all the same, when somebody says why and a second person agrees. Loud, and on record.

Never for an artifact that isn't what was tested (`runbook.rules.overrides`). What was set aside has to be looked at afterwards.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import replace

from engine.answers import Answer, done, refused
from engine.intents import Intent
from engine.journal import Turn, add_buttons, show_view
from engine.lifecycle import verdicts_of
from engine.notes import Note, Tone
from engine.records import Button, Override, Run, RunState, StepRow, StepState
from engine.views import OverrideView
from runbook.authority import may_run
from runbook.rules.overrides import FACT, may_override
from runbook.values import Actor, Role
from runbook.verdicts import Outcome, Verdict
from runbook.wording import listing


def ask(turn: Turn, intent: Intent, actor: Actor, run: Run) -> Answer:
    """`/forge override <run> <gate> --reason`, or the button of a held run: then the one gate that holds it."""
    row = turn.step(run.id, run.position)
    if run.state != RunState.HELD or row is None or row.state != StepState.HELD or row.kind != "gate":
        return refused("override.not_held", f"{run.id} isn't held by a gate: there is nothing to override.",
                       f"`/forge status {run.id}`", run=run.id)  # fmt: skip
    verdict = _verdict_named(row, intent.options.get("gate", ""), run)
    if isinstance(verdict, Answer):
        return verdict
    allowed = may_override(verdict)
    if allowed.outcome is not Outcome.PASS:
        turn.audit("override.refused", run.id, actor, what=verdict.gate, why=allowed.reason)
        return refused(allowed.code, f"{allowed.reason}.", allowed.remedy, run=run.id)
    if not actor.can_decide:
        return refused("authority.slack_only", "An override is asked for by a person in Slack.", run=run.id)
    if not intent.reason:
        return refused("override.reason", "An override needs a reason.", f'`/forge override {run.id} "{verdict.gate}" --reason "why"`',
                       run=run.id)  # fmt: skip
    same = [o for o in turn.ledger.find(Override, run=run.id, state="asked") if o.gate == verdict.gate]
    if same:
        return refused("override.already", f"{same[0].asked_by_name} has asked for this already; it waits for a second person.",
                       run=run.id)  # fmt: skip
    return _asked(turn, run, row, verdict, actor, intent.reason)


def _asked(turn: Turn, run: Run, row: StepRow, verdict: Verdict, actor: Actor, reason: str) -> Answer:
    number = turn.ledger.next_number(f"overrides:{run.id}")
    override = Override(
        id=f"{run.id}/o{number}", run=run.id, index=row.index, gate=verdict.gate, code=verdict.code,
        verdict_reason=verdict.reason, asked_by=actor.id, asked_by_name=actor.name, reason=reason, asked_at=turn.now,
        follow_up=f"Look into “{verdict.gate}”, which was overridden: {reason}",
    )  # fmt: skip
    turn.ledger.add(override)
    add_buttons(turn, run, ("approve", "reject"), row.index, {"override": override.id})
    turn.audit("override.asked", run.id, actor, what=verdict.gate, why=reason, evidence={"verdict": verdict.reason})
    show_view(turn, f"override:{override.id}", run.id)
    turn.show(run)
    return done("override.asked", f"A second person has to agree before {run.id} goes on in spite of “{verdict.gate}”.",
                run=run.id)  # fmt: skip


def _verdict_named(row: StepRow, gate: str, run: Run) -> Verdict | Answer:
    bad = [v for v in verdicts_of(row.verdicts) if v.binding and v.outcome is not Outcome.PASS]
    named = [v for v in bad if v.gate.casefold() == gate.casefold()] if gate else bad
    if len(named) == 1:
        return named[0]
    names = [v.gate for v in bad]
    near = difflib.get_close_matches(gate, names, 1, 0.5) if gate else []
    cause = f"“{gate}” doesn't hold {run.id}." if gate else f"Several gates hold {run.id}: name one."
    hint = f"Did you mean “{near[0]}”? " if near else ""
    return refused(
        "override.which",
        cause,
        f"{hint}It is held by {listing(names) or 'nothing that can be overridden'}.",
        run=run.id,
    )


def decide(turn: Turn, intent: Intent, actor: Actor, run: Run, override_id: str) -> Answer:
    """The second person's click. Whoever asked can't agree with themselves, and who may not override can't agree either."""
    override = turn.ledger.get(Override, override_id)
    if override is not None and override.state == "void":
        why = f": {run.ending_reason}" if run.ending_reason else ""
        return refused("override.void", f"This button is dead: {run.id} has gone on since{why}.", run=run.id)
    if override is None or override.state != "asked":
        text = _closing(override) if override is not None else "It is gone."
        return refused("override.closed", f"Already decided: {text}", run=run.id)
    verdict = may_run("override", actor, turn.setting.policy)
    if verdict.outcome is Outcome.PASS and not actor.can_decide:
        verdict = Verdict.failed("override", "authority.slack_only", "the command line can't do this")
    if verdict.outcome is Outcome.PASS and actor.id == override.asked_by and intent.name == "approve":
        verdict = Verdict.failed("override", "override.same_person", "you asked for it: a second person has to agree")
    if verdict.outcome is not Outcome.PASS:
        turn.audit("override.refused", run.id, actor, what=override.gate, why=verdict.reason)
        return refused(verdict.code, verdict.reason, verdict.remedy, run=run.id)
    row = turn.step(run.id, override.index)
    is_held = run.state == RunState.HELD and run.interrupt is None and run.position == override.index
    if not is_held or row is None or row.state != StepState.HELD:
        _settle(turn, run, override, "void", actor)
        return refused("override.void", f"{run.id} has gone on since: this override is void.", run=run.id)
    if intent.name == "reject":
        _settle(turn, run, override, "refused", actor)
        return done("override.refused", f"You refused the override of “{override.gate}”.", run=run.id)
    return _grant(turn, run, row, override, actor)


def _grant(turn: Turn, run: Run, row: StepRow, override: Override, actor: Actor) -> Answer:
    """The gate is asked again: what was overridden no longer decides, whatever else holds it still does."""
    _settle(turn, run, override, "granted", actor)
    told = {
        "code": override.code, "by": override.asked_by_name, "second": actor.name, "reason": override.reason,
    }  # fmt: skip
    facts = {**run.facts, FACT: {**(run.facts.get(FACT) or {}), override.gate: told}}
    turn.save_step(row, state=StepState.PENDING, deadline=None, escalation=0, tries=0, progress=None)
    turn.save_run(run, state=RunState.RUNNING, facts=facts)
    note = Note(
        tone=Tone.WARN,
        title=f"{run.id}: {override.gate} was OVERRIDDEN by {override.asked_by_name} and {actor.name}",
        text=f"{override.verdict_reason}\nReason: {override.reason}\nTo do afterwards: {override.follow_up}",
        mention=turn.members(Role.SERVICE_OWNER),
    )
    turn.note(run, f"override:{override.id}", note, broadcast=True)
    return done("override.granted", f"{run.id} goes on in spite of “{override.gate}”.", run=run.id)


def _settle(turn: Turn, run: Run, override: Override, state: str, actor: Actor) -> None:
    turn.ledger.save(
        replace(override, state=state, decided_by=actor.id, decided_by_name=actor.name, decided_at=turn.now)
    )
    turn.audit(f"override.{state}", run.id, actor, what=override.gate, why=override.reason,
               evidence={"asked_by": override.asked_by, "verdict": override.verdict_reason})  # fmt: skip
    show_view(turn, f"override:{override.id}", run.id)
    turn.show(run)


def _closing(override: Override) -> str:
    if override.state == "void":
        return "Void: the run has gone on since."
    words = {"granted": "agreed to", "refused": "refused"}
    return f"{words.get(override.state, override.state)} by {override.decided_by_name}."


def override_view(turn: Turn, override_id: str) -> OverrideView | None:
    """The card as it stands now; None when there is no such override."""
    override = turn.ledger.get(Override, override_id)
    if override is None:
        return None
    buttons = {
        button.action: button.id
        for button in turn.ledger.find(Button, run=override.run, index=override.index)
        if isinstance(button.argument, Mapping) and button.argument.get("override") == override.id
    }
    return OverrideView(
        id=override.id, run=override.run, gate=override.gate, verdict=override.verdict_reason, state=override.state,
        asked_by=override.asked_by, asked_by_name=override.asked_by_name, reason=override.reason, at=override.asked_at,
        closing="" if override.state == "asked" else _closing(override), who=turn.members(Role.SERVICE_OWNER, Role.ON_CALL),
        follow_up=override.follow_up, buttons=buttons if override.state == "asked" else {},
    )  # fmt: skip


ON_RUN: Mapping[str, Callable[[Turn, Intent, Actor, Run], Answer]] = {"override": ask}

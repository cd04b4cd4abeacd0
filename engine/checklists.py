"""Checklists of a run: what a gate proved is ticked by forge, the rest by people. Runbook: Operational Checklists.

A tick is one row; ticking twice changes nothing. A checklist may be ticked after its run has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from engine.answers import Answer, done, info, refused
from engine.intents import Intent
from engine.journal import Turn, add_buttons, show_view, step_of
from engine.notes import Note, Tone
from engine.records import Button, Override, Run, RunState, StepRow, StepState, Tick
from engine.views import ChecklistView, ItemView
from runbook.authority import may_fill
from runbook.steps.control import Checklist, Item
from runbook.values import FORGE, Actor, Role
from runbook.verdicts import Outcome

FOLLOW_UP = "override:"
"""Items that an override leaves behind are named so, with the override's id."""


def open_checklist(turn: Turn, run: Run, row: StepRow, step: Checklist) -> None:
    """Ticks what is proved; waits for people where the step says so."""
    row = turn.save_step(row, attempt=row.attempt + 1, started_at=turn.now)
    _tick_proved(turn, run, row, step)
    for item in items_of(turn, run, step):
        add_buttons(turn, run, ("tick",), row.index, {"item": item.name})
    turn.audit("checklist.opened", run.id, what=step.title)
    missing = _open_items(turn, run, row, step)
    if missing and step.waits:
        deadline = turn.now + timedelta(seconds=turn.setting.policy.waiting.hold_remind_s)
        turn.save_step(row, state=StepState.WAITING, deadline=deadline, escalation=0)
        turn.save_run(run, state=RunState.WAITING)
        note = _asking(turn, f"{run.id}: {step.title}", missing, step.roles[:1])
        turn.note(run, f"checklist:{row.index}:{row.segment}", note, broadcast=True)
    else:
        _close(turn, row, len(missing))
    _show(turn, run, row)
    turn.show(run)


def settle_checklist(turn: Turn, run: Run, row: StepRow, step: Checklist) -> StepRow:
    """Done once every item is ticked; reminds once by its deadline, and then calls on-call."""
    missing = _open_items(turn, run, row, step)
    if not missing:
        return _close(turn, row, 0)
    if row.deadline is None or row.deadline > turn.now:
        return row
    waiting, late = turn.setting.policy.waiting, row.escalation > 0
    who = (Role.ON_CALL,) if late else step.roles[:1]
    note = _asking(turn, f"{run.id} still waits for its checklist", missing, who)
    turn.note(run, f"checklist:{row.index}:{row.segment}:{row.escalation}", note, broadcast=True)
    pause = max(1.0, waiting.hold_escalate_s - waiting.hold_remind_s)
    deadline = None if late else turn.now + timedelta(seconds=pause)
    return turn.save_step(row, deadline=deadline, escalation=row.escalation + 1)


def _asking(turn: Turn, title: str, missing: Sequence[str], who: Sequence[Role]) -> Note:
    lines = "\n".join(f"• {text}" for text in missing)
    return Note(tone=Tone.ASK, title=title, text=f"{lines}\nTick it in this thread.", mention=turn.members(*who))


def _close(turn: Turn, row: StepRow, missing: int) -> StepRow:
    reason = "every line is ticked" if not missing else f"{missing} left to people"
    return turn.save_step(
        row, state=StepState.DONE, outcome=Outcome.PASS, code="checklist.ticked" if not missing else "checklist.open",
        reason=reason, finished_at=turn.now, deadline=None,
    )  # fmt: skip


# --- ticks ------------------------------------------------------------------------------------------------------------


def tick(turn: Turn, intent: Intent, actor: Actor, run: Run) -> Answer:
    """A click on one line: its button says which."""
    button = turn.ledger.get(Button, intent.button)
    row = turn.step(run.id, button.index) if button is not None and button.index is not None else None
    step = step_of(turn, run, row) if row is not None else None
    if row is None or not isinstance(step, Checklist):
        return refused("checklist.gone", f"{run.id} has no such checklist any more.", run=run.id)
    argument = button.argument if button is not None else None
    name = str(argument.get("item", "")) if isinstance(argument, Mapping) else ""
    item = next((each for each in items_of(turn, run, step) if each.name == name), None)
    if item is None:
        return refused(
            "checklist.no_item", "This line isn't on the checklist.", f"`/forge checklist {run.id}`", run=run.id
        )
    verdict = may_fill(step.roles, actor, "")
    if verdict.outcome is not Outcome.PASS:
        turn.audit("checklist.refused", run.id, actor, what=item.text, why=verdict.reason)
        return refused(verdict.code, verdict.reason, verdict.remedy, run=run.id)
    known = turn.ledger.get(Tick, run.id, step.which, item.name)
    if known is not None:
        return info("checklist.already", f"“{item.text}” was ticked by {known.by_name} already.", run=run.id)
    role = next((r.value for r in step.roles if r in actor.roles), "")
    _add(turn, run, step, item, actor, role, "")
    _follow_up_done(turn, item)
    _show(turn, run, row)
    turn.show(run)
    return done("checklist.ticked", f"Ticked: {item.text}.", run=run.id)


def _add(turn: Turn, run: Run, step: Checklist, item: Item, actor: Actor, role: str, evidence: str) -> None:
    turn.ledger.add(
        Tick(
            run=run.id, checklist=step.which, item=item.name, by=actor.id, by_name=actor.name, role=role,
            evidence=evidence, at=turn.now,
        )
    )  # fmt: skip
    turn.audit("checklist.ticked", run.id, actor, role=role, what=item.text, evidence=evidence or None)


def _tick_proved(turn: Turn, run: Run, row: StepRow, step: Checklist) -> None:
    rows = [each for each in turn.steps(run.id) if each.index < row.index]
    for item in items_of(turn, run, step):
        if turn.ledger.get(Tick, run.id, step.which, item.name) is None and (words := proved_by(item, rows)):
            _add(turn, run, step, item, FORGE, "", words)


def proved_by(item: Item, rows: list[StepRow]) -> str:
    """What ticks this line by itself, in words; empty when something is missing. The newest answer of a gate counts."""
    proofs = [_proof(name, rows) for name in item.gates]
    return "; ".join(proofs) if proofs and all(proofs) else ""


def _proof(name: str, rows: list[StepRow]) -> str:
    for row in reversed(rows):
        if row.title == name and row.state == StepState.DONE:
            return f"{row.title}: {row.reason or 'passed'}" if row.outcome == Outcome.PASS else ""
        for verdict in row.verdicts:
            if verdict["gate"] == name:
                return str(verdict["reason"]) if verdict["outcome"] == Outcome.PASS else ""
    return ""


# --- what is on it ----------------------------------------------------------------------------------------------------


def items_of(turn: Turn, run: Run, step: Checklist) -> tuple[Item, ...]:
    """The step's lines and, once the work is done, what overrides have left to do."""
    if step.which == "pre_deployment":
        return step.items
    granted = turn.ledger.find(Override, run=run.id, state="granted", order="id")
    return (*step.items, *(Item(f"{FOLLOW_UP}{each.id}", each.follow_up) for each in granted if each.follow_up))


def _follow_up_done(turn: Turn, item: Item) -> None:
    if item.name.startswith(FOLLOW_UP):
        override = turn.ledger.get(Override, item.name.removeprefix(FOLLOW_UP))
        if override is not None and override.done_at is None:
            turn.ledger.save(replace(override, done_at=turn.now))


def _open_items(turn: Turn, run: Run, row: StepRow, step: Checklist) -> list[str]:
    ticked = {each.item for each in turn.ledger.find(Tick, run=run.id, checklist=step.which)}
    return [item.text for item in items_of(turn, run, step) if item.name not in ticked]


def _show(turn: Turn, run: Run, row: StepRow) -> None:
    show_view(turn, f"checklist:{run.id}:{row.index}:{row.segment}", run.id)


def checklist_view(turn: Turn, run: Run, row: StepRow, step: Checklist) -> ChecklistView:
    """The card as it stands now."""
    ticks = {each.item: each for each in turn.ledger.find(Tick, run=run.id, checklist=step.which)}
    found = turn.ledger.find(Button, run=run.id, index=row.index, action="tick")
    buttons = {str(b.argument["item"]): b.id for b in found if isinstance(b.argument, Mapping) and "item" in b.argument}
    views = []
    for item in items_of(turn, run, step):
        known = ticks.get(item.name)
        views.append(
            ItemView(
                name=item.name,
                text=item.text,
                by=known.by if known is not None else "",
                by_name=known.by_name if known is not None else "",
                at=known.at if known is not None else None,
                evidence=known.evidence if known is not None else "",
                button=buttons.get(item.name, "") if known is None else "",
            )
        )
    return ChecklistView(
        run=run.id, index=row.index, which=step.which, title=step.title, service=run.service, version=run.version,
        environment=run.environment, items=tuple(views), waits=row.state == StepState.WAITING,
        roles=tuple(role.value for role in step.roles),
    )  # fmt: skip


def checklists_of(turn: Turn, run: Run) -> tuple[ChecklistView, ...]:
    """Every checklist of a run that has been opened."""
    found = []
    for row in turn.steps(run.id):
        if row.kind == Checklist.kind and row.started_at is not None:
            step = step_of(turn, run, row)
            assert isinstance(step, Checklist)  # noqa: S101 - its kind says so
            found.append(checklist_view(turn, run, row, step))
    return tuple(found)


def show_checklists(turn: Turn, intent: Intent, actor: Actor, run: Run) -> Answer:
    """`/forge checklist <run>`."""
    views = checklists_of(turn, run)
    if not views:
        return info("checklist.none", f"{run.id} has no checklist yet.", run=run.id)
    return info("checklist", "", view=views, run=run.id)


ON_RUN: Mapping[str, Callable[[Turn, Intent, Actor, Run], Answer]] = {"checklist": show_checklists, "tick": tick}

"""How rows change: every change with its audit entry and what people must see of it, in the one transaction of a `Turn`."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from engine.notes import Note
from engine.ports import Ledger
from engine.records import Button, Entry, Outgoing, Run, Segment, StepRow, StepState
from runbook.charts import Chart, chart_to_json
from runbook.plan import Plan, Step, canonical, hash_of, parse, to_json
from runbook.policy import Setting
from runbook.values import FORGE, Actor, Role

RUN_BUTTONS = ("pause", "resume", "abort", "retry", "cancel", "override")


@dataclass(frozen=True)
class Turn:
    """One transaction: the ledger, the moment, and the setting in force."""

    ledger: Ledger
    now: datetime
    setting: Setting

    def audit(
        self,
        action: str,
        subject: str,
        actor: Actor = FORGE,
        *,
        role: str = "",
        what: str = "",
        why: str = "",
        evidence: Any = None,
    ) -> None:
        entry = Entry(actor=actor.id, role=role, action=action, subject=subject, what=what, why=why, evidence=evidence)
        self.ledger.audit(entry, self.now)

    def run(self, run_id: str) -> Run | None:
        return self.ledger.get(Run, run_id)

    def steps(self, run_id: str) -> list[StepRow]:
        return self.ledger.find(StepRow, run=run_id, order="index")

    def step(self, run_id: str, index: int) -> StepRow | None:
        return self.ledger.get(StepRow, run_id, index)

    def save_run(self, run: Run, **changes: Any) -> Run:
        changed = replace(run, **changes)
        self.ledger.save(changed)
        return changed

    def save_step(self, row: StepRow, **changes: Any) -> StepRow:
        changed = replace(row, **changes)
        self.ledger.save(changed)
        return changed

    def show(self, run: Run) -> None:
        """The headline must be drawn again; several wishes become one."""
        show_view(self, f"headline:{run.id}", run.id)

    def note(self, run: Run, subject: str, note: Note, *, broadcast: bool = False) -> None:
        """A message in the run's thread, once per subject. broadcast: shown in the channel as well."""
        key = f"note:{run.id}:{subject}"
        if self.ledger.count(Outgoing, subject=key):
            return
        row = Outgoing(
            subject=key, kind="note", run=run.id, payload=to_json(note), broadcast=broadcast, created_at=self.now
        )
        self.ledger.add(row)

    def picture(self, run: Run, subject: str, chart: Chart) -> None:
        """A chart in the run's thread, once per subject; drawn when it is sent. Its alt text is said where it can't be shown."""
        key = f"picture:{run.id}:{subject}"
        if not self.ledger.count(Outgoing, subject=key):
            payload = {"chart": chart_to_json(chart)}
            self.ledger.add(Outgoing(subject=key, kind="picture", run=run.id, payload=payload, created_at=self.now))

    def members(self, *roles: Role) -> tuple[str, ...]:
        """Slack ids of those who hold the roles: to mention the ones that must act."""
        return tuple(dict.fromkeys(member for role in roles for member in self.setting.members(role)))


def show_view(turn: Turn, subject: str, run_id: str) -> None:
    if not turn.ledger.count(Outgoing, subject=subject, state="pending"):
        turn.ledger.add(Outgoing(subject=subject, kind="view", run=run_id, created_at=turn.now))


def show_picture_to(turn: Turn, user_id: str, subject: str, chart: Chart) -> None:
    """A chart for one person alone, in their direct messages with the app. user_id: Slack's `U…`. subject: unique, such as the inbox row's.

    Sent at most once: what is doubtful there can't be looked up without reading people's messages.
    """
    key = f"picture:@{user_id}:{subject}"
    if not turn.ledger.count(Outgoing, subject=key):
        payload = {"chart": chart_to_json(chart), "user": user_id}
        turn.ledger.add(Outgoing(subject=key, kind="private_picture", payload=payload, created_at=turn.now))


def segment_of(turn: Turn, run: Run, number: int | None = None) -> Segment:
    segment = turn.ledger.get(Segment, run.id, run.segment if number is None else number)
    if segment is None:
        raise LookupError(f"{run.id} has no segment {run.segment}")
    return segment


_PLANS: dict[str, Plan] = {}
_PLANS_KEPT = 2048


def plan_of(segment: Segment) -> Plan:
    """The stored plan, parsed once per hash: a thousand waiting runs are looked at often."""
    plan = _PLANS.get(segment.hash)
    if plan is None:
        if len(_PLANS) >= _PLANS_KEPT:
            _PLANS.clear()
        plan = _PLANS[segment.hash] = parse(segment.plan)
    return plan


def step_of(turn: Turn, run: Run, row: StepRow) -> Step:
    segment = segment_of(turn, run, row.segment)
    return list(plan_of(segment).steps())[row.index - segment.first_index]


def append_segment(turn: Turn, run: Run, plan: Plan, first_index: int) -> Run:
    """Adds a plan's steps behind first_index and makes it the run's position."""
    text = canonical(plan)
    number = run.segment + 1
    segment = Segment(
        run=run.id,
        number=number,
        procedure=plan.procedure,
        plan=text,
        hash=hash_of(text),
        first_index=first_index,
        created_at=turn.now,
    )
    turn.ledger.add(segment)
    for offset, step in enumerate(plan.steps()):
        row = StepRow(run=run.id, index=first_index + offset, segment=number, kind=step.kind, title=step.title)
        turn.ledger.add(row)
    return turn.save_run(run, segment=number, plan_hash=segment.hash, position=first_index)


def add_buttons(turn: Turn, run: Run, actions: tuple[str, ...], index: int | None = None, argument: Any = None) -> None:
    for action in actions:
        button = Button(
            id=secrets.token_urlsafe(12),
            action=action,
            run=run.id,
            index=index,
            plan_hash=run.plan_hash,
            argument=argument,
            created_at=turn.now,
        )
        turn.ledger.add(button)


def open_steps(turn: Turn, run: Run) -> list[StepRow]:
    return [r for r in turn.steps(run.id) if r.state not in (StepState.DONE, StepState.SKIPPED)]

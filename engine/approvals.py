"""Approvals: distinct people fill the roles of one step, bound to the plan's hash; decided atomically under simultaneous clicks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from engine.answers import Answer, done, info, refused
from engine.journal import Turn, add_buttons, show_view, step_of
from engine.records import Click, Run, RunState, StepRow, StepState
from runbook.authority import Assignment, fill_slots, may_fill
from runbook.steps.control import Approval
from runbook.steps.restores import SIGN_OFF, SIGNED_OFF
from runbook.values import Actor, Role
from runbook.verdicts import Outcome

APPROVAL_BUTTONS = ("approve", "reject", "withdraw")
SIGN_OFF_BUTTONS = ("signoff", "reject", "withdraw")
"""Of an approval with the purpose of a sign-off: what was restored is looked at, not what will be done."""


def standing(clicks: Sequence[Click]) -> list[Click]:
    """The decisions that still count."""
    return [c for c in clicks if c.withdrawn_at is None and c.void_at is None]


def clicks_on(turn: Turn, run: Run, row: StepRow) -> list[Click]:
    return turn.ledger.find(Click, run=run.id, index=row.index, plan_hash=run.plan_hash, order="id")


def assigned(step: Approval, clicks: Sequence[Click]) -> Assignment:
    """Who fills which of the step's roles."""
    return fill_slots(step.slots, [(c.actor, [Role(r) for r in c.roles]) for c in clicks if c.decision == "approve"])


def open_approval(turn: Turn, run: Run, row: StepRow, step: Approval) -> StepRow:
    """Shows the card to those who must act and starts the expiry."""
    deadline = turn.now + timedelta(seconds=step.expires_s)
    row = turn.save_step(row, state=StepState.WAITING, attempt=row.attempt + 1, started_at=turn.now, deadline=deadline)
    add_buttons(turn, run, SIGN_OFF_BUTTONS if step.purpose == SIGN_OFF else APPROVAL_BUTTONS, row.index)
    turn.save_run(run, state=RunState.WAITING)
    turn.audit(
        "approval.opened", run.id, what=step.title,
        evidence={"roles": [r.value for r in step.everybody], "expires": deadline.isoformat(), "plan": run.plan_hash},
    )  # fmt: skip
    show_view(turn, f"approval:{run.id}:{row.index}:{row.segment}", run.id)
    turn.show(run)
    return row


def decide(turn: Turn, run: Run, row: StepRow, plan_hash: str, actor: Actor, decision: str, reason: str) -> Answer:
    """One click. Every refusal says why, and who decided when somebody else was faster."""
    step = step_of(turn, run, row) if row.segment == run.segment else None
    if not isinstance(step, Approval) or plan_hash != run.plan_hash:
        return refused("approval.void", "This approval is void: the plan has changed since the card was shown.",
                       "Look at the newest card in the run's thread.", run=run.id)  # fmt: skip
    if row.state != StepState.WAITING or run.state == RunState.ENDED:
        return refused(
            "approval.closed",
            closing_of(turn, run, row, step),
            f"`/forge status {run.id}` shows where it is.",
            run=run.id,
        )
    if settle(turn, run, row, step).state == StepState.DONE:  # the deadline came, and nobody has looked since
        show_view(turn, f"approval:{run.id}:{row.index}:{row.segment}", run.id)
        return refused("approval.expired", f"Too late: this approval has expired, {run.id} ends without it.",
                       f"`/forge status {run.id}` shows where it is.", run=run.id)  # fmt: skip
    verdict = may_fill(step.everybody, actor, run.requester)
    if verdict.outcome is not Outcome.PASS:
        turn.audit("approval.refused", run.id, actor, what=f"{decision}: {step.title}", why=verdict.reason)
        return refused(verdict.code, verdict.reason, verdict.remedy, run=run.id)
    before = [c for c in standing(clicks_on(turn, run, row)) if c.actor == actor.id]
    if before and before[0].decision == decision:
        return info("approval.repeated", f"You have already decided: {decision}.", run=run.id)
    turn.ledger.add(
        Click(
            run=run.id, index=row.index, actor=actor.id, actor_name=actor.name, plan_hash=run.plan_hash,
            roles=sorted(r.value for r in actor.roles if r in step.everybody), decision=decision, reason=reason, at=turn.now,
        )
    )  # fmt: skip
    roles = ", ".join(sorted(r.value for r in actor.roles if r in step.everybody))
    turn.audit(
        f"approval.{decision}", run.id, actor, role=roles, what=step.title, why=reason, evidence={"plan": run.plan_hash}
    )
    settled = settle(turn, run, row, step)
    if step.purpose == SIGN_OFF and settled.outcome == Outcome.PASS:
        signed = {"by": actor.id, "name": actor.name, "at": turn.now.isoformat()}
        run = turn.save_run(run, facts={**run.facts, SIGNED_OFF: signed})
    show_view(turn, f"approval:{run.id}:{row.index}:{row.segment}", run.id)
    turn.show(run)
    return _said(step, decision, settled, run, assigned(step, standing(clicks_on(turn, run, row))).filled)


def wrong_word(turn: Turn, run: Run, row: StepRow, name: str) -> Answer | None:
    """What was restored is signed off, what will be done is approved: a wrong word decides nothing."""
    step = step_of(turn, run, row)
    is_sign_off = isinstance(step, Approval) and step.purpose == SIGN_OFF
    if name == "signoff" and not is_sign_off:
        text = f"{run.id} has nothing to sign off: it asks for an approval."
        return refused("signoff.none", text, f"`/forge approve {run.id}` or its button.", run=run.id)
    if name == "approve" and is_sign_off:
        text = f"{run.id} asks for a sign-off of what was restored, not for an approval."
        return refused("approval.signoff", text, f"`/forge signoff {run.id}` or its button.", run=run.id)
    return None


def _said(step: Approval, decision: str, settled: StepRow, run: Run, filled: int) -> Answer:
    if decision == "reject":
        return done("approval.rejected", f"You rejected {run.id}: {step.title}.", run=run.id)
    if settled.state == StepState.DONE and step.purpose == SIGN_OFF:
        return done("approval.granted", f"You signed off {run.id}: {step.title}.", run=run.id)
    if settled.state == StepState.DONE:
        return done(
            "approval.granted", f"You approved {run.id}: {step.title}. All {len(step.slots)} given.", run=run.id
        )
    missing = len(step.slots) - filled
    return done("approval.counted", f"You approved {run.id}: {step.title}. {missing} more needed.", run=run.id)


def settle(turn: Turn, run: Run, row: StepRow, step: Approval) -> StepRow:
    """Closes the step when it is decided: one rejection, all roles filled, or the expiry. Else nothing changes."""
    clicks = standing(clicks_on(turn, run, row))
    rejection = next((c for c in clicks if c.decision == "reject"), None)
    if rejection is not None:
        why = f": {rejection.reason}" if rejection.reason else ""
        return _close(turn, row, Outcome.FAIL, "approval.rejected", f"rejected by {rejection.actor_name}{why}")
    if assigned(step, clicks).complete:
        names = ", ".join(dict.fromkeys(c.actor_name for c in clicks))
        verb = "signed off" if step.purpose == SIGN_OFF else "approved"
        return _close(turn, row, Outcome.PASS, "approval.granted", f"{verb} by {names}")
    if row.deadline is not None and row.deadline <= turn.now:
        turn.audit("approval.expired", run.id, what=step.title)
        return _close(turn, row, Outcome.FAIL, "approval.expired", f"nobody decided within {step.expires_s / 3600:g} h")
    return row


def _close(turn: Turn, row: StepRow, outcome: Outcome, code: str, reason: str) -> StepRow:
    return turn.save_step(
        row, state=StepState.DONE, outcome=outcome, code=code, reason=reason, finished_at=turn.now, deadline=None
    )


def withdraw(turn: Turn, run: Run, row: StepRow, actor: Actor) -> Answer:
    """Takes back one's own approval. After the step was granted only while nothing has had an effect yet."""
    mine = [c for c in standing(clicks_on(turn, run, row)) if c.actor == actor.id and c.decision == "approve"]
    if not mine:
        return refused("withdraw.nothing", f"You have no approval on {run.id} to take back.", run=run.id)
    granted = row.state == StepState.DONE
    if run.state == RunState.ENDED or (granted and (run.first_effect_at is not None or row.outcome != Outcome.PASS)):
        remedy = "" if run.state == RunState.ENDED else f"`/forge abort {run.id}` returns to the previous state."
        return refused("withdraw.late", f"Too late: {run.id} has gone on since.", remedy, run=run.id)
    for click in mine:
        turn.ledger.save(replace(click, withdrawn_at=turn.now))
    step = step_of(turn, run, row)
    turn.audit("approval.withdrawn", run.id, actor, what=step.title)
    if granted and isinstance(step, Approval):
        reopen(turn, run, row, step)
    show_view(turn, f"approval:{run.id}:{row.index}:{row.segment}", run.id)
    turn.show(run)
    return done("approval.withdrawn", f"You took back your approval of {run.id}.", run=run.id)


def reopen(turn: Turn, run: Run, row: StepRow, step: Approval) -> None:
    """Back to waiting; whatever came after it had no effect and begins again."""
    deadline = (row.started_at or turn.now) + timedelta(seconds=step.expires_s)
    turn.save_step(row, state=StepState.WAITING, outcome=None, code="", reason="", finished_at=None, deadline=deadline)
    for later in turn.steps(run.id):
        if later.index > row.index and later.state != StepState.PENDING:
            turn.save_step(later, state=StepState.PENDING, deadline=None, outcome=None, code="", reason="", verdicts=[])
    turn.save_run(
        run, position=row.index, state=RunState.WAITING, facts={}
    )  # what ran then may be another's by the next time


def closing_of(turn: Turn, run: Run, row: StepRow, step: Approval) -> str:
    """Why a card can't be clicked any more, with who decided."""
    if row.code == "approval.void":
        return f"This approval is void: {row.reason}."
    if row.code == "approval.expired":
        return f"Too late: {row.reason}."
    if row.state == StepState.DONE and row.code.startswith("approval."):
        return f"Already decided: {row.reason}."
    if run.ending_reason:
        return f"{run.id} went on without it: {run.ending_reason}."
    return f"{run.id} doesn't wait for this any more."

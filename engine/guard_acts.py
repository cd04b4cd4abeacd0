"""What a guard's finding changes, one transaction each: a breach becomes the run's interrupt, or a prompt to on-call; missing data is told.

It never leaves a plan itself: that is the run's own driver's business.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from engine.journal import Turn
from engine.notes import Note, Tone
from engine.prompts import CLOSED, CONTINUED, GUARD, OPEN, OVER, close_prompt, newest_about, open_prompt, show_prompt
from engine.records import Prompt, Run, RunState
from engine.spans import AnyGuard, Watched
from runbook.plan import to_json
from runbook.values import Role
from runbook.verdicts import Verdict
from runbook.wording import duration

Standing = dict[tuple[str, str], Prompt]
"""By run and guard's name: prompts that are open, and those that let the run go on while the condition lasts."""


def still_in(run: Run, span: Watched) -> bool:
    return run.state != RunState.ENDED and run.segment == span.segment and span.first <= run.position <= span.last


def write_breach(turn: Turn, span: Watched, verdict: Verdict) -> bool:
    """True when the run has an interrupt to answer: also one that a commit of doubtful end has left behind."""
    run = turn.run(span.run)
    if run is None or not still_in(run, span):
        return False
    if run.interrupt is not None:
        return True
    interrupt = {
        "kind": "breach", "code": verdict.code, "reason": verdict.reason, "procedure": span.on_breach,
        "verdicts": [to_json(verdict)], "decided_at": turn.now.isoformat(),
    }  # fmt: skip
    turn.save_run(run, interrupt=interrupt)
    turn.audit("guard.breached", run.id, what=verdict.gate, why=verdict.reason, evidence=[to_json(verdict)])
    return True


def write_prompt(turn: Turn, span: Watched, guard: AnyGuard, verdict: Verdict, breached_at: datetime | None) -> str:
    """`opened`, `standing` (it is asked already, or will be answered by an interrupt), `stale` (that breach was dealt with), or `gone`."""
    run = turn.run(span.run)
    if run is None or not still_in(run, span):
        return "gone"
    newest = newest_about(turn, run, guard.name)
    if run.interrupt is not None or (newest is not None and newest.state in (OPEN, CONTINUED)):
        return "standing"
    ended = newest.answered_at if newest is not None else None
    if ended is not None and breached_at is not None and breached_at <= ended:
        return "stale"
    open_prompt(
        turn, run, kind=GUARD, subject=guard.name, trigger=guard.trigger, reason=verdict.reason, verdicts=(verdict,),
        mitigate_s=guard.mitigate_s,
    )  # fmt: skip
    return "opened"


def standing_prompts(turn: Turn) -> Standing:
    found = turn.ledger.find(Prompt, kind=GUARD, state=[OPEN, CONTINUED])
    return {(prompt.run, prompt.subject): prompt for prompt in found}


def write_recovered(turn: Turn, prompt_id: str, clear_s: float) -> bool:
    """What was asked about is over: mitigated means that the condition has gone for as long as it takes to be one."""
    prompt = turn.ledger.get(Prompt, prompt_id)
    run = turn.run(prompt.run) if prompt is not None else None
    if prompt is None or run is None or prompt.state != OPEN:
        return False
    words = f"the condition has been gone for {duration(clear_s)}"
    close_prompt(turn, prompt, CLOSED, words)
    title = f"{run.id}: nothing to roll back any more, {prompt.subject} has recovered"
    turn.note(
        run,
        f"{prompt.id}:recovered",
        Note(tone=Tone.GOOD, title=title, text=f"{prompt.reason}; {words}."),
        broadcast=True,
    )
    turn.show(run)
    return True


def write_cleared(turn: Turn, prompt_id: str) -> bool:
    """On-call let it go on, and the condition has cleared since: the guard may ask again."""
    prompt = turn.ledger.get(Prompt, prompt_id)
    if prompt is None or prompt.state != CONTINUED:
        return False
    over = replace(prompt, state=OVER)
    turn.ledger.save(over)
    turn.audit(
        "prompt.over", prompt.run, what=prompt.subject, why="its condition has cleared", evidence={"prompt": prompt.id}
    )
    show_prompt(turn, over)
    return True


def tell_blind(turn: Turn, span: Watched, since: datetime, told: int, blind: tuple[Verdict, ...]) -> None:
    """A warning in the thread, the second time to on-call. Nothing is rolled back for missing data, and nobody is asked to."""
    run = turn.run(span.run)
    if run is None or not still_in(run, span):
        return
    last = told > 1
    note = Note(
        tone=Tone.ASK if last else Tone.WARN,
        title=f"{run.id}: guards have no data, nobody is warned if it goes wrong",
        text="Nothing is rolled back for missing data. Watch it by other means, or abort.",
        verdicts=blind,
        mention=turn.members(Role.ON_CALL) if last else (),
    )
    turn.note(run, f"blind:{since.isoformat()}:{told}", note, broadcast=last)
    turn.audit("guard.blind", run.id, why="; ".join(v.reason for v in blind))

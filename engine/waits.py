"""What waits for whom: approvals, choices and checklists, holds, prompts to on-call and overrides, each with the link to its card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from engine.journal import Turn
from engine.prompts import open_prompts
from engine.records import Override, Posted, Run, RunState, StepRow
from engine.views import WaitView


def waits_of(turn: Turn, runs: Sequence[Run], why: Sequence[str]) -> tuple[WaitView, ...]:
    """Of runs that have begun and not ended; why: each one's answer to "why am I waiting?". What has a deadline comes first."""
    found = [wait for run, words in zip(runs, why, strict=True) for wait in _of_run(turn, run, words)]
    return tuple(sorted(found, key=lambda wait: (wait.until is None, wait.until or turn.now, wait.run)))


def _of_run(turn: Turn, run: Run, why: str) -> Iterator[WaitView]:
    for prompt in open_prompts(turn, run):
        text = f"On-call: roll back, or go on? {prompt.reason}"
        subject = f"prompt:{run.id}:{prompt.number}"
        yield _wait(turn, run, text, subject, since=prompt.opened_at, until=prompt.deadline)
    for asked in turn.ledger.find(Override, run=run.id, state="asked"):
        text = f"A second person: may {run.id} go on in spite of “{asked.gate}”? {asked.asked_by_name} asks: {asked.reason}"
        yield _wait(turn, run, text, f"override:{asked.id}", since=asked.asked_at)
    row = turn.step(run.id, run.position)
    if row is not None and run.paused_at is not None:
        yield _wait(turn, run, why, "", since=run.paused_at)
    elif row is not None and run.state == RunState.HELD:
        yield _wait(turn, run, why, "", since=row.finished_at or row.started_at)
    elif row is not None and run.state == RunState.WAITING:
        yield _wait(turn, run, why, _card(row), since=row.started_at, until=row.deadline)


def _card(row: StepRow) -> str:
    return f"{row.kind}:{row.run}:{row.index}:{row.segment}"


def _wait(
    turn: Turn, run: Run, text: str, subject: str, *, since: datetime | None, until: datetime | None = None
) -> WaitView:
    posted = (turn.ledger.get(Posted, subject) if subject else None) or turn.ledger.get(Posted, f"headline:{run.id}")
    return WaitView(
        run=run.id, service=run.service, environment=run.environment, text=text, since=since, until=until,
        permalink=posted.permalink if posted is not None else "",
    )  # fmt: skip

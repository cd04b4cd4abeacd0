"""Which span a run is in now, and so which guards are active for it: from the first to the last step, waits included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from engine.journal import Turn, plan_of, segment_of
from engine.records import Run, RunState
from runbook.plan import Guard


@dataclass(frozen=True)
class Watched:
    """first, last: indexes of the span's steps in the run. since: when its first step began."""

    run: str
    service: str
    environment: str
    segment: int
    first: int
    last: int
    guards: tuple[Guard, ...]
    on_breach: str
    since: datetime


def watched(turn: Turn, run: Run) -> Watched | None:
    """None outside of any span, before its first step has begun, and once the run has ended."""
    if run.state in (RunState.ENDED, RunState.QUEUED):
        return None
    segment = segment_of(turn, run)
    at = run.position - segment.first_index
    for first, last, span in plan_of(segment).spans():
        if first <= at <= last:
            start = turn.step(run.id, segment.first_index + first)
            if start is None or start.started_at is None:
                return None
            return Watched(
                run=run.id, service=run.service, environment=run.environment, segment=run.segment,
                first=segment.first_index + first, last=segment.first_index + last,
                guards=span.guards, on_breach=span.on_breach, since=start.started_at,
            )  # fmt: skip
    return None

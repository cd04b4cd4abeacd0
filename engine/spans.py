"""Which span a run is in now, and so which guards are active for it: from the first to the last step, waits included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from engine.journal import Turn, plan_of, segment_of
from engine.records import Run, RunState, Segment
from runbook.plan import Guard, RatioGuard, Span
from runbook.rules.ratio_watch import Weights, weights_of

AnyGuard = Guard | RatioGuard
Placed = tuple[int, int, Span]
"""(first step, last step, span), the places within the segment."""


@dataclass(frozen=True)
class Watched:
    """first, last: indexes of the span's steps in the run. since: when its first step began.

    began: by a guard's name, when the first of the spans began that followed each other with it: what was seen since then counts.
    weights: when which part of the traffic was accepted for the canary.
    """

    run: str
    service: str
    environment: str
    segment: int
    first: int
    last: int
    guards: tuple[Guard, ...]
    on_breach: str
    since: datetime
    ratios: tuple[RatioGuard, ...] = ()
    began: Mapping[str, datetime] = field(default_factory=dict)
    weights: Weights = ()

    @cached_property
    def every(self) -> tuple[AnyGuard, ...]:
        return all_guards(self)

    def since_of(self, guard: AnyGuard) -> datetime:
        return self.began.get(guard.name, self.since)

    def guard(self, name: str) -> AnyGuard | None:
        return next((g for g in self.every if g.name == name), None)


def all_guards(span: Span | Watched) -> tuple[AnyGuard, ...]:
    """Thresholds and ratios."""
    found: list[AnyGuard] = [*span.guards, *span.ratios]
    return tuple(found)


def watched(turn: Turn, run: Run) -> Watched | None:
    """None outside of any span, before its first step has begun, and once the run has ended.

    Where one span follows another at once, the earlier one's guards stay until the later one begins: a run may be paused between them.
    """
    if run.state in (RunState.ENDED, RunState.QUEUED):
        return None
    segment = segment_of(turn, run)
    at = run.position - segment.first_index
    spans = list(plan_of(segment).spans())
    place = next((place for place, (first, last, _) in enumerate(spans) if first <= at <= last), None)
    if place is None:
        return None
    since = _begun_at(turn, run, segment, spans[place])
    if since is None and place > 0 and at == spans[place][0] == spans[place - 1][1] + 1:
        place -= 1
        since = _begun_at(turn, run, segment, spans[place])
    if since is None:
        return None
    first, last, span = spans[place]
    return Watched(
        run=run.id, service=run.service, environment=run.environment, segment=run.segment,
        first=segment.first_index + first, last=segment.first_index + max(last, at), guards=span.guards,
        on_breach=span.on_breach, since=since, ratios=span.ratios, began=_chains(turn, run, segment, spans[: place + 1]),
        weights=weights_of(run.facts) if span.ratios else (),
    )  # fmt: skip


def _begun_at(turn: Turn, run: Run, segment: Segment, placed: Placed) -> datetime | None:
    row = turn.step(run.id, segment.first_index + placed[0])
    return row.started_at if row is not None else None


def _chains(turn: Turn, run: Run, segment: Segment, spans: list[Placed]) -> dict[str, datetime]:
    """Where each guard of the last span has its beginning; only those that are older than that span."""
    began: dict[str, datetime] = {}
    _, _, span = spans[-1]
    following: dict[str, AnyGuard] = {guard.name: guard for guard in all_guards(span)}
    for placed in reversed(spans[:-1]):
        here = {guard.name: guard for guard in all_guards(placed[2])}
        following = {name: guard for name, guard in following.items() if here.get(name) == guard}
        at = _begun_at(turn, run, segment, placed) if following else None
        if at is None:
            break
        began.update(dict.fromkeys(following, at))
    return began

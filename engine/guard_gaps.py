"""What was sampled while nobody looked, by range queries: after a downtime, and where a guard begins that looks back.

Where series are truly absent windows start anew. A question that fails is repeated a few rounds, then the guards go on without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from engine.guard_answers import (
    FEW,
    LARGE_PIECE,
    PIECE,
    BySubject,
    Key,
    Questions,
    pieces,
    tracks_of,
)
from engine.guard_watches import Watch, counts_from
from runbook.plan import Guard, RatioGuard
from runbook.rules.guards import replay
from runbook.rules.ratio_watch import RatioWatch, limits_of, on_grid, replay_ratio, samples_of

FILL_TRIES = 3
"""Rounds that ask for what was missed before the guards go on without it."""

Ranges = Mapping[Key, BySubject | None]


async def fill_gaps(
    questions: Questions, watches: Collection[Watch], now: datetime, mark: datetime | None, interval_s: float
) -> None:
    """Marks those as filled for which nothing is missing any more."""
    late: list[Watch] = []
    wanted: dict[Key, datetime] = {}
    for watch in watches:
        missed = dict(_missed(watch, now, mark, interval_s))
        for key, begin in missed.items():
            wanted[key] = min(begin, wanted.get(key, begin))
        if missed:
            late.append(watch)
    whole = not late or await _fill(questions, late, wanted, now, interval_s)
    for watch in watches:
        watch.fill_tries += 1
        watch.filled = whole or watch not in late or watch.fill_tries >= FILL_TRIES


def _missed(watch: Watch, now: datetime, mark: datetime | None, interval_s: float) -> Iterable[tuple[Key, datetime]]:
    found: dict[Key, datetime] = {}
    for guard in watch.span.every:
        begin = watch.missed(guard, now, mark, interval_s)
        metrics = (guard.metric,) if isinstance(guard, Guard) else (guard.requests, guard.errors)
        for key in ((watch.span.environment, metric) for metric in metrics):
            if begin is not None:
                found[key] = min(begin, found.get(key, begin))
    return found.items()


async def _fill(
    questions: Questions, late: list[Watch], wanted: Mapping[Key, datetime], now: datetime, interval_s: float
) -> bool:
    """False at the first hole: what comes after it would look like a gap."""
    services = {watch.span.service for watch in late}
    few = len(services) <= FEW
    begin = on_grid(min(wanted.values()), interval_s)
    for start, end in pieces(begin, now, LARGE_PIECE if few else PIECE):
        keys = [key for key, since in wanted.items() if since < end]
        ranges = await questions.ranges(keys, start, end, interval_s, services if few else ())
        if any(answer is None for answer in ranges.values()):
            return False
        for watch in late:
            await asyncio.sleep(0)  # a thousand runs' samples must not hold up an acknowledgement
            _replay(watch, ranges, interval_s)
    return True


def _replay(watch: Watch, ranges: Ranges, interval_s: float) -> None:
    span = watch.span
    for guard in span.guards:
        found = ranges.get((span.environment, guard.metric)) or {}
        series = found.get((span.service, guard.track), [])
        if len(series) == 1:
            samples = [s for s in series[0].samples if s.at >= counts_from(span, guard)]
            watch.states[guard.name] = replay(guard, samples, interval_s, watch.states.get(guard.name))
    for ratio in span.ratios:
        _replay_ratio(watch, ratio, ranges, interval_s)


def _replay_ratio(watch: Watch, ratio: RatioGuard, ranges: Ranges, interval_s: float) -> None:
    span = watch.span
    requests, errors = (ranges.get((span.environment, metric)) for metric in (ratio.requests, ratio.errors))
    if requests is None or errors is None:
        return
    samples = samples_of(ratio, tracks_of(requests, span.service), tracks_of(errors, span.service))
    known = watch.ratios.get(ratio.name, RatioWatch())
    watch.ratios[ratio.name] = replay_ratio(known, samples, ratio, span.weights, interval_s, limits_of(ratio))

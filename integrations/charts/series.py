"""Lines made ready for drawing: in order, with gaps where data are missing. Knows no drawing library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

Points = list[tuple[float, float]]

LATEST_S = 7_258_118_400.0
"""The year 2200; what lies outside of 1970 to then is no moment of ours."""
GAP = 1.75
"""A distance of so many times the usual one is a gap: samples come evenly, so that even one missing shows."""


def with_gaps(points: Sequence[tuple[float, float]]) -> Points:
    """In order of time. NaN where there was none, where it is no finite number, and between points too far apart."""
    kept = sorted((at, value if math.isfinite(value) else math.nan) for at, value in points if 0 <= at <= LATEST_S)
    steps = [b[0] - a[0] for a, b in pairwise(kept) if b[0] > a[0]]
    if not steps:
        return kept
    usual, made = median(steps), kept[:1]
    for before, after in pairwise(kept):
        if after[0] - before[0] > GAP * usual:
            made.append(((before[0] + after[0]) / 2, math.nan))
        made.append(after)
    return made


def marked(points: Points, *, shift: int, about: int = 8) -> list[int]:
    """Which points carry a marker: evenly a few, each line's elsewhere, and all that stand alone between gaps."""
    every = max(1, len(points) // about)
    chosen = set(range(min(shift * max(1, every // 6), len(points) - 1) if points else 0, len(points), every))
    for place, (_, value) in enumerate(points):
        neighbours = points[max(0, place - 1) : place] + points[place + 1 : place + 2]
        if not math.isnan(value) and all(math.isnan(other) for _, other in neighbours):
            chosen.add(place)
    return sorted(place for place in chosen if not math.isnan(points[place][1]))


def last_of(points: Points) -> float:
    """The newest value; NaN where there is none."""
    return next((value for _, value in reversed(points) if not math.isnan(value)), math.nan)

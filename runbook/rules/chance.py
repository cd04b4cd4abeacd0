"""What chance alone may make of a small sample. Pure mathematics: no limit and no verdict stands here."""

from __future__ import annotations

import math
from statistics import NormalDist

_NEGLIGIBLE = 1e-12


def chance_of_at_least(events: float, trials: float, probability: float) -> float:
    """P(X >= events) for X ~ Binomial(trials, probability): how likely so many are when the true share is `probability`.

    Counts made of rates are fractions: they are rounded down, which finds less rather than more. Nothing is surprising in no trials.
    """
    count, size = math.floor(events + 1e-9), math.floor(trials + 1e-9)
    if count <= 0 or size <= 0 or probability >= 1:
        return 1.0
    if count > size or probability <= 0:
        return 0.0
    if count <= size * probability:  # the upper tail from the middle on is no surprise, and the sum would be long
        return 1.0 - _sum(range(count - 1, -1, -1), size, probability)
    return _sum(range(count, size + 1), size, probability)


def lower_rank(quantile: float, trials: float, alpha: float) -> float:
    """Which quantile of a sample lies above the true `quantile` with a chance of at most `alpha`: the lower end of what the sample shows.

    By the normal approximation of the binomial; 0 where the sample is too small to show anything.
    """
    if trials <= 0:
        return 0.0
    margin = NormalDist().inv_cdf(1 - alpha) * math.sqrt(quantile * (1 - quantile) / trials)
    return max(0.0, quantile - margin)


def _sum(counts: range, size: int, probability: float) -> float:
    """Of the binomial's terms, from the largest on until they no longer matter."""
    total = 0.0
    for count in counts:
        term = math.exp(_log_term(count, size, probability))
        total += term
        if term < _NEGLIGIBLE * max(total, _NEGLIGIBLE):
            break
    return min(1.0, total)


def _log_term(count: int, size: int, probability: float) -> float:
    choose = math.lgamma(size + 1) - math.lgamma(count + 1) - math.lgamma(size - count + 1)
    return choose + count * math.log(probability) + (size - count) * math.log1p(-probability)

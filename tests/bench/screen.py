"""Which simulated releases need not be judged tick by tick, since nothing in them comes near to a decision.

It only saves time, by bounds that no e-value of the rule can exceed: whatever it lets through is judged by the product's rule itself.
"""

from __future__ import annotations

from itertools import pairwise
from math import log
from typing import Any

import numpy as np

from runbook.rules.canary_ratio import MARK_EVERY, PHASES, SIDE_BY_SIDE, RatioLimits
from runbook.rules.e_values import ALTERNATIVES

Array = np.ndarray[Any, Any]


def may_be_rolled_back(history: Array, parts: list[Array], limits: RatioLimits) -> Array:
    """For each release, whether it has to be judged.

    history: releases by (requests, errors) of stable before. parts: one for each weight, releases by ticks by (canary's requests and errors,
    stable's requests and errors).
    """
    every = np.concatenate(parts, axis=1) / limits.design_effect
    found: Array = ~every[:, :, 0].all(axis=1)
    found |= _side_by_side(every, limits.ratio) >= log(1 / (limits.alpha * (SIDE_BY_SIDE + PHASES[0])))
    starts = np.cumsum([0, *(part.shape[1] for part in parts)]).tolist()
    sums = np.concatenate([np.zeros((len(every), 1, 4)), np.cumsum(every, axis=1)], axis=1)
    before = history / limits.design_effect
    wanted = log(1 / (limits.alpha * max(PHASES)))
    for i, (start, end) in enumerate(pairwise(starts)):
        for mark in range(start, end, MARK_EVERY):
            since = sums[:, mark + 1 : end + 1] - sums[:, mark : mark + 1]
            # What is stored reaches back to some weight's beginning, or to the time before them all.
            stored = [
                before + sums[:, mark, 2:],
                *(sums[:, mark, 2:] - sums[:, first, 2:] for first in starts[: i + 1]),
            ]
            for one in stored:
                found |= _against(since, one, limits.ratio) >= wanted
    return found


def _side_by_side(ticks: Array, ratio: float) -> Array:
    """The most that any alternative could win from any beginning on."""
    requests, errors, others, failed = np.moveaxis(ticks, 2, 0)
    most = np.zeros(len(ticks))
    for times, _ in ALTERNATIVES:
        top, bottom = others + ratio * requests, others + times * ratio * requests
        with np.errstate(invalid="ignore", divide="ignore"):
            path = np.cumsum(errors * log(times) + (errors + failed) * np.log(top / bottom), axis=1)
        path = np.concatenate([np.zeros((len(ticks), 1)), path], axis=1)
        most = np.maximum(most, (path - np.minimum.accumulate(path, axis=1)).max(axis=1))
    return most


def _against(since: Array, stored: Array, ratio: float) -> Array:
    """The largest logarithm of a likelihood ratio at its own best alternative."""
    requests, errors, others, failed = np.moveaxis(since, 2, 0)
    limit, shape, others = ratio * requests, stored[:, 1:] + failed + 1, stored[:, :1] + others
    worse = errors * others > limit * shape
    values = np.zeros(worse.shape)
    x, s, n, m = (column[worse] for column in (errors, shape, limit, others))
    values[worse] = x * np.log(x * m / (s * n)) + (s + x) * np.log((m + n) * s / (m * (s + x)))
    most: Array = values.max(axis=1)
    return most

"""Simulated releases for the verdicts' tables: traffic with known error rates, and the product's own rule that looks at it every tick."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from runbook.rules.canary_ratio import Counts, RatioLimits, next_ratio, started_with
from tests.bench import screen

TICK_S = 15
PHASE_S = 30 * 60
BEFORE_S = 5 * 60
"""How long each of the lower weights lasted before."""

WEIGHTS = (5, 25, 100)

Array = screen.Array

TOGETHER = 250
"""Releases that are simulated in one go."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """A release under one weight.

    stable, canary: true error rates. rate: the canary's requests a second at `weight`. history_s: how long stable's counts from before the
    release reach back. window: scrapes that a rate is taken over. slips: how often a tick reads the scrape before once more and misses its
    own. burst: failures that one cause brings about. surge: (from this second of the phase on, so many times both rates), `slow` if it takes
    the whole phase. late_s: the canary fails like stable until then.
    """

    stable: float
    canary: float
    rate: float
    weight: int
    seconds: int = PHASE_S
    history_s: int = 3600
    window: int = 1
    slips: float = 0.0
    burst: int = 1
    surge: tuple[int, float] | None = None
    slow: bool = False
    late_s: int = 0

    @property
    def ticks(self) -> int:
        return -(-self.seconds // TICK_S)

    @property
    def total(self) -> float:
        """Requests a second of both tracks."""
        return self.rate * 100 / self.weight


def wald_s(story: Story, limits: RatioLimits) -> float:
    """The mean time that no test with this alpha can beat, even if stable's rate were known: ln(1/alpha) / (rate * KL)."""
    return log(1 / limits.alpha) / (story.rate * divergence(story.canary, limit_of(story.stable, limits)))


def limit_of(stable: float, limits: RatioLimits) -> float:
    return max(limits.ratio * stable, limits.floor)


def divergence(p: float, q: float) -> float:
    """Kullback and Leibler's, between two Bernoulli rates."""
    return sum(a * log(a / b) for a, b in ((p, q), (1 - p, 1 - q)) if a > 0)


def pair_divergence(canary: float, stable: float, others: float, ratio: float) -> float:
    """The same where stable's rate has to be learnt beside it, from `others` requests to one of the canary's: to the nearest pair of
    Poisson rates whose ratio is allowed."""
    near = (canary + others * stable) / (ratio + others)
    return _poisson(canary, ratio * near) + others * _poisson(stable, near)


def _poisson(p: float, q: float) -> float:
    return (p * log(p / q) if p > 0 else 0.0) - p + q


def decisions(story: Story, limits: RatioLimits, releases: int, seed: int) -> list[float | None]:
    """Seconds of the phase after which each release was rolled back; None: not within the story. 0: already under the weight before."""
    rng, found = np.random.default_rng(seed), list[float | None]()
    while len(found) < releases:
        history, parts = _releases(story, min(TOGETHER, releases - len(found)), rng)
        judged = screen.may_be_rolled_back(history, parts, limits)
        found += [
            _decided(story, limits, history[i].tolist(), [part[i] for part in parts]) if judged[i] else None
            for i in range(len(history))
        ]
    return found


def _decided(story: Story, limits: RatioLimits, history: list[float], parts: list[Array]) -> float | None:
    """history: stable's requests and errors before the canary. parts: the ticks of each weight, the story's last."""
    state = started_with(Counts(*history))
    for weight, part in zip(_weights(story), parts, strict=True):
        for tick, row in enumerate(part.tolist(), start=1):
            stable = Counts(*row[2:]) if weight < 100 else None
            state = next_ratio(state, Counts(*row[:2]), stable, limits, weight=weight)
            if state.crossed is not None:
                return float(tick * TICK_S) if weight == story.weight else 0.0
    return None


def _releases(story: Story, count: int, rng: np.random.Generator) -> tuple[Array, list[Array]]:
    """Stable's (requests, errors) before each release; for each weight releases by ticks by (canary's requests and errors, stable's).

    A healthy ratio is the canary's from the start; a bad canary shows its fault only from the story's weight on.
    """
    bad = story.canary > limit_of(story.stable, RatioLimits())
    earlier = np.full(BEFORE_S // TICK_S, story.stable)
    own = earlier if bad else np.full(len(earlier), story.canary)
    requests = rng.poisson(story.total * story.history_s, count)
    history = np.stack([requests, _failed(rng, requests, story.stable, story.burst)], axis=1).astype(float)
    parts = [_ticks(story, count, rng, weight, own, earlier) for weight in _weights(story)[:-1]]
    return history, [*parts, _ticks(story, count, rng, story.weight, *rates(story))]


def _weights(story: Story) -> list[int]:
    return [weight for weight in WEIGHTS if weight <= story.weight]


def rates(story: Story) -> tuple[Array, Array]:
    """Both tracks' true error rates at each tick."""
    stable, canary = np.full(story.ticks, story.stable), np.full(story.ticks, story.canary)
    canary[: story.late_s // TICK_S] = story.stable
    if story.surge is not None:
        begin, factor = story.surge[0] // TICK_S, story.surge[1]
        shape = np.ones(story.ticks)
        shape[begin:] = np.linspace(1.0, factor, story.ticks - begin) if story.slow else factor
        stable, canary = stable * shape, canary * shape
    return canary, stable


def _ticks(story: Story, count: int, rng: np.random.Generator, weight: int, canary: Array, stable: Array) -> Array:
    columns: list[Array] = []
    for share, rate in ((weight / 100, canary), (1 - weight / 100, stable)):
        requests = rng.poisson(story.total * share * TICK_S, (count, len(rate)))
        columns += [requests, _failed(rng, requests, rate, story.burst)]
    return _seen(np.stack(columns, axis=2).astype(float), story, rng)


def _failed(rng: np.random.Generator, requests: Any, rate: Any, burst: int) -> Any:
    return burst * rng.binomial(requests // burst, rate)


def _seen(ticks: Array, story: Story, rng: np.random.Generator) -> Array:
    """What the recorded rates make of the counters: each tick the mean of the last scrapes, now and then of one scrape too early."""
    count, length, columns = ticks.shape
    padded = np.concatenate([np.zeros((count, story.window - 1, columns)), ticks], axis=1)
    means: Array = np.mean([padded[:, i : i + length] for i in range(story.window)], axis=0)
    if story.slips:
        early = rng.random((count, length, 1)) < story.slips
        means = np.where(early, np.concatenate([means[:, :1], means[:, :-1]], axis=1), means)
    return means

"""How others decide: so many failed checks over a threshold. Parameters are those of their documentation's examples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.bench.releases import Array, Story, rates


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A check every `every_s` over the time since the last one; the `failures`-th failed check rolls back.

    threshold: error ratio over which a check fails; None: over `ratio` times stable's in the same time.
    """

    name: str
    every_s: int
    failures: int
    threshold: float | None = None
    ratio: float = 2.0


RIVALS = (
    Rival(name="Flagger", every_s=60, failures=5, threshold=0.01),
    Rival(name="Argo Rollouts", every_s=300, failures=4, threshold=0.05),
    Rival(name="twice stable, 5 checks", every_s=60, failures=5),
)


def rival_decisions(story: Story, rival: Rival, releases: int, seed: int) -> list[float | None]:
    """Seconds after which each release was rolled back, None: not within the story."""
    rng = np.random.default_rng(seed)
    checks = story.seconds // rival.every_s
    canary, stable = (_checked(rate, checks, rival) for rate in rates(story))
    own = _ratios(rng, story.rate * rival.every_s, canary, releases)
    if rival.threshold is None:
        others = story.rate * (100 / story.weight - 1)
        failed = own > rival.ratio * _ratios(rng, others * rival.every_s, stable, releases)
    else:
        failed = own > rival.threshold
    counts = np.cumsum(failed, axis=1)
    return [
        float((int(np.argmax(row >= rival.failures)) + 1) * rival.every_s) if row[-1] >= rival.failures else None
        for row in counts
    ]


def _ratios(rng: np.random.Generator, requests: float, rate: Array, releases: int) -> Array:
    sent = rng.poisson(requests, (releases, len(rate)))
    failed = rng.binomial(sent, rate)
    ratios: Array = failed / np.maximum(sent, 1)
    return ratios


def _checked(rate: Array, checks: int, rival: Rival) -> Array:
    """The true rate in each check's time."""
    means: Array = np.stack([part.mean() for part in np.array_split(rate, checks)])
    return means

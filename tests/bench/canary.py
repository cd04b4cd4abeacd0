"""A canary with 20 % errors under real traffic and a real Prometheus: first bad answer → decision → no traffic to it any more."""

from __future__ import annotations

import sys
from pathlib import Path

from sandbox.world.tempo import BESIDE
from tests.bench.figures import Figure
from tests.whole.releasing import FINAL, PROD, end_incidents, promote, prove, rolled_back
from tests.whole.spoiling import Timing, ready_to_observe, tempo, timed
from tests.whole.stage import Stage

RELEASES = 3
INTERVAL_S = 1.0
"""Of scrapes, rules and ticks in the sandbox."""

DECISION_S = 4 * INTERVAL_S
"""Two scrapes, the rules' interval and a tick; the minimum sample is there before the canary turns bad."""

CUSTOMERS_PER_S = 150.0
"""As much as it takes for the sample to be there within a scrape: what is measured is not how long customers take to come."""

ZERO_S = 1.0


async def measure(folder: Path, *, quick: bool) -> list[Figure]:
    """One world; each release is rolled back before the next."""
    times = []
    async with Stage(tempo=tempo(customers_per_s=CUSTOMERS_PER_S), folder=folder) as stage:
        await prove(stage)
        for _ in range(1 if quick else RELEASES):
            times.append(await _one(stage))
            sys.stderr.write(f"{times[-1]}\n")
    decision, zero = max(times, key=lambda t: t.to_decision_s), max(times, key=lambda t: t.to_zero_s)
    what = f"windows of {BESIDE[0]}, scraped and judged every {INTERVAL_S:g} s; the worst of {len(times)}"
    bad = f"{decision.seen} bad answers until then; {what}"
    return [
        Figure("first bad answer of a canary to decision", decision.to_decision_s, DECISION_S, "s", bad),
        Figure("decision to weight 0 accepted", zero.to_zero_s, ZERO_S, "s", f"of {len(zero.zero)} workloads"),
    ]


async def _one(stage: Stage) -> Timing:
    run = await promote(stage)
    await ready_to_observe(stage, run)
    found = await timed(stage, run)
    await rolled_back(stage, run)
    stage.world.spoil(FINAL, "good", env=PROD, track="canary")
    await end_incidents(stage)
    return found

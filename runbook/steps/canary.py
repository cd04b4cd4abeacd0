"""The canary against stable at a phase's end, from the same samples and by the same test as the guard that watches all the while.

It only asks; it never counts a sample that the guard would not.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from runbook.charts import Chart
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.guard_charts import ratio_chart
from runbook.plan import RatioGuard, Scene
from runbook.ports import Series
from runbook.rules.ratio_watch import (
    BASELINE_S,
    RatioSample,
    RatioWatch,
    by_track,
    judge_watch,
    limits_of,
    on_grid,
    replay_ratio,
    sample_of,
    samples_of,
    weights_of,
)
from runbook.rules.readings import read_error
from runbook.steps.asking import Verdicts
from runbook.verdicts import Verdict

LONGEST = timedelta(hours=24)
"""How far a roll-out is looked back on at most; as the guards do."""

PIECE = timedelta(hours=6)
"""What one range query covers. Prometheus answers 11,000 points of a series at most."""


@dataclass(frozen=True)
class CanaryRatio:
    """The canary's errors against stable's over the roll-out so far. Runbook: Production Deployment 5, Rollback Triggers.

    guard: the ratio that is watched too. interval_s: of the guards. passing_requests: fewer at this weight are NO_DATA. The fact `traffic`
    says since when which part of the requests reached the canary.
    """

    service: str
    guard: RatioGuard
    interval_s: float
    passing_requests: int = 300
    kind: Literal["canary_ratio"] = "canary_ratio"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        """PASS, FAIL `ratio.worse`, or NO_DATA with the reason; an error that may pass is asked again by the gate."""
        weights = weights_of(scene.facts)
        if not weights:
            reason = "no traffic of the canary is on record for this run"
            return (Verdict.no_data(self.guard.name, "ratio.no_roll_out", reason),), True
        try:
            samples = await self._samples(scene, weights[0][0])
        except Temporary as error:
            return (read_error(self.guard.name, error, self.guard.requests),), True
        except Permanent as error:
            return (read_error(self.guard.name, error, self.guard.requests),), False
        limits = limits_of(self.guard, self.passing_requests)
        watch = replay_ratio(RatioWatch(), samples, self.guard, weights, self.interval_s, limits)
        return (judge_watch(watch, self.guard, limits, self.interval_s),), True

    async def chart(self, scene: Scene) -> Chart | None:
        """Both tracks' error rates since the canary got its first requests. None where they can't be had: the verdict stands without."""
        weights = weights_of(scene.facts)
        if not weights:
            return None
        try:
            samples = await self._samples(scene, weights[0][0])
        except ForgeError:
            return None
        shown = [sample for sample in samples if sample.at >= weights[0][0]]
        where = f"{self.service} in {scene.environment.value}"
        return ratio_chart(self.guard, where, shown, scene.ports.clock.now())

    async def _samples(self, scene: Scene, shifted_at: datetime) -> list[RatioSample]:
        now = scene.ports.clock.now()
        begin = max(shifted_at - timedelta(seconds=BASELINE_S), now - LONGEST)
        requests, errors = await asyncio.gather(
            *(self._range(scene, metric, begin, now) for metric in (self.guard.requests, self.guard.errors))
        )
        tracks = [by_track(answer, self.service, scene.environment.value) for answer in (requests, errors)]
        samples = samples_of(self.guard, *tracks)
        return [
            *samples,
            sample_of(self.guard, {}, {}, now),
        ]  # so that rates that ended long ago are seen to be missing

    async def _range(self, scene: Scene, metric: str, begin: datetime, end: datetime) -> list[Series]:
        """Pieces one after another share no moment: a sample that came twice would look like two series."""
        found: list[Series] = []
        step = timedelta(seconds=self.interval_s)
        start = on_grid(begin, self.interval_s)
        expression = f'{metric}{{service="{self.service}"}}'
        while start <= end:
            last = min(start + PIECE, end)
            found += await scene.ports.metrics[scene.environment].query_range(expression, start, last, self.interval_s)
            start = on_grid(last, self.interval_s) + step
        return found

"""Which observation is looked at, for the queries about it. Runbook: Staging Deployment 6."""

from __future__ import annotations

import math
from dataclasses import dataclass

from runbook.series import Windows, recorded_as

_COVERED_RATIO = 0.5
"""What is measured all the time, but recorded for less of the observation, says nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What is looked at. length_s: from the observation's beginning until now. queue_lag_for_s: how long a lag must last to count."""

    service: str
    env: str
    windows: Windows
    length_s: float
    queue_lag_for_s: float = 900.0
    track: str = "stable"

    @property
    def whole_s(self) -> int:
        return max(1, round(self.length_s))

    @property
    def step_s(self) -> int:
        return max(1, min(15, self.whole_s // 20))

    @property
    def lag_for_s(self) -> int:
        """All of an observation that is shorter."""
        return max(1, min(round(self.queue_lag_for_s), self.whole_s))

    def selector(self, metric: str) -> str:
        labels = f'service="{self.service}",env="{self.env}",track="{self.track}"'
        return f"{recorded_as(metric, self.windows)}{{{labels}}}"

    def covered(self, metric: str) -> str:
        """PromQL that has a value where the metric is recorded for half of the observation at least."""
        wanted = max(1, math.floor(self.whole_s / self.step_s * _COVERED_RATIO))
        return f"count_over_time({self.selector(metric)}[{self.whole_s}s:{self.step_s}s]) >= {wanted}"

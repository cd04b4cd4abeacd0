"""Checks over a whole observation: the runbook's key metrics, and the time-outs of a service's dependencies. They only ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runbook.plan import Scene
from runbook.policy import Threshold
from runbook.series import Windows
from runbook.steps.asking import Verdicts


@dataclass(frozen=True)
class KeyMetrics:
    """Every key metric of the service over the whole observation. Runbook: Staging Deployment 6, Key Metrics.

    windows: of the recording rules' names. thresholds: what is judged; what has none is shown. without: recorded metrics that the
    service doesn't have. queue_lag_for_s: how long its queue may lag behind the normal baseline. The observation begins with the fact
    `observed_from` and ends now; the normal baseline is that of the fact `before_effects_at`, where it is known.
    """

    service: str
    windows: Windows
    thresholds: tuple[Threshold, ...]
    without: tuple[str, ...] = ()
    queue_lag_for_s: float = 900.0
    kind: Literal["key_metrics"] = "key_metrics"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        raise NotImplementedError


@dataclass(frozen=True)
class DependencyTimeouts:
    """Time-outs of dependencies over the observation against what was normal before the release. Runbook: Health Check Acceptance.

    over: how far above the normal ratio they may be (0.2: a fifth). floor: a ratio up to which they are no spike. Facts as for `KeyMetrics`.
    """

    service: str
    windows: Windows
    over: float
    floor: float
    without: tuple[str, ...] = ()
    kind: Literal["dependency_timeouts"] = "dependency_timeouts"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        raise NotImplementedError

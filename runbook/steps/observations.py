"""Steps that look at the running service from outside: smoke tests and the observation with health probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from runbook.plan import Work
from runbook.policy import HealthPaths, HealthPolicy, SmokeRequest


@dataclass(frozen=True, kw_only=True)
class SmokeTest(Work):
    """Sends each request until it is answered as expected, at most `attempts` times, `wait_s` apart; every request speaks.

    Runbook: `/health/live`, `/health/ready`, a basic authenticated API transaction.
    """

    kind: ClassVar[str] = "smoke_test"
    effect: ClassVar[bool] = True
    service: str
    base_url: str
    requests: tuple[SmokeRequest, ...]
    attempts: int = 3
    wait_s: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Observe(Work):
    """Watches for `duration_s` of observed time (pauses don't count): health probes at least once a second per target, smoke repeated.

    Runbook: Staging Deployment 6, Health Check Acceptance. Records the facts `observed_from` and `observed_to` (ISO times).
    """

    kind: ClassVar[str] = "observe"
    effect: ClassVar[bool] = True
    service: str
    base_url: str
    duration_s: float
    health: HealthPaths
    acceptance: HealthPolicy
    smoke: tuple[SmokeRequest, ...]
    smoke_every_s: float

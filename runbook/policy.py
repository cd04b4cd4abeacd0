"""The policy: every number and every list of roles that a plan is made with; the defaults are the runbook's.

Frozen values. A plan copies what it needs, so that an edit never changes a run that has had its first effect.
All durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from runbook.commands import DEFAULT_COMMAND_ROLES
from runbook.values import Environment, Role

MINUTE_S = 60.0
HOUR_S = 3600.0


@dataclass(frozen=True)
class Threshold:
    """An alert threshold on one recorded metric. Runbook: Alert Rules.

    metric: the name in `runbook.series`; the condition holds when the value is above (or below) `limit` for `for_s` seconds.
    """

    name: str
    metric: str
    above: bool
    limit: float
    for_s: float
    unit: Literal["ratio", "s", "count"] = "ratio"


CRITICAL = (
    Threshold("error rate", "error_ratio", True, 0.03, 5 * MINUTE_S),
    Threshold("API p95 latency", "latency_p95_seconds", True, 1.0, 5 * MINUTE_S, "s"),
    Threshold("readiness success", "readiness_ratio", False, 0.95, 5 * MINUTE_S),
)


@dataclass(frozen=True)
class HealthPolicy:
    """Runbook: Health Check Acceptance."""

    success_ratio: float = 0.99
    window_s: float = 5 * MINUTE_S
    p95_s: float = 0.25
    interval_s: float = 1.0
    timeout_s: float = 2.0


@dataclass(frozen=True)
class StagingPolicy:
    """Runbook: Staging Deployment and its gate.

    observation_s: at least 30 minutes. min_requests: fewer over the observation is NO_DATA (298 error-free requests bound the
    error rate by 1 % with 95 % confidence). smoke_every_s: how often the smoke requests are repeated while observing.
    trouble_within_s: crash loops and failing probes are named within this time. ci_wait_s: how long a pending CI is awaited.
    traffic_wait_s: how long after the observation too few requests are waited for.
    """

    approvers: tuple[Role, ...] = (Role.SERVICE_OWNER,)
    go_approvers: tuple[Role, ...] = (Role.PRODUCT, Role.SERVICE_OWNER)
    observation_s: float = 30 * MINUTE_S
    max_error_ratio: float = 0.01
    max_latency_p95_s: float = 0.4
    min_requests: int = 300
    smoke_every_s: float = 30.0
    rollout_timeout_s: float = 10 * MINUTE_S
    trouble_within_s: float = 60.0
    ci_wait_s: float = 30 * MINUTE_S
    traffic_wait_s: float = 10 * MINUTE_S


@dataclass(frozen=True)
class WaitingPolicy:
    """approval_expires_s: by default a day. A hold reminds, then escalates to on-call; its timer never rolls back."""

    approval_expires_s: float = 24 * HOUR_S
    hold_remind_s: float = 15 * MINUTE_S
    hold_escalate_s: float = 30 * MINUTE_S


@dataclass(frozen=True)
class MetricsPolicy:
    """window: the window in the recording rules' names, such as `1m`. interval_s: how often guards are judged."""

    window: str = "1m"
    interval_s: float = 15.0


@dataclass(frozen=True)
class Policy:
    commands: Mapping[str, tuple[Role, ...]] = field(default_factory=lambda: dict(DEFAULT_COMMAND_ROLES))
    staging: StagingPolicy = field(default_factory=StagingPolicy)
    health: HealthPolicy = field(default_factory=HealthPolicy)
    waiting: WaitingPolicy = field(default_factory=WaitingPolicy)
    metrics: MetricsPolicy = field(default_factory=MetricsPolicy)
    critical: tuple[Threshold, ...] = CRITICAL


@dataclass(frozen=True)
class Workload:
    """One Deployment of a service. image: the repository without tag or digest, such as `registry.example/acme/web`."""

    name: str
    container: str
    image: str


@dataclass(frozen=True)
class SmokeRequest:
    """One HTTP request with what is expected of the answer.

    token: the name of a secret in `services.<name>.secrets`, sent as `Authorization: Bearer`; never the secret itself.
    json_subset: every key here must be in the answer's JSON with an equal value. statuses: which codes are right.
    optional: a 404 is as good as a pass (for `/health/startup`, where it exists).
    """

    name: str
    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    token: str = ""
    statuses: tuple[int, ...] = (200,)
    json_subset: Mapping[str, object] = field(default_factory=dict)
    body_contains: str = ""
    timeout_s: float = 5.0
    optional: bool = False


@dataclass(frozen=True)
class HealthPaths:
    """Runbook: Required Endpoints. startup: empty when the service has none."""

    live: str = "/health/live"
    ready: str = "/health/ready"
    startup: str = "/health/startup"


@dataclass(frozen=True)
class Service:
    """A service as configuration names it: repository `owner/name`, workloads in the order they are deployed.

    urls: base address per environment. required_checks: names of CI checks that must be green; empty means all that ran, at least one.
    """

    name: str
    repository: str
    workloads: tuple[Workload, ...]
    urls: Mapping[Environment, str]
    health: HealthPaths = field(default_factory=HealthPaths)
    smoke: tuple[SmokeRequest, ...] = ()
    required_checks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setting:
    """Everything a procedure may know of the configuration, and the hash of the file it came from.

    roles: members as configured, `U…` users, `S…` user groups, `os:<name>`; an absent or empty list allows nobody.
    notice: shown with every run, such as "durations are shortened".
    """

    policy: Policy
    services: Mapping[str, Service]
    hash: str
    roles: Mapping[Role, tuple[str, ...]] = field(default_factory=dict)
    annotation_prefix: str = "forge"
    notice: str = ""

"""The policy: every number and every list of roles that a plan is made with; the defaults are the runbook's.

Frozen values. A plan copies what it needs, so that an edit never changes a run that has had its first effect.
All durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from runbook.backups import RestoreChecks
from runbook.commands import DEFAULT_COMMAND_ROLES
from runbook.criteria import DEFAULT_CRITERIA, Criterion, Weight
from runbook.jobs import JobTemplate, Migration, Performance, Suite
from runbook.series import ProdWindows
from runbook.values import Environment, Role

MINUTE_S = 60.0
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


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
    unit: Literal["ratio", "s", "count", "bytes_per_s"] = "ratio"


WARNING = (
    Threshold("error rate", "error_ratio", True, 0.01, 10 * MINUTE_S),
    Threshold("API p95 latency", "latency_p95_seconds", True, 0.5, 10 * MINUTE_S, "s"),
    Threshold("PostgreSQL connection utilization", "postgres_connection_ratio", True, 0.75, 10 * MINUTE_S),
)
"""Runbook: Warning Alerts. "Queue lag above normal baseline for 15 minutes" compares two series: `MetricsPolicy.queue_lag_for_s`."""

CRITICAL = (
    Threshold("error rate", "error_ratio", True, 0.03, 5 * MINUTE_S),
    Threshold("API p95 latency", "latency_p95_seconds", True, 1.0, 5 * MINUTE_S, "s"),
    Threshold("readiness success", "readiness_ratio", False, 0.95, 5 * MINUTE_S),
)

OBSERVED = (
    Threshold("core transaction success", "core_transaction_success_ratio", False, 0.98, 0.0),
    Threshold("background job failures", "job_failure_ratio", True, 0.05, 0.0),
    Threshold("CPU utilization", "cpu_utilization_ratio", True, 0.9, 0.0),
    Threshold("memory working set of its limit", "memory_working_set_ratio", True, 0.9, 0.0),
    Threshold("OOM kills", "oom_kills", True, 0.0, 0.0, "count"),
    Threshold("container restarts", "container_restarts", True, 3.0, 0.0, "count"),
    Threshold("disk I/O latency", "disk_io_latency_seconds", True, 0.1, 0.0, "s"),
    Threshold("disk I/O saturation", "disk_io_saturation_ratio", True, 0.9, 0.0),
    Threshold("network retransmits", "network_retransmit_ratio", True, 0.05, 0.0),
    Threshold("PostgreSQL connection utilization", "postgres_connection_ratio", True, 0.75, 0.0),
    Threshold("PostgreSQL replication lag", "postgres_replication_lag_seconds", True, 60.0, 0.0, "s"),
    Threshold("PostgreSQL slow queries", "postgres_slow_queries", True, 10.0, 0.0, "count"),
    Threshold("PostgreSQL WAL growth", "postgres_wal_growth_bytes_per_second", True, 16e6, 0.0, "bytes_per_s"),
    Threshold("PostgreSQL checkpoint duration", "postgres_checkpoint_duration_seconds", True, 30 * MINUTE_S, 0.0, "s"),
)
"""What the key metrics must keep to over the whole observation (for_s is 0: the mean is judged, or the sum of kills and restarts, or the
longest checkpoint). Runbook: Key Metrics; core transactions from Rollback Triggers, PostgreSQL counted only where it is measured, its
connections and lag from Alert Rules; where the runbook gives no number it is ours, and policy."""


@dataclass(frozen=True)
class SloTargets:
    """Runbook: Suggested SLO Targets."""

    availability_ratio: float = 0.999
    latency_p95_s: float = 0.4
    error_ratio: float = 0.01


@dataclass(frozen=True)
class HealthPolicy:
    """Runbook: Health Check Acceptance."""

    success_ratio: float = 0.99
    window_s: float = 5 * MINUTE_S
    p95_s: float = 0.25
    interval_s: float = 1.0
    timeout_s: float = 2.0


@dataclass(frozen=True)
class DevPolicy:
    """Runbook: Development Deployment and its gate.

    auto_deploy: what is green on the branch is deployed by itself. settle_s: so long after a push is waited for the next one. poll_s: the
    branch is asked so often even if nobody tells of anything. ci_wait_s: how long a pending CI is awaited by `deploy dev`. observation_s:
    how long logs and error rate are verified. log_patterns: regular expressions of lines that must not be in a pod's log; log_bytes: how
    much of the end of each pod's log is read; log_lines: how many matching lines are tolerated. min_requests: fewer over the observation is NO_DATA.
    """

    auto_deploy: bool = True
    settle_s: float = 10.0
    poll_s: float = 5 * MINUTE_S
    ci_wait_s: float = 30 * MINUTE_S
    observation_s: float = 15 * MINUTE_S
    max_error_ratio: float = 0.01
    min_requests: int = 20
    smoke_every_s: float = 30.0
    rollout_timeout_s: float = 10 * MINUTE_S
    trouble_within_s: float = 60.0
    traffic_wait_s: float = 5 * MINUTE_S
    log_patterns: tuple[str, ...] = (
        "\\bFATAL\\b",
        "\\bPANIC\\b",
        "Traceback \\(most recent call last\\)",
        "OutOfMemoryError",
    )
    log_bytes: int = 1024 * 1024
    log_lines: int = 0


@dataclass(frozen=True)
class StagingPolicy:
    """Runbook: Staging Deployment and its gate.

    observation_s: at least 30 minutes. min_requests: fewer over the observation is NO_DATA (298 error-free requests bound the
    error rate by 1 % with 95 % confidence). smoke_every_s: how often the smoke requests are repeated while observing.
    trouble_within_s: crash loops and failing probes are named within this time. ci_wait_s: how long a pending CI is awaited.
    traffic_wait_s: how long after the observation too few requests are waited for. dev_validated: what a candidate's validation in dev
    weighs: `recommended` is shown and decides nothing, for candidates that are older than dev's procedure, or of a branch of their own.
    """

    dev_validated: Weight = Weight.REQUIRED
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
    """window, baseline, month: the windows in the recording rules' names (`runbook.series.Windows`). interval_s: how often guards are judged.

    dependency_timeouts_over: how far over their baseline dependency time-outs may be (0.2: a fifth). Runbook: Health Check Acceptance.
    dependency_timeouts_floor: a ratio up to which they are no spike, whatever the baseline. queue_lag_for_s: how long the lag must be
    above its normal baseline for a warning. fast: the window of the rates that the canary's sequential test reads: two scrapes.
    """

    window: str = "1m"
    interval_s: float = 15.0
    baseline: str = "1d"
    month: str = "30d"
    dependency_timeouts_over: float = 0.2
    dependency_timeouts_floor: float = 0.001
    queue_lag_for_s: float = 15 * MINUTE_S
    fast: str = "30s"


@dataclass(frozen=True)
class PerformancePolicy:
    """tolerance: how much worse than the target still passes (0.1: 10 %). Runbook: Staging promotion gate.

    max_failed_ratio: of the load's requests; failed ones prove no throughput.
    """

    tolerance: float = 0.1
    max_failed_ratio: float = 0.01


@dataclass(frozen=True)
class ScanPolicy:
    """max_age_s: an older report says nothing of today's known vulnerabilities. wait_s: how long the promotion gate waits for a report."""

    max_age_s: float = 7 * DAY_S
    wait_s: float = 30 * MINUTE_S
    code_scanning: bool = False


@dataclass(frozen=True)
class MigrationsPolicy:
    """contract_approvers: who decides that something may be taken away from a schema."""

    contract_approvers: tuple[Role, ...] = (Role.DATABASE_OWNER,)


@dataclass(frozen=True)
class JobsPolicy:
    """log_tail_bytes: how much of the end of a Job's output is read for results. shown_lines: how much of it people see."""

    log_tail_bytes: int = 4 * 1024 * 1024
    shown_lines: int = 20


@dataclass(frozen=True)
class ChangeWindow:
    """When production may be changed. rrule: RFC 5545, such as `FREQ=WEEKLY;BYDAY=MO,TU,WE,TH;BYHOUR=9;BYMINUTE=0;BYSECOND=0`: each
    occurrence opens the window for `duration_s`. starts, ends: a dated window in its place (ISO 8601, local to `zone`). zone: an IANA time zone."""

    name: str
    zone: str = "UTC"
    rrule: str = ""
    duration_s: float = 8 * HOUR_S
    starts: str = ""
    ends: str = ""


@dataclass(frozen=True)
class TriggersPolicy:
    """What each of the Rollback Triggers does: `auto` rolls back at once, `prompt` asks on-call first. Runbook: Rollback Triggers.

    core_success: under this ratio core transactions are a trigger, at once after `core_for_s`. slow_queries, lock_waits: what a migration
    may at most bring about, for `regression_for_s`. ratio, alpha, floor: the canary's errors against stable's,
    from minimum_requests of the canary on; design_effect: how many failures one cause brings about (4 where clients try again three
    times). See `rules.canary_ratio`.
    """

    critical_alerts: Literal["auto", "prompt"] = "auto"
    core_transactions: Literal["auto", "prompt"] = "auto"
    canary_ratio: Literal["auto", "prompt"] = "auto"
    migration_regression: Literal["auto", "prompt"] = "prompt"
    core_success: float = 0.98
    core_for_s: float = MINUTE_S
    slow_queries: float = 5.0
    lock_waits: float = 10.0
    regression_for_s: float = 5 * MINUTE_S
    ratio: float = 2.0
    alpha: float = 0.001
    floor: float = 0.001
    minimum_requests: int = 50
    design_effect: float = 1.0


@dataclass(frozen=True)
class BurnPolicy:
    """Error budget burn, multi-window: both windows over `rate` times the budget's own pace is a FAIL. (Google SRE Workbook, chapter 5.)

    long, short: windows in the recording rules' names. The budget is 1 - `slo.availability_ratio`.
    """

    long: str = "1h"
    short: str = "5m"
    rate: float = 14.4


@dataclass(frozen=True)
class ProdPolicy:
    """Runbook: Production Deployment. weights: percent of traffic, rising, the last is 100. phase_s: each lasts at least so long (the
    acceptance window) and until `min_requests` reached the canary; after `phase_max_s` a person is asked. watch_s: the elevated watch;
    quiet_s: so long no alert may have been sustained at its end. mitigate_s: how long on-call has to mitigate before it is rolled back.
    max_over_stable: how far the canary's p95 may be over stable's (0.2: a fifth). remind_every_s: of an unanswered prompt.
    """

    approvers: tuple[Role, ...] = (Role.SERVICE_OWNER,)
    approvers_any_of: tuple[Role, ...] = (Role.PRODUCT, Role.OPERATIONS)
    weights: tuple[int, ...] = (5, 25, 100)
    phase_s: float = 5 * MINUTE_S
    phase_max_s: float = 30 * MINUTE_S
    min_requests: int = 300
    watch_s: float = HOUR_S
    quiet_s: float = 30 * MINUTE_S
    mitigate_s: float = 15 * MINUTE_S
    remind_every_s: float = 5 * MINUTE_S
    max_error_ratio: float = 0.01
    max_latency_p95_s: float = 0.4
    max_over_stable: float = 0.2
    rollout_timeout_s: float = 10 * MINUTE_S
    trouble_within_s: float = 60.0
    smoke_every_s: float = 30.0
    route_timeout_s: float = 2 * MINUTE_S
    backup_max_age_s: float = 24 * HOUR_S
    drill_max_age_s: float = 7 * DAY_S
    windows: tuple[ChangeWindow, ...] = ()
    checklist: tuple[str, ...] = ()
    """Lines that people tick before the roll-out, beside the runbook's."""

    post_checklist: tuple[str, ...] = ()
    choice_remind_s: float = 15 * MINUTE_S
    triggers: TriggersPolicy = field(default_factory=TriggersPolicy)
    burn: BurnPolicy = field(default_factory=BurnPolicy)


RETENTION_S: Mapping[Environment, float] = {
    Environment.DEV: 7 * DAY_S,
    Environment.STAGING: 14 * DAY_S,
    Environment.PROD: 35 * DAY_S,
}
"""Runbook: Backup Policy, "Retention". Less is refused by configuration."""


@dataclass(frozen=True)
class BackupsPolicy:
    """Runbook: Backup Policy. full, base, drill: RFC 5545 rules, placed in `time_zone` (an IANA name): when a logical backup, a physical base
    backup and a restore drill are begun; empty: never by themselves. retention_s: how long a backup is kept, counted from its completion.
    wal_switch_s: at most so much time passes between two WAL segments of a database that isn't idle. missed_after_s: a run that was due so
    long ago and has not begun counts as missed. sign_off_s: how long the Database Owner has for the sign-off.
    """

    full: str = "FREQ=DAILY;BYHOUR=2;BYMINUTE=0;BYSECOND=0"
    base: str = "FREQ=WEEKLY;BYDAY=SU;BYHOUR=3;BYMINUTE=0;BYSECOND=0"
    drill: str = "FREQ=WEEKLY;BYDAY=MO;BYHOUR=4;BYMINUTE=0;BYSECOND=0"
    time_zone: str = "UTC"
    retention_s: Mapping[Environment, float] = field(default_factory=lambda: dict(RETENTION_S))
    wal_switch_s: float = 5 * MINUTE_S
    missed_after_s: float = 2 * HOUR_S
    sign_off_s: float = 24 * HOUR_S


@dataclass(frozen=True)
class Policy:
    commands: Mapping[str, tuple[Role, ...]] = field(default_factory=lambda: dict(DEFAULT_COMMAND_ROLES))
    dev: DevPolicy = field(default_factory=DevPolicy)
    staging: StagingPolicy = field(default_factory=StagingPolicy)
    prod: ProdPolicy = field(default_factory=ProdPolicy)
    health: HealthPolicy = field(default_factory=HealthPolicy)
    waiting: WaitingPolicy = field(default_factory=WaitingPolicy)
    metrics: MetricsPolicy = field(default_factory=MetricsPolicy)
    critical: tuple[Threshold, ...] = CRITICAL
    warning: tuple[Threshold, ...] = WARNING
    observed: tuple[Threshold, ...] = OBSERVED
    slo: SloTargets = field(default_factory=SloTargets)
    performance: PerformancePolicy = field(default_factory=PerformancePolicy)
    scans: ScanPolicy = field(default_factory=ScanPolicy)
    jobs: JobsPolicy = field(default_factory=JobsPolicy)
    migrations: MigrationsPolicy = field(default_factory=MigrationsPolicy)
    criteria: tuple[Criterion, ...] = DEFAULT_CRITERIA
    backups: BackupsPolicy = field(default_factory=BackupsPolicy)


def prod_windows(policy: Policy) -> ProdWindows:
    """The windows that production reads beside the rules'."""
    return ProdWindows(policy.metrics.fast, policy.prod.burn.short, policy.prod.burn.long)


@dataclass(frozen=True)
class Workload:
    """One Deployment of a service. image: the repository without tag or digest, such as `registry.example/acme/web`.

    traffic: how production's traffic is divided: `route` (weights of an HTTPRoute) or `replicas` (by the number of pods: workers without
    HTTP). route, stable_service, canary_service: names of the HTTPRoute and of the Services; empty: the Deployment's name, the same, and
    the canary's. canary: the canary Deployment's name; empty: `<name>-canary`.
    """

    name: str
    container: str
    image: str
    traffic: Literal["route", "replicas"] = "route"
    route: str = ""
    stable_service: str = ""
    canary_service: str = ""
    canary: str = ""


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

    urls: base address per environment. canary_urls: addresses of the canary alone, where there are such: it is probed there too, whatever
    its weight. required_checks: names of CI checks that must be green; empty means all that ran, at least one.
    release_file: path in the repository, at the tag, of the file that declares the release's migrations; where it isn't there, migrations
    and verification count. without: recorded metrics that this service doesn't have (no queue, no background jobs): they are not asked.
    expressions: recorded metric -> PromQL in place of the shipped rule's, for `forge rules`.
    """

    name: str
    repository: str
    workloads: tuple[Workload, ...]
    urls: Mapping[Environment, str]
    health: HealthPaths = field(default_factory=HealthPaths)
    smoke: tuple[SmokeRequest, ...] = ()
    required_checks: tuple[str, ...] = ()
    release_file: str = ".forge/release.yaml"
    migrations: tuple[Migration, ...] = ()
    verification: JobTemplate | None = None
    suites: tuple[Suite, ...] = ()
    performance: Performance | None = None
    without: tuple[str, ...] = ()
    expressions: Mapping[str, str] = field(default_factory=dict)
    canary_urls: Mapping[Environment, str] = field(default_factory=dict)
    database: bool = True
    """Whether it has one, whose backup production asks for."""

    branch: str = "main"
    """What dev runs commits of."""

    image_tag: str = "{commit}"
    """The tag of a commit's images in the registry: `{commit}` is its full SHA, `{short}` its first seven digits."""

    dev_suites: tuple[str, ...] = ()
    """Names of the suites that run in dev too."""

    restore_checks: RestoreChecks = field(default_factory=RestoreChecks)
    restore_switch: JobTemplate | None = None
    """The Job that leads the traffic to a restored database, after the sign-off; None: people do."""

    restore_sanitise: JobTemplate | None = None
    """The Job that takes customers' data out of what was restored elsewhere; without it nothing is restored elsewhere."""


@dataclass(frozen=True)
class Setting:
    """Everything a procedure may know of the configuration, and the hash of the file it came from.

    roles: members as configured, `U…` users, `S…` user groups, `os:<name>`; an absent or empty list allows nobody.
    notice: shown with every run, such as "durations are shortened". on_call: Slack ids of those whom a schedule names, as it was last
    asked, to mention them; None: no schedule, or it has not answered yet.
    """

    policy: Policy
    services: Mapping[str, Service]
    hash: str
    roles: Mapping[Role, tuple[str, ...]] = field(default_factory=dict)
    annotation_prefix: str = "forge"
    notice: str = ""
    on_call: tuple[str, ...] | None = None

    def members(self, role: Role) -> tuple[str, ...]:
        """Slack ids of users and groups to mention for a role. Where a schedule named nobody who can be reached, the configured ones."""
        if role is Role.ON_CALL and self.on_call:
            return self.on_call
        return tuple(member for member in self.roles.get(role, ()) if not member.startswith("os:"))

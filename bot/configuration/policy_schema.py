"""The form of `policy` in forge.yaml; the defaults are taken from `runbook.policy`, so that they stand in one place."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bot.configuration.backups_schema import Backups
from bot.configuration.dev_schema import Dev
from bot.configuration.prod_schema import Prod
from bot.configuration.units import Ratio, parse_byte_rate, parse_ratio
from runbook import series
from runbook.commands import BY_NAME, DEFAULT_COMMAND_ROLES
from runbook.criteria import DEFAULT_CRITERIA, Criterion, Weight
from runbook.documents.problems import suggest
from runbook.durations import Duration, parse_duration
from runbook.policy import (
    CRITICAL,
    OBSERVED,
    WARNING,
    HealthPolicy,
    JobsPolicy,
    MetricsPolicy,
    MigrationsPolicy,
    PerformancePolicy,
    ScanPolicy,
    SloTargets,
    StagingPolicy,
    Threshold,
    WaitingPolicy,
)
from runbook.values import Role

_STAGING, _HEALTH, _WAITING, _METRICS = StagingPolicy(), HealthPolicy(), WaitingPolicy(), MetricsPolicy()
_PERFORMANCE, _SCANS, _JOBS, _SLO = PerformancePolicy(), ScanPolicy(), JobsPolicy(), SloTargets()
_MIGRATIONS = MigrationsPolicy()
_JUDGED = tuple(metric for metric in series.SHIPPED if metric != series.DURATION_BUCKETS)
_WINDOW = StringConstraints(pattern=r"^[1-9][0-9]{0,4}[smhd]$")


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Staging(Part):
    approvers: list[Role] = Field(
        default=list(_STAGING.approvers),
        min_length=1,
        description="Who approves the deployment: one person for each role.",
    )
    go_approvers: list[Role] = Field(
        default=list(_STAGING.go_approvers), min_length=1, description="Who gives the go: one person for each role."
    )
    observation: Duration = Field(default=_STAGING.observation_s, description="How long staging is observed.")
    max_error_ratio: Ratio = Field(default=_STAGING.max_error_ratio, description="Over the whole observation.")
    max_latency_p95: Duration = Field(default=_STAGING.max_latency_p95_s, description="Over the whole observation.")
    min_requests: Annotated[int, Field(ge=1)] = Field(
        default=_STAGING.min_requests, description="Fewer requests over the observation prove nothing."
    )
    smoke_every: Duration = Field(
        default=_STAGING.smoke_every_s, description="Pause between smoke requests while observing."
    )
    rollout_timeout: Duration = Field(
        default=_STAGING.rollout_timeout_s, description="Until a Deployment must be Available."
    )
    trouble_within: Duration = Field(
        default=_STAGING.trouble_within_s, description="Crash loops and failing probes are named within this time."
    )
    traffic_wait: Duration = Field(
        default=_STAGING.traffic_wait_s,
        description="How long after the observation too few requests are waited for.",
    )
    ci_wait: Duration = Field(default=_STAGING.ci_wait_s, description="How long a pending CI is awaited.")
    dev_validated: Literal["required", "recommended"] = Field(
        default="required",
        description="Whether a candidate's commit must have been validated in dev, where dev is configured. `recommended` shows it and decides "
        "nothing: for candidates that are older than dev's procedure, or of a branch of their own.",
    )


class Health(Part):
    success_ratio: Ratio = Field(default=_HEALTH.success_ratio, description="Of the probes in any window.")
    window: Duration = Field(default=_HEALTH.window_s, description="The rolling window.")
    p95: Duration = Field(default=_HEALTH.p95_s, description="Of the probes' latency.")
    interval: Duration = Field(default=_HEALTH.interval_s, description="Pause between probes of one target.")
    timeout: Duration = Field(default=_HEALTH.timeout_s, description="A slower answer is a failure.")


class Waiting(Part):
    approval_expires: Duration = Field(default=_WAITING.approval_expires_s, description="An approval lapses after it.")
    hold_remind: Duration = Field(default=_WAITING.hold_remind_s, description="A held run reminds after it.")
    hold_escalate: Duration = Field(default=_WAITING.hold_escalate_s, description="A held run calls on-call after it.")


class Metrics(Part):
    window: Annotated[str, _WINDOW] = Field(
        default=_METRICS.window, description="The window in the recording rules' names."
    )
    interval: Duration = Field(default=_METRICS.interval_s, description="How often guards are judged.")
    baseline: Annotated[str, _WINDOW] = Field(
        default=_METRICS.baseline, description="The window that normal baselines are recorded over."
    )
    month: Annotated[str, _WINDOW] = Field(
        default=_METRICS.month, description="The window that availability is recorded over."
    )
    dependency_timeouts_over: Ratio = Field(
        default=_METRICS.dependency_timeouts_over, description="How far dependency time-outs may exceed their baseline."
    )
    dependency_timeouts_floor: Ratio = Field(
        default=_METRICS.dependency_timeouts_floor, description="Up to this share of time-outs is no spike in any case."
    )
    queue_lag_for: Duration = Field(
        default=_METRICS.queue_lag_for_s,
        description="How long queue lag must exceed its normal baseline for a warning.",
    )
    fast: Annotated[str, _WINDOW] = Field(
        default=_METRICS.fast, description="The window that a canary's sequential test reads: two scrapes."
    )


class Performance(Part):
    tolerance: Ratio = Field(default=_PERFORMANCE.tolerance, description="How much worse than the target still passes.")
    max_failed_ratio: Ratio = Field(
        default=_PERFORMANCE.max_failed_ratio, description="Of the load's requests; failed ones prove no throughput."
    )


class Scans(Part):
    max_age: Duration = Field(
        default=_SCANS.max_age_s, description="An older report says nothing of what is known today."
    )
    wait: Duration = Field(
        default=_SCANS.wait_s, description="How long the promotion gate waits for what is missing, such as a report."
    )
    code_scanning: bool = Field(
        default=_SCANS.code_scanning, description="Also ask GitHub code scanning about the commit."
    )


class Jobs(Part):
    log_tail_bytes: Annotated[int, Field(ge=4096, le=64 * 1024 * 1024)] = Field(
        default=_JOBS.log_tail_bytes, description="How much of the end of a Job's output is read for results."
    )
    shown_lines: Annotated[int, Field(ge=0, le=50)] = Field(
        default=_JOBS.shown_lines, description="How many of its last lines people see."
    )


class Migrations(Part):
    contract_approvers: list[Role] = Field(
        default=list(_MIGRATIONS.contract_approvers),
        min_length=1,
        description="Who approves contract migrations: one person for each role.",
    )


class Slo(Part):
    availability: Ratio = Field(default=_SLO.availability_ratio, description="Over `metrics.month`.")
    latency_p95: Duration = Field(default=_SLO.latency_p95_s, description="Of core endpoints.")
    error_ratio: Ratio = Field(default=_SLO.error_ratio, description="Steady state.")


class CriterionWeights(Part):
    """One row of the Promotion Criteria Summary."""

    to_staging: Weight | None = Field(
        default=None,
        description="dev → staging; default: the runbook's. A candidate's suites and load run on staging whatever stands here.",
    )
    to_prod: Weight | None = Field(default=None, description="staging → prod; default: the runbook's.")

    def applied_to(self, row: Criterion) -> Criterion:
        return replace(row, to_staging=self.to_staging or row.to_staging, to_prod=self.to_prod or row.to_prod)


_ROWS = tuple(row.name for row in DEFAULT_CRITERIA if row.name not in ("ci", "smoke", "approvals"))
"""What a company may weigh differently: a release without green CI, smoke tests or approvals is none."""


class Critical(Part):
    """One alert threshold: exactly one of above and below; its unit is the metric's."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=80)] = Field(description="What people read.")
    metric: str = Field(description="A recorded series.", json_schema_extra={"enum": list(_JUDGED)})
    above: float | str | None = Field(default=None, description="Breached when the value is above it.")
    below: float | str | None = Field(default=None, description="Breached when the value is below it.")
    for_: Duration = Field(alias="for", description="For this long.")

    _known = field_validator("metric")(lambda value: _known_metric(value))

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        self.threshold()
        return self

    def threshold(self) -> Threshold:
        """Raises PydanticCustomError for a limit that doesn't fit the metric's unit, and for none or two limits."""
        return _threshold(self, self.for_)


class Observed(Part):
    """What a key metric must keep to over the whole observation: exactly one of above and below; its unit is the metric's."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=80)] = Field(description="What people read.")
    metric: str = Field(description="A recorded series.", json_schema_extra={"enum": list(_JUDGED)})
    above: float | str | None = Field(default=None, description="Missed when the value is above it.")
    below: float | str | None = Field(default=None, description="Missed when the value is below it.")

    _known = field_validator("metric")(lambda value: _known_metric(value))

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        self.threshold()
        return self

    def threshold(self) -> Threshold:
        """Raises PydanticCustomError for a limit that doesn't fit the metric's unit, and for none or two limits."""
        return _threshold(self, 0.0)


def _known_metric(value: str) -> str:
    if value not in _JUDGED:
        raise PydanticCustomError(
            "unknown_word", "{word} is no recorded series", {"word": value, "remedy": suggest(value, _JUDGED)}
        )
    return value


def _threshold(limit: Critical | Observed, for_s: float) -> Threshold:
    """Raises PydanticCustomError."""
    if (limit.above is None) == (limit.below is None):
        remedy = "Write `above: 3 %` or `below: 95 %`"
        raise PydanticCustomError("one_limit", "a threshold has exactly one limit", {"remedy": remedy})
    given, above = (limit.above, True) if limit.above is not None else (limit.below, False)
    unit = series.METRICS[limit.metric].unit
    if unit == "ratio":
        return Threshold(limit.name, limit.metric, above, parse_ratio(given), for_s)
    if unit == "s":
        return Threshold(limit.name, limit.metric, above, parse_duration(given), for_s, "s")
    if unit == "bytes_per_s":
        return Threshold(limit.name, limit.metric, above, parse_byte_rate(given), for_s, unit)
    if not isinstance(given, int | float):
        raise PydanticCustomError("one_limit", "the limit of this metric is a number", {"remedy": "Write a number"})
    return Threshold(limit.name, limit.metric, above, float(given), for_s, "count")


def _as_configured(threshold: Threshold) -> Critical:
    return Critical.model_validate({**_limits(threshold), "for": threshold.for_s})


def _limits(threshold: Threshold) -> dict[str, object]:
    side = "above" if threshold.above else "below"
    return {"name": threshold.name, "metric": threshold.metric, side: threshold.limit}


_SETTABLE = tuple(name for name, command in BY_NAME.items() if not command.decision and not command.reading)


def _check_command(name: str) -> str:
    if name in _SETTABLE:
        return name
    command = BY_NAME.get(name)
    if command is None:
        cause, remedy = f"{name} is no command", suggest(name, _SETTABLE)
    elif command.decision:
        cause, remedy = f"{name} belongs to the roles that a step names", "Remove it; see `policy.staging.approvers`"
    else:
        cause, remedy = f"{name} changes nothing and is open to every full member", "Remove it"
    raise PydanticCustomError("command", "{cause}", {"cause": cause, "remedy": remedy})


CommandName = Annotated[str, AfterValidator(_check_command)]


def _check_row(name: str) -> str:
    if name not in _ROWS:
        cause = f"{name} is no criterion that may weigh differently"
        raise PydanticCustomError("criterion", "{cause}", {"cause": cause, "remedy": suggest(name, _ROWS)})
    return name


CriterionName = Annotated[str, AfterValidator(_check_row)]


class Policy(Part):
    commands: dict[CommandName, list[Role]] = Field(
        default={name: list(roles) for name, roles in DEFAULT_COMMAND_ROLES.items()},
        description="Who may run what changes something. A command that is named here gets exactly these roles; an empty list allows nobody.",
        json_schema_extra={"propertyNames": {"enum": list(_SETTABLE)}},
    )
    dev: Dev = Field(default=Dev(), description="Development deployment, by itself or by hand, and its gate.")
    staging: Staging = Field(default=Staging(), description="Staging deployment and its gate.")
    prod: Prod = Field(default=Prod(), description="Production deployment, its gates, and what rolls it back.")
    health: Health = Field(default=Health(), description="Health check acceptance.")
    waiting: Waiting = Field(default=Waiting(), description="How long people are waited for.")
    metrics: Metrics = Field(default=Metrics(), description="How Prometheus is asked.")
    critical: list[Critical] = Field(
        default=[_as_configured(threshold) for threshold in CRITICAL],
        description="Critical alert thresholds; a breach returns staging.",
    )
    warning: list[Critical] = Field(
        default=[_as_configured(threshold) for threshold in WARNING], description="Warning alert thresholds."
    )
    observed: list[Observed] = Field(
        default=[Observed.model_validate(_limits(threshold)) for threshold in OBSERVED],
        description="What the key metrics must keep to over the whole observation.",
    )
    slo: Slo = Field(default=Slo(), description="The service level objectives that `/forge metrics` shows.")
    performance: Performance = Field(default=Performance(), description="How the performance baseline is judged.")
    scans: Scans = Field(default=Scans(), description="How security scans are judged.")
    jobs: Jobs = Field(default=Jobs(), description="What is read and shown of Jobs.")
    migrations: Migrations = Field(default=Migrations(), description="Who decides on migrations.")
    backups: Backups = Field(
        default=Backups(),
        description="When databases are backed up and restores are drilled, and how long backups are kept.",
    )
    criteria: dict[CriterionName, CriterionWeights] = Field(
        default_factory=dict,
        description="Rows of the Promotion Criteria Summary that weigh differently here; default: the runbook's table.",
        json_schema_extra={"propertyNames": {"enum": list(_ROWS)}},
    )

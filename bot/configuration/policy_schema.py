"""The form of `policy` in forge.yaml; the defaults are taken from `runbook.policy`, so that they stand in one place."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic_core import PydanticCustomError

from bot.configuration.problems import suggest
from bot.configuration.units import Duration, Ratio, parse_duration, parse_ratio
from runbook import series
from runbook.commands import BY_NAME, DEFAULT_COMMAND_ROLES
from runbook.policy import CRITICAL, HealthPolicy, MetricsPolicy, StagingPolicy, Threshold, WaitingPolicy
from runbook.values import Role

_STAGING, _HEALTH, _WAITING, _METRICS = StagingPolicy(), HealthPolicy(), WaitingPolicy(), MetricsPolicy()
_JUDGED = tuple(metric for metric in series.SHIPPED if metric != series.DURATION_BUCKETS)


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
    window: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,4}[smh]$")] = Field(
        default=_METRICS.window, description="The window in the recording rules' names."
    )
    interval: Duration = Field(default=_METRICS.interval_s, description="How often guards are judged.")


class Critical(Part):
    """One critical alert threshold: exactly one of above and below; its unit is the metric's."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=80)] = Field(description="What people read.")
    metric: str = Field(description="A recorded series.", json_schema_extra={"enum": list(_JUDGED)})
    above: float | str | None = Field(default=None, description="Breached when the value is above it.")
    below: float | str | None = Field(default=None, description="Breached when the value is below it.")
    for_: Duration = Field(alias="for", description="For this long.")

    @field_validator("metric")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in _JUDGED:
            raise PydanticCustomError(
                "unknown_word", "{word} is no recorded series", {"word": value, "remedy": suggest(value, _JUDGED)}
            )
        return value

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.above is None) == (self.below is None):
            remedy = "Write `above: 3 %` or `below: 95 %`"
            raise PydanticCustomError("one_limit", "a threshold has exactly one limit", {"remedy": remedy})
        self.threshold()
        return self

    def threshold(self) -> Threshold:
        """Raises PydanticCustomError for a limit that doesn't fit the metric's unit."""
        given = self.above if self.above is not None else self.below
        if self.metric.endswith("_ratio"):
            return Threshold(self.name, self.metric, self.above is not None, parse_ratio(given), self.for_)
        if self.metric.endswith("_seconds"):
            return Threshold(self.name, self.metric, self.above is not None, parse_duration(given), self.for_, "s")
        if not isinstance(given, int | float):
            raise PydanticCustomError("one_limit", "the limit of this metric is a number", {"remedy": "Write a number"})
        return Threshold(self.name, self.metric, self.above is not None, float(given), self.for_, "count")


def _as_configured(threshold: Threshold) -> Critical:
    side = "above" if threshold.above else "below"
    return Critical.model_validate({
        "name": threshold.name, "metric": threshold.metric, side: threshold.limit, "for": threshold.for_s,
    })  # fmt: skip


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


class Policy(Part):
    commands: dict[CommandName, list[Role]] = Field(
        default={name: list(roles) for name, roles in DEFAULT_COMMAND_ROLES.items()},
        description="Who may run what changes something. A command that is named here gets exactly these roles; an empty list allows nobody.",
        json_schema_extra={"propertyNames": {"enum": list(_SETTABLE)}},
    )
    staging: Staging = Field(default=Staging(), description="Staging deployment and its gate.")
    health: Health = Field(default=Health(), description="Health check acceptance.")
    waiting: Waiting = Field(default=Waiting(), description="How long people are waited for.")
    metrics: Metrics = Field(default=Metrics(), description="How Prometheus is asked.")
    critical: list[Critical] = Field(
        default=[_as_configured(threshold) for threshold in CRITICAL],
        description="Critical alert thresholds; a breach returns staging.",
    )

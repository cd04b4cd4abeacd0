"""The form of what forge.yaml says of dev: `policy.dev`, and an environment's profile and isolation. Defaults are `runbook.policy`'s."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from bot.configuration.units import Ratio
from integrations.kubernetes.quantities import quantity
from runbook.documents.forms import Section, form
from runbook.durations import Duration
from runbook.policy import DevPolicy
from runbook.rules.log_lines import LONGEST_PATTERN, check_pattern

_DEV = DevPolicy()
_LEAST_POLL_S = 10.0
MOST_PATTERNS = 50


def _check_pattern(value: str) -> str:
    if wrong := check_pattern(value):
        remedy = "Write a regular expression in the syntax of Rust's regex: linear in time, without look-around"
        raise PydanticCustomError("pattern", "{cause}", {"cause": wrong, "remedy": remedy})
    return value


LogPattern = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_PATTERN), AfterValidator(_check_pattern)]


def _check_poll(value: float) -> float:
    if value < _LEAST_POLL_S:
        remedy = f"Write at least {_LEAST_POLL_S:g}s: GitHub counts the calls"
        raise PydanticCustomError("poll", "GitHub would be asked without a pause", {"remedy": remedy})
    return value


class Dev(BaseModel):
    """Runbook: Development Deployment and its gate."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    auto_deploy: bool = Field(
        default=_DEV.auto_deploy, description="What is green on a service's branch is deployed to dev by itself."
    )
    settle: Duration = Field(
        default=_DEV.settle_s,
        description="So long after a push the next one is waited for: a burst ends with the newest.",
    )
    poll: Annotated[Duration, AfterValidator(_check_poll)] = Field(
        default=_DEV.poll_s, description="GitHub is asked so often, even if no webhook comes; at least 10s."
    )
    ci_wait: Duration = Field(default=_DEV.ci_wait_s, description="How long a pending CI is awaited.")
    observation: Duration = Field(
        default=_DEV.observation_s, description="How long logs, error rate and health are verified."
    )
    max_error_ratio: Ratio = Field(default=_DEV.max_error_ratio, description="Over the whole observation.")
    min_requests: Annotated[int, Field(ge=1)] = Field(
        default=_DEV.min_requests, description="Fewer requests over the observation prove nothing."
    )
    smoke_every: Duration = Field(
        default=_DEV.smoke_every_s, description="Pause between smoke requests while observing."
    )
    rollout_timeout: Duration = Field(
        default=_DEV.rollout_timeout_s, description="Until a Deployment must be Available."
    )
    trouble_within: Duration = Field(
        default=_DEV.trouble_within_s, description="Crash loops and failing probes are named within this time."
    )
    traffic_wait: Duration = Field(
        default=_DEV.traffic_wait_s,
        description="How long after the observation too few requests, or a log that can't be read, are waited for.",
    )
    log_patterns: Annotated[list[LogPattern], Field(max_length=MOST_PATTERNS)] = Field(
        default=list(_DEV.log_patterns),
        description="Regular expressions of lines that must not be in a pod's log, in the syntax of Rust's `regex`.",
    )
    log_bytes: Annotated[int, Field(ge=4096, le=16 * 1024 * 1024)] = Field(
        default=_DEV.log_bytes, description="How much of the end of each pod's log is read."
    )
    log_lines: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=_DEV.log_lines, description="How many matching lines are put up with."
    )

    def policy(self) -> DevPolicy:
        return DevPolicy(
            auto_deploy=self.auto_deploy,
            settle_s=self.settle,
            poll_s=self.poll,
            ci_wait_s=self.ci_wait,
            observation_s=self.observation,
            max_error_ratio=self.max_error_ratio,
            min_requests=self.min_requests,
            smoke_every_s=self.smoke_every,
            rollout_timeout_s=self.rollout_timeout,
            trouble_within_s=self.trouble_within,
            traffic_wait_s=self.traffic_wait,
            log_patterns=tuple(self.log_patterns),
            log_bytes=self.log_bytes,
            log_lines=self.log_lines,
        )


def _check_quantity(value: str) -> str:
    found = quantity(value)
    if found is None or found <= 0:
        remedy = "Write it as Kubernetes does: 500m or 2 for CPU, 512Mi or 2Gi for memory"
        raise PydanticCustomError("quantity", "{value} is no quantity", {"value": value, "remedy": remedy})
    return value


Quantity = Annotated[
    str, form(r"^[0-9.]+(e[+-]?[0-9]+|[numkKMGTPE]i?)?$", "a quantity", "500m"), AfterValidator(_check_quantity)
]


class Profile(Section):
    """Runbook: Environment Topology, "lower resource profiles"."""

    max_replicas: Annotated[int, Field(ge=1)] = Field(default=2, description="Of one workload.")
    max_cpu: Quantity = Field(default="1", description="What one pod may use in all: its containers' limits together.")
    max_memory: Quantity = Field(
        default="2Gi", description="What one pod may use in all: its containers' limits together."
    )


SecretName = Annotated[
    str, form(r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", "a Secret's name in the cluster", "registry-login")
]
Host = Annotated[str, form(r"^[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?$", "a host's name or address", "db.example")]


class Isolation(Section):
    """Runbook: Environment Topology, "uses synthetic/test data"."""

    shared_secrets: list[SecretName] = Field(
        default_factory=list,
        description="Secrets that dev and production may both name, because nothing of customers is reached by them, such as a registry's login.",
    )
    production_hosts: list[Host] = Field(
        default_factory=list,
        description="Hosts that dev must not name, beside the databases of `integrations.postgres.databases.prod`.",
    )

"""The form of `policy.prod` in forge.yaml: how production is released and when it goes back. Defaults are `runbook.policy`'s."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from bot.configuration.units import Excess, Ratio
from bot.configuration.window_schema import ChangeWindows
from runbook.durations import Duration
from runbook.policy import BurnPolicy, ProdPolicy, TriggersPolicy
from runbook.values import Role

_PROD, _TRIGGERS, _BURN = ProdPolicy(), TriggersPolicy(), BurnPolicy()
_WINDOW = StringConstraints(pattern=r"^[1-9][0-9]{0,4}[smhd]$")
Action = Literal["auto", "prompt"]
Line = Annotated[str, StringConstraints(min_length=1, max_length=150)]
Count = Annotated[float, Field(ge=0)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Triggers(Part):
    """What each of the Rollback Triggers does: `auto` rolls back at once, `prompt` asks on-call first."""

    critical_alerts: Action = Field(
        default=_TRIGGERS.critical_alerts, description="A critical alert threshold is breached."
    )
    core_transactions: Action = Field(
        default=_TRIGGERS.core_transactions, description="Core transactions fail too often."
    )
    canary_ratio: Action = Field(
        default=_TRIGGERS.canary_ratio, description="The canary's error rate is over `ratio` times stable's."
    )
    migration_regression: Action = Field(
        default=_TRIGGERS.migration_regression,
        description="The data's verification fails, or slow queries or lock waits pass their limit.",
    )
    core_success: Ratio = Field(
        default=_TRIGGERS.core_success, description="Core transactions must succeed at least so often."
    )
    core_for: Duration = Field(default=_TRIGGERS.core_for_s, description="For this long, before it is a trigger.")
    slow_queries: Count = Field(
        default=_TRIGGERS.slow_queries, description="Queries of over a second that are no regression yet."
    )
    lock_waits: Count = Field(default=_TRIGGERS.lock_waits, description="Waits for locks that are no regression yet.")
    regression_for: Duration = Field(
        default=_TRIGGERS.regression_for_s, description="For this long, before they are a trigger."
    )
    ratio: Annotated[float, Field(gt=1)] = Field(
        default=_TRIGGERS.ratio, description="How many times stable's error rate the canary's may be."
    )
    alpha: Annotated[float, Field(gt=0, le=0.1)] = Field(
        default=_TRIGGERS.alpha, description="How often a canary within the ratio may be rolled back by mistake."
    )
    floor: Ratio = Field(
        default=_TRIGGERS.floor, description="Up to this error rate a canary is never worse, whatever stable's is."
    )
    minimum_requests: Annotated[int, Field(ge=1)] = Field(
        default=_TRIGGERS.minimum_requests, description="Fewer requests to the canary never call it worse."
    )
    design_effect: Annotated[float, Field(ge=1, le=100)] = Field(
        default=_TRIGGERS.design_effect,
        description="How many failures one cause brings about: 4 where each client tries again three times.",
    )


class Burn(Part):
    long: Annotated[str, _WINDOW] = Field(default=_BURN.long, description="The long window.")
    short: Annotated[str, _WINDOW] = Field(default=_BURN.short, description="The short window.")
    rate: Annotated[float, Field(gt=0)] = Field(
        default=_BURN.rate, description="How many times its pace the error budget may burn, over both windows."
    )


class Prod(Part):
    approvers: list[Role] = Field(
        default=list(_PROD.approvers), min_length=1, description="Who approves: one person for each role."
    )
    approvers_any_of: list[Role] = Field(
        default=list(_PROD.approvers_any_of), description="And one more person, who holds any of these roles."
    )
    weights: list[Annotated[int, Field(ge=1, le=100)]] = Field(
        default=list(_PROD.weights), min_length=1, description="Percent of traffic in each phase, rising to 100."
    )
    phase: Duration = Field(default=_PROD.phase_s, description="Each weight lasts at least so long.")
    phase_max: Duration = Field(
        default=_PROD.phase_max_s, description="How long a phase waits for its sample before a person is asked."
    )
    min_requests: Annotated[int, Field(ge=1)] = Field(
        default=_PROD.min_requests, description="Fewer requests to the canary prove nothing."
    )
    watch: Duration = Field(default=_PROD.watch_s, description="The elevated watch after 100 %.")
    quiet: Duration = Field(
        default=_PROD.quiet_s, description="At the watch's end no alert may have been sustained for so long."
    )
    mitigate: Duration = Field(
        default=_PROD.mitigate_s, description="How long on-call has to answer a prompt before it is rolled back."
    )
    remind_every: Duration = Field(default=_PROD.remind_every_s, description="Pause between a prompt's reminders.")
    max_error_ratio: Ratio = Field(default=_PROD.max_error_ratio, description="Of the canary, over each phase.")
    max_latency_p95: Duration = Field(default=_PROD.max_latency_p95_s, description="Of the canary, over each phase.")
    max_over_stable: Excess = Field(
        default=_PROD.max_over_stable, description="How far the canary's p95 may be over stable's."
    )
    rollout_timeout: Duration = Field(
        default=_PROD.rollout_timeout_s, description="Until a Deployment must be Available."
    )
    trouble_within: Duration = Field(
        default=_PROD.trouble_within_s, description="Crash loops and failing probes are named within this time."
    )
    smoke_every: Duration = Field(default=_PROD.smoke_every_s, description="Pause between smoke requests.")
    route_timeout: Duration = Field(
        default=_PROD.route_timeout_s, description="Until the Gateway must have accepted a weight."
    )
    backup_max_age: Duration = Field(default=_PROD.backup_max_age_s, description="Of the newest restorable backup.")
    drill_max_age: Duration = Field(default=_PROD.drill_max_age_s, description="Of the last restore drill.")
    windows: ChangeWindows = Field(
        default_factory=list,
        description="When production may be changed. Without one nothing is released; `{name: always, rrule: FREQ=DAILY, duration: 1d}` "
        "means at any time.",
    )
    checklist: list[Line] = Field(
        default_factory=list, description="Lines that people tick before a release, beside the runbook's."
    )
    post_checklist: list[Line] = Field(
        default_factory=list, description="Lines that people tick after a release, beside the runbook's."
    )
    triggers: Triggers = Field(default=Triggers(), description="What rolls back, and what asks first.")
    burn: Burn = Field(default=Burn(), description="Error budget burn, judged over two windows.")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.weights != sorted(set(self.weights)) or self.weights[-1] != 100:
            remedy = "Write them like [5, 25, 100]"
            raise PydanticCustomError("weights", "weights rise, and the last is 100", {"remedy": remedy})
        return self

    def policy(self) -> ProdPolicy:
        """The frozen values."""
        return ProdPolicy(
            approvers=tuple(self.approvers),
            approvers_any_of=tuple(self.approvers_any_of),
            weights=tuple(self.weights),
            phase_s=self.phase,
            phase_max_s=self.phase_max,
            min_requests=self.min_requests,
            watch_s=self.watch,
            quiet_s=self.quiet,
            mitigate_s=self.mitigate,
            remind_every_s=self.remind_every,
            max_error_ratio=self.max_error_ratio,
            max_latency_p95_s=self.max_latency_p95,
            max_over_stable=self.max_over_stable,
            rollout_timeout_s=self.rollout_timeout,
            trouble_within_s=self.trouble_within,
            smoke_every_s=self.smoke_every,
            route_timeout_s=self.route_timeout,
            backup_max_age_s=self.backup_max_age,
            drill_max_age_s=self.drill_max_age,
            windows=tuple(window.window() for window in self.windows),
            checklist=tuple(self.checklist),
            post_checklist=tuple(self.post_checklist),
            triggers=_triggers(self.triggers),
            burn=BurnPolicy(self.burn.long, self.burn.short, self.burn.rate),
        )


def _triggers(section: Triggers) -> TriggersPolicy:
    return TriggersPolicy(
        critical_alerts=section.critical_alerts,
        core_transactions=section.core_transactions,
        canary_ratio=section.canary_ratio,
        migration_regression=section.migration_regression,
        core_success=section.core_success,
        core_for_s=section.core_for,
        slow_queries=section.slow_queries,
        lock_waits=section.lock_waits,
        regression_for_s=section.regression_for,
        ratio=section.ratio,
        alpha=section.alpha,
        floor=section.floor,
        minimum_requests=section.minimum_requests,
        design_effect=section.design_effect,
    )

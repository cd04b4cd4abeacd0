"""What procedures that deploy a release to one environment share: its expand migrations, its Deployments, its smoke tests.

A plan's bytes are what approvals are bound to: what is made here is made the same for each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from runbook.jobs import Migrations, Stage
from runbook.plan import Step
from runbook.policy import Policy
from runbook.procedures.jobs import migration_step, verification_step
from runbook.procedures.preparing import Candidate
from runbook.steps import DeployWorkload, SmokeTest
from runbook.steps.requests import health_requests
from runbook.values import Environment


class RolloutNumbers(Protocol):
    """Of an environment's policy, in seconds."""

    @property
    def rollout_timeout_s(self) -> float: ...

    @property
    def trouble_within_s(self) -> float: ...


def expand_steps(candidate: Candidate, policy: Policy, *, on_fail: str) -> tuple[Step, ...]:
    """Staged, non-destructive first: what contracts is never a part of a deployment."""
    expand = candidate.migrations.of(Stage.EXPAND)
    if not expand:
        return ()
    steps = tuple(migration_step(candidate, migration, policy.jobs, on_fail=on_fail) for migration in expand)
    return (*steps, *verification_step(candidate, policy.jobs, on_fail=on_fail))


def deploy_steps(candidate: Candidate, numbers: RolloutNumbers, *, on_fail: str) -> tuple[Step, ...]:
    """One for each workload, in the configured order."""
    return tuple(
        DeployWorkload(
            title=f"Deploy {workload.name}",
            image=image,
            timeout_s=numbers.rollout_timeout_s,
            trouble_within_s=numbers.trouble_within_s,
            on_fail=on_fail,
        )
        for workload, image in zip(candidate.service.workloads, candidate.release.images, strict=True)
    )


def smoke_step(candidate: Candidate, environment: Environment, policy: Policy, *, on_fail: str) -> Step:
    """Health endpoints, then the service's own requests."""
    service = candidate.service
    return SmokeTest(
        title="Smoke tests",
        service=service.name,
        base_url=service.urls[environment],
        requests=(*health_requests(service.health, policy.health.timeout_s), *service.smoke),
        on_fail=on_fail,
    )


def about_migrations(migrations: Migrations) -> Mapping[str, Any]:
    """What a plan says of them to people."""
    return {
        "migrations": [
            {
                "name": m.name,
                "stage": m.stage.value,
                "backward_compatible": m.backward_compatible,
                "down": m.down is not None,
            }
            for m in migrations.migrations
        ],
        "migrations_source": migrations.source,
    }

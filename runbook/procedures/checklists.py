"""Runbook: Operational Checklists, as steps: what a gate proves ticks itself, the rest is ticked by people."""

from __future__ import annotations

from runbook.plan import CONTINUE, HOLD
from runbook.policy import Policy
from runbook.steps.control import Checklist, Item
from runbook.values import Role

_PEOPLE = (Role.RELEASE_ENGINEER, Role.SERVICE_OWNER, Role.ON_CALL)


def pre_deployment(policy: Policy) -> Checklist:
    return Checklist(
        title="Pre-deployment checklist",
        which="pre_deployment",
        items=(
            Item("artifact", "CI green and artifact immutable", ("Artifact",)),
            Item("plan", "Release notes and rollback plan prepared", ("release notes", "rollback plan")),
            Item("backup", "Backup recency and restore test status verified", ("backup",)),
            Item("people", "On-call and approvers available", ("on call", "approvers")),
            *_own(policy.prod.checklist),
        ),
        roles=_PEOPLE,
        on_fail=HOLD,
    )


def post_deployment(policy: Policy) -> Checklist:
    return Checklist(
        title="Post-deployment checklist",
        which="post_deployment",
        items=(
            Item("health", "Health checks passing", ("Elevated watch",)),
            Item("thresholds", "Error/latency/saturation within thresholds", ("Completion criteria",)),
            Item("journeys", "Critical user journeys validated", ("Health endpoints and user journeys",)),
            Item("told", "Deployment communication sent", ("Confirm the release",)),
            *_own(policy.prod.post_checklist),
        ),
        roles=_PEOPLE,
        waits=False,
        on_fail=CONTINUE,
    )


def post_incident() -> Checklist:
    """Runbook: Post-Incident / Rollback."""
    return Checklist(
        title="Post-incident checklist",
        which="post_incident",
        items=(
            Item("restored", "Service restored to stable version", ("Health endpoints and user journeys",)),
            Item("timeline", "Incident timeline documented"),
            Item("actions", "Corrective and preventive actions assigned"),
        ),
        roles=(*_PEOPLE, Role.OPERATIONS),
        waits=False,
        on_fail=CONTINUE,
    )


def _own(lines: tuple[str, ...]) -> tuple[Item, ...]:
    return tuple(Item(f"own-{number}", line) for number, line in enumerate(lines, 1))

"""Runbook: Rollback Procedure, as far as staging needs it: the remembered images come back, are smoke-tested, and it is recorded.

Every step is attempted whatever became of the one before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runbook.plan import CONTINUE, Plan, Step
from runbook.steps import Announce, DeployWorkload, RecordDecision, ReturnWorkload, SmokeTest

NAME = "return_to_previous"


def return_to_previous(left: Plan, facts: Mapping[str, Any]) -> Plan | None:
    """The way back from the plan that was left: workloads in the reverse of the order they were deployed in.

    None when no image was remembered: then no effect was had.
    """
    previous: Mapping[str, Mapping[str, str]] = facts.get("previous") or {}
    timeouts = {s.image.workload: s.timeout_s for s in left.steps() if isinstance(s, DeployWorkload)}
    returns = [
        ReturnWorkload(
            title=f"Return {workload} to its previous image",
            workload=workload,
            images=tuple(sorted(previous[workload].items())),
            timeout_s=timeouts[workload],
            on_fail=CONTINUE,
        )
        for workload in reversed(timeouts)
        if previous.get(workload)
    ]
    if not returns:
        return None
    checks = [
        replace(step, title="Smoke tests of the previous version", on_fail=CONTINUE)
        for step in left.steps()
        if isinstance(step, SmokeTest)
    ]
    steps: tuple[Step, ...] = (
        *returns,
        *checks,
        RecordDecision(title="Record the result", result="no_go", on_fail=CONTINUE),
        Announce(title="Announce the return", moment="returned", on_fail=CONTINUE),
    )
    return Plan(
        procedure=NAME,
        service=left.service,
        environment=left.environment,
        version=left.version,
        nodes=steps,
        about=left.about,
    )

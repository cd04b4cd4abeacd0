"""Runbook: Rollback Procedure, as far as staging needs it: Jobs are stopped, the remembered images come back, migrations that the previous
version can't work with are taken back, it is tested and recorded.

Every step is attempted whatever became of the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from runbook.jobs import Stage
from runbook.plan import BEGUN, CONTINUE, Plan, Step
from runbook.steps import (
    Announce,
    DeployWorkload,
    LeftToPeople,
    Migrate,
    RecordDecision,
    ReturnWorkload,
    SmokeTest,
    StopJobs,
    VerifyMigrations,
)
from runbook.steps.job_running import JobWork

NAME = "return_to_previous"


def return_to_previous(left: Plan, facts: Mapping[str, Any]) -> Plan | None:
    """The way back from the plan that was left, for what was begun of it: everything in the reverse of its order.

    None when nothing was begun that has to be undone: then no effect was had.
    """
    steps = list(left.steps())
    begun = facts.get(BEGUN)
    done = steps if begun is None else [step for place, step in enumerate(steps) if place in begun]
    back = (*_stopped_jobs(done), *_images(done, facts), *_schema(steps, done, facts))
    if not back:
        return None
    checks: Iterator[Step] = (
        replace(step, title=_smoke_title(left), on_fail=CONTINUE) for step in steps if isinstance(step, SmokeTest)
    )
    return Plan(
        procedure=NAME,
        service=left.service,
        environment=left.environment,
        version=left.version,
        nodes=(
            *back,
            *checks,
            RecordDecision(title="Record the result", result=_result(left), on_fail=CONTINUE),
            Announce(title="Announce the return", moment="returned", on_fail=CONTINUE),
        ),
        about=left.about,
    )


def _smoke_title(left: Plan) -> str:
    deploys = any(isinstance(step, DeployWorkload) for step in left.steps())
    return "Smoke tests of the previous version" if deploys else "Smoke tests after the way back"


def _result(left: Plan) -> str:
    """A contract run that was left says nothing of its version, which has its go and still runs."""
    return {"contract": "not_contracted", "dev": "not_validated"}.get(left.procedure, "no_go")


def _stopped_jobs(done: list[Step]) -> Iterator[Step]:
    """First: no migration, suite or load may go on beside the way back."""
    if any(isinstance(step, JobWork) for step in done):
        yield StopJobs(title="Stop the Jobs of this run", on_fail=CONTINUE)


def _images(done: list[Step], facts: Mapping[str, Any]) -> Iterator[Step]:
    previous: Mapping[str, Mapping[str, str]] = facts.get("previous") or {}
    timeouts = {s.image.workload: s.timeout_s for s in done if isinstance(s, DeployWorkload)}
    for workload in reversed(timeouts):
        if previous.get(workload):
            yield ReturnWorkload(
                title=f"Return {workload} to its previous image",
                workload=workload,
                images=tuple(sorted(previous[workload].items())),
                timeout_s=timeouts[workload],
                on_fail=CONTINUE,
            )


def _schema(steps: list[Step], done: list[Step], facts: Mapping[str, Any]) -> Iterator[Step]:
    """Runbook: Rollback Procedure 3 and 4. What is backward compatible stays; the rest is taken back by its `down` Job, and the data are
    verified after it, whether or not they were before."""
    undone = [step for step in reversed(done) if isinstance(step, Migrate) and must_be_undone(step, facts)]
    for step in undone:
        if step.down is None:
            yield _left_to_people(step)
            continue
        yield replace(
            step,
            title=f"Take back migration {step.migration}",
            direction="down",
            template=step.down,
            image=step.down_image,
            previous_of="",
            retries=2,
            on_fail=CONTINUE,
        )
    if any(step.down is not None for step in undone):
        yield from (
            replace(step, title="Verify the data after the way back", on_fail=CONTINUE)
            for step in steps
            if isinstance(step, VerifyMigrations)
        )


def must_be_undone(step: Migrate, facts: Mapping[str, Any]) -> bool:
    """One whose container certainly never ran has changed nothing; of one that was interrupted nobody knows, so it counts as begun."""
    fact = facts.get(f"migration:{step.migration}")
    if isinstance(fact, Mapping) and fact.get("started") is False:
        return False
    return step.direction == "up" and (not step.backward_compatible or step.stage is Stage.CONTRACT)


def _left_to_people(step: Migrate) -> Step:
    return LeftToPeople(
        title=f"Take back migration {step.migration}",
        code="migration.no_way_back",
        reason=f"{step.migration} has no way back: what it took away is gone",
        remedy="The Database Owner decides: keep the schema, or restore a backup",
        on_fail=CONTINUE,
    )

"""Runbook: Rollback Procedure. The roll-out is frozen, the traffic goes back to the last known good version, the schema stays or is taken
back, health and journeys are validated, and the incident is updated.

Every step is attempted whatever became of the one before. Where a migration that the previous version can't work with has begun, the
Database Owner chooses first: code over a changed schema can be worse than the fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from runbook.plan import BEGUN, CONTINUE, Plan, Step, step_from_json, step_to_json
from runbook.procedures.checklists import post_incident
from runbook.procedures.restore import left_to_people, point_in_time
from runbook.procedures.return_to_previous import must_be_undone
from runbook.steps import (
    Announce,
    Choice,
    Migrate,
    Option,
    RecordDecision,
    RemoveCanary,
    ReturnTraffic,
    ReturnWorkload,
    ShiftTraffic,
    SmokeTest,
    StartCanary,
    StopJobs,
    TakeOver,
    UpdateIncident,
    VerifyMigrations,
)
from runbook.steps.job_running import JobWork
from runbook.values import Role

NAME = "rollback"
WAYS = "ways"
"""In `Plan.about`: the steps of each answer of the Database Owner's choice, as JSON: what is chosen is what was shown."""

REMIND_S = 900.0
SIGN_OFF_S = 86_400.0

KEEP, DOWN, RESTORE = "rollback_keep_schema", "rollback_undo_schema", "rollback_restore"


def rollback(left: Plan, facts: Mapping[str, Any]) -> Plan | None:
    """The way back from a production plan, for what was begun of it. None when nothing was begun that has to be undone."""
    steps = list(left.steps())
    begun = facts.get(BEGUN)
    done = steps if begun is None else [step for place, step in enumerate(steps) if place in begun]
    undone = irreversible(done, facts)
    application = tuple(_application(done, facts))
    if not application and not any(isinstance(step, JobWork) for step in done):
        return None
    jobs, since = _stopped_jobs(done), str(facts.get("before_effects_at") or "")
    return way_back(left, application, _ending(left, steps), undone, steps, jobs=jobs, since=since)


def way_back(
    left: Plan,
    application: Sequence[Step],
    ending: Sequence[Step],
    undone: Sequence[Migrate],
    steps: Sequence[Step],
    *,
    jobs: Sequence[Step] = (),
    since: str = "",
) -> Plan:
    """application: traffic and images. ending: validation and words. undone: migrations that the previous version can't work with.

    steps: of the plan that was left: its verification of the data is repeated after `down` Jobs. since: ISO time before the first
    migration: what was written after it a restore would lose.
    """
    frozen = UpdateIncident(title="Freeze the roll-out and open an incident", stage="opened", on_fail=CONTINUE)
    if not undone:
        return _plan(left, (frozen, *application, *jobs, *ending))
    ways = {
        name: [step_to_json(step) for step in (*application, *schema, *ending)]
        for name, schema in _answers(left, undone, steps, since).items()
    }
    return _plan(left, (frozen, *jobs, _choice(left, undone, ways, since)), {WAYS: ways})


def keep_schema(left: Plan, facts: Mapping[str, Any]) -> Plan | None:
    """Chosen: the application goes back, the schema stays as it is."""
    return _chosen(left, KEEP)


def undo_schema(left: Plan, facts: Mapping[str, Any]) -> Plan | None:
    """Chosen: the application goes back, then the `down` Jobs run in reverse and the data are verified."""
    return _chosen(left, DOWN)


def restore(left: Plan, facts: Mapping[str, Any]) -> Plan | None:
    """Chosen: the application goes back and the database is restored to the moment before the migrations."""
    return _chosen(left, RESTORE)


def _chosen(left: Plan, name: str) -> Plan:
    return replace(_plan(left, tuple(step_from_json(step) for step in left.about[WAYS][name])), procedure=name)


def _plan(left: Plan, steps: Sequence[Step], more: Mapping[str, Any] | None = None) -> Plan:
    about = {key: value for key, value in left.about.items() if key != WAYS}
    return Plan(
        procedure=NAME,
        service=left.service,
        environment=left.environment,
        version=left.version,
        nodes=tuple(steps),
        about={**about, **(more or {})},
    )


# --- the application --------------------------------------------------------------------------------------------------


def _application(done: Sequence[Step], facts: Mapping[str, Any]) -> Iterator[Step]:
    """Rollback Procedure 2. Traffic first; where stable had begun to become the new version its image comes back before its traffic."""
    started = next((step for step in done if isinstance(step, StartCanary)), None)
    if started is None:
        return
    targets = tuple(reversed(started.targets))
    if any(isinstance(step, ShiftTraffic) for step in done):
        yield _traffic("Shift traffic back to the last known good version", targets, started)
    over = next((step for step in done if isinstance(step, TakeOver)), None)
    if over is not None:
        yield from images_back(facts.get("previous") or {}, [t.workload for t in targets], over.timeout_s)
        yield _traffic("Shift the rest of the traffic back", targets, started)
    yield RemoveCanary(title="Remove the canary", targets=targets, on_fail=CONTINUE)


def _traffic(title: str, targets: tuple[Any, ...], started: StartCanary) -> ReturnTraffic:
    return ReturnTraffic(title=title, targets=targets, timeout_s=started.timeout_s, on_fail=CONTINUE)


def images_back(
    previous: Mapping[str, Mapping[str, str]], workloads: Iterable[str], timeout_s: float
) -> Iterator[Step]:
    """The remembered images onto stable, in the order given."""
    for workload in workloads:
        if previous.get(workload):
            yield ReturnWorkload(
                title=f"Return {workload} to its previous image",
                workload=workload,
                images=tuple(sorted(previous[workload].items())),
                timeout_s=timeout_s,
                on_fail=CONTINUE,
            )


def _stopped_jobs(done: Sequence[Step]) -> tuple[Step, ...]:
    if any(isinstance(step, JobWork) for step in done):
        return (StopJobs(title="Stop the Jobs of this run", on_fail=CONTINUE),)
    return ()


# --- the schema -------------------------------------------------------------------------------------------------------


def irreversible(done: Iterable[Step], facts: Mapping[str, Any]) -> list[Migrate]:
    """Begun migrations that the previous version can't work with, the last one first. Rollback Procedure 3: what is backward compatible stays."""
    found = [step for step in done if isinstance(step, Migrate) and must_be_undone(step, facts)]
    return list(reversed(found))


def _answers(left: Plan, undone: Sequence[Migrate], steps: Sequence[Step], since: str) -> dict[str, tuple[Step, ...]]:
    """What follows the application's return in each case; `down` only where every migration has one."""
    answers: dict[str, tuple[Step, ...]] = {KEEP: ()}
    if all(step.down is not None for step in undone):
        answers[DOWN] = (*(take_back(step) for step in undone), *_verified(steps))
    answers[RESTORE] = point_in_time(left, since, _sign_off_s(left)) or (_by_people(undone),)
    return answers


def take_back(step: Migrate) -> Migrate:
    """The `down` Job of a migration. It must have one."""
    assert step.down is not None  # noqa: S101 - asked before
    return replace(
        step,
        title=f"Take back migration {step.migration}",
        direction="down",
        template=step.down,
        image=step.down_image,
        previous_of="",
        retries=2,
        on_fail=CONTINUE,
    )


def _verified(steps: Iterable[Step]) -> Iterator[Step]:
    return (
        replace(step, title="Verify the data after the way back", on_fail=CONTINUE)
        for step in steps
        if isinstance(step, VerifyMigrations)
    )


def _sign_off_s(left: Plan) -> float:
    """How long the Database Owner has for the sign-off: as long as for the approval of the release."""
    return float(left.about.get("durations", {}).get("approval_expires_s", SIGN_OFF_S))


def _by_people(undone: Sequence[Migrate]) -> Step:
    names = ", ".join(step.migration for step in reversed(undone))
    return left_to_people(
        f"the database has to be restored to the moment before {names}, and forge is not configured to restore this database"
    )


def _choice(left: Plan, undone: Sequence[Migrate], ways: Mapping[str, Any], since: str) -> Choice:
    """Without a default: nobody but the Database Owner decides this; it reminds and escalates."""
    names = ", ".join(step.migration for step in reversed(undone))
    labels = {
        KEEP: "Keep the schema, roll the application back",
        DOWN: "Roll the application back, then run the rollback plan (down Jobs)",
        RESTORE: "Roll the application back, then restore to a point in time before the migration",
    }
    texts = {
        KEEP: f"The previous version then runs on a schema that {names} has changed; no data are lost.",
        DOWN: "The down Jobs run in reverse order and the data are verified; what the new version wrote may be lost.",
        RESTORE: "Everything written since the migration is lost; the card says how many minutes that is.",
    }
    return Choice(
        title="What becomes of the schema",
        role=Role.DATABASE_OWNER,
        options=tuple(
            Option(
                name=name,
                label=labels[name],
                procedure=name,
                text=texts[name],
                since=since if name == RESTORE else "",
            )
            for name in ways
        ),
        deadline_s=float(left.about.get("durations", {}).get("choice_remind_s", REMIND_S)),
    )


# --- validation and words ---------------------------------------------------------------------------------------------


def _ending(left: Plan, steps: Sequence[Step]) -> tuple[Step, ...]:
    """Rollback Procedure 5 and 6."""
    smoke = next((step for step in reversed(steps) if isinstance(step, SmokeTest)), None)
    return (*validated(smoke), *words(left))


def validated(smoke: SmokeTest | None) -> tuple[Step, ...]:
    """Health endpoints and user journeys of what runs now."""
    if smoke is None:
        return ()
    return (replace(smoke, title="Health endpoints and user journeys", on_fail=CONTINUE),)


def words(left: Plan) -> tuple[Step, ...]:
    """The record, the incident's update with a hypothesis and the next action, the announcement, and what people still have to do."""
    return (
        RecordDecision(title="Record the rollback", result="rolled_back", on_fail=CONTINUE),
        UpdateIncident(title="Update the incident", stage="rolled_back", on_fail=CONTINUE),
        Announce(title="Announce the rollback", moment="rolled_back", on_fail=CONTINUE),
        post_incident(),
    )

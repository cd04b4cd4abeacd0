"""Runbook: Restore Procedure. The incident or change is declared, everything is restored and checked beside what runs, the owner signs it off,
and only then is the traffic led there.

Who decides: whoever may give the command (by default the Database Owner alone) starts it; in production, and wherever others may start it
too, a second person who is Database Owner approves first. The sign-off is the Database Owner's and never the requester's: whoever wanted the
data back is not the one to say that they are right. Outside production the Service Owner may sign off too, since a team's only Database Owner
is mostly who asked.

Until the switch has begun, a failure, a rejection or an abort drops the instance, and the traffic is where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbook.backups import RestoreChecks
from runbook.jobs import JobTemplate
from runbook.plan import BEGUN, CONTINUE, HOLD, STOP, Plan, Step, from_json, procedure, to_json
from runbook.policy import Policy, Service, Setting
from runbook.ports import Ports
from runbook.procedures.base import Prepared, Request
from runbook.procedures.restoring import Restorable, check_step, look_at_backup, restore_steps
from runbook.steps import (
    Announce,
    Approval,
    Checklist,
    DropInstance,
    Item,
    LeftToPeople,
    RecordDecision,
    ReleaseBackup,
    RememberImages,
    RestoreJob,
    Sanitise,
    SmokeTest,
    StopJobs,
    SwitchTraffic,
    UpdateIncident,
)
from runbook.steps.requests import health_requests
from runbook.steps.restores import SIGN_OFF
from runbook.values import Environment, Role
from runbook.verdicts import Evidence, Verdict

NAME = "restore"
ABANDON = "abandon_restore"
LABEL = "restore"
GATE = "restore"

BY_HAND = "restore_switch"
"""`Checklist.which` of the switch where no Job is configured for it."""

ABOUT = "restore"
"""In `Plan.about` of a production plan: what its rollback's point-in-time choice needs, see `restore_about`."""

_BACK = procedure(ABANDON)


@dataclass(frozen=True)
class PlacedJob:
    """A Job of the configuration with what it runs. Exactly one of image and previous_of is set: see `JobWork`."""

    template: JobTemplate
    image: str = ""
    previous_of: str = ""


async def restore(request: Request, setting: Setting, ports: Ports) -> Prepared:
    """Looks at what is on record, then makes the plan; without a plan every obstacle is told at once."""
    service = setting.services[request.service]
    source = Environment(request.options.get("from") or request.environment)
    obstacles = tuple(_obstacles(service, source, request.environment))
    what, verdict = await look_at_backup(request, source, ports)
    if what is None or obstacles:
        return Prepared(None, (*obstacles, verdict))
    return Prepared(restore_plan(service, request.environment, what, setting.policy), (verdict,))


def _obstacles(service: Service, source: Environment, environment: Environment) -> Iterator[Verdict]:
    crossing = source is not environment
    evidence = Evidence(name="from", value=source.value, limit=environment.value)
    if crossing and environment is Environment.PROD:
        reason = f"production is restored from its own backups alone, and not from {source.value}"
        yield Verdict.failed(GATE, "restore.into_prod", reason, evidence, remedy="Leave --from out")
    elif crossing and service.restore_sanitise is None:
        reason = f"a backup of {source.value} may hold customers' data, and no Job is configured that takes them out"
        remedy = f"Configure services.{service.name}.restore_sanitise"
        yield Verdict.failed(GATE, "restore.not_sanitised", reason, evidence, remedy=remedy)
    jobs = {
        "restore_switch": service.restore_switch,
        "restore_sanitise": service.restore_sanitise if crossing else None,
    }
    for name, template in jobs.items():
        if template is not None and placed(template, service) is None:
            reason = f"services.{service.name}.{name} names an image without a digest: a restore has no release that would freeze it"
            remedy = "Write it as repository@sha256:…, or name a workload"
            yield Verdict.failed(
                GATE, "restore.image", reason, Evidence(name=name, value=template.image), remedy=remedy
            )


def placed(template: JobTemplate, service: Service) -> PlacedJob | None:
    """With the image that it names by digest, or the one that runs in the workload; None where it names neither."""
    if template.workload:
        workload = next((each for each in service.workloads if each.name == template.workload), None)
        return PlacedJob(template, previous_of=f"{workload.name}/{workload.container}") if workload else None
    return PlacedJob(template, image=template.image) if "@sha256:" in template.image else None


def restore_plan(service: Service, environment: Environment, what: Restorable, policy: Policy) -> Plan:
    """The runbook's order. Pure: equal arguments give equal plans."""
    crossing = what.source is not environment
    switch = placed(service.restore_switch, service) if service.restore_switch is not None else None
    sanitise = placed(service.restore_sanitise, service) if crossing and service.restore_sanitise is not None else None
    name = service.name
    return Plan(
        procedure=NAME,
        service=name,
        environment=environment,
        version=LABEL,
        nodes=(
            check_step(name, what, on_fail=STOP),
            *_approval(environment, policy),
            *_images(service, switch, sanitise),
            UpdateIncident(title="Declare the incident or change", stage="opened", on_fail=CONTINUE),
            Announce(title="Announce the restore", moment="started", on_fail=CONTINUE),
            *restore_steps(name, what, service.restore_checks, on_fail=_BACK, serving=True),
            *_sanitised(name, sanitise),
            sign_off(environment, policy.backups.sign_off_s),
            switch_step(name, switch, sanitised=sanitise is not None, on_fail=HOLD),
            *_validated(service, environment, policy),
            *_words(name),
        ),
        about={**(what.about or {}), "switch": switch is not None, "sanitised": sanitise is not None},
    )


def _approval(environment: Environment, policy: Policy) -> tuple[Step, ...]:
    """In production two people; elsewhere none where only a Database Owner may have started it."""
    starters = policy.commands.get("restore", (Role.DATABASE_OWNER,))
    if environment is not Environment.PROD and set(starters) <= {Role.DATABASE_OWNER}:
        return ()
    expires_s = policy.waiting.approval_expires_s
    title = "Restore the database"
    return (Approval(title=title, roles=(Role.DATABASE_OWNER,), expires_s=expires_s, purpose="restore"),)


def _images(service: Service, *jobs: PlacedJob | None) -> tuple[Step, ...]:
    """Where a Job runs what runs now, that is remembered before anything changes."""
    if not any(job is not None and job.previous_of for job in jobs):
        return ()
    return (RememberImages(title="Remember the images that run now", workloads=service.workloads),)


def _sanitised(service: str, job: PlacedJob | None) -> tuple[Step, ...]:
    if job is None:
        return ()
    step = Sanitise(
        title="Take out customers' data",
        template=job.template,
        service=service,
        version=LABEL,
        image=job.image,
        previous_of=job.previous_of,
        retries=0,
        on_fail=_BACK,
    )
    return (step,)


def sign_off(environment: Environment, expires_s: float) -> Approval:
    """Runbook: Restore Procedure 6, "only after owner sign-off"."""
    title = "Sign off what was restored, before any traffic goes there"
    if environment is Environment.PROD:
        return Approval(title=title, roles=(Role.DATABASE_OWNER,), expires_s=expires_s, purpose=SIGN_OFF, on_fail=_BACK)
    owners = ((Role.DATABASE_OWNER, Role.SERVICE_OWNER),)
    return Approval(title=title, roles=(), any_of=owners, expires_s=expires_s, purpose=SIGN_OFF, on_fail=_BACK)


def switch_step(service: str, job: PlacedJob | None, *, sanitised: bool = False, on_fail: str) -> Step:
    """The configured Job; where there is none a person leads the traffic there, and the run waits for the tick."""
    if job is None:
        item = Item("switched", "The traffic is led to the restored database, or what was wanted of it is copied back")
        return Checklist(
            title="Lead the traffic to the restored database, by hand",
            which=BY_HAND,
            items=(item,),
            roles=(Role.DATABASE_OWNER,),
            on_fail=on_fail,
        )
    return SwitchTraffic(
        title="Lead the traffic to the restored database",
        template=job.template,
        service=service,
        version=LABEL,
        image=job.image,
        previous_of=job.previous_of,
        sanitised=sanitised,
        retries=0,
        on_fail=on_fail,
    )


def _validated(service: Service, environment: Environment, policy: Policy) -> tuple[Step, ...]:
    """Health endpoints and smoke; what fails here waits for a person, since the traffic is there already."""
    url = service.urls.get(environment)
    if not url:
        return ()
    requests = (*health_requests(service.health, policy.health.timeout_s), *service.smoke)
    title = "Health endpoints and user journeys"
    return (SmokeTest(title=title, service=service.name, base_url=url, requests=requests, on_fail=HOLD),)


def _words(service: str) -> tuple[Step, ...]:
    return (
        ReleaseBackup(title="Give the backup back to the retention", service=service, on_fail=CONTINUE),
        RecordDecision(title="Record the restore", result="restored", on_fail=CONTINUE),
        UpdateIncident(title="Update the incident", stage="restored", on_fail=CONTINUE),
        Announce(title="Announce the restored database", moment="restored", on_fail=CONTINUE),
    )


# --- the rollback's point-in-time choice ----------------------------------------------------------------------------


def restore_about(service: Service) -> dict[str, Any]:
    """What a production plan carries for its rollback's point-in-time choice; empty where that is left to people: no Job switches."""
    switch = (
        placed(service.restore_switch, service) if service.database and service.restore_switch is not None else None
    )
    if switch is None:
        return {}
    return {ABOUT: {"checks": to_json(service.restore_checks), "switch": to_json(switch)}}


def point_in_time(left: Plan, until: str, expires_s: float) -> tuple[Step, ...]:
    """The restore procedure's steps within a rollback, to the moment `until` (ISO time); empty where the plan carries nothing for it.

    A failure leaves for `abandon_restore`, which goes on with what the rollback has left to do.
    """
    given = left.about.get(ABOUT)
    if not until or not isinstance(given, Mapping):
        return ()
    what = Restorable(left.environment, until=until)
    checks: RestoreChecks = from_json(RestoreChecks, given["checks"])
    switch: PlacedJob = from_json(PlacedJob, given["switch"])
    return (
        check_step(left.service, what, on_fail=_BACK),
        *restore_steps(left.service, what, checks, on_fail=_BACK, serving=True),
        sign_off(left.environment, expires_s),
        switch_step(left.service, switch, on_fail=_BACK),
        ReleaseBackup(title="Give the backup back to the retention", service=left.service, on_fail=CONTINUE),
    )


# --- the way back ---------------------------------------------------------------------------------------------------


def abandon_restore(left: Plan, facts: Mapping[str, Any]) -> Plan | None:
    """Fences and drops what was restored; the traffic stays where it is. Once the switch has begun nothing is dropped: a person decides.

    Left from a rollback, it goes on with what that had still to do, and leaves the restore to people.
    """
    steps = list(left.steps())
    begun = facts.get(BEGUN)
    done = steps if begun is None else [step for place, step in enumerate(steps) if place in begun]
    switched = any(_switches(step) for step in done)
    stopped: Sequence[Step] = ()
    if any(isinstance(step, RestoreJob) for step in done):
        stopped = (StopJobs(title="Stop the Jobs of this run", on_fail=CONTINUE),)
    ending = _not_restored() if left.procedure == NAME else tuple(_rest_of(left, steps, switched=switched))
    return Plan(
        procedure=ABANDON,
        service=left.service,
        environment=left.environment,
        version=left.version,
        nodes=(*stopped, _kept(left.service) if switched else _dropped(left.service), *ending),
        about=left.about,
    )


def _switches(step: Step) -> bool:
    return isinstance(step, SwitchTraffic) or (isinstance(step, Checklist) and step.which == BY_HAND)


def _dropped(service: str) -> Step:
    return DropInstance(title="Fence and drop what was restored", service=service, serving=True, on_fail=CONTINUE)


def _kept(service: str) -> Step:
    return LeftToPeople(
        title="Decide where the traffic is",
        code="restore.half_switched",
        reason=f"the switch of {service} had begun: the restored instance stands, and some of the traffic may be there",
        remedy="The Database Owner looks where the application writes, leads all of it to one of the two, and drops the other by hand",
        on_fail=CONTINUE,
    )


def _not_restored() -> tuple[Step, ...]:
    """The release channel hears of it by the run's end."""
    return (
        RecordDecision(title="Record the result", result="not_restored", on_fail=CONTINUE),
        UpdateIncident(title="Update the incident", stage="not_restored", on_fail=CONTINUE),
    )


def _rest_of(left: Plan, steps: Sequence[Step], *, switched: bool) -> Iterator[Step]:
    """What a rollback has left to do behind its restore."""
    if not switched:
        yield left_to_people("the database has to be restored to the moment before the migrations, and forge could not")
    last = max((place for place, step in enumerate(steps) if isinstance(step, ReleaseBackup)), default=len(steps))
    yield from steps[last + 1 :]


def left_to_people(reason: str) -> Step:
    """Runbook: Rollback Procedure 4, where forge can't restore to a point in time."""
    return LeftToPeople(
        title="Restore the database to before the migrations",
        code="restore.by_people",
        reason=reason,
        remedy="The Database Owner leads: restore into a new instance, check it, switch over; then tick the checklist",
        on_fail=CONTINUE,
    )

"""What is looked at before production's plan is made: that the release is the very artifact which a candidate proved in staging.

Everything that can refuse it is told at once, while nothing has changed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from runbook.artifacts import TagSight, look_at_final_images, look_at_job_images, look_at_tag
from runbook.errors import Permanent, Temporary
from runbook.jobs import Migrations
from runbook.policy import Service, Setting, Workload
from runbook.ports import Ports
from runbook.procedures.base import Request
from runbook.procedures.preparing import Candidate, check_place, check_verified, jobs_of, unfit, unknown_service
from runbook.release_file import look_at_migrations
from runbook.rules.finals import judge_go, proven_images
from runbook.rules.versions import check_final_name
from runbook.values import Environment, Release
from runbook.verdicts import Outcome, Verdict
from runbook.wording import listing


@dataclass(frozen=True)
class _Proof:
    """The tag on its commit, and the candidate that got its go there."""

    sight: TagSight
    go: Release | None
    verdicts: tuple[Verdict, ...]


async def look_at_final(
    request: Request, setting: Setting, ports: Ports
) -> tuple[Candidate | None, tuple[Verdict, ...]]:
    """The release for production, or None with every obstacle. Raises `runbook.errors` when an outside system gave no answer.

    Its images have the candidate's digests and tags: that is what was proven, and what is deployed. Its Jobs' images are asked for by the
    candidate's tag as well.
    """
    service = setting.services.get(request.service)
    if service is None:
        return None, (unknown_service(request.service, setting),)
    configured = check_production(service, ports)
    name = await _check_name(request.version, service, ports)
    if name.outcome != Outcome.PASS:
        return None, (name, *configured)
    proof = await _look_at_proof(ports, service, request.version)
    verdicts = (name, *configured, *proof.verdicts)
    release, found = await _look_at_release(ports, service, request.version, proof)
    verdicts += found
    tag, go = proof.sight.tag, proof.go
    if tag is None or go is None:
        return None, verdicts
    migrations, digests, declared = await _look_at_jobs(ports, service, tag.commit, go.version)
    verdicts += declared
    if release is None or migrations is None or any(v.outcome != Outcome.PASS and v.binding for v in verdicts):
        return None, verdicts
    changes_url = await _changes_url(service, release, ports)
    return Candidate(service, release, migrations, digests, changes_url), verdicts


async def _check_name(version: str, service: Service, ports: Ports) -> Verdict:
    """A wrong name is refused also when GitHub doesn't say which names would be right."""
    verdict = check_final_name(version, ())
    if verdict.outcome == Outcome.PASS:
        return verdict
    try:
        return check_final_name(version, await ports.code.tag_names(service.repository, "v"))
    except (Temporary, Permanent):
        return verdict


async def _look_at_proof(ports: Ports, service: Service, version: str) -> _Proof:
    """Remembers the tag when it is first seen with a good signature. The go is looked for by the tag's commit, however badly it is signed."""
    first_seen = await ports.memory.first_seen(service.name, version)
    sight = await look_at_tag(ports, service.repository, version, first_seen)
    tag = sight.tag
    if tag is None:
        return _Proof(sight, None, (sight.verdict,))
    if sight.verdict.outcome == Outcome.PASS and first_seen is None and tag.tag_object is not None:
        await ports.memory.remember_tag(service.name, version, tag.tag_object, tag.commit)
    go = await ports.memory.go_for(service.name, tag.commit)
    last = None if go is not None else await _last_good(ports, service.name)
    return _Proof(sight, go, (sight.verdict, *judge_go(go, last, version, tag.commit)))


async def _last_good(ports: Ports, service: str) -> Release | None:
    """The last candidate that got its go in staging, if it still has it."""
    last = await ports.memory.last_go(service, Environment.STAGING)
    return None if last is None else await ports.memory.go_for(service, last.commit)


async def _look_at_release(
    ports: Ports, service: Service, version: str, proof: _Proof
) -> tuple[Release | None, tuple[Verdict, ...]]:
    tag, check, go = proof.sight.tag, proof.sight.check, proof.go
    if tag is None or go is None:
        return None, ()
    images, obstacles = proven_images(service.workloads, go, version)
    verdicts = (*obstacles, *await look_at_final_images(ports, images, version))
    if obstacles or tag.tag_object is None or check is None or proof.sight.verdict.outcome != Outcome.PASS:
        return None, verdicts
    release = Release(
        service=service.name,
        version=version,
        tag_object=tag.tag_object,
        commit=tag.commit,
        signer=check.signer,
        images=images,
    )
    return release, verdicts


async def _look_at_jobs(
    ports: Ports, service: Service, commit: str, candidate: str
) -> tuple[Migrations | None, dict[str, str | None], tuple[Verdict, ...]]:
    migrations, verdicts = await look_at_migrations(ports, service, commit)
    if migrations is None:
        return None, {}, verdicts
    digests, images = await look_at_job_images(ports, jobs_of(service, migrations), candidate)
    return migrations, digests, (*verdicts, *check_verified(migrations), *images)


async def _changes_url(service: Service, release: Release, ports: Ports) -> str:
    """Against what production runs, the last release that got its go there; empty when none did, or when it is this very commit."""
    last = await ports.memory.last_go(service.name, Environment.PROD)
    if last is None or last.commit == release.commit:
        return ""
    return ports.code.compare_url(service.repository, last.version, release.version)


# --- configuration ----------------------------------------------------------------------------------------------------


def check_production(service: Service, ports: Ports) -> tuple[Verdict, ...]:
    """What the configuration must say of a service for production; empty when nothing is missing."""
    return (*check_place(service, Environment.PROD, ports), *_check_traffic(service))


def _check_traffic(service: Service) -> tuple[Verdict, ...]:
    """Each Deployment has a canary of its own, and a route leads to two Services."""
    verdicts = []
    where = f"services.{service.name}.workloads"
    names = Counter(workload.name for workload in service.workloads)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        reason = f"{listing(twice)} is listed more than once: one canary can't run two releases' containers apart"
        remedy = f"Keep one container of each Deployment in {where}"
        verdicts.append(unfit("workload.twice", reason, remedy))
    canaries = Counter(canary_of(workload) for workload in service.workloads)
    for canary in sorted(name for name, count in canaries.items() if name in names or (count > 1 and not twice)):
        reason = f"the canary Deployment {canary} would be another workload's Deployment too"
        verdicts.append(unfit("workload.canary_taken", reason, f"Give it a name of its own in {where}"))
    for workload in service.workloads:
        if workload.traffic == "route" and _stable_service(workload) == _canary_service(workload):
            reason = f"{workload.name}: stable and canary are the same Service, {_stable_service(workload)}"
            remedy = f"Name the Service that selects the canary's pods as `canary_service` in {where}"
            verdicts.append(unfit("workload.one_service", reason, remedy))
    return tuple(verdicts)


def canary_of(workload: Workload) -> str:
    """The canary Deployment's name."""
    return workload.canary or f"{workload.name}-canary"


def _stable_service(workload: Workload) -> str:
    return workload.stable_service or workload.name


def _canary_service(workload: Workload) -> str:
    return workload.canary_service or canary_of(workload)

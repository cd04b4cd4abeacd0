"""Runbook: Rollback Procedure, after a release was completed: one command brings back what ran before, or another version that was released.

What runs now is asked of the cluster, never assumed. It needs no approval, and neither freeze nor lock holds it up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runbook.plan import STOP, Plan, Step, parse
from runbook.policy import Setting
from runbook.ports import Deployment, Ports, Released
from runbook.procedures.base import Prepared, Request
from runbook.procedures.rollback import NAME, images_back, irreversible, validated, way_back, words
from runbook.steps import DeployWorkload, RememberImages, SmokeTest, TakeOver
from runbook.verdicts import Evidence, Verdict
from runbook.wording import listing

GATE = "rollback"

Images = Mapping[str, Mapping[str, str]]
"""workload -> container -> `repository@digest`"""


@dataclass(frozen=True)
class Target:
    """What to go back to. version: its name, or empty where it was never released by forge."""

    version: str
    images: Images


async def rollback_release(request: Request, setting: Setting, ports: Ports) -> Prepared:
    """The plan, or why there is nothing to go back to, naming what runs. Raises `runbook.errors` when the cluster gave no answer."""
    service = setting.services[request.service]
    cluster = ports.clusters[request.environment]
    deployments = {w.name: await cluster.deployment(w.name) for w in service.workloads}
    known = await ports.memory.released(request.service, request.environment)
    whole = next((each for each in known if all(_matches(each, deployments))), None)
    current = whole or _in_part(known, deployments, request.to)
    if current is None:
        return Prepared(None, (_nothing(request, known, deployments),))
    target = _target(request.to, current, known, is_whole=whole is not None)
    if isinstance(target, Verdict):
        return Prepared(None, (target,))
    runs = "runs" if whole is not None else "is the newest release, and doesn't run whole"
    reason = f"{current.version} {runs}; {target.version or 'what ran before it'} is known: {_brief(target.images)}"
    return Prepared(rollback_plan(current, target, setting), (Verdict.passed(GATE, reason),))


def rollback_plan(current: Released, target: Target, setting: Setting) -> Plan:
    """Pure. The migrations of the release that is left decide whether the Database Owner is asked."""
    left = parse(current.plan)
    service = setting.services[left.service]
    steps = list(left.steps())
    over: TakeOver | DeployWorkload = next(s for s in reversed(steps) if isinstance(s, TakeOver | DeployWorkload))
    workloads = [workload.name for workload in reversed(service.workloads)]
    application: tuple[Step, ...] = (
        RememberImages(title="Remember the images that run now", workloads=service.workloads, on_fail=STOP),
        *images_back(target.images, workloads, over.timeout_s),
    )
    smoke = next((step for step in reversed(steps) if isinstance(step, SmokeTest)), None)
    about = {**left.about, "to": target.version, "left_run": current.run}
    named = Plan(
        procedure=NAME, service=left.service, environment=left.environment, version=left.version, nodes=(), about=about
    )
    undone = irreversible(steps, current.facts)
    since = str(current.facts.get("before_effects_at") or "")
    return way_back(named, application, (*validated(smoke), *words(left)), undone, steps, since=since)


def _matches(released: Released, deployments: Mapping[str, Deployment | None]) -> list[bool]:
    """For each image of this release whether its Deployment runs it; a release without images runs nowhere."""
    found = [
        deployment is not None and deployment.image_of(image.container) == image.reference
        for image in released.release.images
        for deployment in (deployments.get(image.workload),)
    ]
    return found or [False]


def _in_part(known: Sequence[Released], deployments: Mapping[str, Deployment | None], to: str) -> Released | None:
    """The newest release, where some of it runs (a rollback was left half done), or where the version to go to is named."""
    newest = next(iter(known), None)
    return newest if newest is not None and (to or any(_matches(newest, deployments))) else None


def _target(to: str, current: Released, known: Sequence[Released], *, is_whole: bool) -> Target | Verdict:
    if to:
        others = (each for each in known if each.version == to and (each.version != current.version or not is_whole))
        other = next(others, None)
        if other is not None:
            return Target(other.version, _images_of(other))
        if to == current.version:
            return Verdict.failed(GATE, "rollback.current", f"{to} is what runs now: nothing to do")
        names = listing(dict.fromkeys(each.version for each in known if each.version != current.version))
        reason = f"{to} was never released here, so that its images are not known"
        return Verdict.failed(GATE, "rollback.unknown", reason, remedy=f"Known: {names or 'none'}")
    previous: Images = current.facts.get("previous") or {}
    if not previous:
        return Verdict.failed(GATE, "rollback.no_previous", f"what ran before {current.version} is not on record")
    same = next((each.version for each in known if _images_of(each) == previous), "")
    return Target(same, previous)


def _images_of(released: Released) -> Images:
    images: dict[str, dict[str, str]] = {}
    for image in released.release.images:
        images.setdefault(image.workload, {})[image.container] = image.reference
    return images


def _nothing(request: Request, known: Sequence[Released], deployments: Mapping[str, Deployment | None]) -> Verdict:
    runs = tuple(_evidence(deployments))
    here = f"{request.service} on {request.environment.value}"
    if not known:
        reason = (
            f"nothing is being released, and forge has never released {here}: there is nothing that it could bring back"
        )
    else:
        reason = f"nothing is being released, and what runs is no release of forge's: the newest was {known[0].version} ({known[0].run})"
    remedy = "Name the version with --to, or set the images by hand"
    return Verdict.failed(GATE, "rollback.nothing", reason, *runs, remedy=remedy)


def _evidence(deployments: Mapping[str, Deployment | None]) -> Iterator[Evidence]:
    for name, deployment in deployments.items():
        image = deployment.containers[0].image if deployment is not None and deployment.containers else None
        yield Evidence(name=f"{name} runs", value=image, source=f"deployment/{name}")


def _brief(images: Images) -> str:
    return listing(image.rpartition("/")[2][:40] for containers in images.values() for image in containers.values())

"""Looks at a version's tag, signature and images through ports, and judges them. Used when a plan is made and when its gate asks again.

The images of a release's Jobs are frozen by digest like those of its workloads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runbook.jobs import JobTemplate
from runbook.policy import Service, Workload
from runbook.ports import Ports, SignatureCheck, Tag
from runbook.rules.finals import judge_final_images
from runbook.rules.tags import judge_images, judge_tag
from runbook.values import FrozenImage, Release
from runbook.verdicts import Outcome, Verdict


@dataclass(frozen=True)
class TagSight:
    """A tag as it is now. check: of its signature, None without one."""

    tag: Tag | None
    check: SignatureCheck | None
    verdict: Verdict


async def look_at_tag(ports: Ports, repository: str, version: str, first_seen: tuple[str, str] | None) -> TagSight:
    """first_seen: (tag object, commit) that the tag must still have. Raises `runbook.errors` when it could not ask."""
    tag = await ports.code.tag(repository, version)
    if tag is None:
        names = await ports.code.tag_names(repository, "v")
        return TagSight(None, None, judge_tag(None, None, first_seen, version, names))
    check = None
    if tag.signature is not None:
        check = await ports.signatures.verify(tag.payload, tag.signature)
    return TagSight(tag, check, judge_tag(tag, check, first_seen, version))


async def look_at_images(
    ports: Ports, asked: Sequence[tuple[str, str]], version: str, frozen: Sequence[FrozenImage] = ()
) -> tuple[dict[str, str | None], tuple[Verdict, ...]]:
    """(digest by repository, verdicts). asked: (workload, repository). Raises `runbook.errors` when it could not ask."""
    repositories = sorted({repository for _, repository in asked})
    answers = await asyncio.gather(*(ports.images.digest(repository, version) for repository in repositories))
    digests = dict(zip(repositories, answers, strict=True))
    return digests, judge_images(asked, digests, version, frozen)


async def look_at_final_images(ports: Ports, images: Sequence[FrozenImage], version: str) -> tuple[Verdict, ...]:
    """What the registry says now of images that have a candidate's tag. Raises `runbook.errors` when it could not ask."""
    if not images:
        return ()
    asked = sorted({(image.repository, tag) for image in images for tag in (image.tag, version)})
    answers = await asyncio.gather(*(ports.images.digest(repository, tag) for repository, tag in asked))
    found = dict(zip(asked, answers, strict=True))
    as_candidate = {image.repository: found[image.repository, image.tag] for image in images}
    as_final = {image.repository: found[image.repository, version] for image in images}
    return judge_final_images(images, version, as_candidate, as_final)


async def look_at_release(ports: Ports, service: Service, version: str) -> tuple[Release | None, tuple[Verdict, ...]]:
    """The release as it would be frozen now, or None with every obstacle; remembers the tag when it is first seen with a good signature.

    Raises `runbook.errors` when it could not ask.
    """
    first_seen = await ports.memory.first_seen(service.name, version)
    asked = [(workload.name, workload.image) for workload in service.workloads]
    sight, (digests, image_verdicts) = await asyncio.gather(
        look_at_tag(ports, service.repository, version, first_seen), look_at_images(ports, asked, version)
    )
    verdicts = (sight.verdict, *image_verdicts)
    tag, check = sight.tag, sight.check
    if sight.verdict.outcome != Outcome.PASS or tag is None or tag.tag_object is None or check is None:
        return None, verdicts
    if first_seen is None:
        await ports.memory.remember_tag(service.name, version, tag.tag_object, tag.commit)
    if any(verdict.outcome != Outcome.PASS for verdict in image_verdicts):
        return None, verdicts
    release = Release(
        service=service.name,
        version=version,
        tag_object=tag.tag_object,
        commit=tag.commit,
        signer=check.signer,
        images=tuple(_frozen(workload, version, digests) for workload in service.workloads),
    )
    return release, verdicts


def _frozen(workload: Workload, version: str, digests: dict[str, str | None]) -> FrozenImage:
    return FrozenImage(workload.name, workload.container, workload.image, version, digests[workload.image] or "")


@dataclass(frozen=True, slots=True)
class JobImage:
    """Exactly one is set. image: `repository@digest`. previous_of: `workload/container` whose image from before the release runs."""

    image: str = ""
    previous_of: str = ""


async def look_at_job_images(
    ports: Ports, jobs: Mapping[str, JobTemplate], version: str
) -> tuple[dict[str, str | None], tuple[Verdict, ...]]:
    """(digest by repository, verdicts) of the Jobs that name a repository. jobs: by what people call them.

    Raises `runbook.errors` when it could not ask.
    """
    asked = [(name, job.image) for name, job in jobs.items() if job.image and "@" not in job.image]
    if not asked:
        return {}, ()
    return await look_at_images(ports, asked, version)


def job_image(job: JobTemplate, service: Service, release: Release, digests: Mapping[str, str | None]) -> JobImage:
    """What the Job will run. Raises KeyError for a workload that the service doesn't have, or an image that wasn't looked at."""
    if job.workload:
        workload = next((w for w in service.workloads if w.name == job.workload), None)
        if workload is None:
            raise KeyError(job.workload)
        if job.previous:
            return JobImage(previous_of=f"{workload.name}/{workload.container}")
        return JobImage(next(image.reference for image in release.images if image.workload == workload.name))
    if "@" in job.image:
        return JobImage(job.image)
    digest = digests[job.image]
    if digest is None:
        raise KeyError(job.image)
    return JobImage(f"{job.image}@{digest}")

"""Whether a release is the very artifact that a candidate proved in staging: its go, its commit, its digests. Values in, verdicts out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runbook.policy import Workload
from runbook.rules.tags import IMAGES_GATE
from runbook.rules.versions import final_of
from runbook.values import FrozenImage, Release
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import listing

GO_GATE = "go in staging"


def judge_go(go: Release | None, last: Release | None, version: str, commit: str) -> tuple[Verdict, ...]:
    """The tag's commit is that of a candidate which got its go in staging and keeps it.

    go: of this commit, None without one. last: the newest candidate that has its go, to name it.
    A candidate for another X.Y.Z is told and binds nobody.
    """
    if go is None:
        remedy = "Deploy the candidate on this commit to staging and let it get its go"
        if last is not None and last.commit != commit:
            remedy += f", or release {last.version} ({last.commit[:12]}), which has its go, under a version of its own"
        reason = f"no candidate on {commit[:12]}, the commit of {version}, has its go in staging"
        evidence = Evidence(name="commit", value=commit, limit=None if last is None else last.commit, source=version)
        return (Verdict.failed(GO_GATE, "release.no_go", reason, evidence, remedy=remedy),)
    evidence = Evidence(name="candidate", value=go.version, source=commit)
    passed = Verdict.passed(GO_GATE, f"{version} is the commit of {go.version}, which has its go in staging", evidence)
    if final_of(go.version) == version:
        return (passed,)
    reason = f"the candidate on this commit was {go.version}, one for {final_of(go.version)} and not for {version}"
    remedy = f"Check that {version} is the name that was meant; its images were built as {go.version}"
    doubt = Verdict(GO_GATE, Outcome.FAIL, "release.other_numbers", reason, (evidence,), remedy, binding=False)
    return passed, doubt


def judge_same_go(go: Release | None, release: Release, candidate: str) -> Verdict:
    """Later: the candidate that the plan was made with still has its go, and nothing else was proven on its commit meanwhile."""
    if go is None:
        remedy = "Deploy the candidate to staging again and let it get its go, then promote"
        reason = f"{candidate} has lost its go in staging: a newer result for it is a no-go"
        return Verdict.failed(GO_GATE, "release.go_lost", reason, remedy=remedy)
    evidence = Evidence(name="candidate", value=go.version, limit=candidate, source=release.commit)
    if _digests(go) != _digests(release):
        reason = (
            f"the newest go on this commit, {go.version}, is for other images than this plan's, those of {candidate}"
        )
        remedy = "Promote again: the plan is made with the images of the newest go"
        return Verdict.failed(GO_GATE, "release.other_go", reason, evidence, remedy=remedy)
    return Verdict.passed(GO_GATE, f"{go.version} still has its go in staging", evidence)


def _digests(release: Release) -> set[tuple[str, str, str]]:
    return {(image.workload, image.container, image.digest) for image in release.images}


def proven_images(
    workloads: Sequence[Workload], go: Release, version: str
) -> tuple[tuple[FrozenImage, ...], tuple[Verdict, ...]]:
    """(the go's image of every workload, obstacles): production runs exactly what staging proved, so a workload that wasn't there can't."""
    proven = {(image.workload, image.container, image.repository): image for image in go.images}
    images, obstacles = [], []
    for workload in workloads:
        found = proven.get((workload.name, workload.container, workload.image))
        if found is not None:
            images.append(found)
            continue
        reason = f"{workload.image} of {workload.name} was not part of {go.version} when it got its go in staging"
        remedy = f"Deploy {go.version} to staging with the present configuration, then promote {version}"
        evidence = Evidence(name=workload.name, value=None, limit=workload.image, source=go.version)
        obstacles.append(Verdict.failed(IMAGES_GATE, "image.not_proven", reason, evidence, remedy=remedy))
    return tuple(images), tuple(obstacles)


def judge_final_images(
    images: Sequence[FrozenImage],
    version: str,
    as_candidate: Mapping[str, str | None],
    as_final: Mapping[str, str | None],
) -> tuple[Verdict, ...]:
    """The registry still has every proven digest, and no name for it says anything else.

    images: with the candidate's tags and digests. as_candidate, as_final: digest by repository, as the registry answers now. The final tag
    may be missing there: production deploys the candidate's digests, whatever they are called. The candidate's may be, where the final is there.
    """
    obstacles, seen, unnamed = [], [], []
    for image in images:
        names = {
            f"{image.repository}:{image.tag}": as_candidate.get(image.repository),
            f"{image.repository}:{version}": as_final.get(image.repository),
        }
        found = {name: digest for name, digest in names.items() if digest is not None}
        wrong = {name: digest for name, digest in found.items() if digest != image.digest}
        if not found:
            obstacles.append(_missing(image, names))
        obstacles += [_other(image, name, digest) for name, digest in wrong.items()]
        if found and not wrong:
            source = listing(found)
            seen.append(Evidence(name=image.workload, value=image.digest, limit=image.digest, source=source))
            if as_final.get(image.repository) is None:
                unnamed.append(image.workload)
    if obstacles:
        return tuple(obstacles)
    reason = f"the images of {listing(image.workload for image in images)} have the digests that staging proved"
    if unnamed:
        reason += f"; the registry has no tag {version} for {listing(unnamed)}, whose candidate's digest is deployed"
    return (Verdict.passed(IMAGES_GATE, reason, *seen),)


def _missing(image: FrozenImage, names: Mapping[str, str | None]) -> Verdict:
    reason = f"the registry has neither {' nor '.join(names)} for {image.workload}: its digest may be gone"
    evidence = Evidence(name=image.workload, value=None, limit=image.digest, source=listing(names))
    remedy = "Push the image again under one of these tags, with the digest that got its go"
    return Verdict.failed(IMAGES_GATE, "image.missing", reason, evidence, remedy=remedy)


def _other(image: FrozenImage, name: str, digest: str) -> Verdict:
    reason = f"{name} is {digest}, not {image.digest}, which got its go in staging"
    evidence = Evidence(name=image.workload, value=digest, limit=image.digest, source=name)
    remedy = "Tag the proven digest rather than building again, or take the next candidate through staging"
    return Verdict.failed(IMAGES_GATE, "image.digest_changed", reason, evidence, remedy=remedy)

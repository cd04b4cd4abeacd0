"""Steps on a service's Deployments: remember what runs, deploy by digest, bring the previous images back."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

from runbook.errors import Conflict, Permanent, Temporary
from runbook.plan import Result, Scene, Work
from runbook.policy import Workload
from runbook.ports import Cluster, Rollout
from runbook.rules.readings import read_error
from runbook.rules.workloads import judge_rollout, trouble_words
from runbook.values import FrozenImage
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration

POLL_S = 1.0
CONFLICTS = 5
ERRORS_TOLERATED_S = 60.0
"""For how long a rollout that can't be read is waited for: an API server that restarts is no reason to hold a release."""


@dataclass(frozen=True, kw_only=True)
class RememberImages(Work):
    """Records the images that run now as the fact `previous`: {workload: {container: image}}, and as `before_effects_at` when that was (ISO
    time). A repeat keeps the first record.

    Nothing outside changes; it stands before the first effect so that there is always a way back.
    """

    kind: ClassVar[str] = "remember_images"
    workloads: tuple[Workload, ...]

    async def perform(self, scene: Scene) -> Result:
        if (known := scene.facts.get("previous")) is not None:
            return Result((Verdict.passed(self.title, "the images were remembered before"),), {"previous": known})
        cluster = scene.ports.clusters[scene.environment]
        previous: dict[str, dict[str, str]] = {}
        verdicts = []
        for workload in self.workloads:
            deployment = await cluster.deployment(workload.name)
            image = deployment.image_of(workload.container) if deployment is not None else None
            source = f"deployment/{workload.name}"
            if image is None:
                what = (
                    "the Deployment" if deployment is None else f"the container {workload.container} of the Deployment"
                )
                code = "workload.missing" if deployment is None else "workload.no_container"
                reason = f"{what} {workload.name} doesn't exist: there would be no way back"
                verdicts.append(
                    Verdict.failed(self.title, code, reason, Evidence(name="image", value=None, source=source))
                )
                continue
            previous.setdefault(workload.name, {})[workload.container] = image
            evidence = Evidence(name="image", value=image, source=source)
            verdicts.append(Verdict.passed(self.title, f"{workload.name} runs {_brief(image)}", evidence))
        if any(verdict.outcome == Outcome.FAIL for verdict in verdicts):
            return Result(tuple(verdicts))
        return Result(tuple(verdicts), {"previous": previous, "before_effects_at": scene.ports.clock.now().isoformat()})


@dataclass(frozen=True, kw_only=True)
class DeployWorkload(Work):
    """Sets one Deployment's image by digest and waits until every replica is updated and Available."""

    kind: ClassVar[str] = "deploy_workload"
    effect: ClassVar[bool] = True
    image: FrozenImage
    timeout_s: float
    trouble_within_s: float

    async def perform(self, scene: Scene) -> Result:
        images = {self.image.container: self.image.reference}
        verdict = await _roll_out(scene, self.image.workload, images, self.timeout_s, self.trouble_within_s)
        return Result((verdict,))


@dataclass(frozen=True, kw_only=True)
class ReturnWorkload(Work):
    """Sets one Deployment back to the image that was remembered, and waits until it is Available."""

    kind: ClassVar[str] = "return_workload"
    effect: ClassVar[bool] = True
    workload: str
    images: tuple[tuple[str, str], ...]
    timeout_s: float

    async def perform(self, scene: Scene) -> Result:
        """What could not be done is a verdict that carries the command for a person's hand."""
        command = self._command(scene.ports.clusters[scene.environment])
        try:
            # Patient with slow starts: on the way back there is nowhere better to go.
            verdict = await _roll_out(scene, self.workload, dict(self.images), self.timeout_s, self.timeout_s)
        except (Temporary, Permanent) as error:
            verdict = read_error(self.title, error)
            return Result((replace(verdict, remedy=_joined(error.remedy, f"By hand: {command}")),))
        if verdict.outcome != Outcome.PASS:
            verdict = replace(verdict, remedy=_joined(verdict.remedy, f"By hand: {command}"))
        return Result((verdict,))

    def _command(self, cluster: Cluster) -> str:
        images = " ".join(shlex.quote(f"{container}={image}") for container, image in self.images)
        return f"{cluster.kubectl} set image {shlex.quote(f'deployment/{self.workload}')} {images}"


def _joined(*sentences: str) -> str:
    return ". ".join(sentence.rstrip(".") for sentence in sentences if sentence)


async def _roll_out(
    scene: Scene, name: str, images: Mapping[str, str], timeout_s: float, trouble_within_s: float
) -> Verdict:
    """Raises `runbook.errors` when the image couldn't be set, or the rollout not be read for too long."""
    scene.doing(f"setting the image of {name}")
    generation = await _set_images(scene, name, images)
    since = await _set_since(scene)
    verdict = await _await_rollout(scene, name, generation, since, timeout_s, trouble_within_s)
    if verdict.outcome != Outcome.PASS:
        return verdict
    return await _still_ours(scene, name, images) or verdict


async def _set_images(scene: Scene, name: str, images: Mapping[str, str]) -> int:
    """The integration reads anew before each write; a conflict that outlasts its attempts is tried again here, a few times."""
    cluster, clock = scene.ports.clusters[scene.environment], scene.ports.clock
    prefix = scene.annotation_prefix
    annotations = {f"{prefix}/run": scene.run, f"{prefix}/step": f"{scene.run}/{scene.index}"}
    for _ in range(CONFLICTS - 1):
        try:
            return await cluster.set_images(name, images, annotations)
        except Conflict:
            await clock.sleep_until(clock.now() + timedelta(seconds=POLL_S))
    return await cluster.set_images(name, images, annotations)


async def _set_since(scene: Scene) -> datetime:
    """When this attempt set the image for the first time: a restart doesn't prolong the wait, and our own downtime before isn't part of it."""
    known = scene.progress
    if isinstance(known, Mapping) and known.get("attempt") == scene.attempt:
        return datetime.fromisoformat(known["set_at"])
    now = scene.ports.clock.now()
    await scene.save({"attempt": scene.attempt, "set_at": now.isoformat()})
    return now


async def _await_rollout(
    scene: Scene, name: str, generation: int, since: datetime, timeout_s: float, trouble_within_s: float
) -> Verdict:
    """Looks once a second. since: from when time counts."""
    cluster, clock = scene.ports.clusters[scene.environment], scene.ports.clock
    troubled: dict[tuple[str, str], datetime] = {}
    unread_since: datetime | None = None
    while True:
        try:
            rollout: Rollout | None = await cluster.rollout(name)
            unread_since = None
        except Temporary as error:
            rollout, now = None, clock.now()
            unread_since = unread_since or now
            if (now - unread_since).total_seconds() >= ERRORS_TOLERATED_S:
                raise
            scene.doing(f"waiting for {name}: {error.cause}")
        now = clock.now()
        if rollout is not None:
            rollout = _newest_only(_with_duration(rollout, troubled, now), generation)
            elapsed_s = (now - since).total_seconds()
            verdict = judge_rollout(name, rollout, elapsed_s, timeout_s, trouble_within_s)
            if verdict is not None:
                return verdict
            scene.doing(_progress(name, rollout, elapsed_s))
        await clock.sleep_until(now + timedelta(seconds=POLL_S))


def _with_duration(rollout: Rollout, troubled: dict[tuple[str, str], datetime], now: datetime) -> Rollout:
    """A trouble lasts at least since it was first seen here: not every one carries a time of its own."""
    present = {(t.pod, t.container) for t in rollout.troubles}
    for gone in troubled.keys() - present:
        del troubled[gone]
    known = tuple(
        replace(t, since_s=max(t.since_s, (now - troubled.setdefault((t.pod, t.container), now)).total_seconds()))
        for t in rollout.troubles
    )
    return replace(rollout, troubles=known)


def _newest_only(rollout: Rollout, generation: int) -> Rollout:
    """An answer from before our write (a lagging cache) says nothing of it."""
    if rollout.generation >= generation:
        return rollout
    return replace(rollout, observed=False, troubles=())


def _progress(name: str, rollout: Rollout, elapsed_s: float) -> str:
    counts = f"{rollout.available} of {rollout.desired} Available, {rollout.updated} updated"
    trouble = f"; {trouble_words(rollout.troubles[0])}" if rollout.troubles else ""
    return f"waiting for {name}: {counts}, for {duration(round(elapsed_s))}{trouble}"


async def _still_ours(scene: Scene, name: str, images: Mapping[str, str]) -> Verdict | None:
    """Somebody may have set another image while we waited: then what is Available isn't what was deployed."""
    deployment = await scene.ports.clusters[scene.environment].deployment(name)
    runs: dict[str, Any] = {c.name: c.image for c in deployment.containers} if deployment is not None else {}
    for container, image in images.items():
        if runs.get(container) != image:
            found = runs.get(container) or "nothing"
            evidence = Evidence(name="image", value=runs.get(container), limit=image, source=f"deployment/{name}")
            reason = f"{name} runs {found} now, not {image}: somebody else has changed it meanwhile"
            remedy = "Find out who else deploys here (a GitOps controller, a person), then deploy again"
            return Verdict.failed(f"rollout of {name}", "rollout.overwritten", reason, evidence, remedy=remedy)
    return None


def _brief(image: str) -> str:
    """For a sentence: the last part of the repository and the digest's beginning; the evidence has the whole."""
    name, at, digest = image.rpartition("/")[2].partition("@")
    return f"{name}{at}{digest[:19]}"

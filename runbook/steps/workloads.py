"""Steps on a service's Deployments: remember what runs, deploy by digest, bring the previous images back."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import ClassVar

from runbook.errors import Permanent, Temporary
from runbook.plan import Result, Scene, Work
from runbook.policy import Workload
from runbook.ports import Cluster
from runbook.rules.readings import read_error
from runbook.steps.rolling_out import roll_out
from runbook.values import FrozenImage
from runbook.verdicts import Evidence, Outcome, Verdict


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
        verdict = await roll_out(scene, self.image.workload, images, self.timeout_s, self.trouble_within_s)
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
            verdict = await roll_out(scene, self.workload, dict(self.images), self.timeout_s, self.timeout_s)
        except (Temporary, Permanent) as error:
            verdict = read_error(self.title, error)
            return Result((replace(verdict, remedy=_joined(error.remedy, f"By hand: {command}")),))
        if verdict.code == "rollout.no_replicas" and self.workload in scene.facts.get("sizes", {}):
            # Its traffic moves by the number of pods, and has not come back yet: then there is nothing to wait for.
            reason = f"{self.workload} has its previous image; its pods come with the traffic"
            return Result((Verdict.passed(verdict.gate, reason, *verdict.evidence),))
        if verdict.outcome != Outcome.PASS:
            verdict = replace(verdict, remedy=_joined(verdict.remedy, f"By hand: {command}"))
        return Result((verdict,))

    def _command(self, cluster: Cluster) -> str:
        images = " ".join(shlex.quote(f"{container}={image}") for container, image in self.images)
        return f"{cluster.kubectl} set image {shlex.quote(f'deployment/{self.workload}')} {images}"


def _joined(*sentences: str) -> str:
    return ". ".join(sentence.rstrip(".") for sentence in sentences if sentence)


def _brief(image: str) -> str:
    """For a sentence: the last part of the repository and the digest's beginning; the evidence has the whole."""
    name, at, digest = image.rpartition("/")[2].partition("@")
    return f"{name}{at}{digest[:19]}"

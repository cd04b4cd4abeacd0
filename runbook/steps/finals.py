"""Whether production's artifact is still the one that the plan was made with: tag, digests, and the go of its candidate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runbook.artifacts import look_at_final_images, look_at_tag
from runbook.plan import Scene
from runbook.rules.finals import GO_GATE, judge_same_go
from runbook.rules.tags import FINAL_TAG_GATE, IMAGES_GATE
from runbook.steps.asking import Verdicts, all_asked
from runbook.values import Release


@dataclass(frozen=True)
class FinalTag:
    """The release's tag is still the signed tag object on its commit, its images have the digests that staging proved, and the go stands.

    release: as `promoting.look_at_final` found it, with its candidate's tags and digests. Runbook: "artifact immutable".
    """

    service: str
    repository: str
    release: Release
    kind: Literal["final_tag"] = "final_tag"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return await all_asked(
            (FINAL_TAG_GATE, self._tag(scene)), (IMAGES_GATE, self._images(scene)), (GO_GATE, self._go(scene))
        )

    async def _tag(self, scene: Scene) -> Verdicts:
        was = (self.release.tag_object, self.release.commit)
        sight = await look_at_tag(scene.ports, self.repository, self.release.version, was)
        return (sight.verdict,)

    async def _images(self, scene: Scene) -> Verdicts:
        return await look_at_final_images(scene.ports, self.release.images, self.release.version)

    async def _go(self, scene: Scene) -> Verdicts:
        go = await scene.ports.memory.go_for(self.service, self.release.commit)
        candidate = self.release.images[0].tag if self.release.images else self.release.version
        return (judge_same_go(go, self.release, candidate),)

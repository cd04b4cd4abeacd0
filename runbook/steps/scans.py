"""The security scan as a check of a gate: every source of reports is asked, for every image, and one that can't answer is no clean scan."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from runbook.criteria import Weight, weighed
from runbook.errors import Permanent, Temporary
from runbook.plan import Scene
from runbook.ports import ScanReport, ScanReports
from runbook.rules.scans import CODE_GATE, image_gate, judge_code_scanning, judge_image
from runbook.steps.asking import Verdicts, all_asked
from runbook.values import FrozenImage
from runbook.verdicts import Outcome

UNATTRIBUTED = "scans.unattributed"
"""The error of a source that has no report of this digest, but something unreadable that may be one."""


@dataclass(frozen=True)
class CleanScan:
    """The newest report of every image's digest has zero open critical findings and is young enough. Promotion Criteria: Security scan.

    max_age_s: how old a clean report may be. code_scanning: GitHub's analysis of the commit is asked too. weight: what the criterion
    weighs here; what isn't required is shown and decides nothing.
    """

    images: tuple[FrozenImage, ...]
    repository: str
    commit: str
    max_age_s: float
    code_scanning: bool = False
    weight: Weight = Weight.REQUIRED
    kind: Literal["clean_scan"] = "clean_scan"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        distinct: dict[str, FrozenImage] = {}
        for image in self.images:
            distinct.setdefault(image.digest, image)
        questions = [(image_gate(image), self._image(scene, image)) for image in distinct.values()]
        if self.code_scanning:
            questions.append((CODE_GATE, self._code(scene)))
        verdicts, may_pass = await all_asked(*questions)
        return weighed(verdicts, self.weight), may_pass

    async def _image(self, scene: Scene, image: FrozenImage) -> Verdicts:
        answers = await asyncio.gather(*(_answer(source, image.digest) for source in scene.ports.scans))
        reports = [answer for answer in answers if isinstance(answer, ScanReport)]
        verdict = judge_image(image, reports, scene.ports.clock.now(), self.max_age_s)
        silent = [each for each in answers if isinstance(each, Permanent | Temporary)]
        unknown = [error for error in silent if not reports or error.code != UNATTRIBUTED]
        if unknown and verdict.outcome != Outcome.FAIL:  # a source that can't answer may have a newer report
            raise min(unknown, key=lambda error: isinstance(error, Temporary))
        return (verdict,)

    async def _code(self, scene: Scene) -> Verdicts:
        report = await scene.ports.code.code_scanning(self.repository, self.commit)
        return (judge_code_scanning(report, self.commit, scene.ports.clock.now(), self.max_age_s),)


async def _answer(source: ScanReports, digest: str) -> ScanReport | Permanent | Temporary | None:
    """One source's error is kept beside the others' answers."""
    try:
        return await source.newest(digest)
    except (Permanent, Temporary) as error:
        return error

"""What a program can't do: it is said in the plan, and a person must."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from runbook.plan import Result, Scene, Work
from runbook.verdicts import Verdict


@dataclass(frozen=True, kw_only=True)
class LeftToPeople(Work):
    """Fails with the sentence that says what is left to do, so that a way back with it in is never called whole."""

    kind: ClassVar[str] = "left_to_people"
    code: str
    reason: str
    remedy: str

    async def perform(self, scene: Scene) -> Result:
        return Result((Verdict.failed(self.title, self.code, self.reason, remedy=self.remedy),))

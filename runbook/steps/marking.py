"""Says on GitHub that a commit was validated in dev: a commit status, and a line in the draft notes of the next release.

It sets and never adds, so that a repeat is harmless; a published release is never rewritten.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar

from runbook.errors import Permanent, Temporary
from runbook.plan import Result, Scene, Work
from runbook.rules.readings import read_error
from runbook.rules.validated_notes import LONGEST_BODY, floor_of, next_draft, with_validated
from runbook.source import CommitInfo, CommitMark, Draft, Source
from runbook.values import Environment
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration

CONTEXT = "forge/dev-validated"
STATUS_GATE, NOTES_GATE = "commit status", "release notes"

_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 60.0


@dataclass(frozen=True, kw_only=True)
class MarkValidated(Work):
    """Sets the commit status `forge/dev-validated`, then the commit's line in the draft release notes. Runbook: Development Deployment 6.

    patience_s: so long a GitHub that doesn't answer is asked again. What could not be marked then is told with its reason as a FAIL and
    undoes nothing: the validation itself is on record here.
    """

    kind: ClassVar[str] = "mark_validated"
    effect: ClassVar[bool] = True
    service: str
    repository: str
    commit: str
    patience_s: float = 600.0

    async def perform(self, scene: Scene) -> Result:
        source = scene.ports.source
        if source is None:
            reason = f"forge can't write to {self.repository}"
            return Result(
                (Verdict.failed(STATUS_GATE, "mark.no_source", reason, remedy="Configure integrations.github"),)
            )
        status = await self._patiently(scene, STATUS_GATE, lambda: self._status(scene, source))
        notes = await self._patiently(scene, NOTES_GATE, lambda: self._notes(scene, source))
        verdicts = (status, notes)
        marked = {
            "status": status.outcome == Outcome.PASS,
            "notes": str(notes.evidence[0].value) if notes.outcome == Outcome.PASS else "",
        }
        return Result(verdicts, {"marked": marked})

    async def _patiently(self, scene: Scene, gate: str, mark: Callable[[], Awaitable[Verdict]]) -> Verdict:
        """Asks again while it may help: as long as GitHub wishes, and never beyond the patience."""
        clock, pause_s = scene.ports.clock, _PAUSE_S
        ends = scene.begun_at + timedelta(seconds=self.patience_s)
        while True:
            try:
                return await mark()
            except Permanent as error:
                return self._unmarked(gate, error)
            except Temporary as error:
                wait_s = max(pause_s, error.retry_after_s or 0.0)
                again = clock.now() + timedelta(seconds=wait_s)
                if again > ends:
                    return self._unmarked(gate, error)
                scene.doing(f"{error.cause}; asked again in {duration(wait_s)}")
            await clock.sleep_until(again)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _unmarked(self, gate: str, error: Temporary | Permanent) -> Verdict:
        """Not an ERROR, which would hold a run whose deployment is good."""
        reason = f"{self.commit[:12]} is validated, but not marked: {error.cause}"
        return replace(read_error(gate, error), outcome=Outcome.FAIL, reason=reason)

    async def _status(self, scene: Scene, source: Source) -> Verdict:
        scene.doing(f"setting {CONTEXT} on {self.commit[:12]}")
        words = f"validated in dev by {scene.run} at {scene.begun_at:%Y-%m-%d %H:%M} UTC"
        await source.mark(self.repository, self.commit, CommitMark(CONTEXT, "success", words))
        evidence = Evidence(name=CONTEXT, value="success", source=self.commit, at=scene.begun_at)
        return Verdict.passed(STATUS_GATE, f"{self.commit[:12]} has the status {CONTEXT}", evidence)

    async def _notes(self, scene: Scene, source: Source) -> Verdict:
        """Where somebody has written into the draft or published it meanwhile, the Conflict has it all looked at again."""
        scene.doing("writing the draft release notes")
        commit = await self._info(source)
        draft = await self._draft(scene, source)
        wanted = with_validated(draft, self.service, commit, scene.run, scene.begun_at)
        if len(wanted.body) > LONGEST_BODY:
            reason = f"the draft {draft.tag} has no room for another line"
            return Verdict.failed(NOTES_GATE, "mark.no_room", reason, remedy="Shorten the draft, or publish it")
        if wanted != draft:
            wanted = await source.write_draft(self.repository, wanted, instead_of=draft)
        evidence = Evidence(name="draft", value=wanted.tag, source=self.repository)
        return Verdict.passed(NOTES_GATE, f"{self.commit[:12]} stands in the draft of {wanted.tag}", evidence)

    async def _info(self, source: Source) -> CommitInfo:
        found = await source.commit(self.repository, self.commit)
        if found is None:
            raise Permanent("github", "no_commit", f"{self.repository} has no commit {self.commit[:12]} any more")
        return found

    async def _draft(self, scene: Scene, source: Source) -> Draft:
        ports = scene.ports
        released = await ports.memory.last_go(self.service, Environment.PROD)
        tags = await ports.code.tag_names(self.repository, "v")
        floor = floor_of(tags, "" if released is None else released.version)
        return next_draft(await source.drafts(self.repository), floor)

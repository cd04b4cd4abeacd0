"""Steps that look at the running service from outside: smoke tests and the observation with health probes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar

from runbook.errors import Permanent, Temporary
from runbook.plan import Result, Scene, Work
from runbook.policy import HealthPaths, HealthPolicy, SmokeRequest
from runbook.rules.readings import read_error
from runbook.rules.smoke import judge_answer
from runbook.rules.unanswered import FAIL, HOLD, held
from runbook.steps.requests import http_request, url_of
from runbook.steps.watching import CANARYS, Watching
from runbook.verdicts import Outcome, Verdict


@dataclass(frozen=True, kw_only=True)
class SmokeTest(Work):
    """Sends each request until it is answered as expected, at most `attempts` times, `wait_s` apart; every request speaks.

    Runbook: `/health/live`, `/health/ready`, a basic authenticated API transaction. Recorded as the fact `smoke`. canary_url: an address of the
    canary alone, asked beside the public one; empty: there is none. unanswered: what it means that nobody answers at all, see
    `rules.unanswered`.
    """

    kind: ClassVar[str] = "smoke_test"
    effect: ClassVar[bool] = True
    service: str
    base_url: str
    requests: tuple[SmokeRequest, ...]
    attempts: int = 3
    wait_s: float = 2.0
    canary_url: str = ""
    unanswered: str = FAIL

    async def perform(self, scene: Scene) -> Result:
        places = {"": self.base_url} | ({CANARYS: self.canary_url} if self.canary_url else {})
        scene.doing(f"sending {len(self.requests)} smoke requests to {' and '.join(places.values())}")
        verdicts = await asyncio.gather(
            *(self._until_right(scene, request, *place) for place in places.items() for request in self.requests)
        )
        verdicts = list(held(verdicts)) if self.unanswered == HOLD else verdicts
        result = Result(tuple(verdicts))
        return Result(result.verdicts, {"smoke": {"outcome": result.outcome.value, "requests": len(verdicts)}})

    async def _until_right(self, scene: Scene, request: SmokeRequest, whose: str, base_url: str) -> Verdict:
        """Its reason says which address was asked: the public one reaches a canary by its share alone."""
        clock = scene.ports.clock
        for attempt in range(self.attempts):
            if attempt:
                await clock.sleep_until(clock.now() + timedelta(seconds=self.wait_s))
            verdict = await self._send(scene, request, base_url)
            if verdict.outcome == Outcome.PASS:
                break
        return replace(verdict, gate=f"{verdict.gate}{whose}", reason=f"{verdict.reason}, at {base_url}")

    async def _send(self, scene: Scene, request: SmokeRequest, base_url: str) -> Verdict:
        try:
            answer = await scene.ports.probes.send(http_request(self.service, base_url, request))
        except (Temporary, Permanent) as error:  # ours, not the subject's: a token that is not configured
            return read_error(f"smoke: {request.name}", error)
        return judge_answer(request, answer, url_of(base_url, request.path))


@dataclass(frozen=True, kw_only=True)
class Observe(Work):
    """Watches for `duration_s` of observed time (pauses don't count): health probes at least once a second per target, smoke repeated.

    canary_url: an address of the canary alone, asked beside the public one; empty: there is none. unanswered: what it means that nobody
    answers at all, see `rules.unanswered`. Runbook: Staging Deployment 6, Health Check Acceptance. Records the facts `observed_from` and
    `observed_to` (ISO times).
    """

    kind: ClassVar[str] = "observe"
    effect: ClassVar[bool] = True
    service: str
    base_url: str
    duration_s: float
    health: HealthPaths
    acceptance: HealthPolicy
    smoke: tuple[SmokeRequest, ...]
    smoke_every_s: float
    canary_url: str = ""
    unanswered: str = FAIL

    async def perform(self, scene: Scene) -> Result:
        """Goes on from the saved progress after a restart; FAIL as soon as a limit is certainly missed."""
        result = await Watching(self, scene).whole()
        return replace(result, verdicts=held(result.verdicts)) if self.unanswered == HOLD else result

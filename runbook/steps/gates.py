"""Gates: every check of a gate speaks before a decision is taken, so that a requester learns each obstacle at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import Field

from runbook.artifacts import look_at_images, look_at_tag
from runbook.charts import Chart, together
from runbook.ci_checks import ci_checks
from runbook.plan import Result, Scene, Work
from runbook.policy import HealthPaths, Workload
from runbook.rules.ci import GATE as CI_GATE
from runbook.rules.ci import judge_ci
from runbook.rules.overrides import with_overrides
from runbook.rules.steady import ERRORS_GATE, LATENCY_GATE, SteadyLimits, judge_steady
from runbook.rules.tags import IMAGES_GATE, TAG_GATE
from runbook.rules.workloads import DEPLOYABLE_GATE, judge_deployable
from runbook.steps.asking import Verdicts, all_asked
from runbook.steps.calm import ChangeWindowOpen, NoFreeze, NoOpenIncident
from runbook.steps.canary import CanaryRatio
from runbook.steps.completion import NoSustainedAlert, PhasesPassed
from runbook.steps.dev_validation import CalmAcross, DevValidated, ErrorRate, SmokePassed
from runbook.steps.dividing import TrafficDividable
from runbook.steps.finals import FinalTag
from runbook.steps.key_metrics import DependencyTimeouts, KeyMetrics, no_observation
from runbook.steps.looking_back import look_back
from runbook.steps.phase import (
    EndpointsReady,
    ErrorBudgetBurn,
    PhaseErrors,
    PhaseLatency,
    PhaseSample,
    Saturation,
)
from runbook.steps.pod_logs import CleanLogs
from runbook.steps.promotion import AutomatedTests, Migrated, PerformanceKept
from runbook.steps.readiness import (
    ApproversReachable,
    OnCallAvailable,
    RecentBackup,
    ReleaseNotes,
    RollbackPlan,
)
from runbook.steps.running import RunsHere
from runbook.steps.scans import CleanScan
from runbook.values import Release
from runbook.verdicts import Outcome, decided
from runbook.wording import duration

ERRORS_TOLERATED_S = 60.0
"""For how long a gate that is waiting anyway puts up with temporary errors before it says ERROR."""


@dataclass(frozen=True)
class CandidateTag:
    """The tag is still the signed tag object that the plan was made with, and its images still have the frozen digests."""

    repository: str
    release: Release
    kind: Literal["candidate_tag"] = "candidate_tag"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return await all_asked((TAG_GATE, self._tag(scene)), (IMAGES_GATE, self._images(scene)))

    async def _tag(self, scene: Scene) -> Verdicts:
        was = (self.release.tag_object, self.release.commit)
        sight = await look_at_tag(scene.ports, self.repository, self.release.version, was)
        return (sight.verdict,)

    async def _images(self, scene: Scene) -> Verdicts:
        asked = [(image.workload, image.repository) for image in self.release.images]
        _, verdicts = await look_at_images(scene.ports, asked, self.release.version, self.release.images)
        return verdicts


@dataclass(frozen=True)
class CiGreen:
    """Every required check of the commit is green; required empty: every check that ran, and at least one. Promotion Criteria: CI status.

    Asked are GitHub and what other CI systems have told.
    """

    repository: str
    commit: str
    required: tuple[str, ...] = ()
    kind: Literal["ci_green"] = "ci_green"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return await all_asked((CI_GATE, self._checks(scene)))

    async def _checks(self, scene: Scene) -> Verdicts:
        checks = await ci_checks(scene.ports, self.repository, self.commit)
        return (judge_ci(checks, self.required, self.commit),)


@dataclass(frozen=True)
class Deployable:
    """Every workload exists, has liveness and readiness probes on the configured paths, and no GitOps controller owns its image.

    Runbook: Required Endpoints, whose failure actions those probes are.
    """

    workloads: tuple[Workload, ...]
    health: HealthPaths
    kind: Literal["deployable"] = "deployable"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return await all_asked(*((f"{DEPLOYABLE_GATE}: {w.name}", self._workload(scene, w)) for w in self.workloads))

    async def _workload(self, scene: Scene, workload: Workload) -> Verdicts:
        deployment = await scene.ports.clusters[scene.environment].deployment(workload.name)
        return judge_deployable(workload, deployment, self.health)


@dataclass(frozen=True)
class SteadyState:
    """Error rate and latency over the whole observation, with a minimum sample. Runbook: Staging Deployment 6, Suggested SLO Targets.

    window: the recording rules' window, such as `1m`.
    """

    service: str
    window: str
    max_error_ratio: float
    max_latency_p95_s: float
    min_requests: int
    kind: Literal["steady_state"] = "steady_state"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        asked = {"requests": ERRORS_GATE, "errors": ERRORS_GATE, "p95": LATENCY_GATE}
        seen = await look_back(scene, self.service, self.window, asked)
        if seen is None:
            return (no_observation(ERRORS_GATE),), True
        limits = SteadyLimits(
            max_error_ratio=self.max_error_ratio,
            max_latency_p95_s=self.max_latency_p95_s,
            min_requests=self.min_requests,
        )
        found = seen.found
        verdicts = judge_steady(found["requests"], found["errors"], found["p95"], limits, seen.queries, seen.observed_s)
        return verdicts, seen.may_pass


@runtime_checkable
class Charted(Protocol):
    """A check that has a picture to show beside its verdicts. It never raises for one that can't be made."""

    async def chart(self, scene: Scene) -> Chart | None: ...


AnyCheck = Annotated[
    CandidateTag
    | CiGreen
    | Deployable
    | SteadyState
    | CleanScan
    | KeyMetrics
    | DependencyTimeouts
    | AutomatedTests
    | Migrated
    | PerformanceKept
    | RunsHere
    | CanaryRatio
    | FinalTag
    | OnCallAvailable
    | ApproversReachable
    | ReleaseNotes
    | RollbackPlan
    | RecentBackup
    | ChangeWindowOpen
    | NoFreeze
    | NoOpenIncident
    | PhaseSample
    | PhaseErrors
    | PhaseLatency
    | ErrorBudgetBurn
    | Saturation
    | EndpointsReady
    | PhasesPassed
    | NoSustainedAlert
    | TrafficDividable
    | CleanLogs
    | ErrorRate
    | SmokePassed
    | CalmAcross
    | DevValidated,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, kw_only=True)
class Gate(Work):
    """patience_s: how long a NO_DATA (CI pending, too few requests) is asked again, every `every_s`, before it holds.

    With patience it needs no `retries`: an answer that doesn't come is asked for again within it. record: the fact that its outcome is kept
    as, such as `phase:5`; empty: none.
    """

    kind: ClassVar[str] = "gate"
    checks: tuple[AnyCheck, ...] = field(default=())
    patience_s: float = 0.0
    every_s: float = 15.0
    record: str = ""

    async def perform(self, scene: Scene) -> Result:
        """Asks until nothing is missing any more or the patience, counted from the step's first beginning, has run out."""
        clock = scene.ports.clock
        patience_ends = scene.begun_at + timedelta(seconds=self.patience_s)
        errors_from: datetime | None = None
        while True:
            scene.doing(f"asking: {self.title}")
            found, may_pass = await self._ask(scene)
            verdicts = with_overrides(found, scene.facts)
            outcome = decided(verdicts)
            now = clock.now()
            errors_from = (errors_from or now) if outcome == Outcome.ERROR else None
            tolerated = errors_from is None or (now - errors_from).total_seconds() < ERRORS_TOLERATED_S
            waitable = outcome == Outcome.NO_DATA or (outcome == Outcome.ERROR and may_pass and tolerated)
            if not waitable or now >= patience_ends:
                facts = {self.record: outcome.value} if self.record else {}
                return Result(verdicts, facts, await self._charts(scene))
            missing = next(v for v in verdicts if v.binding and v.outcome == outcome)
            left = duration(round((patience_ends - now).total_seconds()))
            scene.doing(f"{missing.reason}; asked again every {duration(self.every_s)}, for {left} at most")
            await clock.sleep_until(min(patience_ends, now + timedelta(seconds=self.every_s)))

    async def _charts(self, scene: Scene) -> tuple[Chart, ...]:
        """One picture of everything that the checks have to show: drawing takes seconds, and the thread waits for it."""
        found = await asyncio.gather(*(check.chart(scene) for check in self.checks if isinstance(check, Charted)))
        charts = [chart for chart in found if chart is not None]
        return (together(self.title, charts),) if charts else ()

    async def _ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        answers = await asyncio.gather(*(check.ask(scene) for check in self.checks))
        return tuple(v for found, _ in answers for v in found), all(may_pass for _, may_pass in answers)

"""Checks of dev's gate and of the one from dev to staging. They only ask.

Runbook: Dev promotion gate to staging candidate; Promotion Criteria, dev → staging.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runbook.criteria import Weight
from runbook.plan import Scene
from runbook.rules.calm import INCIDENT_GATE, check_no_open_incident
from runbook.rules.dev_validation import VALIDATED_GATE, DevWeights, judge_validated
from runbook.rules.promotion import judge_smoke
from runbook.rules.steady import ERRORS_GATE, SteadyLimits, judge_error_rate
from runbook.steps.asking import Verdicts, all_asked
from runbook.steps.key_metrics import no_observation
from runbook.steps.looking_back import look_back
from runbook.values import Environment


@dataclass(frozen=True)
class SmokePassed:
    """The smoke tests of this run have passed. Promotion Criteria: Smoke tests."""

    kind: Literal["smoke_passed"] = "smoke_passed"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return (judge_smoke(scene.facts.get("smoke")),), True


@dataclass(frozen=True)
class ErrorRate:
    """The error rate over the whole observation, with a minimum sample. window: the recording rules', such as `1m`."""

    service: str
    window: str
    max_error_ratio: float
    min_requests: int
    kind: Literal["error_rate"] = "error_rate"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        asked = {"requests": ERRORS_GATE, "errors": ERRORS_GATE}
        seen = await look_back(scene, self.service, self.window, asked)
        if seen is None:
            return (no_observation(ERRORS_GATE),), True
        limits = SteadyLimits(
            max_error_ratio=self.max_error_ratio, max_latency_p95_s=0.0, min_requests=self.min_requests
        )
        found = seen.found
        verdict = judge_error_rate(found["requests"], found["errors"], limits, seen.queries, seen.observed_s)
        return (verdict,), seen.may_pass


@dataclass(frozen=True)
class CalmAcross:
    """No incident of severity 1 or 2 is open for the service in any of these environments, each incident told once."""

    service: str
    environments: tuple[Environment, ...]
    kind: Literal["calm_across"] = "calm_across"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return await all_asked((INCIDENT_GATE, self._look(scene)))

    async def _look(self, scene: Scene) -> Verdicts:
        found = {}
        for environment in self.environments:
            for incident in await scene.ports.memory.open_incidents(self.service, environment):
                found[incident.id] = incident
        gravest = sorted(found.values(), key=lambda incident: (incident.severity, incident.id))
        return (check_no_open_incident(gravest),)


@dataclass(frozen=True)
class DevValidated:
    """This very commit was validated in dev, by what its run there recorded. weights: of the table's rows, see `DevWeights`."""

    service: str
    commit: str
    suites: Weight = Weight.OPTIONAL
    performance: Weight = Weight.RECOMMENDED
    validated: Weight = Weight.REQUIRED
    kind: Literal["dev_validated"] = "dev_validated"

    @property
    def weight(self) -> Weight:
        """Of the validation as a whole."""
        return self.validated

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return await all_asked((VALIDATED_GATE, self._look(scene)))

    async def _look(self, scene: Scene) -> Verdicts:
        found = await scene.ports.memory.validated(self.service, self.commit)
        return judge_validated(found, self.commit, DevWeights(self.suites, self.performance, self.validated))

"""Checks of one weight of production, asked when its time is over. They only ask. Runbook: Production Deployment 5.

A weight's time begins when the router accepted it: the fact `shifted` has {weight in percent: ISO time}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from runbook import series
from runbook.charts import Chart, Limit
from runbook.durations import parse_duration
from runbook.errors import ForgeError
from runbook.phase_charts import BEFORE_S, both_query, phase_chart, step_of
from runbook.plan import Scene
from runbook.policy import Threshold
from runbook.rules import burn, latency, saturation
from runbook.rules.burn import Budget, Burning, judge_burn
from runbook.rules.endpoints import GATE as ENDPOINTS_GATE
from runbook.rules.endpoints import judge_endpoints
from runbook.rules.key_metrics import Asked
from runbook.rules.latency import Latencies, LatencyLimits, judge_phase_latency, low_query, over_any
from runbook.rules.observed import Observation
from runbook.rules.phases import ALPHA, CANARY, FULL, Phase, accepted, judge_phase_errors, judge_sample, phase_of
from runbook.rules.readings import Reading
from runbook.rules.steady import steady_queries
from runbook.series import Windows
from runbook.steps.asking import Verdicts, all_asked
from runbook.steps.dividing import Divided
from runbook.steps.key_metrics import Question, Questions
from runbook.verdicts import Outcome, Verdict


@dataclass(frozen=True)
class PhaseSample:
    """So many requests reached the canary at this weight. window: of the recording rules' names, such as `1m`."""

    service: str
    weight: int
    window: str
    min_requests: int
    kind: Literal["phase_sample"] = "phase_sample"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        phase = phase_here(scene, self.service, self.weight, self.window)
        if isinstance(phase, Verdict):
            return (phase,), True
        asking = Questions(scene.ports.metrics[scene.environment])
        gate = phase.gate("minimum sample")
        found = await asking.ask({"requests": Question(gate, phase.queries.requests, phase.at)})
        return (judge_sample(found["requests"], self.min_requests, phase),), asking.may_pass


@dataclass(frozen=True)
class PhaseErrors:
    """The canary's failed requests at this weight, of its requests. alpha: by which chance a good release may be found bad."""

    service: str
    weight: int
    window: str
    max_error_ratio: float
    min_requests: int
    alpha: float = ALPHA
    kind: Literal["phase_errors"] = "phase_errors"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        phase = phase_here(scene, self.service, self.weight, self.window)
        if isinstance(phase, Verdict):
            return (phase,), True
        asking = Questions(scene.ports.metrics[scene.environment])
        gate, queries = phase.gate("error rate"), phase.queries
        asked = {"requests": queries.requests, "errors": queries.errors}
        found = await asking.ask({name: Question(gate, query, phase.at) for name, query in asked.items()})
        verdict = judge_phase_errors(
            found["requests"], found["errors"], self.max_error_ratio, self.min_requests, phase, self.alpha
        )
        return (verdict,), asking.may_pass

    async def chart(self, scene: Scene) -> Chart | None:
        """The error rate of both tracks; none where it can't be asked: a picture decides nothing."""
        limit = Limit("target", self.max_error_ratio)
        return await _chart(scene, self, series.ERROR_RATIO, "error rate", "ratio", limit)


@dataclass(frozen=True)
class PhaseLatency:
    """The canary's p95 at this weight: against the target, and against stable's over the same time, or at 100 % at the weights before.

    max_over_stable: how far it may be over stable's (0.2: a fifth). min_requests: of each, to judge by. alpha: as for `PhaseErrors`.
    """

    service: str
    weight: int
    window: str
    max_latency_p95_s: float
    max_over_stable: float
    min_requests: int
    alpha: float = ALPHA
    kind: Literal["phase_latency"] = "phase_latency"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        phase = phase_here(scene, self.service, self.weight, self.window)
        if isinstance(phase, Verdict):
            return (phase,), True
        asking = Questions(scene.ports.metrics[scene.environment])
        limits = LatencyLimits(
            max_p95_s=self.max_latency_p95_s,
            max_over_stable=self.max_over_stable,
            minimum=self.min_requests,
            alpha=self.alpha,
        )
        found = await self._ask(asking, phase, limits)
        return judge_phase_latency(found, limits, phase), asking.may_pass

    async def _ask(self, asking: Questions, phase: Phase, limits: LatencyLimits) -> Latencies:
        gate, queries = phase.gate(latency.GATE), phase.queries
        questions = {
            "requests": Question(gate, queries.requests, phase.at),
            "p95": Question(gate, queries.p95, phase.at),
        }
        if phase.beside is not None:
            stable, at, _ = phase.beside
            gate = phase.gate(latency.BESIDE)
            questions["stable requests"] = Question(gate, stable.requests, at)
            questions["stable p95"] = Question(gate, stable.p95, at)
        told = await asking.ask(questions)
        found = _latencies(told)
        if not over_any(found, limits) or isinstance(found.requests, Verdict):
            return found
        low = Question(phase.gate(latency.GATE), low_query(queries, found.requests, limits.alpha), phase.at)
        return _latencies({**told, **await asking.ask({"low": low})})

    async def chart(self, scene: Scene) -> Chart | None:
        """The p95 of both tracks; none where it can't be asked."""
        limit = Limit("target", self.max_latency_p95_s)
        return await _chart(scene, self, series.LATENCY_P95, "API p95 latency", "s", limit)


@dataclass(frozen=True)
class ErrorBudgetBurn:
    """Multi-window: long and short over `rate` times the budget's own pace, of the canary, and of the service as a whole.

    availability: the target whose rest is the budget. window, month: of the recorded rates and of the availability. min_requests: fewer of
    the canary prove nothing: of ten requests one that failed would burn a hundred times too fast.
    """

    service: str
    long: str
    short: str
    rate: float
    availability: float
    window: str = "1m"
    month: str = "30d"
    min_requests: int = 0
    kind: Literal["error_budget_burn"] = "error_budget_burn"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        budget = Budget(
            long=self.long,
            short=self.short,
            rate=self.rate,
            availability=self.availability,
            window=self.window,
            month=self.month,
        )
        env, at = scene.environment.value, scene.ports.clock.now()
        spans = (self.long, self.short)
        first = min((since for since, weight in accepted(scene.facts) if weight > 0), default=None)
        age_s = None if first is None else (at - first).total_seconds()
        left = burn.left_query(self.service, env, budget)
        subjects = {
            "the canary": ([burn.canary_query(self.service, env, span, budget, age_s) for span in spans], age_s),
            burn.WHOLE: ([burn.whole_query(self.service, env, span, budget) for span in spans], None),
        }
        questions = {
            query: Question(f"{burn.GATE} of {who}", query, at)
            for who, (queries, _) in subjects.items()
            for query in queries
        }
        asking = Questions(scene.ports.metrics[scene.environment])
        found = await asking.ask({**questions, left: Question(burn.GATE, left, at)})
        verdicts = tuple(
            judge_burn(Burning(who, found[long], found[short], (long, short), at, lived_s), found[left], budget)
            for who, ((long, short), lived_s) in subjects.items()
        )
        canary, *others = verdicts
        if canary.outcome is Outcome.FAIL and self.min_requests and age_s is not None:
            canary = await self._with_sample(asking, canary, env, at, min(age_s, parse_duration(self.long)))
        return (canary, *others), asking.may_pass

    async def _with_sample(
        self, asking: Questions, verdict: Verdict, env: str, at: datetime, length_s: float
    ) -> Verdict:
        """Asked only where it decides."""
        query = steady_queries(self.service, env, self.window, length_s, CANARY).requests
        found = await asking.ask({"requests": Question(verdict.gate, query, at)})
        return burn.with_sample(verdict, found["requests"], self.min_requests, query)


@dataclass(frozen=True)
class Saturation:
    """The canary's CPU, memory, OOM kills and restarts at this weight, and the database's connections.

    windows: of the recording rules' names. thresholds: `policy.observed`, of which saturation's are taken. without: what the service
    doesn't have.
    """

    service: str
    weight: int
    windows: Windows
    thresholds: tuple[Threshold, ...]
    without: tuple[str, ...] = ()
    kind: Literal["saturation"] = "saturation"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        phase = phase_here(scene, self.service, self.weight, self.windows.window)
        if isinstance(phase, Verdict):
            return (phase,), True
        limits = saturation.saturation_limits(self.thresholds, self.without)
        observation = Observation(
            service=self.service, env=phase.env, windows=self.windows, length_s=phase.length_s, track=CANARY
        )
        queries = saturation.saturation_queries(limits, observation)
        asking = Questions(scene.ports.metrics[scene.environment])
        titles = {name: series.METRICS[name].title for name in queries}
        readings = await asking.ask({name: Question(titles[name], query, phase.at) for name, query in queries.items()})
        asked = Asked(readings=readings, queries=queries)
        return saturation.judge_saturation(asked, limits, observation), asking.may_pass


@dataclass(frozen=True)
class EndpointsReady:
    """Every pod of every canary is Available, and none crashes. trouble_within_s: how long a trouble lasts before it is one."""

    targets: tuple[Divided, ...]
    weight: int = FULL
    trouble_within_s: float = 60.0
    kind: Literal["endpoints_ready"] = "endpoints_ready"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        names = [target.canary for target in self.targets]
        return await all_asked(*((f"{ENDPOINTS_GATE}: {name}", self._canary(scene, name)) for name in names))

    async def _canary(self, scene: Scene, name: str) -> Verdicts:
        cluster = scene.ports.clusters[scene.environment]
        deployment = await cluster.deployment(name)
        if deployment is None:
            return (judge_endpoints(name, None, None, self.trouble_within_s),)
        return (judge_endpoints(name, deployment, await cluster.rollout(name), self.trouble_within_s),)


# --- what they share --------------------------------------------------------------------------------------------------


def phase_here(scene: Scene, service: str, weight: int, window: str) -> Phase | Verdict:
    """The weight's time until now, by the run's facts; NO_DATA where it was never accepted."""
    before = scene.facts.get("before_effects_at")
    return phase_of(
        service,
        scene.environment.value,
        weight,
        window,
        scene.ports.clock.now(),
        accepted(scene.facts),
        datetime.fromisoformat(before) if isinstance(before, str) else None,
    )


def _latencies(told: Mapping[str, Reading]) -> Latencies:
    return Latencies(
        requests=told["requests"],
        p95_s=told["p95"],
        stable_requests=told.get("stable requests"),
        stable_p95_s=told.get("stable p95"),
        low_s=told.get("low"),
    )


async def _chart(
    scene: Scene, check: PhaseErrors | PhaseLatency, metric: str, what: str, unit: str, limit: Limit
) -> Chart | None:
    phase = phase_here(scene, check.service, check.weight, check.window)
    if isinstance(phase, Verdict):
        return None
    begin = phase.begun - timedelta(seconds=min(BEFORE_S, phase.length_s))
    query = both_query(metric, check.service, phase.env, check.window)
    step_s = step_of((phase.at - begin).total_seconds())
    try:
        answer = await scene.ports.metrics[scene.environment].query_range(query, begin, phase.at, step_s)
    except ForgeError:
        return None
    title = f"{check.service}, {what} at {phase.weight} %"
    return phase_chart(title, what, unit, answer, limit, phase.begun)

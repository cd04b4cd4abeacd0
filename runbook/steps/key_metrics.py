"""Checks over a whole observation: the runbook's key metrics, and the time-outs of a service's dependencies. They only ask."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from runbook import series
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.plan import Scene
from runbook.policy import Threshold
from runbook.ports import Metrics
from runbook.rules import dependencies, key_metrics
from runbook.rules.dependencies import TimeoutLimits, judge_dependency_timeouts, timeouts_query
from runbook.rules.idle import QUIET, rate_query
from runbook.rules.key_metrics import Asked, asked_metrics, judge_key_metrics, metric_query
from runbook.rules.observed import Observation
from runbook.rules.readings import Reading, read_error, read_single
from runbook.series import METRICS, Windows
from runbook.steps.asking import Verdicts
from runbook.verdicts import Outcome, Verdict

AT_ONCE = 8
"""Questions that are under way at the same time."""

_GONE = (".unreachable", ".timeout")
"""Ends of codes after which the other questions would only wait as long for nothing."""

_NORMAL = "normal"
"""The question for a baseline: no metric has this name."""


@dataclass(frozen=True, slots=True)
class Question:
    """One instant query. gate: who asks, for the verdict of an answer that is no number."""

    gate: str
    query: str
    at: datetime


class Questions:
    """Asks several at once, each for one number. Afterwards `may_pass` says whether every error among the answers may pass by itself."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._places = asyncio.Semaphore(AT_ONCE)
        self._gone: ForgeError | None = None
        self.may_pass = True

    async def ask(self, questions: Mapping[str, Question]) -> dict[str, Reading]:
        readings = await asyncio.gather(*(self._read(question) for question in questions.values()))
        return dict(zip(questions, readings, strict=True))

    async def _read(self, question: Question) -> Reading:
        async with self._places:
            if self._gone is not None:
                return read_error(question.gate, self._gone, question.query)
            try:
                answer = await self._metrics.query(question.query, question.at)
            except Temporary as error:
                if error.code.endswith(_GONE):
                    self._gone = error
                return read_error(question.gate, error, question.query)
            except Permanent as error:
                self.may_pass = False
                return read_error(question.gate, error, question.query)
        return read_single(question.gate, answer, question.query)


@dataclass(frozen=True)
class KeyMetrics:
    """Every key metric of the service over the whole observation. Runbook: Staging Deployment 6, Key Metrics.

    windows: of the recording rules' names. thresholds: what is judged; what has none is shown. without: recorded metrics that the
    service doesn't have. queue_lag_for_s: how long its queue may lag behind the normal baseline. The observation begins with the fact
    `observed_from` and ends now; the normal baseline is that of the fact `before_effects_at`, where it is known.
    """

    service: str
    windows: Windows
    thresholds: tuple[Threshold, ...]
    without: tuple[str, ...] = ()
    queue_lag_for_s: float = 900.0
    kind: Literal["key_metrics"] = "key_metrics"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        begun = moment_of(scene, "observed_from")
        if begun is None:
            return (no_observation(key_metrics.GATE),), True
        at = scene.ports.clock.now()
        observation = self._observation(scene, (at - begun).total_seconds())
        metrics = asked_metrics(self.thresholds, self.without)
        queries = {metric.name: metric_query(metric, observation) for metric in metrics}
        questions = {name: Question(METRICS[name].title, query, at) for name, query in queries.items()}
        if series.QUEUE_LAG in questions:
            before = moment_of(scene, "before_effects_at") or begun
            baseline = observation.selector(series.QUEUE_LAG_BASELINE)
            questions[_NORMAL] = Question(key_metrics.LAG_GATE, baseline, before)
        asking = Questions(scene.ports.metrics[scene.environment])
        readings = await asking.ask(questions)
        normal = _or_nothing(readings.pop(_NORMAL, None))
        rates = await _rates(asking, readings, self.without, observation, at)
        asked = Asked(readings=readings, queries=queries, lag_baseline=normal, rates=rates)
        return judge_key_metrics(asked, self.thresholds, self.without, observation), asking.may_pass

    def _observation(self, scene: Scene, length_s: float) -> Observation:
        return Observation(
            service=self.service,
            env=scene.environment.value,
            windows=self.windows,
            length_s=length_s,
            queue_lag_for_s=self.queue_lag_for_s,
        )


@dataclass(frozen=True)
class DependencyTimeouts:
    """Time-outs of dependencies over the observation against what was normal before the release. Runbook: Health Check Acceptance.

    over: how far above the normal ratio they may be (0.2: a fifth). floor: a ratio up to which they are no spike. Facts as for `KeyMetrics`.
    """

    service: str
    windows: Windows
    over: float
    floor: float
    without: tuple[str, ...] = ()
    kind: Literal["dependency_timeouts"] = "dependency_timeouts"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        if series.DEPENDENCY_TIMEOUTS in self.without:
            reason = f"{self.service} has no dependencies by configuration (`without`)"
            return (Verdict(dependencies.GATE, Outcome.NOT_RUN, "metrics.without", reason, binding=False),), True
        begun = moment_of(scene, "observed_from")
        if begun is None:
            return (no_observation(dependencies.GATE),), True
        at = scene.ports.clock.now()
        length_s = (at - begun).total_seconds()
        observation = Observation(
            service=self.service, env=scene.environment.value, windows=self.windows, length_s=length_s
        )
        before = moment_of(scene, "before_effects_at") or begun
        asking = Questions(scene.ports.metrics[scene.environment])
        baseline = observation.selector(series.DEPENDENCY_TIMEOUTS_BASELINE)
        readings = await asking.ask(
            {
                series.DEPENDENCY_TIMEOUTS: Question(dependencies.GATE, timeouts_query(observation), at),
                _NORMAL: Question(dependencies.GATE, baseline, before),
            }
        )
        normal = _or_nothing(readings.pop(_NORMAL))
        rates = await _rates(asking, readings, self.without, observation, at)
        measured, rate = readings[series.DEPENDENCY_TIMEOUTS], rates.get(series.DEPENDENCY_TIMEOUTS)
        limits = TimeoutLimits(over=self.over, floor=self.floor)
        verdict = judge_dependency_timeouts(measured, normal, limits, observation, rate)
        return (verdict,), asking.may_pass


async def _rates(
    asking: Questions, readings: Mapping[str, Reading], without: tuple[str, ...], observation: Observation, at: datetime
) -> dict[str, Reading]:
    """By the name of an absent ratio: whether there was anything that it could be a part of. Asked only then; never of what the
    service doesn't have."""
    silent = [name for name in QUIET if _is_absent(readings.get(name)) and not set(QUIET[name].rates) & set(without)]
    return await asking.ask({name: Question(METRICS[name].title, rate_query(name, observation), at) for name in silent})


def _is_absent(reading: Reading | None) -> bool:
    return isinstance(reading, Verdict) and reading.code == "metrics.absent"


def moment_of(scene: Scene, fact: str) -> datetime | None:
    """None: the run has no such fact."""
    found = scene.facts.get(fact)
    return datetime.fromisoformat(found) if isinstance(found, str) else None


def _or_nothing(reading: Reading | None) -> Reading | None:
    """No series of a baseline is no fault: there is no history yet."""
    return None if _is_absent(reading) else reading


def no_observation(gate: str) -> Verdict:
    return Verdict.no_data(gate, "metrics.no_observation", "no observation is on record for this run")

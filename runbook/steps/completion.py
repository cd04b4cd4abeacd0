"""Production release completion criteria, asked when the elevated watch is over. The checks only ask.

What was sustained is looked for in what Prometheus has recorded: a restart of the bot hides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from runbook import series
from runbook.errors import Permanent, Temporary
from runbook.plan import Scene
from runbook.policy import Threshold
from runbook.ports import Series
from runbook.rules.completion import (
    ALERTS_GATE,
    Alert,
    Quiet,
    alerts_of,
    judge_alert,
    judge_phases,
    lag_alert,
    no_lag_baseline,
    normal_lag_query,
    not_yet,
)
from runbook.rules.phases import CANARY, FULL, accepted
from runbook.rules.readings import read_error, read_single
from runbook.series import Windows
from runbook.steps.asking import Verdicts
from runbook.steps.key_metrics import AT_ONCE
from runbook.verdicts import Outcome, Verdict

Answer = tuple[Series, ...] | Verdict


@dataclass(frozen=True)
class PhasesPassed:
    """Every weight's gate has passed, and no rollback trigger was met in this run. Reads facts alone: `rules.completion.judge_phases`."""

    weights: tuple[int, ...]
    kind: Literal["phases_passed"] = "phases_passed"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return judge_phases(self.weights, scene.facts), True


@dataclass(frozen=True)
class NoSustainedAlert:
    """No warning or critical threshold was sustained for its time at any moment of the last `quiet_s` after the full roll-out.

    window, baseline, month: of the recording rules' names. interval_s: between two samples. queue_lag_for_s: how long the lag may exceed
    what was normal before the release. without: what the service doesn't have. track: which carries the traffic meanwhile.
    """

    service: str
    window: str
    warning: tuple[Threshold, ...]
    critical: tuple[Threshold, ...]
    quiet_s: float
    interval_s: float
    queue_lag_for_s: float
    baseline: str = "1d"
    without: tuple[str, ...] = ()
    month: str = "30d"
    track: str = CANARY
    kind: Literal["no_sustained_alert"] = "no_sustained_alert"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        now = scene.ports.clock.now()
        full = next((since for since, weight in reversed(accepted(scene.facts)) if weight == FULL), None)
        if full is None:
            reason = f"no traffic of {FULL} % is on record as accepted for this run"
            return (Verdict.no_data(ALERTS_GATE, "phase.not_begun", reason),), True
        if (early := not_yet(self.quiet_s, (now - full).total_seconds())) is not None:
            return (early,), True
        quiet = self._quiet(scene, now)
        asking = Ranges(scene, quiet)
        alerts = list(alerts_of(self.warning, self.critical, self.without, quiet))
        verdicts: list[Verdict] = []
        if series.QUEUE_LAG not in self.without:
            lag = await self._lag(scene, asking, quiet)
            verdicts += [lag] if isinstance(lag, Verdict) else []
            alerts += [lag] if isinstance(lag, Alert) else []
        found = await asking.ask(alerts)
        verdicts += [_judged(alert, found, quiet) for alert in alerts]
        return tuple(_once(verdicts)), asking.may_pass

    def _quiet(self, scene: Scene, now: datetime) -> Quiet:
        return Quiet(
            service=self.service,
            env=scene.environment.value,
            windows=Windows(self.window, self.baseline, self.month),
            begin=now - timedelta(seconds=self.quiet_s),
            end=now,
            step_s=self.interval_s,
            track=self.track,
        )

    async def _lag(self, scene: Scene, asking: Ranges, quiet: Quiet) -> Alert | Verdict:
        """Against what was normal before the release: a baseline that goes on being recorded would follow it."""
        before = scene.facts.get("before_effects_at")
        at = datetime.fromisoformat(before) if isinstance(before, str) else quiet.begin
        query = normal_lag_query(quiet)
        answer = await asking.instant(query, at)
        if isinstance(answer, Verdict):
            return answer
        normal = read_single(f"{ALERTS_GATE}: queue lag (warning)", answer, query)
        if isinstance(normal, Verdict):
            return no_lag_baseline(quiet) if normal.code == "metrics.absent" else normal
        return lag_alert(normal, self.queue_lag_for_s, quiet)


class Ranges:
    """Range queries, a few at once, each once. Afterwards `may_pass` says whether every error among the answers may pass by itself."""

    def __init__(self, scene: Scene, quiet: Quiet) -> None:
        self._metrics = scene.ports.metrics[scene.environment]
        self._quiet = quiet
        self._places = asyncio.Semaphore(AT_ONCE)
        self._gone: Verdict | None = None
        self.may_pass = True

    async def ask(self, alerts: Iterable[Alert]) -> Mapping[str, Answer]:
        """By the query: each from so long before the quiet time that what is sustained at its beginning is seen."""
        longest: dict[str, float] = {}
        for alert in alerts:
            for query in (alert.query, *alert.rates):
                longest[query] = max(longest.get(query, 0.0), alert.guard.for_s)
        answers = await asyncio.gather(*(self._range(query, for_s) for query, for_s in longest.items()))
        return dict(zip(longest, answers, strict=True))

    async def instant(self, query: str, at: datetime) -> Answer:
        async with self._places:
            return await self._tried(query, self._metrics.query(query, at))

    async def _range(self, query: str, for_s: float) -> Answer:
        quiet = self._quiet
        # Whole steps, so that a shorter alert on the same metric has a sample at its own beginning, too.
        steps = -(-for_s // quiet.step_s)
        begin = quiet.begin - timedelta(seconds=steps * quiet.step_s)
        async with self._places:
            if self._gone is not None:
                return self._gone
            return await self._tried(query, self._metrics.query_range(query, begin, quiet.end, quiet.step_s))

    async def _tried(self, query: str, question: Awaitable[tuple[Series, ...]]) -> Answer:
        try:
            return await question
        except Temporary as error:
            verdict = read_error(ALERTS_GATE, error, query)
            if error.code.endswith((".unreachable", ".timeout")):
                self._gone = verdict
            return verdict
        except Permanent as error:
            self.may_pass = False
            return read_error(ALERTS_GATE, error, query)


def _judged(alert: Alert, found: Mapping[str, Answer], quiet: Quiet) -> Verdict:
    answer = found[alert.query]
    if isinstance(answer, Verdict):
        return answer
    rates: list[tuple[Series, ...]] = []
    for query in alert.rates:
        rate = found[query]
        if isinstance(rate, Verdict):
            return rate
        rates.append(rate)
    return judge_alert(alert, answer, rates, quiet)


def _once(verdicts: Iterable[Verdict]) -> Iterable[Verdict]:
    """A Prometheus that is down says the same of every alert: once is enough."""
    seen: set[tuple[str, str]] = set()
    for verdict in verdicts:
        if verdict.outcome is Outcome.ERROR and (verdict.code, verdict.reason) in seen:
            continue
        seen.add((verdict.code, verdict.reason))
        yield verdict

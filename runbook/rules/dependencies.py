"""Time-outs of dependencies against what was normal before the release. Runbook: Health Check Acceptance, "baseline + 20 %"."""

from __future__ import annotations

from dataclasses import dataclass

from runbook import series
from runbook.rules.idle import idle_verdict
from runbook.rules.key_metrics import absent_verdict
from runbook.rules.observed import Observation
from runbook.rules.readings import Reading
from runbook.verdicts import Evidence, Verdict
from runbook.wording import duration, percent

GATE = "dependency time-outs"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutLimits:
    """over: how far above normal is no spike yet (0.2: a fifth). floor: a ratio that never is one, whatever was normal."""

    over: float
    floor: float

    def limit(self, baseline: float) -> float:
        return max(baseline * (1 + self.over), self.floor)


def timeouts_query(observation: Observation) -> str:
    """PromQL for an instant at the observation's end: the mean ratio."""
    return f"avg_over_time({observation.selector(series.DEPENDENCY_TIMEOUTS)}[{observation.whole_s}s])"


def judge_dependency_timeouts(
    measured: Reading,
    baseline: Reading | None,
    limits: TimeoutLimits,
    observation: Observation,
    rate: Reading | None = None,
) -> Verdict:
    """baseline: what was normal before the release; None where nothing is recorded: a first release passes, and that is said.

    rate: where the time-outs are absent, how many requests there were (`rate_query`). Codes: `dependencies.timeouts`,
    `dependencies.no_baseline` (PASS), `metrics.idle` (NOT_RUN, decides nothing), `metrics.absent`, or a reading's own.
    """
    query = timeouts_query(observation)
    if isinstance(measured, Verdict):
        if measured.code != "metrics.absent":
            return measured
        return idle_verdict(GATE, series.DEPENDENCY_TIMEOUTS, rate, observation) or absent_verdict(
            GATE, [series.DEPENDENCY_TIMEOUTS], observation, {series.DEPENDENCY_TIMEOUTS: query}
        )
    if isinstance(baseline, Verdict):
        return baseline
    limit = None if baseline is None else limits.limit(baseline)
    evidence = Evidence(
        name=GATE, value=round(measured, 6), limit=None if limit is None else round(limit, 6), unit="ratio", source=query,
        window_s=float(observation.whole_s),
    )  # fmt: skip
    words = f"{percent(measured)} of the requests to dependencies timed out over {duration(observation.whole_s)}"
    if baseline is None or limit is None:
        reason = f"{words}; nothing is recorded from before this release, so that a spike can't be told"
        return Verdict.passed(GATE, reason, evidence, code="dependencies.no_baseline")
    reason = f"{words}; normal is {percent(baseline)}, the limit {percent(limit)}"
    if measured <= limit:
        return Verdict.passed(GATE, reason, evidence)
    remedy = "Look at the dependencies, and at how the new version calls them; retry when they answer again"
    return Verdict.failed(GATE, "dependencies.timeouts", reason, evidence, remedy=remedy)

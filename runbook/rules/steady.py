"""Error rate and latency over a whole observation. Runbook: Staging Deployment 6; Suggested SLO Targets, "steady state"."""

from __future__ import annotations

from dataclasses import dataclass

from runbook import series
from runbook.rules.readings import Reading
from runbook.verdicts import Evidence, Verdict
from runbook.wording import duration, percent

ERRORS_GATE = "error rate over the observation"
LATENCY_GATE = "API p95 latency over the observation"


@dataclass(frozen=True, kw_only=True)
class SteadyQueries:
    """PromQL for an instant at the observation's end. requests, errors: counts; p95: seconds."""

    requests: str
    errors: str
    p95: str


@dataclass(frozen=True, kw_only=True)
class SteadyLimits:
    max_error_ratio: float
    max_latency_p95_s: float
    min_requests: int


def steady_queries(service: str, env: str, window: str, observed_s: float, track: str = "stable") -> SteadyQueries:
    """The recorded series are rates per second: summed at a fixed step they count requests, and a gap counts as nothing."""
    length = max(1, round(observed_s))
    step = max(1, min(15, length // 20))
    labels = f'{{service="{service}",env="{env}",track="{track}"}}'

    def count(metric: str) -> str:
        # A second less: Prometheus 2 counts the samples at both ends of a range, which would be one too many.
        return f"sum_over_time({series.recorded(metric, window)}{labels}[{max(1, length - 1)}s:{step}s]) * {step}"

    buckets = f"avg_over_time({series.recorded(series.DURATION_BUCKETS, window)}{labels}[{length}s])"
    return SteadyQueries(
        requests=count(series.REQUEST_RATE),
        errors=count(series.ERROR_RATE),
        p95=f"histogram_quantile(0.95, {buckets})",
    )


def judge_steady(
    requests: Reading, errors: Reading, p95_s: Reading, limits: SteadyLimits, queries: SteadyQueries, observed_s: float
) -> tuple[Verdict, ...]:
    """Both gates speak. Fewer requests than the minimum prove nothing: 298 without an error bound the rate by 1 % with 95 %
    confidence, n = 3/x. errors, requests: counts over the observation."""
    if isinstance(requests, Verdict):
        return (requests,)
    errors_verdict = judge_error_rate(requests, errors, limits, queries, observed_s)
    if int(requests) < limits.min_requests:
        return (errors_verdict,)
    return errors_verdict, _judge_latency(p95_s, int(requests), limits, queries, observed_s)


def judge_error_rate(
    requests: Reading, errors: Reading, limits: SteadyLimits, queries: SteadyQueries, observed_s: float
) -> Verdict:
    """Of the error rate alone: errors and requests are counts over the observation."""
    if isinstance(requests, Verdict):
        return requests
    count = int(requests)
    sample = Evidence(
        name="requests", value=count, limit=limits.min_requests, unit="count", source=queries.requests,
        window_s=round(observed_s, 1),
    )  # fmt: skip
    if count < limits.min_requests:
        reason = f"{count} requests in {duration(observed_s)}; at least {limits.min_requests} are wanted to judge by"
        remedy = "Send traffic to the service, then retry"
        return Verdict.no_data(ERRORS_GATE, "metrics.too_few_requests", reason, sample, remedy=remedy)
    return _judge_errors(errors, requests, limits, queries, observed_s, sample)


def _judge_errors(
    errors: Reading, requests: float, limits: SteadyLimits, queries: SteadyQueries, observed_s: float, sample: Evidence
) -> Verdict:
    if isinstance(errors, Verdict):
        return errors
    ratio = errors / requests if requests > 0 else 0.0
    evidence = Evidence(
        name="error ratio", value=round(ratio, 6), limit=limits.max_error_ratio, unit="ratio", source=queries.errors,
        samples=int(requests), window_s=round(observed_s, 1),
    )  # fmt: skip
    words = f"{percent(ratio)} of {int(requests)} requests failed in {duration(observed_s)}"
    limit = f"the limit is {percent(limits.max_error_ratio)}"
    if ratio < limits.max_error_ratio:
        return Verdict.passed(ERRORS_GATE, f"{words}; {limit}", evidence, sample)
    return Verdict.failed(ERRORS_GATE, "steady.error_ratio", f"{words}; {limit}", evidence, sample)


def _judge_latency(
    p95_s: Reading, requests: int, limits: SteadyLimits, queries: SteadyQueries, observed_s: float
) -> Verdict:
    if isinstance(p95_s, Verdict):
        return p95_s
    evidence = Evidence(
        name="latency p95", value=round(p95_s, 6), limit=limits.max_latency_p95_s, unit="s", source=queries.p95,
        samples=requests, window_s=round(observed_s, 1),
    )  # fmt: skip
    words = f"p95 was {duration(p95_s)} over {duration(observed_s)}; the limit is {duration(limits.max_latency_p95_s)}"
    if p95_s < limits.max_latency_p95_s:
        return Verdict.passed(LATENCY_GATE, words, evidence)
    return Verdict.failed(LATENCY_GATE, "steady.latency_p95", words, evidence)

"""The canary's latency at one weight: against the target, and against stable's. Runbook: Production Deployment 5.

A p95 of few requests wanders: over a limit, the lower end of what the sample shows decides whether that is certain.
"""

from __future__ import annotations

from dataclasses import dataclass

from runbook.rules.chance import lower_rank
from runbook.rules.phases import ALPHA, Phase, too_few
from runbook.rules.readings import Reading
from runbook.rules.steady import SteadyQueries
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration, percent

GATE, BESIDE = "API p95 latency", "API p95 latency against stable"
_QUANTILE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyLimits:
    """max_over_stable: how far the canary's p95 may be over stable's (0.2: a fifth). minimum: requests of each track to judge by."""

    max_p95_s: float
    max_over_stable: float
    minimum: int
    alpha: float = ALPHA


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """What came back. requests: counts; p95_s, low_s: seconds; low_s is the canary's at `lower_rank`, None where it wasn't asked."""

    requests: Reading
    p95_s: Reading
    stable_requests: Reading | None = None
    stable_p95_s: Reading | None = None
    low_s: Reading | None = None


def low_query(queries: SteadyQueries, requests: float, alpha: float = ALPHA) -> str:
    """PromQL of the latency that the true p95 is not below, but for a chance of `alpha`."""
    rank = lower_rank(_QUANTILE, requests, alpha)
    return queries.p95.replace(f"histogram_quantile({_QUANTILE}", f"histogram_quantile({rank:.6f}", 1)


def over_any(found: Latencies, limits: LatencyLimits) -> bool:
    """Whether `low_s` has to be asked: something may be missed."""
    if isinstance(found.p95_s, Verdict) or isinstance(found.requests, Verdict) or found.requests < limits.minimum:
        return False
    stable = found.stable_p95_s
    over_stable = isinstance(stable, float | int) and found.p95_s > stable * (1 + limits.max_over_stable)
    return found.p95_s >= limits.max_p95_s or over_stable


def judge_phase_latency(found: Latencies, limits: LatencyLimits, phase: Phase) -> tuple[Verdict, ...]:
    """Both speak: the target, then stable's.

    FAIL `phase.latency_p95`, `phase.latency_over_stable`: certainly over the limit. NO_DATA `phase.latency_unclear`: over it, and it may be
    chance. `phase.nothing_beside` (NOT_RUN, decides nothing): stable never had traffic to compare with.
    """
    requests, p95_s = found.requests, found.p95_s
    if isinstance(requests, Verdict):
        return (requests,)
    if (verdict := too_few(GATE, requests, limits.minimum, phase)) is not None:
        return (verdict,)
    if isinstance(p95_s, Verdict):
        return (p95_s,)
    return _against_target(p95_s, requests, found, limits, phase), _against_stable(
        p95_s, requests, found, limits, phase
    )


def _against_target(p95_s: float, requests: float, found: Latencies, limits: LatencyLimits, phase: Phase) -> Verdict:
    gate, limit_s = phase.gate(GATE), limits.max_p95_s
    words = f"the canary's p95 was {duration(p95_s)} over {duration(phase.length_s)}; the limit is {duration(limit_s)}"
    evidence = _p95_evidence(p95_s, limit_s, requests, phase)
    if p95_s < limit_s:
        return Verdict.passed(gate, words, evidence)
    return _over(gate, "phase.latency_p95", words, limit_s, found, phase, limits, evidence)


def _against_stable(p95_s: float, requests: float, found: Latencies, limits: LatencyLimits, phase: Phase) -> Verdict:
    gate = phase.gate(BESIDE)
    beside = phase.beside
    if beside is None or found.stable_requests is None or found.stable_p95_s is None:
        reason = "stable had no traffic beside the canary's in this run: there is nothing to compare with"
        return Verdict(gate, Outcome.NOT_RUN, "phase.nothing_beside", reason, binding=False)
    queries, at, length_s = beside
    if isinstance(found.stable_requests, Verdict):
        return found.stable_requests
    count = int(found.stable_requests)
    if count < limits.minimum:
        reason = f"{count} requests of stable in {duration(length_s)} are too few to compare with; wanted: at least {limits.minimum}"
        sample = Evidence(
            name="requests to stable", value=count, limit=limits.minimum, unit="count", source=queries.requests,
            window_s=round(length_s, 1), at=at,
        )  # fmt: skip
        return Verdict.no_data(gate, "phase.too_few_stable_requests", reason, sample)
    if isinstance(found.stable_p95_s, Verdict):
        return found.stable_p95_s
    stable_s = found.stable_p95_s
    limit_s = stable_s * (1 + limits.max_over_stable)
    then = "" if phase.at == at else ", before it had all of the traffic"
    words = (
        f"the canary's p95 was {duration(p95_s)}, stable's {duration(stable_s)}{then}; the limit is {duration(limit_s)}, "
        f"{percent(limits.max_over_stable)} over stable's"
    )
    evidence = (
        _p95_evidence(p95_s, round(limit_s, 6), requests, phase),
        Evidence(
            name="latency p95 of stable", value=round(stable_s, 6), unit="s", source=queries.p95, samples=count,
            window_s=round(length_s, 1), at=at,
        ),
    )  # fmt: skip
    if p95_s <= limit_s * (1 + 1e-9):
        return Verdict.passed(gate, words, *evidence)
    return _over(gate, "phase.latency_over_stable", words, limit_s, found, phase, limits, *evidence)


def _over(
    gate: str, code: str, words: str, limit_s: float, found: Latencies, phase: Phase, limits: LatencyLimits,
    *evidence: Evidence,
) -> Verdict:  # fmt: skip
    low_s = found.low_s
    if isinstance(low_s, Verdict):
        return low_s
    if low_s is not None and not isinstance(found.requests, Verdict):
        source = low_query(phase.queries, found.requests, limits.alpha)
        evidence = (*evidence, phase.evidence("latency p95 at the least", round(low_s, 6), source, unit="s"))
        if low_s >= limit_s:
            return Verdict.failed(gate, code, words, *evidence)
    reason = f"{words}; of so few requests it may be chance, more of them will tell"
    return Verdict.no_data(gate, "phase.latency_unclear", reason, *evidence)


def _p95_evidence(p95_s: float, limit_s: float, requests: float, phase: Phase) -> Evidence:
    return phase.evidence(
        "latency p95 of the canary", round(p95_s, 6), phase.queries.p95, limit=limit_s, unit="s", samples=int(requests)
    )

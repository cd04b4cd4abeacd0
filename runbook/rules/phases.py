"""One weight of production: since when it is looked at, how many requests reached the canary, and how many of them failed.

Runbook: Production Deployment 5. A share that is over its limit by chance is neither yes nor no: more requests are waited for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runbook.rules.chance import chance_of_at_least
from runbook.rules.readings import Reading
from runbook.rules.steady import SteadyQueries, steady_queries
from runbook.verdicts import Evidence, Verdict
from runbook.wording import duration, percent

CANARY, STABLE = "canary", "stable"
FULL = 100
ALPHA = 0.001
"""How likely a good release may be found bad by chance, in one look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """weight: in percent. begun: when the router accepted it. at: now. window: of the recording rules' names.

    earlier: from when to when stable had traffic before a weight that leaves it none; None where that isn't so, or was never.
    """

    service: str
    env: str
    weight: int
    window: str
    begun: datetime
    at: datetime
    earlier: tuple[datetime, datetime] | None = None

    @property
    def length_s(self) -> float:
        return max(1.0, (self.at - self.begun).total_seconds())

    @property
    def queries(self) -> SteadyQueries:
        """Of the canary, for the instant `at`."""
        return steady_queries(self.service, self.env, self.window, self.length_s, CANARY)

    @property
    def beside(self) -> tuple[SteadyQueries, datetime, float] | None:
        """What stable is asked, for which instant, and over how many seconds: the same time, or its own at the weights before; None where
        it never had any traffic beside the canary's."""
        begun, at = (self.begun, self.at) if self.weight < FULL else (self.earlier or (self.at, self.at))
        length_s = (at - begun).total_seconds()
        if length_s <= 0 and self.weight >= FULL:
            return None
        return steady_queries(self.service, self.env, self.window, max(1.0, length_s), STABLE), at, max(1.0, length_s)

    def gate(self, what: str) -> str:
        """`error rate at 5 %`."""
        return f"{what} at {self.weight} %"

    def evidence(self, name: str, value: float | int | None, source: str, **more: object) -> Evidence:
        return Evidence(
            name=name, value=value, source=source, window_s=round(self.length_s, 1), at=self.at, **more  # type: ignore[arg-type]
        )  # fmt: skip


def accepted(facts: Mapping[str, Any]) -> tuple[tuple[datetime, int], ...]:
    """From the fact `shifted`, {weight in percent: ISO time when the last workload's router accepted it}, in order of time."""
    found = facts.get("shifted")
    if not isinstance(found, Mapping):
        return ()
    return tuple(sorted((datetime.fromisoformat(at), int(weight)) for weight, at in found.items()))


def phase_of(
    service: str, env: str, weight: int, window: str, at: datetime, weights: tuple[tuple[datetime, int], ...],
    before: datetime | None = None,
) -> Phase | Verdict:  # fmt: skip
    """weights: when which was accepted, in order of time. before: the last moment before the release, for what stable was then.

    NO_DATA `phase.not_begun` where this weight was never accepted.
    """
    begun = next((since for since, found in reversed(weights) if found == weight), None)
    if begun is None:
        reason = f"no traffic of {weight} % is on record as accepted for this run"
        return Verdict.no_data(f"phase of {weight} %", "phase.not_begun", reason)
    first = min((since for since, found in weights if 0 < found < FULL), default=before)
    earlier = (first, begun) if weight >= FULL and first is not None and first < begun else None
    return Phase(service=service, env=env, weight=weight, window=window, begun=begun, at=at, earlier=earlier)


# --- the sample -------------------------------------------------------------------------------------------------------


def judge_sample(requests: Reading, minimum: int, phase: Phase) -> Verdict:
    """NO_DATA `phase.too_few_requests` until so many reached the canary at this weight. requests: their count.

    298 without an error bound the rate by 1 % with 95 % confidence (n = 3/x).
    """
    gate = phase.gate("minimum sample")
    if isinstance(requests, Verdict):
        return requests
    count = int(requests)
    sample = sample_evidence(count, minimum, phase)
    words = f"{count} requests reached the canary in {duration(phase.length_s)}"
    if count >= minimum:
        return Verdict.passed(gate, f"{words}; wanted: at least {minimum}", sample)
    missing = minimum - count
    rate = requests / phase.length_s
    rest = f", at this rate in {duration(max(1, round(missing / rate)))}" if rate > 0 else "; none come"
    reason = f"{words}; {missing} of {minimum} are missing{rest}"
    remedy = "Send traffic to the service, or let the canary have more of it"
    return Verdict.no_data(gate, "phase.too_few_requests", reason, sample, remedy=remedy)


def sample_evidence(count: int, minimum: int, phase: Phase) -> Evidence:
    return phase.evidence("requests to the canary", count, phase.queries.requests, limit=minimum, unit="count")


def too_few(gate: str, requests: float, minimum: int, phase: Phase) -> Verdict | None:
    """NO_DATA of another check for the same reason; None where there are enough."""
    if requests >= minimum:
        return None
    reason = f"{int(requests)} requests are too few to judge by; wanted: at least {minimum}"
    sample = sample_evidence(int(requests), minimum, phase)
    return Verdict.no_data(phase.gate(gate), "phase.too_few_requests", reason, sample)


# --- errors -----------------------------------------------------------------------------------------------------------


def judge_phase_errors(
    requests: Reading, errors: Reading, max_ratio: float, minimum: int, phase: Phase, alpha: float = ALPHA
) -> Verdict:
    """The canary's failed requests of its requests since the weight was accepted. Counts. Runbook: Suggested SLO Targets.

    FAIL `phase.error_ratio` when the share is over the limit by more than chance explains; NO_DATA `phase.errors_unclear` when it is over
    it and may be chance.
    """
    gate = phase.gate("error rate")
    if isinstance(requests, Verdict):
        return requests
    if isinstance(errors, Verdict):
        return errors
    if (verdict := too_few("error rate", requests, minimum, phase)) is not None:
        return verdict
    ratio = errors / requests if requests > 0 else 0.0
    evidence = (
        phase.evidence("error ratio", round(ratio, 6), phase.queries.errors, limit=max_ratio, unit="ratio", samples=int(requests)),
        sample_evidence(int(requests), minimum, phase),
    )  # fmt: skip
    words = (
        f"{percent(ratio)} of {int(requests)} requests to the canary failed in {duration(phase.length_s)}; "
        f"the limit is {percent(max_ratio)}"
    )
    if ratio < max_ratio:
        return Verdict.passed(gate, words, *evidence)
    chance = chance_of_at_least(errors, requests, max_ratio)
    if chance < alpha:
        return Verdict.failed(gate, "phase.error_ratio", words, *evidence)
    reason = f"{words}; of so few requests it may be chance, more of them will tell"
    return Verdict.no_data(gate, "phase.errors_unclear", reason, *evidence)

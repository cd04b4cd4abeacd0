"""A ratio without a sample because nothing happened that it could be a part of: told apart from one that nobody records.

Only a rate that is recorded and 0 tells so; a rate that is absent or can't be read never does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runbook import series
from runbook.rules.observed import Observation
from runbook.rules.readings import Reading
from runbook.series import METRICS
from runbook.verdicts import Evidence, Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Quiet:
    """rates: what the ratio is made of, together all that it could be a part of. nothing: its absence in words.

    needed: whether a release can't be judged without: then it binds.
    """

    rates: tuple[str, ...]
    nothing: str
    needed: bool = False


QUIET: Mapping[str, Quiet] = {
    series.CORE_SUCCESS: Quiet((series.CORE_RATE,), "no core transaction ended", needed=True),
    series.JOB_FAILURE_RATIO: Quiet((series.JOB_SUCCESS_RATE, series.JOB_FAILURE_RATE), "no background job ended"),
    series.DEPENDENCY_TIMEOUTS: Quiet((series.DEPENDENCY_RATE,), "no request went to a dependency"),
}
"""By the ratio's name. Background jobs and calls are no part of every half hour; core transactions are what the service is there for."""


def rate_query(metric: str, observation: Observation) -> str:
    """PromQL for an instant at the observation's end: the highest rates of what the ratio could be a part of, together. 0: there was none."""
    rates = QUIET[metric].rates
    highest = " + ".join(f"max_over_time({observation.selector(rate)}[{observation.whole_s}s])" for rate in rates)
    return " and ".join((highest, *(observation.covered(rate) for rate in rates)))


def idle_verdict(gate: str, metric: str, rate: Reading | None, observation: Observation) -> Verdict | None:
    """What an absent ratio means by its rate; None where the rate doesn't tell: then the ratio is missing as any other.

    rate: what `rate_query` was answered; None: not asked. An error stays one: the rate may tell when it is asked again.
    Codes: `metrics.idle` (NOT_RUN, decides nothing), `metrics.no_core_transactions` (NO_DATA), or an error's own.
    """
    if isinstance(rate, Verdict):
        return rate if rate.outcome is Outcome.ERROR else None
    if rate != 0:
        return None
    quiet = QUIET[metric]
    reason = f"{quiet.nothing} during the observation: nothing to judge"
    evidence = Evidence(
        name=" and ".join(METRICS[name].title for name in quiet.rates), value=0.0, unit="per_s",
        source=rate_query(metric, observation), window_s=float(observation.whole_s),
    )  # fmt: skip
    if not quiet.needed:
        return Verdict(gate, Outcome.NOT_RUN, "metrics.idle", reason, (evidence,), binding=False)
    remedy = (
        f"Send core transactions, then retry; let some of the requests in services.{observation.service}.smoke be such: "
        "they are repeated during the observation"
    )
    return Verdict.no_data(gate, "metrics.no_core_transactions", reason, evidence, remedy=remedy)

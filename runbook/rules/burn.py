"""How fast the error budget burns, over a long and a short window. (Google SRE Workbook, chapter 5: multi-window alerts.)

The long window says that it matters, the short one that it goes on: one alone decides nothing. Runbook: Production Deployment 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runbook import series
from runbook.durations import parse_duration
from runbook.rules.phases import CANARY
from runbook.rules.readings import Reading
from runbook.series import recorded
from runbook.verdicts import Evidence, Verdict
from runbook.wording import duration, listing, percent

GATE = "error budget burn"
WHOLE = "the service as a whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """long, short: windows in the recording rules' names. rate: how many times faster than the budget's own pace is too fast in both.

    availability: the target that the budget is what is left of; window, month: of the recorded rates, and of the availability.
    """

    long: str
    short: str
    rate: float
    availability: float
    window: str = "1m"
    month: str = "30d"

    @property
    def ratio(self) -> float:
        """The share of requests that may fail."""
        return max(1.0 - self.availability, 0.0)

    def pace(self, error_ratio: float) -> float:
        """1: the budget is just used up at the month's end."""
        if error_ratio <= 0:
            return 0.0
        return error_ratio / self.ratio if self.ratio > 0 else float("inf")


def canary_query(service: str, env: str, window: str, budget: Budget, age_s: float | None) -> str:
    """As it is recorded; over the canary's own life where the window is longer: one that went before it must not speak for it.

    age_s: how long it has had traffic; None where nobody knows.
    """
    labels = f'{{service="{service}",env="{env}",track="{CANARY}"}}'
    if age_s is None or age_s >= parse_duration(window):
        return f"{recorded(series.ERROR_RATIO, window)}{labels}"
    return _quotient(labels, f"{max(1, round(age_s))}s", budget)


def whole_query(service: str, env: str, window: str, budget: Budget) -> str:
    """Both tracks together: failed requests of all requests within the window."""
    return _quotient(f'{{service="{service}",env="{env}"}}', window, budget)


def _quotient(labels: str, window: str, budget: Budget) -> str:
    def total(metric: str) -> str:
        return f"sum(sum_over_time({recorded(metric, budget.window)}{labels}[{window}]))"

    return f"{total(series.ERROR_RATE)} / ({total(series.REQUEST_RATE)} > 0)"


def left_query(service: str, env: str, budget: Budget) -> str:
    """The availability of the month, which stable made."""
    return f'{recorded(series.AVAILABILITY, budget.month)}{{service="{service}",env="{env}",track="stable"}}'


@dataclass(frozen=True, slots=True)
class Burning:
    """One subject's error ratios. who: in words. queries: as they were asked, long then short, at that moment. lived_s: how long it has
    had traffic, where that may be less than a window."""

    who: str
    long: Reading
    short: Reading
    queries: tuple[str, str]
    at: datetime | None = None
    lived_s: float | None = None

    def covered_s(self, window: str) -> float:
        length_s = parse_duration(window)
        return length_s if self.lived_s is None else min(length_s, self.lived_s)


def judge_burn(burning: Burning, availability: Reading, budget: Budget) -> Verdict:
    """FAIL `burn.too_fast` when both windows are over the rate. NO_DATA or ERROR when one of them can't be told.

    availability: of the month so far; evidence only, wherever it isn't recorded.
    """
    gate = f"{GATE} of {burning.who}"
    told = {budget.long: burning.long, budget.short: burning.short}
    for reading in told.values():
        if isinstance(reading, Verdict):
            return reading
    paces = {window: budget.pace(ratio) for window, ratio in told.items() if not isinstance(ratio, Verdict)}
    evidence = (*_windows(burning, told, budget), _left(availability, budget, burning.at))
    seen = listing(f"{pace:.3g} times over {window}" for window, pace in paces.items())
    reason = (
        f"{burning.who} burns the error budget at its own pace {seen}; too fast is over {budget.rate:g} times in both"
    )
    if burning.lived_s is not None and burning.lived_s < parse_duration(budget.long):
        reason += f"; it has had traffic for {duration(burning.lived_s)}"
    reason += _left_words(availability, budget)
    if all(pace > budget.rate for pace in paces.values()):
        return Verdict.failed(gate, "burn.too_fast", reason, *evidence)
    return Verdict.passed(gate, reason, *evidence)


def with_sample(verdict: Verdict, requests: Reading, minimum: int, source: str) -> Verdict:
    """What a FAIL of the canary becomes: NO_DATA `burn.too_few_requests` below the minimum sample. requests: the canary's, a count."""
    if isinstance(requests, Verdict):
        return requests
    if requests >= minimum:
        return verdict
    sample = Evidence(name="requests to the canary", value=int(requests), limit=minimum, unit="count", source=source)
    reason = f"{verdict.reason}; {int(requests)} requests are too few to judge by, wanted: at least {minimum}"
    return Verdict.no_data(verdict.gate, "burn.too_few_requests", reason, sample, *verdict.evidence)


def _windows(burning: Burning, told: dict[str, Reading], budget: Budget) -> list[Evidence]:
    limit = round(budget.rate * budget.ratio, 6)
    return [
        Evidence(
            name=f"error ratio over {window}", value=round(ratio, 6), limit=limit, unit="ratio", source=query,
            window_s=round(burning.covered_s(window), 1), at=burning.at,
        )
        for (window, ratio), query in zip(told.items(), burning.queries, strict=False)
        if not isinstance(ratio, Verdict)
    ]  # fmt: skip


def budget_left(availability: float, budget: Budget) -> float:
    """1: untouched, 0: used up, below: more than that."""
    return 1.0 - budget.pace(1.0 - availability)


def _left(availability: Reading, budget: Budget, at: datetime | None) -> Evidence:
    value = None if isinstance(availability, Verdict) else round(max(budget_left(availability, budget), -1e6), 4)
    source = recorded(series.AVAILABILITY, budget.month)
    return Evidence(name="error budget left this month", value=value, unit="ratio", source=source, at=at)


def _left_words(availability: Reading, budget: Budget) -> str:
    if isinstance(availability, Verdict):
        return ""
    left = budget_left(availability, budget)
    return f"; {percent(left)} of the month's budget is left" if left > 0 else "; nothing is left of the month's budget"

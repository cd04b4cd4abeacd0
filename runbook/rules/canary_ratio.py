"""Canary against stable: is the canary's error rate over `ratio` times stable's? Runbook: Rollback Triggers, "canary cohort error rate".

A sequential test: it may be looked at after every tick, and its error is still controlled over the whole roll-out. docs/verdicts.md
says why, and where it is not. It must never call little evidence a fault, nor missing data anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from math import exp, inf, isfinite, log

from runbook.rules import e_values
from runbook.rules.e_values import AT_ONCE
from runbook.verdicts import Evidence, Verdict
from runbook.wording import measure, percent

GATE = "canary's errors against stable's"

SIDE_BY_SIDE = 0.18
"""Share of alpha for the ticks in which both tracks had requests, each held against itself: it stands every change of the rate."""

PHASES = (0.23, 0.42, 0.12)
"""Share of alpha of each weight in turn, for the comparison with what stable did before. At 25 % it helps most, for there stable's requests
beside the canary's are few. Further weights halve what is left. Where nothing is known from before, the first share goes to `SIDE_BY_SIDE`."""

FLOOR_STAKES = (0.5, 0.25, 0.1)
"""What is put down against the floor at the beginning of each weight."""

MARK_EVERY = 20
"""Ticks after which a later fault gets a beginning of its own: 5 minutes at 15 s."""

LATER = 7 / 8
"""How much smaller each later mark's share is than the one before."""

MARKS = 8
"""How many are kept: the weight's beginning and the latest."""

TINY = 1e-6
"""Fewer requests are none: the rounding of a rate."""

DRIFTED = 2.0
"""Standard deviations by which stable's rate may have risen before what it did earlier is not believed for the moment."""

FORGOTTEN = 3.0
"""From so many on it is dropped at the next mark: chance alone must not cost the baseline, for at 100 % there is no other."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests and those of them that failed. They come from rates, so they need not be whole."""

    requests: float = 0.0
    errors: float = 0.0

    @property
    def pair(self) -> tuple[float, float]:
        return self.requests, self.errors

    @property
    def ratio(self) -> float | None:
        return self.errors / self.requests if self.requests > 0 else None

    def plus(self, other: Counts) -> Counts:
        return Counts(self.requests + other.requests, self.errors + other.errors)

    def minus(self, other: Counts) -> Counts:
        return Counts(self.requests - other.requests, self.errors - other.errors)


@dataclass(frozen=True, slots=True)
class RatioLimits:
    """ratio: how many times stable's error rate is allowed. alpha: how often a healthy canary may be called bad, per roll-out.

    floor: an error ratio up to which no canary is worse, whatever stable's is (twice nothing is nothing): the error budget of 99.9 %.
    minimum_requests: fewer reached the canary and it is not called bad: the first handful tells of a start. passing_requests: fewer at this
    weight and it is not called good (298 without a failure bound the rate by 1 % with 95 % confidence).
    design_effect: how many failures one cause brings about, 1 where they are independent; 4 where each client tries again three times.
    """

    ratio: float = 2.0
    alpha: float = 0.001
    minimum_requests: int = 50
    floor: float = 0.001
    passing_requests: int = 300
    design_effect: float = 1.0


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment at which a fault may have begun. share: of alpha. canary, stable: all counts until then. stored: the baseline from before."""

    share: float
    canary: Counts
    stable: Counts
    stored: Counts


@dataclass(frozen=True, slots=True)
class Crossing:
    """What was known when the canary was found to be worse. baseline: the counts that it was held against."""

    canary: Counts
    baseline: Counts
    e_value: float


@dataclass(frozen=True, slots=True)
class RatioState:
    """What is known of one roll-out. Plain values: `plan.to_json` and `plan.from_json` keep it.

    canary, stable: all counts so far, stable's from before the roll-out too. marks: those of the present weight, its beginning first.
    side_by_side, floor: the bets of `e_values`. ticks: with requests to the canary; fresh: those since the last mark. phases: weights so
    far; marked: marks of this one after its first. seeded: stable's counts from before the roll-out are known. crossed: stays.
    """

    canary: Counts = Counts()
    stable: Counts = Counts()
    marks: tuple[Mark, ...] = ()
    side_by_side: tuple[float, ...] = e_values.NO_BETS
    floor: tuple[float, ...] = e_values.NO_FLOOR_BETS
    ticks: int = 0
    fresh: int = 0
    marked: int = 0
    phases: int = 0
    weight: int | None = None
    seeded: bool = False
    crossed: Crossing | None = None


START = RatioState()


def started_with(stable: Counts | None) -> RatioState:
    """The state before a roll-out. stable: what it did in the hour before; without it the first weight takes longer, at 25 % much longer."""
    return replace(START, stable=_usable(stable) or Counts())


def next_ratio(
    state: RatioState, canary: Counts | None, stable: Counts | None, limits: RatioLimits, *, weight: int | None = None
) -> RatioState:
    """The state after one more tick. canary, stable: what came since the last one; None where nothing is known.

    weight: the canary's, in percent: counts are never pooled over two weights. Below 100 a canary's tick without stable's counts is left
    out, for whatever befell both would look like the canary's fault; without stable's requests at 100 its stored counts are the baseline.
    """
    seen, beside = _usable(canary), _usable(stable)
    if state.crossed is not None or (seen is None and beside is None):
        return state
    if seen is None or seen.requests <= 0:
        return replace(state, stable=state.stable.plus(beside or Counts()))
    if weight is not None and weight < 100 and (beside is None or beside.requests <= 0):
        return state
    state = _bet(_marked(state, weight, limits), seen, beside or Counts(), limits)
    return _crossed(state, limits)


def judge_ratio(
    state: RatioState, limits: RatioLimits, *, at: datetime | None, gate: str = GATE, source: str = ""
) -> Verdict:
    """FAIL `ratio.worse` from the crossing on. PASS with a sample and an estimate within the limit. NO_DATA otherwise, with the reason.

    Counts are those of the present weight, at a crossing those that brought it about. source: the queries.
    """
    if state.crossed is not None:
        found = state.crossed
        words = _both_words(found.canary, found.baseline, limits)
        reason = f"{words}; a healthy canary looks like this at most once in {_odds(found.e_value)} roll-outs"
        evidence = _evidence(found.canary, found.baseline, found.e_value, limits, at, source)
        return Verdict.failed(gate, "ratio.worse", reason, *evidence)
    canary, baseline = _present(state, limits)
    evidence = _evidence(canary, baseline, e_value(state, limits), limits, at, source)
    if canary.requests <= 0:
        remedy = "Look whether the router sends requests to the canary"
        return Verdict.no_data(gate, "ratio.no_requests", "no requests reached the canary", *evidence, remedy=remedy)
    wanted = max(limits.minimum_requests, limits.passing_requests)
    if canary.requests < wanted:
        reason = f"{int(canary.requests)} requests reached the canary; at least {wanted} are wanted to judge by"
        return Verdict.no_data(gate, "ratio.too_few_requests", reason, *evidence)
    own = canary.ratio or 0.0
    if baseline.requests <= 0 and own > limits.floor:
        return Verdict.no_data(gate, "ratio.no_baseline", "nothing is known of stable's requests", *evidence)
    words = _both_words(canary, baseline, limits)
    if own <= max(limits.ratio * (baseline.ratio or 0.0), limits.floor):
        return Verdict.passed(gate, words, *evidence)
    return Verdict.no_data(gate, "ratio.undecided", f"{words}; that may still be chance", *evidence)


def e_value(state: RatioState, limits: RatioLimits) -> float:
    """How much speaks against the canary: a healthy one reaches 1/alpha at most once in 1/alpha roll-outs. At a crossing, its value."""
    if state.crossed is not None:
        return state.crossed.e_value
    side = _side_by_side(state)
    stored = [mark.share * exp(min(_against(mark, state, limits), 600.0)) for mark in _trusted(state, limits)]
    return min(max([side, *stored]), _floor(state, limits))


def _bet(state: RatioState, canary: Counts, stable: Counts, limits: RatioLimits) -> RatioState:
    """One tick of a canary's requests. A bet is put down before the tick is looked at."""
    late, by = e_values.later_stake(state.ticks), limits.design_effect
    begins = state.fresh == 0 and state.marked == 0
    on_ratio = late + (e_values.AT_ONCE if state.ticks == 0 else 0.0)
    on_floor = late + (FLOOR_STAKES[state.phases - 1] if begins and state.phases <= len(FLOOR_STAKES) else 0.0)
    return replace(
        state,
        canary=state.canary.plus(canary),
        stable=state.stable.plus(stable),
        side_by_side=e_values.bet_on_ratio(state.side_by_side, on_ratio, canary.pair, stable.pair, limits.ratio, by),
        floor=e_values.bet_on_floor(state.floor, on_floor, canary.pair, limits.floor, by),
        ticks=state.ticks + 1,
        fresh=state.fresh + 1,
    )


def _crossed(state: RatioState, limits: RatioLimits) -> RatioState:
    wanted = 1 / limits.alpha
    if state.canary.requests < limits.minimum_requests or _floor(state, limits) < wanted:
        return state
    if _may_cross(state, limits):
        logs = [(log(mark.share) + _against(mark, state, limits), mark) for mark in _trusted(state, limits)]
        best, mark = max(logs, key=lambda pair: pair[0], default=(0.0, None))
        if mark is not None and best >= log(wanted):
            since = state.stable.minus(mark.stable).plus(mark.stored)
            return replace(state, crossed=Crossing(state.canary.minus(mark.canary), since, e_value(state, limits)))
    if _side_by_side(state) >= wanted:
        canary, stable = _clearest(state, limits)
        return replace(state, crossed=Crossing(canary, stable, e_value(state, limits)))
    return state


def _may_cross(state: RatioState, limits: RatioLimits) -> bool:
    """Whether `_against` is worth its arithmetic: most ticks of most roll-outs are far from a decision, and this is asked of every mark.

    No e-value exceeds the likelihood ratio at the best of all alternatives, which is a divergence; that is at most chi-square's.
    """
    wanted = limits.design_effect * log(1 / limits.alpha)
    for mark in state.marks:
        errors = state.canary.errors - mark.canary.errors
        share = limits.ratio * (state.canary.requests - mark.canary.requests)
        others = state.stable.requests - mark.stable.requests + mark.stored.requests
        every = errors + state.stable.errors - mark.stable.errors + mark.stored.errors + limits.design_effect
        share = share / (share + others)
        beyond = errors - every * share
        if beyond > 0 and share < 1 and beyond * beyond >= wanted * every * share * (1 - share):
            return True
    return False


def _against(mark: Mark, state: RatioState, limits: RatioLimits) -> float:
    return e_values.against_stored(*_since(mark, state), limits.ratio, limits.design_effect)


def _since(mark: Mark, state: RatioState) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
    """Requests and errors since the mark: the canary's, stable's, and those of stable that were stored at it."""
    canary = state.canary.requests - mark.canary.requests, state.canary.errors - mark.canary.errors
    stable = state.stable.requests - mark.stable.requests, state.stable.errors - mark.stable.errors
    return canary, stable, mark.stored.pair


def _trusted(state: RatioState, limits: RatioLimits) -> list[Mark]:
    """The beginnings whose stored baseline still holds: there is one, and stable itself has not become worse since."""
    return [
        mark for mark in state.marks if mark.share * mark.stored.requests > 0 and _risen(state, mark, limits) <= DRIFTED
    ]


def _risen(state: RatioState, mark: Mark, limits: RatioLimits) -> float:
    since = state.stable.minus(mark.stable)
    return e_values.risen(since.pair, mark.stored.pair, limits.design_effect)


def _marked(state: RatioState, weight: int | None, limits: RatioLimits) -> RatioState:
    """A new weight begins anew, with all that stable has done as the baseline; a later fault gets a beginning every few minutes."""
    begins = not state.marks or weight != state.weight
    if not begins and state.fresh < MARK_EVERY:
        return state
    phases = state.phases + 1 if begins else state.phases
    marked = 0 if begins else state.marked + 1
    seeded = state.seeded if state.marks else state.stable.requests > 0
    share = _phase_share(phases - 1, seeded) * (
        AT_ONCE if begins else (1 - AT_ONCE) * (1 - LATER) * LATER ** (marked - 1)
    )
    mark = Mark(share, state.canary, state.stable, _stored(state, limits))
    kept = () if begins else state.marks if len(state.marks) < MARKS else (state.marks[0], *state.marks[2:])
    return replace(state, marks=(*kept, mark), fresh=0, marked=marked, phases=phases, weight=weight, seeded=seeded)


def _stored(state: RatioState, limits: RatioLimits) -> Counts:
    """Stable's counts that are a baseline from now on: all, or only this weight's where its rate has risen over what it was before."""
    if not state.marks:
        return state.stable
    first = state.marks[0]
    since = state.stable.minus(first.stable)
    return since if _risen(state, first, limits) > FORGOTTEN else first.stored.plus(since)


def _phase_share(phase: int, seeded: bool) -> float:
    if phase == 0 and not seeded:
        return 0.0
    if phase < len(PHASES):
        return PHASES[phase]
    return (1 - SIDE_BY_SIDE - sum(PHASES)) * 0.5 ** (phase - len(PHASES) + 1)


def _side_by_side(state: RatioState) -> float:
    share = SIDE_BY_SIDE if state.seeded else SIDE_BY_SIDE + PHASES[0]
    return share * e_values.worth(state.side_by_side)


def _floor(state: RatioState, limits: RatioLimits) -> float:
    return e_values.worth(state.floor, e_values.ABOVE_FLOOR) if limits.floor > 0 else inf


def _present(state: RatioState, limits: RatioLimits) -> tuple[Counts, Counts]:
    """The canary's counts at this weight, and stable's beside it; where those are too few, with the stored ones."""
    if not state.marks:
        return Counts(), state.stable
    first = state.marks[0]
    since = state.stable.minus(first.stable)
    baseline = since if since.requests >= limits.passing_requests else since.plus(first.stored)
    return state.canary.minus(first.canary), baseline


def _clearest(state: RatioState, limits: RatioLimits) -> tuple[Counts, Counts]:
    """Both tracks' counts since the beginning that shows the fault best: of several minutes' faults the average would hide some."""
    spans = [(state.canary.minus(mark.canary), state.stable.minus(mark.stable)) for mark in state.marks]
    return max(
        (span for span in spans if span[0].requests >= limits.minimum_requests),
        key=lambda span: (span[0].ratio or 0.0) / max(span[1].ratio or 0.0, limits.floor, TINY),
        default=spans[0],
    )


def _usable(counts: Counts | None) -> Counts | None:
    """None for what is no count: NaN, infinite, negative. More failures than requests are rounding of rates."""
    if counts is None or not (isfinite(counts.requests) and isfinite(counts.errors)):
        return None
    if counts.requests < 0 or counts.errors < 0:
        return None
    if counts.requests < TINY:
        return Counts()
    return counts if counts.errors <= counts.requests else Counts(counts.requests, counts.requests)


def _both_words(canary: Counts, baseline: Counts, limits: RatioLimits) -> str:
    other = (
        f"{percent(baseline.ratio)} of stable's {int(baseline.requests)}"
        if baseline.ratio is not None
        else "none to stable"
    )
    limit = f"{measure(limits.ratio, '')} times that" + (f", or {percent(limits.floor)}" if limits.floor > 0 else "")
    own = f"{percent(canary.ratio or 0.0)} of {int(canary.requests)} requests to the canary failed"
    return f"{own}, {other}; the limit is {limit}"


def _odds(value: float) -> str:
    return f"{float(f'{value:.2g}'):,.0f}" if value < 1e6 else "a million"


def _evidence(
    canary: Counts, baseline: Counts, value: float, limits: RatioLimits, at: datetime | None, source: str
) -> tuple[Evidence, ...]:
    own, other = canary.ratio, baseline.ratio
    limit = None if other is None else round(max(limits.ratio * other, limits.floor), 6)
    return (
        Evidence(
            name="canary's error ratio", value=None if own is None else round(own, 6), limit=limit, unit="ratio",
            source=source, samples=int(canary.requests), at=at,
        ),
        Evidence(
            name="baseline's error ratio", value=None if other is None else round(other, 6), unit="ratio",
            source=source, samples=int(baseline.requests), at=at,
        ),
        Evidence(
            name="canary's requests", value=round(canary.requests), limit=limits.minimum_requests, unit="count", at=at
        ),
        Evidence(name="canary's errors", value=round(canary.errors), unit="count", at=at),
        Evidence(name="baseline's requests", value=round(baseline.requests), unit="count", at=at),
        Evidence(name="baseline's errors", value=round(baseline.errors), unit="count", at=at),
        Evidence(name="e-value", value=float(f"{value:.4g}"), limit=round(1 / limits.alpha), at=at),
    )  # fmt: skip

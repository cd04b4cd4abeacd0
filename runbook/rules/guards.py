"""Guards: critical thresholds that must hold for a while to be a breach. Runbook: Critical Alerts, Rollback Triggers.

A state machine without a clock: only the samples' own times count, so that live judging and filling in after a downtime agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from runbook.plan import Guard
from runbook.ports import Sample, Series
from runbook.rules.readings import Reading, read_single
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration, measure

GAP_INTERVALS = 2.5
"""Samples further apart than this many intervals are not one window. One missed scrape makes a gap of two intervals."""


@dataclass(frozen=True, slots=True)
class GuardState:
    """What is known of one guard. Plain values: `plan.to_json` and `plan.from_json` keep it.

    since: the sample from which on the condition has held without a break, or None. last_at, value: the newest sample with a number.
    asked_from: the first reading of any kind. breached_at: the sample that completed the first breach; it stays, for a breach that
    passed while nobody looked is still one. worst: the value furthest beyond the limit since `since`.
    missing_*: outcome, code and reason of the newest reading without a number; empty when it had one. clear_since: the sample from which on
    the condition has not held, without a break in the data; None while it holds and while nothing is known.
    """

    since: datetime | None = None
    last_at: datetime | None = None
    value: float | None = None
    worst: float | None = None
    asked_from: datetime | None = None
    read_at: datetime | None = None
    breached_at: datetime | None = None
    breached_from: datetime | None = None
    breach_worst: float | None = None
    missing_outcome: str = ""
    missing_code: str = ""
    missing_reason: str = ""
    absent: bool = False
    clear_since: datetime | None = None


def next_guard(state: GuardState, reading: Reading, at: datetime, guard: Guard, interval_s: float) -> GuardState:
    """The state after one more reading at its sample's time; a reading no newer than the last one changes nothing.

    interval_s: between two readings. A gap of up to 2.5 intervals changes nothing; after a longer one the window starts anew.
    """
    if state.read_at is not None and at <= state.read_at:
        return state
    known = state.last_at or state.asked_from or at
    gap = (at - known).total_seconds() > GAP_INTERVALS * interval_s
    if isinstance(reading, Verdict):
        return _without_number(state, reading, at, gap=gap)
    holds = _holds(guard, reading)
    since = (at if gap or state.since is None else state.since) if holds else None
    worst = _worst_since(state, guard, reading, begun=since == at) if holds else None
    clear_since = None if holds else at if gap or state.clear_since is None else state.clear_since
    breached_at, breached_from, breach_worst = state.breached_at, state.breached_from, state.breach_worst
    if since is not None and breached_at is None and (at - since).total_seconds() >= guard.for_s:
        breached_at, breached_from, breach_worst = at, since, worst
    return GuardState(  # made at once and not by `replace`: this runs for each guard of each run in each round
        since=since, last_at=at, value=reading, worst=worst, asked_from=state.asked_from or at, read_at=at,
        breached_at=breached_at, breached_from=breached_from, breach_worst=breach_worst, clear_since=clear_since,
    )  # fmt: skip


def _without_number(state: GuardState, reading: Verdict, at: datetime, *, gap: bool) -> GuardState:
    return replace(
        state,
        asked_from=state.asked_from or at,
        read_at=at,
        missing_outcome=reading.outcome.value,
        missing_code=reading.code,
        missing_reason=reading.reason,
        absent=gap,
        since=None if gap else state.since,
        worst=None if gap else state.worst,
        clear_since=None if gap else state.clear_since,
    )


def _worst_since(state: GuardState, guard: Guard, reading: float, *, begun: bool) -> float:
    return reading if begun or state.worst is None else _worse(guard, state.worst, reading)


def replay(guard: Guard, samples: Iterable[Sample], interval_s: float, state: GuardState | None = None) -> GuardState:
    """Fills in what was missed: the samples of a range query, at `interval_s` steps. state: what was known before; of its samples none
    counts twice."""
    state = state or GuardState()
    for sample in sorted(samples, key=lambda s: s.at):
        reading = read_single(guard.name, (Series({}, (sample,)),), guard.metric)
        state = next_guard(state, reading, sample.at, guard, interval_s)
    return state


def outcome_of(state: GuardState) -> Outcome:
    """The outcome of `judge_guard` without its sentence and evidence, which take most of the time and which nobody reads of a PASS."""
    if state.breached_at is not None and state.breached_from is not None:
        return Outcome.FAIL
    if state.absent:
        return Outcome(state.missing_outcome)
    return Outcome.NO_DATA if state.value is None or state.last_at is None else Outcome.PASS


def judge_guard(state: GuardState, guard: Guard) -> Verdict:
    """FAIL `guard.breached` only when the condition has held for the whole `for_s`. PASS otherwise, `guard.pending` while it holds
    for less; without numbers for longer than one missed scrape the newest reading's own NO_DATA or ERROR."""
    if state.breached_at is not None and state.breached_from is not None:
        return _breached(state, guard, state.breached_from, state.breached_at)
    if state.absent:
        evidence = Evidence(name=guard.name, value=None, limit=guard.limit, unit=guard.unit, source=guard.metric)
        return Verdict(
            guard.name, Outcome(state.missing_outcome), state.missing_code, state.missing_reason, (evidence,)
        )
    if state.value is None or state.last_at is None:
        return Verdict.no_data(
            guard.name, "guard.no_reading_yet", f"{guard.name}: no reading yet", _evidence(state, guard)
        )
    words = f"{guard.name} is {measure(state.value, guard.unit)}"
    if state.since is None:
        return Verdict.passed(guard.name, f"{words}; {_limit_words(guard)}", _evidence(state, guard))
    held_s = (state.last_at - state.since).total_seconds()
    reason = f"{words}, {_beyond(guard)} for {duration(held_s)}; {_limit_words(guard)}"
    return Verdict.passed(guard.name, reason, _evidence(state, guard, held_s), code="guard.pending")


def was_seen(state: GuardState) -> bool:
    """Whether the series ever had a number: what nobody measures was never there."""
    return state.last_at is not None


def clear_for_s(state: GuardState) -> float | None:
    """For how long the condition has not held any more, by the samples' own times. None while it holds or nothing is known."""
    if state.clear_since is None or state.last_at is None or state.absent:
        return None
    return (state.last_at - state.clear_since).total_seconds()


def rearmed(state: GuardState) -> GuardState:
    """The breach that was found is dealt with: only another one counts from now on."""
    return replace(state, breached_at=None, breached_from=None, breach_worst=None)


def watch_words(guard: Guard) -> str:
    """What is watched, in words, such as `error rate above 3 % for 5 min`."""
    return f"{guard.name} {_beyond(guard)} for {duration(guard.for_s)}"


def _breached(state: GuardState, guard: Guard, since: datetime, at: datetime) -> Verdict:
    held_s = (at - since).total_seconds()
    worst = state.breach_worst if state.breach_worst is not None else guard.limit
    reason = f"{guard.name} was {_beyond(guard)} for {duration(held_s)}, at worst {measure(worst, guard.unit)}"
    evidence = Evidence(
        name=guard.name, value=worst, limit=guard.limit, unit=guard.unit, source=guard.metric, window_s=held_s, at=at
    )
    return Verdict.failed(guard.name, "guard.breached", reason, evidence)


def _holds(guard: Guard, value: float) -> bool:
    return value > guard.limit if guard.above else value < guard.limit


def _worse(guard: Guard, one: float, other: float) -> float:
    return max(one, other) if guard.above else min(one, other)


def _beyond(guard: Guard) -> str:
    return f"{'above' if guard.above else 'below'} {measure(guard.limit, guard.unit)}"


def _limit_words(guard: Guard) -> str:
    return f"a breach is {_beyond(guard)} for {duration(guard.for_s)}"


def _evidence(state: GuardState, guard: Guard, held_s: float | None = None) -> Evidence:
    return Evidence(
        name=guard.name, value=state.value, limit=guard.limit, unit=guard.unit, source=guard.metric, window_s=held_s,
        at=state.last_at,
    )  # fmt: skip

"""Health acceptance in rolling windows. Runbook: Health Check Acceptance.

The record of a target is compact enough to be saved every second, so that a restart goes on where it was.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, replace

from runbook.policy import HealthPolicy
from runbook.verdicts import Evidence, Verdict
from runbook.wording import duration, percent

_NO_ANSWER = -(10**12)
_PERCENTILE = 0.95
UNANSWERED = "unanswered probes"


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe's result. latency_s: None when no answer came. error: what was wrong, or empty."""

    good: bool
    latency_s: float | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One target's probes so far. JSON by `plan.to_json`.

    window: the newest probes, oldest first, at most a window's worth: microseconds for a good answer, `-1 - microseconds` for a bad
    one, -10**12 for none. worst_ratio, worst_p95_s: of any full window. failed, probes: over everything.
    """

    window: tuple[int, ...] = ()
    probes: int = 0
    failed: int = 0
    worst_ratio: float | None = None
    worst_p95_s: float | None = None
    last_error: str = ""


def window_size(policy: HealthPolicy, planned: int) -> int:
    """How many probes a full window has. planned: probes of the whole observation; a shorter one is its own window."""
    return max(1, min(round(policy.window_s / policy.interval_s), planned))


def next_record(record: Record, probe: Probe, size: int) -> Record:
    """The record after one more probe. size: of a full window, see `window_size`."""
    window = (*record.window, _encoded(probe))[-size:]
    record = replace(
        record,
        window=window,
        probes=record.probes + 1,
        failed=record.failed + (not probe.good),
        last_error=record.last_error if probe.good else probe.error,
    )
    if len(window) < size:
        return record
    ratio, p95_s = 1 - _failures(window) / size, _p95_s(_micros(window))
    return replace(
        record,
        worst_ratio=ratio if record.worst_ratio is None else min(ratio, record.worst_ratio),
        worst_p95_s=p95_s if record.worst_p95_s is None else max(p95_s or 0.0, record.worst_p95_s),
    )


def judge_record(target: str, record: Record, policy: HealthPolicy, size: int) -> Verdict | None:
    """FAIL as soon as the newest full window misses a limit, or a partial one is certain to: more failures, or slow answers, than a
    full window may have. None otherwise: nothing to say yet."""
    failed = _failures(record.window)
    if failed > _spare(policy.success_ratio, size) or (
        len(record.window) >= size and 1 - failed / size < policy.success_ratio - 1e-9
    ):
        return _failed_ratio(target, record, policy, size, failed)
    micros = _micros(record.window)
    slow = len(micros) - bisect_left(micros, policy.p95_s * 1e6)
    p95_s = _p95_s(micros)
    if slow > _spare(_PERCENTILE, size) or (len(record.window) >= size and p95_s is not None and p95_s >= policy.p95_s):
        return _failed_latency(target, record, policy, size, slow, p95_s or policy.p95_s)
    return None


def judge_whole(target: str, record: Record, policy: HealthPolicy, size: int) -> Verdict:
    """At the observation's end: every full window met both limits."""
    if (verdict := judge_record(target, record, policy, size)) is not None:
        return verdict
    gate = _gate(target)
    if len(record.window) < size or record.worst_ratio is None:
        reason = f"{record.probes} probes of {target} fill no window of {size}"
        return Verdict.no_data(gate, "health.too_few_probes", reason)
    p95_s = record.worst_p95_s
    length = duration(min(policy.window_s, size * policy.interval_s))
    reason = f"{record.probes - record.failed} of {record.probes} probes were good; in the worst {length} {percent(record.worst_ratio)}"
    if p95_s is not None:
        reason += f", p95 {duration(p95_s)}"
    return Verdict.passed(
        gate,
        reason,
        _ratio_evidence(target, record.worst_ratio, policy, size),
        _latency_evidence(target, p95_s, policy, size),
        Evidence(name="probes", value=record.probes, unit="count", source=f"GET {target}"),
        Evidence(name="failed probes", value=record.failed, unit="count", source=f"GET {target}"),
    )


def _gate(target: str) -> str:
    return f"health acceptance of {target}"


def _failed_ratio(target: str, record: Record, policy: HealthPolicy, size: int, failed: int) -> Verdict:
    """The ratio shown is the best that the full window could still reach."""
    best = 1 - failed / size
    length = duration(min(policy.window_s, size * policy.interval_s))
    reason = (
        f"{failed} of {len(record.window)} probes of {target} failed; success in {length} is at most {percent(best)}, "
        f"the limit is {percent(policy.success_ratio)}"
    )
    if record.last_error:
        reason += f"; the last failure: {record.last_error}"
    return Verdict.failed(
        _gate(target),
        "health.success_ratio",
        reason,
        _ratio_evidence(target, best, policy, size),
        Evidence(name="failed probes", value=failed, limit=_spare(policy.success_ratio, size), unit="count"),
        Evidence(name=UNANSWERED, value=sum(1 for code in record.window if code == _NO_ANSWER), unit="count"),
    )


def _failed_latency(target: str, record: Record, policy: HealthPolicy, size: int, slow: int, p95_s: float) -> Verdict:
    length = duration(min(policy.window_s, size * policy.interval_s))
    reason = (
        f"{slow} of {len(record.window)} probes of {target} took {duration(policy.p95_s)} or longer; "
        f"p95 in {length} is {duration(p95_s)}, the limit is {duration(policy.p95_s)}"
    )
    return Verdict.failed(
        _gate(target),
        "health.latency_p95",
        reason,
        _latency_evidence(target, p95_s, policy, size),
        Evidence(name="slow probes", value=slow, limit=_spare(_PERCENTILE, size), unit="count"),
    )


def _ratio_evidence(target: str, ratio: float, policy: HealthPolicy, size: int) -> Evidence:
    return Evidence(
        name="health success", value=round(ratio, 6), limit=policy.success_ratio, unit="ratio", source=f"GET {target}",
        samples=size, window_s=policy.window_s,
    )  # fmt: skip


def _latency_evidence(target: str, p95_s: float | None, policy: HealthPolicy, size: int) -> Evidence:
    value = None if p95_s is None else round(p95_s, 6)
    return Evidence(
        name="health p95", value=value, limit=policy.p95_s, unit="s", source=f"GET {target}", samples=size,
        window_s=policy.window_s,
    )  # fmt: skip


def _encoded(probe: Probe) -> int:
    if probe.latency_s is None:
        return _NO_ANSWER
    micros = round(probe.latency_s * 1e6)
    return micros if probe.good else -1 - micros


def _failures(window: tuple[int, ...]) -> int:
    return sum(1 for code in window if code < 0) if window and min(window) < 0 else 0


def _micros(window: tuple[int, ...]) -> list[int]:
    """Microseconds in order, of the probes that were answered: a refused connection is quick, and says nothing of latency."""
    if not window or min(window) >= 0:  # by far the most frequent case, once a second for every target of every run
        return sorted(window)
    return sorted(code if code >= 0 else -1 - code for code in window if code != _NO_ANSWER)


def _p95_s(micros: list[int]) -> float | None:
    """The nearest-rank percentile of sorted latencies; None when nothing was answered."""
    return micros[_rank(_PERCENTILE, len(micros)) - 1] / 1e6 if micros else None


def _rank(ratio: float, count: int) -> int:
    """How many of `count` make up the ratio, rounded up; the small number takes back what binary fractions add."""
    return max(1, math.ceil(ratio * count - 1e-9))


def _spare(ratio: float, size: int) -> int:
    """How many of a full window may be bad."""
    return size - _rank(ratio, size)

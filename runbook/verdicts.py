"""Verdicts: what a gate, a guard or a check found, with the evidence that it rests on.

Five outcomes, never two. Only PASS opens a gate; unknown is not yes, and unknown is not no either.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """NO_DATA: nothing to judge by (no series, no traffic, NaN). ERROR: could not ask. NOT_RUN: not asked."""

    PASS = "pass"  # noqa: S105 - a word, no password
    FAIL = "fail"
    NO_DATA = "no_data"
    ERROR = "error"
    NOT_RUN = "not_run"


_WORST_FIRST = (Outcome.FAIL, Outcome.ERROR, Outcome.NO_DATA, Outcome.NOT_RUN, Outcome.PASS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One fact behind a verdict: what was asked, what came back, the limit it was held against.

    unit: "ratio" in [0, 1], "s", "bytes", "bytes_per_s", "count", "per_s", or empty for text. source: the query, address or object asked.
    samples: how many observations the value rests on. window_s: the length of time they cover, in seconds.
    """

    name: str
    value: float | int | str | bool | None
    limit: float | int | str | None = None
    unit: str = ""
    source: str = ""
    samples: int | None = None
    window_s: float | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of one gate. code: a stable reason code such as `tag.moved`, for machines; reason: a sentence, for people.

    binding: False for what the runbook only recommends: it is shown with its outcome, and decides nothing.
    """

    gate: str
    outcome: Outcome
    code: str
    reason: str
    evidence: tuple[Evidence, ...] = ()
    remedy: str = ""
    binding: bool = True

    @classmethod
    def passed(cls, gate: str, reason: str, *evidence: Evidence, code: str = "ok") -> Verdict:
        return cls(gate, Outcome.PASS, code, reason, evidence)

    @classmethod
    def failed(cls, gate: str, code: str, reason: str, *evidence: Evidence, remedy: str = "") -> Verdict:
        return cls(gate, Outcome.FAIL, code, reason, evidence, remedy)

    @classmethod
    def no_data(cls, gate: str, code: str, reason: str, *evidence: Evidence, remedy: str = "") -> Verdict:
        return cls(gate, Outcome.NO_DATA, code, reason, evidence, remedy)

    @classmethod
    def error(cls, gate: str, code: str, reason: str, *evidence: Evidence, remedy: str = "") -> Verdict:
        return cls(gate, Outcome.ERROR, code, reason, evidence, remedy)


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """FAIL before ERROR before NO_DATA before NOT_RUN before PASS; nothing asked is NOT_RUN."""
    found = set(outcomes)
    return next((outcome for outcome in _WORST_FIRST if outcome in found), Outcome.NOT_RUN)


def decided(verdicts: Iterable[Verdict]) -> Outcome:
    """The worst of those that bind; PASS when none does."""
    binding = [verdict.outcome for verdict in verdicts if verdict.binding]
    return worst(binding) if binding else Outcome.PASS

"""From a system's answer to one number, or to the verdict that there is none. Unknown is not yes, and not no either: never PASS, never FAIL."""

from __future__ import annotations

import math
from collections.abc import Sequence

from runbook.errors import ForgeError
from runbook.ports import Series
from runbook.verdicts import Evidence, Verdict
from runbook.wording import listing

Reading = float | Verdict
"""A number, or why there is none."""

_HIDDEN_LABELS = frozenset({"__name__"})


def read_single(gate: str, answer: Sequence[Series], query: str) -> Reading:
    """The newest value of the one series that was asked for.

    Codes: `metrics.absent`, `metrics.ambiguous`, `metrics.nan`, `metrics.infinite`.
    """
    if not answer or not answer[0].samples:
        remedy = "Check that the recording rules are loaded and the service is scraped"
        return _none(gate, "metrics.absent", "there is no such series", query, None, remedy)
    if len(answer) > 1:
        told = listing(_labels(series) for series in answer[:3])
        reason = f"{len(answer)} series answer where one is expected: {told}"
        remedy = "Record one series for each service, env and track"
        return _none(gate, "metrics.ambiguous", reason, query, len(answer), remedy)
    value = answer[0].samples[-1].value
    if math.isnan(value):
        return _none(gate, "metrics.nan", "the series' value is NaN: a division by zero, or no traffic", query, "NaN")
    if math.isinf(value):
        return _none(gate, "metrics.infinite", "the series' value is infinite", query, "Inf" if value > 0 else "-Inf")
    return value


def read_error(gate: str, error: ForgeError, query: str = "") -> Verdict:
    """ERROR with the error's own code, such as `prometheus.unreachable`: could not ask, or got nothing that can be read."""
    evidence = Evidence(name="asked", value=None, source=query or error.system)
    return Verdict.error(gate, error.code, error.cause, evidence, remedy=error.remedy)


def _none(gate: str, code: str, reason: str, query: str, value: int | str | None, remedy: str = "") -> Verdict:
    evidence = Evidence(name="answer", value=value, source=query)
    return Verdict.no_data(gate, code, f"{gate}: {reason}", evidence, remedy=remedy)


def _labels(series: Series) -> str:
    shown = {key: value for key, value in sorted(series.labels.items()) if key not in _HIDDEN_LABELS}
    return "{" + ", ".join(f'{key}="{value}"' for key, value in shown.items()) + "}"

"""Reads what a load generator printed at its end: forge's own form, or a summary of k6. Unreadable is never a number.

Own form, one JSON object: `{"latency_ms": {"p50": 12.5, "p95": 40, "p99": 80}, "throughput_per_s": 99.8, "requests": 6000, "failed": 0}`.
k6: `--summary-export` and the `data` of `handleSummary` (times in milliseconds); `med` is p50, p99 only with
`--summary-trend-stats`. Source: https://grafana.com/docs/k6/latest/results-output/end-of-test/
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_LOOKED_AT = 1024 * 1024
"""Characters of the end: a summary is never longer."""
_EFFORT = 8 * _LOOKED_AT
_LEAST_EFFORT = 64
_NESTED = 4096
"""What an object that is nested too deep costs: the decoder doesn't say how far it came."""
_PIECE = 2048
_LONGEST_LITERAL = len("-Infinity")
_BEGIN = re.compile(r'\{(?=\s*(?:["}]|\Z))')
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class LoadSummary:
    """What the load measured. Latencies in seconds, throughput in requests per second; None: not said."""

    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    throughput: float | None = None
    requests: float | None = None
    failed_ratio: float | None = None
    source: str = "own"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why there are no numbers."""

    reason: str


class _Wrong(ValueError):
    pass


def read_load_summary(text: str) -> LoadSummary | Unreadable:
    """The last summary in the output, whatever stands around it; other JSON after it (a log line) doesn't count.

    Takes up to a second for megabytes: call it in a thread.
    """
    found: Mapping[str, Any] | None = None
    seen = False
    for value in _objects(text[-_LOOKED_AT:]):
        if value is None:
            return Unreadable("its last JSON object is cut off")
        seen = True
        if "latency_ms" in value or isinstance(value.get("metrics"), Mapping):
            found = value
    if found is None:
        known = "none of forge's or k6's form" if seen else "no JSON object"
        return Unreadable(f"{known} is at the end of its output")
    try:
        summary = _own(found) if "latency_ms" in found else _k6(found["metrics"])
        return _ordered(summary)
    except _Wrong as wrong:
        return Unreadable(str(wrong))


def _objects(text: str) -> Iterator[Mapping[str, Any] | None]:
    """The JSON objects that are in no other one, in order; a None at the end when the text breaks off within one."""
    text = text.rstrip()
    at, effort = 0, _EFFORT
    broken_off = False
    while effort > 0 and (begin := _BEGIN.search(text, at)) is not None:
        attempt = _attempt(text, begin.start())
        effort -= attempt.effort
        at = attempt.end
        broken_off = broken_off or (attempt.breaks_off and _begins_line(text, begin.start()))
        if attempt.value is not None and not broken_off:
            yield attempt.value
    if broken_off or effort <= 0:
        yield None


@dataclass(frozen=True, slots=True)
class _Attempt:
    """effort: in characters that were read, or what took as long. breaks_off: the text ends within the object."""

    end: int
    effort: int
    value: Mapping[str, Any] | None = None
    breaks_off: bool = False


def _attempt(text: str, at: int) -> _Attempt:
    """A small piece first: the decoder's errors count the lines of all that they were given, and most braces begin nothing."""
    attempt = _decoded(text[at : at + _PIECE], at)
    if attempt.breaks_off and at + _PIECE < len(text):
        attempt = _decoded(text[at:], at)
    return attempt


def _decoded(piece: str, at: int) -> _Attempt:
    try:
        value, end = _DECODER.raw_decode(piece)
    except json.JSONDecodeError as error:
        # The decoder points at the beginning of a literal or a string that it could not read to its end.
        open_string = error.msg.startswith("Unterminated string")
        breaks_off = open_string or error.pos >= len(piece) - _LONGEST_LITERAL
        read = len(piece) if open_string else error.pos
        return _Attempt(at + 1, max(read, _LEAST_EFFORT) + len(piece) // 16, breaks_off=breaks_off)
    except (RecursionError, ValueError):  # nested too deep; a number of thousands of digits
        return _Attempt(at + 1, _NESTED + len(piece) // 16)
    return _Attempt(at + end, max(end, _LEAST_EFFORT), value)


def _begins_line(text: str, at: int) -> bool:
    """A brace within a line of a log begins no summary."""
    return not text[text.rfind("\n", 0, at) + 1 : at].strip()


def _own(data: Mapping[str, Any]) -> LoadSummary:
    latency = _mapping(data, "latency_ms")
    requests, failed = _number(data, "requests"), _number(data, "failed")
    if requests is not None and failed is not None and failed > requests:
        raise _Wrong("more requests failed than were sent")
    return LoadSummary(
        p50_s=_seconds(latency, "p50"),
        p95_s=_seconds(latency, "p95"),
        p99_s=_seconds(latency, "p99"),
        throughput=_number(data, "throughput_per_s"),
        requests=requests,
        failed_ratio=failed / requests if failed is not None and requests else None,
    )


def _k6(metrics: Mapping[str, Any]) -> LoadSummary:
    duration, requests = _metric(metrics, "http_req_duration"), _metric(metrics, "http_reqs")
    p50_s = _seconds(duration, "med")
    return LoadSummary(
        p50_s=p50_s if p50_s is not None else _seconds(duration, "p(50)"),
        p95_s=_seconds(duration, "p(95)"),
        p99_s=_seconds(duration, "p(99)"),
        throughput=_number(requests, "rate"),
        requests=_number(requests, "count"),
        failed_ratio=_k6_failed(_metric(metrics, "http_req_failed")),
        source="k6",
    )


def _k6_failed(metric: Mapping[str, Any]) -> float | None:
    """`http_req_failed` counts a failed request as a pass of "has failed": `passes` are the failures.

    Source: https://github.com/grafana/k6/issues/2386
    """
    ratio = _number(metric, "rate")
    if ratio is None:
        ratio = _number(metric, "value")
    if ratio is None:
        failed, well = _number(metric, "passes"), _number(metric, "fails")
        if failed is None or well is None or failed + well == 0:
            return None
        ratio = failed / (failed + well)
    if ratio > 1:
        raise _Wrong(f"its ratio of failed requests is {ratio:g}")
    return ratio


def _metric(metrics: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """handleSummary puts the numbers under `values`, --summary-export beside each other."""
    metric = _mapping(metrics, name)
    return _mapping(metric, "values") if "values" in metric else metric


def _mapping(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name, {})
    if not isinstance(value, Mapping):
        raise _Wrong(f"its {name} is no JSON object")
    return value


def _number(data: Mapping[str, Any], name: str) -> float | None:
    """None where it isn't there. Raises `_Wrong` for what measures nothing: text, NaN, infinite, negative."""
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong(f"its {name} is no number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or number < 0:
        raise _Wrong(f"its {name} is {number:g}")
    return number


def _seconds(data: Mapping[str, Any], name: str) -> float | None:
    milliseconds = _number(data, name)
    return None if milliseconds is None else milliseconds / 1000


def _ordered(summary: LoadSummary) -> LoadSummary:
    known = [value for value in (summary.p50_s, summary.p95_s, summary.p99_s) if value is not None]
    if known != sorted(known):
        raise _Wrong("its percentiles are not in order: a higher one is smaller")
    return summary

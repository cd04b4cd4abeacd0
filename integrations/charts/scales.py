"""Units as people read them: a factor for a whole axis, so that its numbers stay short, and the words on it. Knows no drawing library."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from runbook.wording import percent

_STEPS: dict[str, tuple[tuple[float, str], ...]] = {
    "ratio": ((0.01, " %"),),
    "s": ((1e-6, " µs"), (1e-3, " ms"), (1.0, " s"), (60.0, " min"), (3600.0, " h"), (86400.0, " d")),
    "bytes": ((1.0, " B"), (1e3, " kB"), (1e6, " MB"), (1e9, " GB"), (1e12, " TB")),
    "bytes_per_s": ((1.0, " B/s"), (1e3, " kB/s"), (1e6, " MB/s"), (1e9, " GB/s"), (1e12, " TB/s")),
    "per_s": ((1.0, "/s"), (1e3, " k/s"), (1e6, " M/s"), (1e9, " G/s")),
    "count": ((1.0, ""), (1e3, " k"), (1e6, " M"), (1e9, " G"), (1e12, " T")),
}
_FROM = {60.0: 120.0, 3600.0: 7200.0, 86400.0: 172800.0}
"""Minutes, hours and days begin later than their length: 90 s reads better than 1.5 min."""


@dataclass(frozen=True, slots=True)
class Scale:
    """values are divided by `divisor` and carry `suffix`."""

    divisor: float
    suffix: str

    def label(self, step: float) -> Callable[[float, object], str]:
        """The words of one tick (already divided), exact to the distance between two of them."""
        digits = 0 if step <= 0 else min(max(0, -math.floor(math.log10(step) + 1e-9)), 6)
        return lambda value, _: f"{_number(value, digits)}{self.suffix}"


def scale_for(values: Iterable[float], unit: str) -> Scale:
    """What suits the largest of the values. An unknown unit is written behind the number as it stands."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    steps = _STEPS.get(unit, ((1.0, f" {unit}" if unit else ""),))
    if unit == "s" and largest == 0:
        return Scale(1.0, " s")
    if largest >= 1e15:  # beyond any prefix that people know
        return Scale(1.0, steps[0][1])
    fitting = [step for step in steps if largest >= _FROM.get(step[0], step[0])]
    return Scale(*(fitting[-1] if fitting else steps[0]))


def said(value: float | None, unit: str) -> str:
    """One value by itself, with three digits that count: `0.42 %`, `1.25 s`, `no data`."""
    if value is None or not math.isfinite(value):
        return "no data"
    if unit == "ratio" and 0.99 < value < 1:  # the nines are what counts
        return percent(value)
    scale = scale_for((value,), unit)
    shown = value / scale.divisor
    if shown == 0 or 1e-4 <= abs(shown) < 1e6:
        whole = len(str(int(abs(shown)))) if abs(shown) >= 1 else 0
        first = -math.floor(math.log10(abs(shown))) - 1 if 0 < abs(shown) < 1 else 0
        text = f"{shown:.{max(0, 3 - whole + first)}f}"
        return (text.rstrip("0").rstrip(".") if "." in text else text) + scale.suffix
    return f"{shown:.3g}{scale.suffix}"


def clock_format(span_s: float) -> str:
    """How moments on a time axis are written, by what it spans."""
    if span_s < 600:
        return "%H:%M:%S"
    return "%H:%M" if span_s <= 2 * 86400 else "%d %b"


def day_words(moments: Sequence[float]) -> str:
    """`UTC, 23 Nov 2026`, or the first and the last day."""
    first, last = (datetime.fromtimestamp(at, UTC) for at in (min(moments), max(moments)))
    if first.date() == last.date():
        return f"UTC, {first.day} {first:%b %Y}"
    since = f"{first.day} {first:%b}" if first.year == last.year else f"{first.day} {first:%b %Y}"
    return f"UTC, {since} to {last.day} {last:%b %Y}"


def _number(value: float, digits: int) -> str:
    if abs(value) >= 1e6:
        return f"{value:.3g}"
    text = f"{value:.{digits}f}"
    return "0" if float(text) == 0 else text

"""Measured values beside what they were held against, as lying bars: names stay readable on a phone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from integrations.charts.bounds import MAX_BARS
from integrations.charts.scales import Scale, said, scale_for
from runbook.charts import Bar, Limit

_NOW, _BEFORE, _TARGET = "#0072B2", "#C7CDD6", "#9B1C1C"


def draw_bars(axes: Axes, bars: Sequence[Bar], limits: Sequence[Limit], unit: str, name: Callable[[str], str]) -> None:
    """name: makes a name fit to be shown."""
    shown = list(bars[:MAX_BARS])
    numbers = [n for bar in shown for n in (bar.value, bar.target, bar.previous) if n is not None and math.isfinite(n)]
    numbers += [limit.value for limit in limits if math.isfinite(limit.value)]
    scale = scale_for(numbers, unit)
    for place, bar in enumerate(shown):
        _draw_bar(axes, place, bar, unit, scale)
    for limit in limits:
        if math.isfinite(limit.value):
            axes.axvline(limit.value / scale.divisor, color=_TARGET, linestyle=(0, (6, 3)), linewidth=1.6)
    axes.set_yticks(range(len(shown)), [name(bar.name) for bar in shown])
    axes.tick_params(axis="y", length=0, labelcolor="#1f2937")
    axes.grid(visible=False, axis="y")
    air = 0.5 if len(shown) == 1 else 0.0
    axes.set_ylim(len(shown) - 0.4 + air, -0.6 - air)
    _label_values(axes, scale, [number / scale.divisor for number in numbers])
    _legend(axes, shown, limits, unit, name, more=len(bars) - len(shown))


def _draw_bar(axes: Axes, place: int, bar: Bar, unit: str, scale: Scale) -> None:
    has_before = bar.previous is not None and math.isfinite(bar.previous)
    height = 0.4 if has_before else 0.52
    middle = place - 0.13 if has_before else float(place)
    value = bar.value / scale.divisor if math.isfinite(bar.value) else 0.0
    axes.barh(middle, value, height=height, color=_NOW, zorder=2)
    if has_before and bar.previous is not None:
        axes.barh(
            place + 0.22, bar.previous / scale.divisor, height=0.24, color=_BEFORE, hatch="////", edgecolor="white",
            linewidth=0, zorder=2,
        )  # fmt: skip
    if bar.target is not None and math.isfinite(bar.target):
        target = bar.target / scale.divisor
        axes.plot([target, target], [place - 0.42, place + 0.4], color=_TARGET, linewidth=2.2, zorder=3)
    axes.annotate(
        _words(bar, unit), (_end(bar, scale), middle), xytext=(5, 0), textcoords="offset points", va="center",
        fontsize=9, zorder=4, bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.8},
    )  # fmt: skip


def _end(bar: Bar, scale: Scale) -> float:
    """Behind everything that stands in the bar's row."""
    ends = [n for n in (bar.value, bar.target, bar.previous, 0.0) if n is not None and math.isfinite(n)]
    return max(ends) / scale.divisor


def _words(bar: Bar, unit: str) -> str:
    beside = [f"before {said(bar.previous, unit)}"] if bar.previous is not None else []
    beside += [f"target {said(bar.target, unit)}"] if bar.target is not None else []
    return said(bar.value, unit) + (f"  ({', '.join(beside)})" if beside else "")


def _label_values(axes: Axes, scale: Scale, numbers: Sequence[float]) -> None:
    """From zero: a bar that begins elsewhere lies. Air to the right for the longest bar's words."""
    low, high = min([*numbers, 0.0]), max([*numbers, 0.0])
    air = 0.75 * (high - low or 1.0)
    axes.set_xlim(low - (0.05 * (high - low) if low < 0 else 0.0), high + air)
    locator = MaxNLocator(nbins=5, steps=[1, 2, 5, 10])
    axes.xaxis.set_major_locator(locator)
    ticks = locator.tick_values(low, high + air)
    axes.xaxis.set_major_formatter(FuncFormatter(scale.label(float(ticks[1] - ticks[0]) if len(ticks) > 1 else 0.0)))


def _legend(
    axes: Axes, bars: Sequence[Bar], limits: Sequence[Limit], unit: str, name: Callable[[str], str], *, more: int
) -> None:
    signs: list[Patch | Line2D] = [Patch(color=_NOW, label="measured")]
    if any(bar.previous is not None for bar in bars):
        signs.append(Patch(facecolor=_BEFORE, hatch="////", edgecolor="white", label="before"))
    if any(bar.target is not None for bar in bars):
        signs.append(Line2D([], [], color=_TARGET, linewidth=2.2, label="target"))
    signs += [
        Line2D([], [], color=_TARGET, linestyle=(0, (6, 3)), label=f"{name(limit.name)} {said(limit.value, unit)}")
        for limit in limits
    ]
    title = f"{more} more are not shown" if more > 0 else None
    axes.legend(
        handles=signs,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.1),
        ncols=4,
        frameon=False,
        fontsize=9.5,
        title=title,
    )

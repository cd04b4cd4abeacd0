"""The picture itself, with matplotlib: readable on a phone, without colours, and by itself. Imported in the drawing process alone."""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, DateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from integrations.charts.bars import draw_bars
from integrations.charts.bounds import MAX_LINES, MAX_PANELS
from integrations.charts.scales import Scale, clock_format, day_words, said, scale_for
from integrations.charts.series import Points, last_of, marked, with_gaps
from runbook.charts import Chart, Limit, Panel
from runbook.wording import shortened

WIDTH = 1200
"""Pixels: twice to thrice what a phone has, so that a tap enlarges it sharply."""
_DPI, _DPI_IN_PAIRS = 200, 150
"""Letters are as large as a phone needs them; where panels stand in pairs they must be smaller."""
_ALONE, _ROW, _PAIR_ROW, _HEAD = 675, 480, 440, 80

# Okabe and Ito's colours, which people with any colour vision tell apart: https://jfly.uni-koeln.de/color/.
# Styles and markers tell the lines apart without any.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
_MARKERS = ("o", "s", "^", "D", "v", "P")
_INK, _QUIET, _LIMIT = "#1f2937", "#6b7280", "#9B1C1C"

_SETTINGS: Any = {
    "text.parse_math": False,  # a `$` in a title is a dollar
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _QUIET,
    "xtick.color": _QUIET,
    "ytick.color": _QUIET,
    "axes.edgecolor": "#9ca3af",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.6,
    "timezone": "UTC",
}


def png(chart: Chart) -> bytes:
    """1200 pixels wide; 675 high with one panel, more with several."""
    with mpl.rc_context(_SETTINGS):
        panels = chart.panels[:MAX_PANELS]
        columns = 1 if len(panels) <= 2 else 2
        rows = max(1, math.ceil(len(panels) / columns))
        dpi = _DPI if columns == 1 else _DPI_IN_PAIRS
        height = _ALONE if len(panels) <= 1 else _HEAD + rows * (_ROW if columns == 1 else _PAIR_ROW)
        figure = Figure(figsize=(WIDTH / dpi, height / dpi), dpi=dpi, layout="constrained")
        FigureCanvasAgg(figure)
        title = textwrap.fill(plain(chart.title, 200), 50, max_lines=2, placeholder=" …")
        figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold")
        for place, panel in enumerate(panels, 1):
            _draw_panel(figure.add_subplot(rows, columns, place), panel, is_narrow=columns > 1)
        if not panels:
            _say_empty(figure.add_subplot(1, 1, 1))
        if len(chart.panels) > MAX_PANELS:
            figure.supxlabel(f"{len(chart.panels) - MAX_PANELS} more are not shown", color=_QUIET, fontsize=9)
        engine = figure.get_layout_engine()
        if engine is not None:
            engine.set(w_pad=0.08, h_pad=0.07, hspace=0.03, wspace=0.03)  # type: ignore[call-arg]  # of constrained layout
        out = BytesIO()
        figure.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
        return out.getvalue()


def plain(text: str, limit: int) -> str:
    """One line without control characters, which fonts have no sign for."""
    printable = "".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in text)
    return shortened(" ".join(printable.split()), limit)


def _draw_panel(axes: Axes, panel: Panel, *, is_narrow: bool) -> None:
    axes.set_title(plain(panel.title, 27 if is_narrow else 56), loc="left", fontsize=11, fontweight="bold")
    if panel.lines or not panel.bars:
        _draw_lines(axes, panel, is_narrow=is_narrow)
    else:
        draw_bars(axes, panel.bars, panel.limits, panel.unit, name=lambda text: plain(text, 22))


def _draw_lines(axes: Axes, panel: Panel, *, is_narrow: bool) -> None:
    lines = [(line.name, with_gaps(line.points)) for line in panel.lines[:MAX_LINES]]
    values = [value for _, points in lines for _, value in points if not math.isnan(value)]
    limits = [limit for limit in panel.limits if math.isfinite(limit.value)]
    if not values:
        _say_empty(axes)
        return
    scale = scale_for([*values, *(limit.value for limit in limits)], panel.unit)
    for place, (name, points) in enumerate(lines):
        _draw_line(axes, place, name, points, panel.unit, scale)
    _frame(axes, [v / scale.divisor for v in values], [m.value / scale.divisor for m in limits])
    _label_values(axes, scale, is_whole=panel.unit == "count" and scale.divisor == 1)
    _label_time(axes, [at for _, points in lines for at, _ in points], ticks=4 if is_narrow else 6)
    _draw_limits(axes, limits, panel, scale)
    more = len(panel.lines) - len(lines)
    title = f"{more} more lines are not shown" if more > 0 else None
    longest = max(len(name) for name, _ in lines)
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.19), ncols=_columns(len(lines), longest, is_narrow=is_narrow), frameon=False,
        fontsize=9.5, handlelength=3.0, columnspacing=1.4, title=title, title_fontsize=9,
    )  # fmt: skip


def _draw_line(axes: Axes, place: int, name: str, points: Points, unit: str, scale: Scale) -> None:
    label = f"{plain(name, 30) or 'value'}: {said(last_of(points), unit)}"
    axes.plot(
        [datetime.fromtimestamp(at, UTC) for at, _ in points],  # type: ignore[arg-type]  # it takes moments as well
        [value / scale.divisor for _, value in points],
        color=_COLOURS[place], linestyle=_STYLES[place], marker=_MARKERS[place], markersize=5,
        markevery=marked(points, shift=place), markeredgecolor="white", markeredgewidth=0.8, label=label, clip_on=False, zorder=3,
    )  # fmt: skip


def _frame(axes: Axes, values: Sequence[float], limits: Sequence[float]) -> None:
    """From zero, but where nothing would be seen of the changes then; with air above for a limit's words."""
    everything = [*values, *limits]
    low, high = min(everything), max(everything)
    spread = high - low
    if spread == 0:
        low, high = (low - abs(low) * 0.1, high + abs(high) * 0.1) if low else (0.0, 1.0)
    elif low >= 0 and spread > 0.3 * high:
        low = 0.0
        high += 0.14 * high
    else:
        low, high = low - 0.16 * spread, high + 0.16 * spread
        low = max(low, 0.0) if min(everything) >= 0 else low
    axes.set_ylim(low, high)


def _label_values(axes: Axes, scale: Scale, *, is_whole: bool) -> None:
    locator = MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=is_whole)
    axes.yaxis.set_major_locator(locator)
    ticks = locator.tick_values(*axes.get_ylim())
    axes.yaxis.set_major_formatter(FuncFormatter(scale.label(float(ticks[1] - ticks[0]) if len(ticks) > 1 else 0.0)))


def _label_time(axes: Axes, moments: Sequence[float], *, ticks: int) -> None:
    first, last = min(moments), max(moments)
    if first == last:
        first, last = first - 60, last + 60
    air = (last - first) * 0.02
    axes.set_xlim(
        datetime.fromtimestamp(max(0.0, first - air), UTC),  # type: ignore[arg-type]  # it takes moments as well
        datetime.fromtimestamp(last + air, UTC),  # type: ignore[arg-type]
    )
    axes.xaxis.set_major_locator(AutoDateLocator(minticks=2, maxticks=ticks, tz=UTC))  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(DateFormatter(clock_format(last - first), tz=UTC))  # type: ignore[no-untyped-call]
    axes.set_xlabel(day_words(moments), loc="right", fontsize=8.5, labelpad=1)


def _draw_limits(axes: Axes, limits: Sequence[Limit], panel: Panel, scale: Scale) -> None:
    """Words of lines that are close to each other stand at opposite ends, the lower one's below its line."""
    low, high = axes.get_ylim()
    places = sorted(limit.value / scale.divisor for limit in limits)
    close = 0.12 * (high - low)
    for limit in limits:
        at = limit.value / scale.divisor
        is_left = not any(0 < at - other < close for other in places)
        is_over = limit.above and not any(0 < other - at < close for other in places)
        axes.axhline(at, color=_LIMIT, linestyle=(0, (6, 3)), linewidth=1.6, zorder=1.5)
        axes.axhspan(at, high if limit.above else low, color=_LIMIT, alpha=0.06, linewidth=0, zorder=0)
        axes.annotate(
            _limit_words(limit, panel), (0.012 if is_left else 0.988, at), xycoords=axes.get_yaxis_transform(),
            xytext=(0, 3 if is_over else -3), textcoords="offset points", color=_LIMIT, fontsize=9,
            fontweight="bold", ha="left" if is_left else "right", va="bottom" if is_over else "top", zorder=4,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip


def _limit_words(limit: Limit, panel: Panel) -> str:
    """The panel's title isn't said again."""
    words = f"{'at most' if limit.above else 'at least'} {said(limit.value, panel.unit)}"
    if limit.name.casefold() in panel.title.casefold():
        return words
    return f"{plain(limit.name, 26)}: {words}"


def _say_empty(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", fontsize=16, color=_QUIET)


def _columns(lines: int, longest: int, *, is_narrow: bool) -> int:
    if is_narrow:
        return min(lines, 2 if longest <= 6 else 1)
    return min(lines, 3 if longest <= 10 else 2 if longest <= 22 else 1)

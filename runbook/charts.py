"""Charts as data: what gates and look-ups want shown as a picture. Drawing is an integration's work."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

MOST_POINTS = 300
"""Of one line: whoever makes a chart thins it out first."""


@dataclass(frozen=True, slots=True)
class Line:
    """points: (Unix time in seconds, value), in order of time."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Bar:
    """One measured value beside what it was held against. target, previous: None where there is none."""

    name: str
    value: float
    target: float | None = None
    previous: float | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A horizontal line; above: values above it are bad."""

    name: str
    value: float
    above: bool = True


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot: lines over time, or bars beside each other. unit: "ratio" in [0, 1], "s", "bytes", "bytes_per_s", "count", "per_s"."""

    title: str
    unit: str
    lines: tuple[Line, ...] = ()
    bars: tuple[Bar, ...] = ()
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture of one or several panels. alt: its content in a sentence with the numbers, for those who can't see it."""

    title: str
    alt: str
    panels: tuple[Panel, ...]


def together(title: str, charts: Sequence[Chart]) -> Chart:
    """One picture of several charts. charts: at least one; a single one stays as it is."""
    if len(charts) == 1:
        return charts[0]
    panels = tuple(panel for chart in charts for panel in chart.panels)
    return Chart(title, "; ".join(chart.alt for chart in charts), panels)


def chart_to_json(chart: Chart) -> dict[str, Any]:
    """JSON values. What is not a number (no data, an infinity) becomes null: no database and no parser takes it otherwise."""
    data: dict[str, Any] = _finite(asdict(chart))
    return data


def chart_from_json(data: Mapping[str, Any]) -> Chart:
    """Back again; null among the points and values is "no data" (NaN). Raises KeyError, TypeError or ValueError when the data doesn't fit."""
    return Chart(str(data["title"]), str(data["alt"]), tuple(_panel(panel) for panel in data["panels"]))


def _panel(data: Mapping[str, Any]) -> Panel:
    lines = tuple(
        Line(line["name"], tuple((float(at), _number(value)) for at, value in line["points"])) for line in data["lines"]
    )
    bars = tuple(Bar(b["name"], _number(b["value"]), b["target"], b["previous"]) for b in data["bars"])
    limits = tuple(Limit(m["name"], _number(m["value"]), bool(m["above"])) for m in data["limits"])
    return Panel(str(data["title"]), str(data["unit"]), lines, bars, limits)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value

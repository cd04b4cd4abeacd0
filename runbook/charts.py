"""Charts as data: what gates and look-ups want shown as a picture. Drawing is an integration's work."""

from __future__ import annotations

from dataclasses import dataclass

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
    """One plot: lines over time, or bars beside each other. unit: "ratio" in [0, 1], "s", "bytes", "count", "per_s"."""

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

"""What a measurement says: a number, its limit, and whether it was kept. Nothing here measures anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """what: in a few words. value, limit: in `unit`; limit None: told for information. note: what else was seen."""

    what: str
    value: float
    limit: float | None
    unit: str
    note: str = ""

    @property
    def kept(self) -> bool:
        return self.limit is None or self.value <= self.limit

    @property
    def verdict(self) -> str:
        return "–" if self.limit is None else "kept" if self.kept else "MISSED"


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least so many percent don't exceed. Raises ValueError without values."""
    if not values:
        raise ValueError("nothing was measured")
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def table(figures: Sequence[Figure]) -> str:
    rows = [("what", "figure", "limit", "verdict", ""), *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:<{widths[3]}}  {row[4]}".rstrip()
        for row in rows
    )


def _row(figure: Figure) -> tuple[str, str, str, str, str]:
    limit = "" if figure.limit is None else f"{_number(figure.limit)} {figure.unit}"
    return figure.what, f"{_number(figure.value)} {figure.unit}", limit, figure.verdict, figure.note


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"

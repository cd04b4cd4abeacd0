"""Whatever a chart holds, it becomes a picture. Drawn in this process, which may know the drawing library."""

from __future__ import annotations

import math

import pytest

from integrations.charts.picture import png
from runbook.charts import Bar, Chart, Limit, Line, Panel
from tests.integrations.charts.png_file import is_whole, size_of

T = 1_795_000_000.0


def line(name: str, count: int = 60, height: float = 0.01) -> Line:
    return Line(name, tuple((T + 15 * i, height * (1 + math.sin(i / 7) / 3)) for i in range(count)))


ERRORS = Panel("Error rate", "ratio", (line("stable"),), limits=(Limit("error rate", 0.03),))
GAPS = Line("web", ((T, 1.0), (T + 60, math.nan), (T + 120, math.inf), (T + 180, 3.0), (T + 9000, -math.inf)))
CHARTS = {
    "one panel": (Chart("staging-1: error rate", "alt", (ERRORS,)), (1200, 675)),
    "two panels": (Chart("two", "alt", (ERRORS, ERRORS)), (1200, 1040)),
    "four panels": (Chart("four", "alt", (ERRORS,) * 4), (1200, 960)),
    "more panels than can be read": (Chart("many", "alt", (ERRORS,) * 40), (1200, 1840)),
    "bars": (
        Chart("performance", "alt", (Panel("p", "s", bars=(Bar("p95", 0.25, 0.5, 0.24), Bar("p99", math.nan))),)),
        (1200, 675),
    ),
    "no panels": (Chart("nothing", "alt", ()), (1200, 675)),
    "no data": (Chart("nothing", "alt", (Panel("empty", "s", (Line("web", ()),), (), (Limit("x", 1.0),)),)), (1200, 675)),
    "one point": (Chart("one", "alt", (Panel("p", "s", (Line("web", ((T, 0.2),)),)),)), (1200, 675)),
    "gaps and no numbers": (Chart("gaps", "alt", (Panel("p", "bytes", (GAPS,), (), (Limit("x", math.nan),)),)), (1200, 675)),
    "zeros": (Chart("zeros", "alt", (Panel("p", "count", (line("web", height=0.0),)),)), (1200, 675)),
    "huge and tiny": (
        Chart("huge", "alt", (Panel("p", "count", (line("a", height=1e300), line("b", height=1e-300))),)),
        (1200, 675),
    ),
    "negative": (Chart("negative", "alt", (Panel("p", "", (line("a", height=-5.0),)),)), (1200, 675)),
    "moments that are none": (
        Chart("moments", "alt", (Panel("p", "s", (Line("a", ((-1.0, 1.0), (1e18, 2.0), (T, 3.0))),)),)),
        (1200, 675),
    ),
    "words that are markup, too long or unprintable": (
        Chart("$\\frac{1}{0}$ " + "long " * 60 + "\x00\x1b[0m", "alt",
              (Panel("$x^{$" * 30, "s", (Line("$$_{" * 40, ((T, 1.0), (T + 1, 2.0))), Line("", ((T, 1.0),))), (),
                     (Limit("$" * 99, 1.5),)),)),
        (1200, 675),
    ),
    "as much as there may be": (
        Chart("much", "alt", tuple(Panel("p", "per_s", tuple(line(f"line {i}", 300, i + 1) for i in range(6))) for _ in range(8))),
        (1200, 1840),
    ),
    "more lines than can be told apart": (
        Chart("lines", "alt", (Panel("p", "per_s", tuple(line(f"line {i}", 9, i + 1) for i in range(20))),)),
        (1200, 675),
    ),
    "more bars than can be read": (
        Chart("bars", "alt", (Panel("p", "count", bars=tuple(Bar(f"b{i}", i - 4.0) for i in range(40))),)),
        (1200, 675),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHARTS)
def test_every_chart_becomes_a_whole_picture(what: str) -> None:
    chart, size = CHARTS[what]
    drawn = png(chart)
    assert is_whole(drawn)
    assert size_of(drawn) == size
    assert 5_000 < len(drawn) < 1_000_000


def test_the_same_chart_gives_the_same_bytes() -> None:
    chart, _ = CHARTS["one panel"]
    assert png(chart) == png(chart)

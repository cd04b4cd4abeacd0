"""Charts of what a guard saw: with its limit, and with the numbers in words for those who can't see them."""

from __future__ import annotations

import math
from datetime import timedelta

from runbook.charts import MOST_POINTS
from runbook.guard_charts import guard_chart, ratio_chart
from runbook.plan import Guard
from runbook.ports import Sample
from tests.fakes.clock import NOON
from tests.runbook.test_ratio_watch import GUARD, sample

ERRORS = Guard("error rate of stable", "forge:error_ratio:1m", True, 0.03, 300.0)


def samples(*values: float) -> list[Sample]:
    return [Sample(NOON + timedelta(seconds=15 * place), value) for place, value in enumerate(values)]


def test_a_guards_chart_has_its_limit_and_says_the_worst_and_the_newest_value() -> None:
    chart = guard_chart(ERRORS, "shop in prod", samples(0.01, 0.2, 0.05), NOON)
    assert chart is not None
    (panel,) = chart.panels
    assert [(limit.value, limit.above) for limit in panel.limits] == [(0.03, True)]
    assert "at worst 20 %, 5 % at 12:00 UTC" in chart.alt
    assert "above 3 % for 5 min" in chart.alt


def test_the_worst_of_what_must_not_fall_is_the_lowest() -> None:
    ready = Guard("readiness", "forge:readiness_ratio:1m", False, 0.95, 300.0)
    chart = guard_chart(ready, "shop in prod", samples(1.0, 0.4, 0.9), NOON)
    assert chart is not None
    assert "at worst 40 %" in chart.alt


def test_nothing_but_gaps_is_no_chart() -> None:
    assert guard_chart(ERRORS, "shop in prod", samples(math.nan, math.nan), NOON) is None
    assert guard_chart(ERRORS, "shop in prod", (), NOON) is None
    assert ratio_chart(GUARD, "shop in prod", [sample(15, canary=None, stable=None)], NOON) is None


def test_many_samples_are_thinned_out() -> None:
    chart = guard_chart(ERRORS, "shop in prod", samples(*([0.01] * 2000)), NOON)
    assert chart is not None
    assert len(chart.panels[0].lines[0].points) <= MOST_POINTS


def test_a_ratios_chart_has_a_line_for_each_track_and_the_limit_that_stable_sets() -> None:
    found = [sample(15.0 * n, canary=(20.0, 2.0) if n > 4 else None) for n in range(1, 20)]
    chart = ratio_chart(GUARD, "shop in prod", found, NOON)
    assert chart is not None
    (panel,) = chart.panels
    assert [(line.name, len(line.points)) for line in panel.lines] == [("canary", 15), ("stable", 19)]
    assert [round(limit.value, 4) for limit in panel.limits] == [0.02]
    assert "canary 10 % and stable 1 %" in chart.alt


def test_a_track_without_requests_has_no_ratio() -> None:
    chart = ratio_chart(GUARD, "shop in prod", [sample(15, canary=(0.0, 0.0)), sample(30, canary=(0.0, 0.0))], NOON)
    assert chart is not None
    assert [line.name for line in chart.panels[0].lines] == ["stable"]

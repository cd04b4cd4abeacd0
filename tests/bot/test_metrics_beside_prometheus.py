"""`/forge metrics` where Prometheus has no series of a database: what forge measured itself is shown, and nothing of it where it has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from engine.answers import Answer
from engine.metrics_lookup import Looked, look_up_metrics
from messages.metrics import OWN, metric_tables, metrics_blocks
from runbook import series
from runbook.errors import Permanent, Temporary
from runbook.metric_report import MetricReport, summary
from runbook.policy import Policy, Service, Workload
from runbook.ports import Sample, Series
from runbook.series import Windows, recorded, recorded_as
from runbook.values import Environment

PROD = Environment.PROD
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SHOP = Service("shop", "acme/shop", (Workload("web", "web", "registry.test/web"),), {PROD: "http://shop.test"})


def line(metric: str, value: float, minutes_ago: float = 0) -> Series:
    labels = {"__name__": recorded_as(metric, Windows()), "service": "shop", "env": "prod", "track": "stable"}
    return Series(
        labels, tuple(Sample(NOW - timedelta(minutes=minutes_ago, seconds=15 * n), value) for n in range(8, -1, -1))
    )


class Prometheus:
    """Gives what it was told."""

    def __init__(self, *given: Series) -> None:
        self.given = given

    async def query_range(self, expression: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        return self.given


class Measured:
    """Fulfils `DatabaseMetrics`."""

    def __init__(self, *given: Series) -> None:
        self.given, self.asked = given, []

    def recorded(self, service: str, environment: Environment, windows: Windows) -> tuple[Series, ...]:
        self.asked.append((service, environment, windows.window))
        return self.given


@dataclass
class Broken:
    """Gives an error."""

    error: Exception

    async def query_range(self, expression: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        raise self.error


async def asked(prometheus: Prometheus | Broken | None, measured: Measured | None) -> Looked | Answer:
    clock = SimpleNamespace(now=lambda: NOW)
    metrics = {} if prometheus is None else {PROD: prometheus}
    ports: Any = SimpleNamespace(clock=clock, metrics=metrics, database_metrics=measured)
    return await look_up_metrics(ports, Policy(), SHOP, PROD)


async def report_of(prometheus: Prometheus | Broken | None, measured: Measured | None) -> MetricReport:
    looked = await asked(prometheus, measured)
    assert isinstance(looked, Looked), looked
    return looked.report


async def shown(prometheus: Prometheus, measured: Measured | None) -> dict[str, float | None]:
    return {each.metric: each.value for each in (await report_of(prometheus, measured)).lines}


async def test_what_forge_measured_is_shown_where_prometheus_has_nothing_of_it() -> None:
    measured = Measured(line(series.DB_CONNECTIONS, 0.7), line(series.DB_LOCK_WAITS, 2))
    found = await shown(Prometheus(line(series.REQUEST_RATE, 5)), measured)
    assert found[series.REQUEST_RATE] == 5
    assert found[series.DB_CONNECTIONS] == 0.7
    assert found[series.DB_LOCK_WAITS] == 2
    assert measured.asked == [("shop", PROD, "1m")]


async def test_what_prometheus_has_is_shown_alone() -> None:
    found = await shown(Prometheus(line(series.DB_CONNECTIONS, 0.2)), Measured(line(series.DB_CONNECTIONS, 0.7)))
    assert found[series.DB_CONNECTIONS] == 0.2


async def test_without_a_measured_database_nothing_is_different() -> None:
    found = await shown(Prometheus(line(series.REQUEST_RATE, 5)), None)
    assert series.DB_CONNECTIONS not in found
    assert recorded(series.REQUEST_RATE, "1m")


async def test_what_prometheus_has_no_value_of_now_is_forges_own_and_marked() -> None:
    """The exporter died twenty minutes ago."""
    prometheus = Prometheus(line(series.DB_CONNECTIONS, 0.2, 20), line(series.DB_DEADLOCKS, 0.0))
    report = await report_of(prometheus, Measured(line(series.DB_CONNECTIONS, 0.7), line(series.DB_DEADLOCKS, 9.0)))
    found = {each.metric: (each.value, each.own) for each in report.lines}
    assert found == {series.DB_CONNECTIONS: (0.7, True), series.DB_DEADLOCKS: (0.0, False)}


async def test_what_forge_measured_long_ago_hides_nothing() -> None:
    prometheus = Prometheus(line(series.DB_CONNECTIONS, 0.2, 20))
    (found,) = (await report_of(prometheus, Measured(line(series.DB_CONNECTIONS, 0.7, 10)))).lines
    assert (found.value, found.own, found.trouble) == (None, False, "nothing since 11:40 UTC")


TROUBLES = [
    (Broken(Temporary("prometheus", "unreachable", "prometheus.test can't be reached")), "can't be reached"),
    (Broken(Permanent("prometheus", "garbage", "no JSON", "Look at the proxy")), "no JSON"),
    (None, "forge knows no Prometheus for prod"),
]


@pytest.mark.parametrize(("prometheus", "why"), TROUBLES)
async def test_without_an_answer_of_prometheus_what_forge_measured_is_shown_with_the_reason(
    prometheus: Broken | None, why: str
) -> None:
    report = await report_of(prometheus, Measured(line(series.DB_CONNECTIONS, 0.7)))
    assert why in report.trouble
    assert [(each.metric, each.value, each.own) for each in report.lines] == [(series.DB_CONNECTIONS, 0.7, True)]
    assert (report.missing, bool(report.remedy)) == ((), True)
    assert why in summary(report)
    assert "Shown is what forge measured itself: 1 of its database's metrics" in summary(report)


@pytest.mark.parametrize(("prometheus", "why"), TROUBLES)
async def test_without_an_answer_and_without_a_measured_database_it_is_refused(
    prometheus: Broken | None, why: str
) -> None:
    for measured in (None, Measured(), Measured(line(series.DB_CONNECTIONS, 0.7, 10))):
        answer = await asked(prometheus, measured)
        assert isinstance(answer, Answer)
        assert not answer.ok
        assert why in answer.text


async def test_people_see_which_values_are_forges_own_and_why_there_are_no_others() -> None:
    report = await report_of(TROUBLES[0][0], Measured(line(series.DB_CONNECTIONS, 0.7)))
    in_slack = str(metrics_blocks(report))
    assert in_slack.count(OWN) == 2
    assert "can't be reached. Shown is what forge measured itself." in in_slack
    assert "Targets" not in in_slack
    in_terminal = [each for each in metric_tables(report) if isinstance(each, str)]
    assert "can't be reached. Shown is what forge measured itself." in in_terminal[0]
    assert any(OWN in each for each in in_terminal[1:])
    usual = await report_of(Prometheus(line(series.DB_CONNECTIONS, 0.2)), None)
    assert OWN not in str(metrics_blocks(usual))
    assert "Targets" in str(metrics_blocks(usual))

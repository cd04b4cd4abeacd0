"""`/forge metrics` where Prometheus has no series of a database: what forge measured itself is shown, and nothing of it where it has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from engine.metrics_lookup import Looked, look_up_metrics
from runbook import series
from runbook.policy import Policy, Service, Workload
from runbook.ports import Sample, Series
from runbook.series import Windows, recorded, recorded_as
from runbook.values import Environment

PROD = Environment.PROD
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SHOP = Service("shop", "acme/shop", (Workload("web", "web", "registry.test/web"),), {PROD: "http://shop.test"})


def line(metric: str, value: float) -> Series:
    labels = {"__name__": recorded_as(metric, Windows()), "service": "shop", "env": "prod", "track": "stable"}
    return Series(labels, tuple(Sample(NOW - timedelta(seconds=15 * n), value) for n in range(8, -1, -1)))


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


async def shown(prometheus: Prometheus, measured: Measured | None) -> dict[str, float | None]:
    clock = SimpleNamespace(now=lambda: NOW)
    ports: Any = SimpleNamespace(clock=clock, metrics={PROD: prometheus}, database_metrics=measured)
    looked = await look_up_metrics(ports, Policy(), SHOP, PROD)
    assert isinstance(looked, Looked)
    return {each.metric: each.value for each in looked.report.lines}


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

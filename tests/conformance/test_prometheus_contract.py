"""What forge relies on in Prometheus, or in whatever speaks its query API. Reads only, and needs no series of anybody's."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from integrations.prometheus import PrometheusMetrics
from runbook.errors import Permanent
from tests.conformance.addresses import Addresses

pytestmark = pytest.mark.conformance
MARKED = 'label_replace(vector({value}), "track", "stable", "", "")'


@pytest.fixture
async def metrics(addresses: Addresses) -> AsyncIterator[PrometheusMetrics]:
    token = addresses.get("CONFORMANCE_PROMETHEUS_TOKEN", "")
    made = PrometheusMetrics(addresses["CONFORMANCE_PROMETHEUS_URL"], (lambda: token) if token else None)
    yield made
    await made.aclose()


async def test_an_instant_query_has_one_sample_with_its_time(metrics: PrometheusMetrics) -> None:
    at = datetime.now(UTC).replace(microsecond=250_000) - timedelta(minutes=1)
    [series] = await metrics.query(MARKED.format(value="0.25"), at)
    assert dict(series.labels) == {"track": "stable"}
    assert [(sample.at, sample.value) for sample in series.samples] == [(at, 0.25)]


async def test_without_a_time_prometheus_own_clock_is_near_ours(metrics: PrometheusMetrics) -> None:
    [series] = await metrics.query("time()")
    assert abs(series.samples[0].value - datetime.now(UTC).timestamp()) < 30.0


async def test_a_series_that_isnt_there_is_an_empty_answer(metrics: PrometheusMetrics) -> None:
    assert await metrics.query("forge_conformance_no_such_series") == ()


@pytest.mark.parametrize(
    ("expression", "sign"), [("vector(0) / vector(0)", 0), ("vector(1) / vector(0)", 1), ("vector(-1) / vector(0)", -1)]
)
async def test_nan_and_infinity_come_as_numbers(metrics: PrometheusMetrics, expression: str, sign: int) -> None:
    [series] = await metrics.query(expression)
    value = series.samples[0].value
    assert math.isnan(value) if sign == 0 else value == sign * math.inf


async def test_a_range_has_both_of_its_ends_and_every_step(metrics: PrometheusMetrics) -> None:
    end = datetime.now(UTC).replace(microsecond=0)
    start = end - timedelta(minutes=5)
    [series] = await metrics.query_range("vector(1)", start, end, 15.0)
    assert len(series.samples) == 21
    assert (series.samples[0].at, series.samples[-1].at) == (start, end)


async def test_an_expression_that_cant_be_read_is_refused_with_prometheus_words(metrics: PrometheusMetrics) -> None:
    with pytest.raises(Permanent) as refused:
        await metrics.query("sum(")
    assert "400" in refused.value.cause
    assert "parse" in refused.value.cause


async def test_too_many_points_are_refused(metrics: PrometheusMetrics) -> None:
    end = datetime.now(UTC)
    with pytest.raises(Permanent) as refused:
        await metrics.query_range("vector(1)", end - timedelta(days=2), end, 1.0)
    assert "400" in refused.value.cause

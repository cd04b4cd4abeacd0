"""A real Prometheus that scrapes forge alone, on the shipped rules: `/forge metrics` and the gate's key metrics see the database."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import psycopg
import pytest
from aiohttp import web

from bot.metrics import Meters
from engine.metrics_lookup import Looked, look_up_metrics
from integrations.http_calls import Limits
from integrations.postgres.connection import PostgresConnection
from integrations.postgres.measuring import DatabaseMeasuring
from integrations.prometheus import PrometheusMetrics
from integrations.prometheus.rules import rules_text
from runbook import series
from runbook.metric_report import MetricReport
from runbook.policy import OBSERVED, MetricsPolicy, Policy
from runbook.ports import Ports
from runbook.series import METRICS, Windows
from runbook.steps.key_metrics import KeyMetrics
from runbook.values import Environment
from runbook.verdicts import Outcome
from sandbox.postgres import LocalPostgres
from sandbox.prometheus import LocalPrometheus, Target
from tests.fakes.clock import SimulatedClock
from tests.runbook.fakes import SERVICE, World

pytestmark = pytest.mark.timeout(600)
STAGING = Environment.STAGING
WINDOWS = Windows("10s", "10s", "10s")
POLICY = Policy(metrics=MetricsPolicy(window="10s", baseline="10s", month="10s"))
OF_DATABASES = {name for name, metric in METRICS.items() if metric.section == "database"}
DEADLINE_S = 150.0
PATIENT = Limits(timeout_s=20.0, attempts=2, deadline_s=40.0)
T = TypeVar("T")


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    with LocalPostgres() as running:
        with psycopg.connect(running.url(), autocommit=True) as session:
            session.execute("CREATE ROLE reader LOGIN PASSWORD 'reader-word' IN ROLE pg_monitor")
        yield running


@contextlib.asynccontextmanager
async def measured(server: LocalPostgres) -> AsyncIterator[tuple[DatabaseMeasuring, str]]:
    """What forge measures, and `host:port` of its own `/metrics`."""
    connection = PostgresConnection(str(server.run), "postgres", "reader", "reader-word", server.port, "prefer")
    measuring = DatabaseMeasuring({("shop", STAGING): lambda: connection}, interval_s=0.5)
    meters = Meters()
    meters.show_databases(measuring)

    async def exposition(_: web.Request) -> web.Response:
        body, kind = meters.exposition()
        return web.Response(body=body, headers={"Content-Type": kind})

    app = web.Application()
    app.router.add_get("/metrics", exposition)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    work = asyncio.create_task(measuring.run())
    try:
        yield measuring, f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await runner.cleanup()


def ports_at(now: datetime, metrics: PrometheusMetrics, **more: Any) -> Ports:
    given: Ports = replace(World().ports, clock=SimulatedClock(now), metrics={STAGING: metrics}, **more)
    return given


async def report_of(metrics: PrometheusMetrics, **more: Any) -> MetricReport | None:
    """None as long as there is nothing to show."""
    looked = await look_up_metrics(
        ports_at(datetime.now(UTC), metrics, **more), POLICY, replace(SERVICE, without=()), STAGING
    )
    return looked.report if isinstance(looked, Looked) else None


def shown(report: MetricReport) -> set[str]:
    """Metrics of databases with a value of now, each marked as it came."""
    return {line.metric for line in report.lines if line.section == "database" and line.value is not None}


async def until(look: Callable[[], Awaitable[T | None]], what: str) -> T:
    """What was found: the windows are short, and a machine that stalls for as long finds less at the next look."""
    found = None
    try:
        async with asyncio.timeout(DEADLINE_S):
            while (found := await look()) is None:  # noqa: ASYNC110 - it is of other processes
                await asyncio.sleep(0.2)
    except TimeoutError:
        pytest.fail(f"not within {DEADLINE_S:g} s: {what}")
    return found


async def whole_report_of(metrics: PrometheusMetrics, wanted: set[str], **more: Any) -> MetricReport | None:
    """None as long as one of the wanted metrics isn't in it."""
    report = await report_of(metrics, **more)
    return report if report is not None and shown(report) >= wanted else None


async def test_without_an_exporter_prometheus_records_the_database_from_forges_own_metrics(
    server: LocalPostgres,
) -> None:
    rules = rules_text("10s", "1s", "10s", "10s", beside=("10s", "10s", "10s"))
    async with measured(server) as (_, address):
        prometheus = LocalPrometheus([Target(address)], rules)
        await prometheus.start()
        metrics = PrometheusMetrics(prometheus.url, limits=PATIENT)
        try:
            report = await until(
                partial(whole_report_of, metrics, OF_DATABASES), "every metric of the database is recorded"
            )
            assert not any(line.own for line in report.lines)
            await until(partial(judged, metrics), "the gate judges every one of them")
        finally:
            await metrics.aclose()
            await prometheus.stop()


async def judged(metrics: PrometheusMetrics) -> bool | None:
    """True once the gate's key metrics over the last seconds miss nothing of the database, and all of it keeps its limits."""
    now = datetime.now(UTC)
    facts = {"observed_from": (now - timedelta(seconds=20)).isoformat(), "before_effects_at": (now - timedelta(seconds=30)).isoformat()}  # fmt: skip
    scene = replace(World().scene(facts), ports=ports_at(now, metrics))
    verdicts, _ = await KeyMetrics("shop", WINDOWS, OBSERVED).ask(scene)
    passed = {verdict.gate for verdict in verdicts if verdict.outcome is Outcome.PASS}
    limited = {threshold.name for threshold in OBSERVED if threshold.metric in OF_DATABASES}
    return (limited <= passed and not any(verdict.code == "metrics.no_database" for verdict in verdicts)) or None


async def test_without_any_scraping_forge_shows_what_it_measured_and_says_so(server: LocalPostgres) -> None:
    async with measured(server) as (measuring, _):
        prometheus = LocalPrometheus()
        await prometheus.start()
        metrics = PrometheusMetrics(prometheus.url, limits=PATIENT)
        try:
            wanted = OF_DATABASES - {series.DB_REPLICATION_LAG}
            report = await until(
                partial(whole_report_of, metrics, wanted, database_metrics=measuring), "all of it is measured"
            )
            own = {line.metric for line in report.lines if line.own}
            assert own == shown(report)
            assert report.trouble == ""
        finally:
            await metrics.aclose()
            await prometheus.stop()


async def test_where_prometheus_is_gone_forge_shows_what_it_measured_and_why_nothing_else(
    server: LocalPostgres,
) -> None:
    metrics = PrometheusMetrics("http://127.0.0.1:1", limits=Limits(timeout_s=5.0, attempts=1, deadline_s=5.0))
    async with measured(server) as (measuring, _):
        wanted = {series.DB_CONNECTIONS}
        report = await until(partial(whole_report_of, metrics, wanted, database_metrics=measuring), "it is measured")
    await metrics.aclose()
    assert all(line.own for line in report.lines)
    assert "can't be reached" in report.trouble
    assert report.missing == ()
    assert report.remedy

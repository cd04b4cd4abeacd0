"""Key metrics, dependency time-outs and `/forge metrics` against a real Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engine.answers import Answer
from engine.metrics_lookup import Looked, look_up_metrics
from integrations.http_calls import Limits
from integrations.prometheus import PrometheusMetrics
from runbook import series
from runbook.plan import Scene
from runbook.policy import OBSERVED, Policy
from runbook.ports import Ports
from runbook.rules.key_metrics import asked_metrics
from runbook.series import METRICS, Windows, recorded_as
from runbook.steps.key_metrics import DependencyTimeouts, KeyMetrics
from runbook.values import Environment
from runbook.verdicts import Outcome, Verdict, decided
from sandbox.prometheus import LocalPrometheus
from tests.fakes.clock import SimulatedClock
from tests.runbook.fakes import SERVICE, World

PATIENT = Limits(timeout_s=20.0, attempts=2, deadline_s=40.0)
KEY = KeyMetrics("shop", Windows(), OBSERVED)
DEPENDENCIES = DependencyTimeouts("shop", Windows(), 0.2, 0.001)
GOOD = {series.CORE_SUCCESS: 0.999, series.READINESS_RATIO: 1.0, series.AVAILABILITY: 0.9995, series.MEMORY_BYTES: 5e8}


class Place:
    """A Prometheus with an hour of samples, and the ports of somebody who asks it now."""

    def __init__(self, prometheus: LocalPrometheus, metrics: PrometheusMetrics) -> None:
        self._prometheus = prometheus
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.ports: Ports = replace(
            World().ports, clock=SimulatedClock(self.now), metrics={Environment.STAGING: metrics}
        )

    async def write(self, values: dict[str, float], track: str = "stable") -> None:
        moments = [self.now.timestamp() - 15 * place for place in range(240, -1, -1)]
        labels = {"service": "shop", "env": "staging", "track": track}
        await self._prometheus.write_samples(
            ({"__name__": recorded_as(name, Windows()), **labels}, [(moment, value) for moment in moments])
            for name, value in values.items()
        )

    def scene(self) -> Scene:
        facts = {
            "observed_from": (self.now - timedelta(minutes=30)).isoformat(),
            "before_effects_at": (self.now - timedelta(minutes=45)).isoformat(),
        }
        return replace(World().scene(facts), ports=self.ports)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    prometheus = LocalPrometheus(remote_write=True)
    await prometheus.start()
    metrics = PrometheusMetrics(prometheus.url, limits=PATIENT)
    yield Place(prometheus, metrics)
    await metrics.aclose()
    await prometheus.stop()


def not_passed(verdicts: tuple[Verdict, ...]) -> list[str]:
    return [verdict.code for verdict in verdicts if verdict.outcome is not Outcome.PASS]


async def test_recorded_metrics_are_read_judged_and_shown(place: Place) -> None:
    await place.write({name: GOOD.get(name, 0.0) for name in METRICS})
    await place.write({series.ERROR_RATIO: 0.5}, track="canary")

    verdicts, _ = await KEY.ask(place.scene())
    timeouts, _ = await DEPENDENCIES.ask(place.scene())
    assert not_passed((*verdicts, *timeouts)) == []

    looked = await look_up_metrics(place.ports, Policy(), replace(SERVICE, without=()), Environment.STAGING)
    assert isinstance(looked, Looked)
    assert looked.report.missing == ()
    stable = {line.metric: line.value for line in looked.report.lines if line.track == "stable"}
    assert stable == {name: GOOD.get(name, 0.0) for name in METRICS}
    assert [(line.metric, line.level) for line in looked.report.lines if line.track == "canary"] == [
        (series.ERROR_RATIO, "critical")
    ]
    assert all(None not in line.history for line in looked.report.lines)
    assert looked.chart is not None


async def test_an_empty_prometheus_is_no_data_for_the_gates_and_a_list_of_what_is_missing(place: Place) -> None:
    verdicts, _ = await KEY.ask(place.scene())
    timeouts, _ = await DEPENDENCIES.ask(place.scene())
    assert not_passed((*verdicts, *timeouts)) == ["metrics.absent", "metrics.no_database", "metrics.absent"]
    assert decided(verdicts) is decided(timeouts) is Outcome.NO_DATA
    looked = await look_up_metrics(place.ports, Policy(), SERVICE, Environment.STAGING)
    assert isinstance(looked, Looked)
    assert set(looked.report.missing) == set(METRICS)


async def test_a_quiet_service_lacks_core_transactions_alone(place: Place) -> None:
    silent = (series.CORE_SUCCESS, series.JOB_FAILURE_RATIO, series.DEPENDENCY_TIMEOUTS)
    await place.write({name: GOOD.get(name, 0.0) for name in METRICS if name not in silent})
    verdicts, _ = await KEY.ask(place.scene())
    timeouts, _ = await DEPENDENCIES.ask(place.scene())
    assert not_passed(verdicts) == ["metrics.no_core_transactions", "metrics.idle"]
    assert not_passed(timeouts) == ["metrics.idle"]
    assert decided(timeouts) is Outcome.PASS


async def test_every_bad_value_is_found(place: Place) -> None:
    bad = {threshold.metric: threshold.limit + (0.5 if threshold.above else -0.5) for threshold in OBSERVED}
    bad |= {series.QUEUE_LAG: 9.0, series.QUEUE_LAG_BASELINE: 2.0}
    bad |= {series.DEPENDENCY_TIMEOUTS: 0.05, series.DEPENDENCY_TIMEOUTS_BASELINE: 0.01}
    await place.write({metric.name: 0.0 for metric in asked_metrics(OBSERVED, ())} | bad)
    verdicts, _ = await KEY.ask(place.scene())
    timeouts, _ = await DEPENDENCIES.ask(place.scene())
    failed = {f"key_metrics.{threshold.metric}" for threshold in OBSERVED} | {"key_metrics.queue_lag_seconds"}
    assert set(not_passed(verdicts)) == failed
    assert not_passed(timeouts) == ["dependencies.timeouts"]


async def test_a_prometheus_that_is_gone_is_an_error_for_the_gates_and_an_answer_for_the_caller() -> None:
    metrics = PrometheusMetrics("http://127.0.0.1:1", limits=replace(PATIENT, attempts=1))
    ports = replace(World().ports, metrics={Environment.STAGING: metrics})
    facts = {"observed_from": (ports.clock.now() - timedelta(minutes=30)).isoformat()}
    verdicts, may_pass = await KEY.ask(replace(World().scene(facts), ports=ports))
    assert [(verdict.outcome, verdict.code) for verdict in verdicts] == [(Outcome.ERROR, "prometheus.unreachable")]
    assert may_pass
    answer = await look_up_metrics(ports, Policy(), SERVICE, Environment.STAGING)
    assert isinstance(answer, Answer)
    assert (answer.code, answer.ok) == ("prometheus.unreachable", False)
    await metrics.aclose()

"""What is judged at each weight, and at the end, against a real Prometheus with a roll-out's history."""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from integrations.http_calls import Limits
from integrations.prometheus import PrometheusMetrics
from runbook import series
from runbook.plan import Scene
from runbook.policy import CRITICAL, OBSERVED, WARNING
from runbook.ports import Ports
from runbook.series import Windows, recorded, recorded_as
from runbook.steps import ErrorBudgetBurn, NoSustainedAlert, PhaseErrors, PhaseLatency, PhaseSample, Saturation
from runbook.values import Environment
from runbook.verdicts import Outcome, Verdict, decided
from sandbox.faults import Fault
from sandbox.prometheus import LocalPrometheus, PrometheusFront
from tests.fakes.clock import SimulatedClock
from tests.runbook.fakes import World

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENT = Limits(timeout_s=20.0, attempts=2, deadline_s=40.0, first_wait_s=0.01)
STEP_S, MINUTE_S = 15, 60.0
Told = Callable[[float], float | None]
"""Minutes before now -> the value then; None: no sample."""

SAMPLE = PhaseSample("shop", 5, "1m", 300)
ERRORS = PhaseErrors("shop", 5, "1m", 0.01, 300)
LATENCY = PhaseLatency("shop", 5, "1m", 0.4, 0.2, 300)
BURN = ErrorBudgetBurn("shop", "1h", "5m", 14.4, 0.999)
SATURATION = Saturation("shop", 5, Windows(), OBSERVED)
QUIET = NoSustainedAlert("shop", "1m", WARNING, CRITICAL, 1800.0, 15.0, 900.0)
Check = TypeVar(
    "Check", bound=PhaseSample | PhaseErrors | PhaseLatency | ErrorBudgetBurn | Saturation | NoSustainedAlert
)
_NUMBERS = itertools.count(1)
BOUNDS = (0.1, 0.2, 0.4, 1.0, math.inf)


def always(value: float) -> Told:
    return lambda ago: value


def between(oldest: float, newest: float, value: float, else_: float | None = 0.0) -> Told:
    """The value from so many minutes ago to so many, something else at other times."""
    return lambda ago: value if newest <= ago <= oldest else else_


def scaled(told: Told, by: float) -> Told:
    return lambda ago: (told(ago) or 0.0) * by


class Rollout:
    """Two hours of a service's history in Prometheus, and the run whose weights were accepted so many minutes ago."""

    def __init__(self, prometheus: LocalPrometheus, metrics: PrometheusMetrics) -> None:
        self._prometheus = prometheus
        self.service = f"shop-{next(_NUMBERS)}"
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.ports: Ports = replace(
            World().ports, clock=SimulatedClock(self.now), metrics={Environment.STAGING: metrics}
        )

    def of(self, check: Check) -> Check:
        """The same of this service: each test has one of its own."""
        return replace(check, service=self.service)

    async def write(self, name: str, told: Told, track: str = "canary", **labels: str) -> None:
        """name: as it is recorded."""
        points = []
        for place in range(480, -1, -1):
            value = told(place * STEP_S / MINUTE_S)
            if value is not None:
                points.append((self.now.timestamp() - place * STEP_S, value))
        named = {"__name__": name, "service": self.service, "env": "staging", "track": track, **labels}
        await self._prometheus.write_samples([(named, points)])

    async def traffic(self, rate: float, error_ratio: float = 0.0, track: str = "canary") -> None:
        await self.write("forge:request_rate:1m", always(rate), track)
        await self.write("forge:error_rate:1m", always(rate * error_ratio), track)

    async def latencies(self, shares: tuple[float, ...], track: str = "canary", told: Told | None = None) -> None:
        """shares: of the requests up to each of BOUNDS."""
        rate = told or always(1.0)
        for bound, share in zip(BOUNDS, shares, strict=True):
            le = "+Inf" if math.isinf(bound) else f"{bound:g}"
            await self.write(f"forge:{series.DURATION_BUCKETS}:1m", scaled(rate, share), track, le=le)

    def scene(self, shifted: dict[int, float] | None = None, **facts: Any) -> Scene:
        """shifted: weight -> minutes ago."""
        moments = {5: 10.0} if shifted is None else shifted
        weights = {str(weight): (self.now - timedelta(minutes=ago)).isoformat() for weight, ago in moments.items()}
        return replace(World().scene({"shifted": weights, **facts}), ports=self.ports)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def prometheus() -> AsyncIterator[LocalPrometheus]:
    made = LocalPrometheus(remote_write=True)
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def rollout(prometheus: LocalPrometheus) -> AsyncIterator[Rollout]:
    metrics = PrometheusMetrics(prometheus.url, limits=PATIENT)
    yield Rollout(prometheus, metrics)
    await metrics.aclose()


def codes(verdicts: tuple[Verdict, ...]) -> list[str]:
    return [verdict.code for verdict in verdicts if verdict.outcome is not Outcome.PASS]


async def test_a_healthy_canary_passes_with_its_numbers(rollout: Rollout) -> None:
    await rollout.traffic(2.0, 0.001)
    await rollout.traffic(38.0, 0.001, "stable")
    shares = (0.5, 0.9, 0.99, 1.0, 1.0)
    await rollout.latencies(shares)
    await rollout.latencies(shares, "stable", always(19.0))
    for window in ("5m", "1h"):
        await rollout.write(recorded(series.ERROR_RATIO, window), always(0.001))
    await rollout.write("forge:availability_ratio:30d", always(0.9995), "stable")
    for name, value in ((series.CPU, 0.4), (series.MEMORY, 0.5), (series.OOM_KILLS, 0.0), (series.RESTARTS, 0.0)):
        await rollout.write(recorded_as(name, Windows()), always(value))
    await rollout.write("forge:postgres_connection_ratio:1m", always(0.3), "stable")

    scene = rollout.scene()
    found = {
        check.kind: (await rollout.of(check).ask(scene))[0] for check in (SAMPLE, ERRORS, LATENCY, BURN, SATURATION)
    }
    assert {kind: codes(verdicts) for kind, verdicts in found.items()} == {kind: [] for kind in found}
    assert found["phase_sample"][0].evidence[0].value == 1200
    assert found["phase_errors"][0].evidence[0].value == pytest.approx(0.001)
    assert found["phase_latency"][0].evidence[0].value == pytest.approx(0.2 + 0.2 * 5 / 9, abs=1e-3)
    assert [v.gate for v in found["phase_latency"]] == [
        "API p95 latency at 5 %",
        "API p95 latency against stable at 5 %",
    ]
    burn = found["error_budget_burn"]
    assert [v.gate for v in burn] == ["error budget burn of the canary", "error budget burn of the service as a whole"]
    assert {e.name: e.value for e in burn[0].evidence} == {
        "error ratio over 1h": 0.001, "error ratio over 5m": 0.001, "error budget left this month": 0.5,
    }  # fmt: skip
    assert [v.gate for v in found["saturation"]] == [
        "saturation: CPU utilization", "saturation: memory working set of its limit", "saturation: OOM kills",
        "saturation: container restarts", "saturation: PostgreSQL connection utilization",
    ]  # fmt: skip
    assert (
        await rollout.of(ERRORS).chart(scene) is None is await rollout.of(LATENCY).chart(scene)
    )  # of neither is a ratio or a p95 recorded here

    await rollout.write("forge:error_ratio:1m", always(0.001))
    await rollout.write("forge:error_ratio:1m", always(0.0005), "stable")
    chart = await rollout.of(ERRORS).chart(scene)
    assert chart is not None
    assert [line.name for line in chart.panels[0].lines] == ["canary", "stable"]
    assert 0 < len(chart.panels[0].lines[0].points) <= 300
    assert "canary 0.1 % now" in chart.alt


async def test_a_bad_canary_fails_in_every_way_that_it_is_bad(rollout: Rollout) -> None:
    await rollout.traffic(2.0, 0.2)
    await rollout.traffic(38.0, 0.001, "stable")
    await rollout.latencies((0.1, 0.2, 0.3, 0.9, 1.0))
    await rollout.latencies((0.5, 0.9, 0.99, 1.0, 1.0), "stable", always(19.0))
    for window in ("5m", "1h"):
        await rollout.write(recorded(series.ERROR_RATIO, window), always(0.2))
    for name, value in ((series.CPU, 0.95), (series.MEMORY, 0.97), (series.OOM_KILLS, 1.0), (series.RESTARTS, 1.0)):
        await rollout.write(recorded_as(name, Windows()), always(value))
    await rollout.write("forge:postgres_connection_ratio:1m", always(0.8), "stable")

    scene = rollout.scene()
    assert codes((await rollout.of(ERRORS).ask(scene))[0]) == ["phase.error_ratio"]
    assert codes((await rollout.of(LATENCY).ask(scene))[0]) == ["phase.latency_p95", "phase.latency_over_stable"]
    canary, whole = (await rollout.of(BURN).ask(scene))[0]
    assert (canary.code, whole.outcome) == ("burn.too_fast", Outcome.PASS)
    assert codes((await rollout.of(SATURATION).ask(scene))[0]) == [
        f"key_metrics.{name}" for name in (series.CPU, series.MEMORY, series.OOM_KILLS, series.RESTARTS, series.DB_CONNECTIONS)
    ]  # fmt: skip


async def test_a_burn_of_the_whole_service_is_found_whatever_the_canary_does(rollout: Rollout) -> None:
    await rollout.traffic(2.0)
    await rollout.traffic(38.0, 0.05, "stable")
    for window in ("5m", "1h"):
        await rollout.write(recorded(series.ERROR_RATIO, window), always(0.0))
    canary, whole = (await rollout.of(BURN).ask(rollout.scene()))[0]
    assert (canary.outcome, whole.code) == (Outcome.PASS, "burn.too_fast")
    assert whole.evidence[0].value == pytest.approx(0.0475)


async def test_a_burst_that_is_over_burns_no_more(rollout: Rollout) -> None:
    await rollout.write("forge:error_ratio:1h", always(0.05))
    await rollout.write("forge:error_ratio:5m", always(0.0))
    await rollout.traffic(2.0)
    assert decided((await rollout.of(BURN).ask(rollout.scene()))[0]) is Outcome.PASS


async def test_a_bad_canary_of_an_earlier_run_does_not_speak_for_this_one(rollout: Rollout) -> None:
    for window in ("5m", "1h"):
        await rollout.write(recorded(series.ERROR_RATIO, window), always(0.5))
    await rollout.write("forge:request_rate:1m", always(2.0))
    await rollout.write("forge:error_rate:1m", between(20, 4, 1.0))
    await rollout.traffic(38.0, 0.0, "stable")
    canary, _ = (await rollout.of(BURN).ask(rollout.scene({5: 3})))[0]
    assert canary.outcome is Outcome.PASS
    assert [e.value for e in canary.evidence[:2]] == [0.0, 0.0]
    canary, _ = (await rollout.of(BURN).ask(rollout.scene({5: 6})))[0]
    assert canary.outcome is Outcome.FAIL


async def test_only_requests_since_the_weight_was_accepted_count(rollout: Rollout) -> None:
    await rollout.write("forge:request_rate:1m", between(120, 10.1, 50.0, 0.2))
    await rollout.write("forge:error_rate:1m", between(120, 10.1, 25.0, 0.0))
    verdicts, _ = await rollout.of(SAMPLE).ask(rollout.scene())
    assert codes(verdicts) == ["phase.too_few_requests"]
    assert verdicts[0].evidence[0].value == 120
    assert "180 of 300 are missing, at this rate in 15 min" in verdicts[0].reason
    assert codes((await rollout.of(ERRORS).ask(rollout.scene()))[0]) == ["phase.too_few_requests"]


async def test_at_100_the_canary_is_held_against_what_stable_was_at_the_weights_before(rollout: Rollout) -> None:
    quick, slow = (0.95, 1.0, 1.0, 1.0, 1.0), (0.5, 0.95, 1.0, 1.0, 1.0)
    await rollout.traffic(40.0)
    await rollout.write("forge:request_rate:1m", between(30, 10, 38.0), "stable")
    await rollout.latencies(slow, told=always(40.0))
    await rollout.latencies(quick, "stable", between(30, 10, 38.0))
    check = replace(LATENCY, weight=100)
    verdicts, _ = await rollout.of(check).ask(rollout.scene({5: 30, 25: 20, 100: 10}))
    assert codes(verdicts) == ["phase.latency_over_stable"]
    assert "before it had all of the traffic" in verdicts[1].reason
    assert verdicts[1].evidence[1].value == pytest.approx(0.1)

    alone, _ = await rollout.of(check).ask(rollout.scene({100: 10}))
    assert codes(alone) == ["phase.nothing_beside"]
    assert decided(alone) is Outcome.PASS
    before = (rollout.now - timedelta(minutes=25)).isoformat()
    again, _ = await rollout.of(check).ask(rollout.scene({100: 10}, before_effects_at=before))
    assert codes(again) == ["phase.latency_over_stable"]


async def test_an_empty_prometheus_is_no_data_and_neither_yes_nor_no(rollout: Rollout) -> None:
    scene = rollout.scene({5: 60, 25: 50, 100: 40})
    found = {
        check.kind: (await rollout.of(check).ask(scene))[0]
        for check in (SAMPLE, ERRORS, LATENCY, BURN, SATURATION, QUIET)
    }
    assert {kind: decided(verdicts) for kind, verdicts in found.items()} == dict.fromkeys(found, Outcome.NO_DATA)
    assert codes(found["saturation"]) == ["metrics.absent", "metrics.no_database"]
    assert set(codes(found["no_sustained_alert"])) == {"completion.not_recorded"}


async def test_two_series_and_nan_are_no_data(rollout: Rollout) -> None:
    scene = rollout.scene()
    await rollout.write("forge:request_rate:1m", always(2.0))
    await rollout.write("forge:error_rate:1m", always(math.nan))
    assert codes((await rollout.of(ERRORS).ask(scene))[0]) == ["metrics.nan"]
    for replica in ("a", "b"):
        await rollout.write("forge:request_rate:1m", always(2.0), replica=replica)
    assert codes((await rollout.of(SAMPLE).ask(scene))[0]) == ["metrics.ambiguous"]


async def test_a_prometheus_in_trouble_is_an_error_that_may_pass(prometheus: LocalPrometheus) -> None:
    front = PrometheusFront(prometheus.url)
    await front.start()
    metrics = PrometheusMetrics(front.url, limits=replace(PATIENT, attempts=1))
    rollout = Rollout(prometheus, metrics)
    scene = rollout.scene({5: 60, 25: 50, 100: 40})
    front.faults.add(Fault(status=500, times=-1))
    for check in (SAMPLE, ERRORS, LATENCY, BURN, SATURATION, QUIET):
        verdicts, may_pass = await rollout.of(check).ask(scene)
        assert {v.code for v in verdicts} == {"prometheus.server_error"}, check.kind
        assert (decided(verdicts), may_pass) == (Outcome.ERROR, True)
    assert await rollout.of(ERRORS).chart(scene) is None
    await metrics.aclose()
    await front.stop()


# --- after the full roll-out --------------------------------------------------------------------------------------------

FULL = {5: 60.0, 25: 50.0, 100: 40.0}


async def well(rollout: Rollout, **spoilt: Told) -> Scene:
    """Everything that is asked at the end, healthy unless told otherwise, by the metric's name."""
    values: dict[str, float] = {
        series.REQUEST_RATE: 40.0, series.ERROR_RATIO: 0.001, series.LATENCY_P95: 0.1, series.READINESS_RATIO: 1.0,
        series.OOM_KILLS: 0.0, series.QUEUE_LAG: 1.0,
    }  # fmt: skip
    for name, value in values.items():
        await rollout.write(recorded_as(name, Windows()), spoilt.get(name, always(value)))
    for name in (series.DB_CONNECTIONS, series.DB_REPLICATION_LAG):
        await rollout.write(recorded_as(name, Windows()), spoilt.get(name, always(0.3)), "stable")
    await rollout.write("forge:queue_lag_baseline_seconds:1d", always(5.0), "stable")
    return rollout.scene(FULL, before_effects_at=(rollout.now - timedelta(minutes=70)).isoformat())


async def test_half_an_hour_without_a_sustained_alert_is_quiet(rollout: Rollout) -> None:
    verdicts, _ = await rollout.of(QUIET).ask(await well(rollout))
    assert codes(verdicts) == []
    told = {v.gate.removeprefix("no sustained alert: ") for v in verdicts}
    assert told == {
        "error rate (warning)", "API p95 latency (warning)", "PostgreSQL connection utilization (warning)",
        "error rate (critical)", "API p95 latency (critical)", "readiness success (critical)",
        "PostgreSQL replication lag (critical)", "OOM restart loop (critical)",
        "queue lag above its normal baseline (warning)",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "told", "gate"),
    [
        # in the middle, and over
        (series.ERROR_RATIO, between(20, 9, 0.015), "error rate (warning)"),
        # it began before the full roll-out's last half hour, and ended in its first minute
        (series.ERROR_RATIO, between(42, 29, 0.02), "error rate (warning)"),
        (series.READINESS_RATIO, between(6, 0, 0.5, 1.0), "readiness success (critical)"),
        (series.DB_CONNECTIONS, between(12, 1, 0.9), "PostgreSQL connection utilization (warning)"),
        (series.DB_REPLICATION_LAG, between(12, 6, 90.0), "PostgreSQL replication lag (critical)"),
        (series.QUEUE_LAG, between(17, 1, 9.0), "queue lag above its normal baseline (warning)"),
        (series.OOM_KILLS, between(20, 16, 1.0), "OOM restart loop (critical)"),
    ],
)
async def test_an_alert_that_was_sustained_is_found_though_it_passed(
    rollout: Rollout, metric: str, told: Told, gate: str
) -> None:
    verdicts, _ = await rollout.of(QUIET).ask(await well(rollout, **{metric: told}))
    assert codes(verdicts) == ["completion.sustained"]
    assert next(v.gate for v in verdicts if v.code == "completion.sustained") == f"no sustained alert: {gate}"


async def test_what_did_not_last_and_what_ended_before_is_no_alert(rollout: Rollout) -> None:
    scene = await well(
        rollout,
        **{
            series.ERROR_RATIO: between(19.5, 10.5, 0.015),
            series.LATENCY_P95: between(60, 31, 0.8, 0.1),
            series.QUEUE_LAG: between(14, 1, 9.0),
            series.READINESS_RATIO: between(12, 8, 0.5, 1.0),
        },
    )
    verdicts, _ = await rollout.of(QUIET).ask(scene)
    assert codes(verdicts) == []


@pytest.mark.parametrize(
    ("lost", "told", "expected"),
    [
        (series.READINESS_RATIO, lambda ago: None if 8 < ago < 15 else 1.0, ["completion.gap"]),
        # as short as no alert, with good samples on both sides
        (series.READINESS_RATIO, lambda ago: None if 10 < ago < 13 else 1.0, []),
        # as short, but bad before it
        (series.READINESS_RATIO, lambda ago: None if 10 < ago < 13 else 0.5 if 13 <= ago < 16 else 1.0, ["completion.gap"]),
        (series.ERROR_RATIO, lambda ago: None if ago < 20 else 0.0, ["completion.gap"] * 2),
        (series.READINESS_RATIO, lambda ago: None, ["completion.not_recorded"]),
    ],
)  # fmt: skip
async def test_an_alert_may_have_been_sustained_where_nothing_was_recorded(
    rollout: Rollout, lost: str, told: Told, expected: list[str]
) -> None:
    verdicts, _ = await rollout.of(QUIET).ask(await well(rollout, **{lost: told}))
    assert codes(verdicts) == expected


async def test_a_database_that_nobody_measures_decides_nothing(rollout: Rollout) -> None:
    nothing: Told = lambda ago: None  # noqa: E731
    verdicts, _ = await rollout.of(QUIET).ask(
        await well(rollout, **{series.DB_CONNECTIONS: nothing, series.DB_REPLICATION_LAG: nothing})
    )
    assert codes(verdicts) == ["completion.not_recorded"] * 2
    assert decided(verdicts) is Outcome.PASS


async def test_a_quiet_night_is_told_from_one_that_nobody_recorded(rollout: Rollout) -> None:
    asleep: Told = lambda ago: None if ago < 20 else 0.0  # noqa: E731
    scene = await well(
        rollout, **{series.REQUEST_RATE: between(120, 20, 40.0), series.ERROR_RATIO: asleep, series.LATENCY_P95: asleep}
    )
    assert codes((await rollout.of(QUIET).ask(scene))[0]) == []


async def test_no_traffic_at_all_is_nothing_to_judge_a_release_by(rollout: Rollout) -> None:
    silent: Told = lambda ago: None if ago < 55 else 0.0  # noqa: E731
    scene = await well(
        rollout,
        **{series.REQUEST_RATE: between(120, 55, 40.0), series.ERROR_RATIO: silent, series.LATENCY_P95: silent},
    )
    verdicts, _ = await rollout.of(QUIET).ask(scene)
    assert set(codes(verdicts)) == {"completion.no_traffic"}
    assert decided(verdicts) is Outcome.NO_DATA


async def test_stable_counts_beside_the_canary(rollout: Rollout) -> None:
    scene = await well(rollout)
    await rollout.write("forge:readiness_ratio:1m", between(10, 2, 0.5, 1.0), "stable")
    verdicts, _ = await rollout.of(QUIET).ask(scene)
    assert codes(verdicts) == ["completion.sustained"]
    assert any("on stable" in verdict.reason for verdict in verdicts)


async def test_it_is_too_early_to_be_quiet(rollout: Rollout) -> None:
    verdicts, may_pass = await rollout.of(QUIET).ask(rollout.scene({5: 40, 25: 30, 100: 20}))
    assert codes(verdicts) == ["completion.too_early"]
    assert may_pass
    assert codes((await rollout.of(QUIET).ask(rollout.scene({5: 40})))[0]) == ["phase.not_begun"]

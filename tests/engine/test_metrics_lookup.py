"""`/forge metrics` through the engine: who may ask, what Prometheus is asked, what comes back, and the picture for the caller alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import engine.metrics_lookup as lookup
from engine.answers import Answer, AnswerKind
from engine.metrics_lookup import Looked, look_up_metrics
from engine.records import Outgoing, Received, Sealed
from runbook import series
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.metric_report import STEP_S, MetricReport
from runbook.policy import Policy
from runbook.ports import Ports, Sample, Series
from runbook.series import Windows, recorded_as
from runbook.values import Actor, Environment
from tests.engine.harness import ADA, GUEST, Bench, Series1, bench, setting_for
from tests.fakes.clock import NOON, SimulatedClock

SHOP = setting_for().services["shop"]
TERMINAL = Actor("os:ada", "ada", can_decide=False)


def recorded(metric: str, value: float, at: datetime) -> Series:
    labels = {"__name__": recorded_as(metric, Windows()), "service": "shop", "env": "staging", "track": "stable"}
    return Series(labels, (Sample(at, value),))


def busy(expression: str, at: datetime) -> list[Series]:
    return [recorded(series.REQUEST_RATE, 42.0, at), recorded(series.ERROR_RATIO, 0.002, at)]


@dataclass
class Answering:
    """Fulfils `Metrics` for ranges: an answer, an error, or none in time."""

    answer: Callable[[], tuple[Series, ...]]
    hangs: bool = False
    asked: list[tuple[str, datetime, datetime, float]] = field(default_factory=list)

    async def query(self, expression: str, at: datetime | None = None) -> tuple[Series, ...]:
        return ()

    async def query_range(self, expression: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        self.asked.append((expression, start, end, step_s))
        if self.hangs:
            await asyncio.Event().wait()
        return self.answer()


def ports(metrics: Any) -> Ports:
    nothing: Any = None
    return Ports(
        clock=SimulatedClock(), clusters={}, metrics={Environment.STAGING: metrics}, code=nothing, images=nothing,
        signatures=nothing, probes=nothing, memory=nothing,
    )  # fmt: skip


async def looked(metrics: Answering, environment: Environment = Environment.STAGING) -> Looked | Answer:
    return await look_up_metrics(ports(metrics), Policy(), SHOP, environment)


# --- the look-up alone ------------------------------------------------------------------------------------------------


async def test_one_question_covers_the_last_hour() -> None:
    metrics = Answering(lambda: (recorded(series.REQUEST_RATE, 42.0, NOON),))
    found = await looked(metrics)
    assert isinstance(found, Looked)
    ((expression, start, end, step_s),) = metrics.asked
    assert (start, end, step_s) == (NOON - timedelta(hours=1), NOON, STEP_S)
    assert 'service="shop",env="staging"' in expression
    assert found.chart is not None


@pytest.mark.parametrize(
    "error",
    [
        Temporary("prometheus", "unreachable", "Prometheus (prometheus.test) can't be reached"),
        Permanent("prometheus", "garbage", "no JSON", "Look at the proxy"),
    ],
)
async def test_a_prometheus_in_trouble_is_an_answer_with_a_remedy(error: ForgeError) -> None:
    def fail() -> tuple[Series, ...]:
        raise error

    found = await looked(Answering(fail))
    assert isinstance(found, Answer)
    assert (found.kind, found.code) == (AnswerKind.REFUSED, error.code)
    assert error.cause in found.text
    assert found.remedy


async def test_nobody_waits_longer_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "LONGEST_S", 0.01)
    found = await looked(Answering(tuple, hangs=True))
    assert isinstance(found, Answer)
    assert (found.code, found.ok) == ("metrics.timeout", False)


async def test_an_environment_without_prometheus_names_those_that_have_one() -> None:
    found = await looked(Answering(tuple), Environment.DEV)
    assert isinstance(found, Answer)
    assert found.code == "metrics.not_configured"
    assert "no Prometheus for dev" in found.text
    assert "staging" in found.remedy


async def test_nothing_recorded_is_a_report_that_names_what_is_missing() -> None:
    found = await looked(Answering(tuple))
    assert isinstance(found, Looked)
    assert found.chart is None
    assert series.REQUEST_RATE in found.report.missing
    assert "series missing" in found.answer().text


# --- as the edges ask it ----------------------------------------------------------------------------------------------


async def asked_in_slack(bench: Bench, actor: Actor = ADA, **more: Any) -> Received:
    payload = {"name": "metrics", "environment": "staging", "service": "shop", "actor": actor.id, **more}
    received = await bench.engine.desk.receive(f"key:{payload}", "command", payload)
    assert received is not None
    await bench.clock.run_until(lambda: bench.rows(Received, id=received.id)[0].done_at is not None)
    return received


def pictures(bench: Bench) -> list[Outgoing]:
    return [row for row in bench.rows(Outgoing) if row.subject.startswith("picture:")]


def measured() -> Series1:
    metrics = Series1()
    metrics.value = busy
    return metrics


async def test_the_caller_gets_the_report_and_alone_the_picture(tmp_path: Path) -> None:
    async with bench(tmp_path, metrics=measured()) as made:
        received = await asked_in_slack(made)
        (answer,) = made.rows(Outgoing, subject=f"answer:{received.id}")
        assert "shop in staging" in answer.payload["text"]
        assert "*request rate* *42/s*" in str(answer.payload["blocks"])
        assert [row.subject for row in pictures(made)] == [f"picture:@UADA:metrics:{received.id}"]


async def test_asking_twice_gives_two_pictures_and_a_redelivery_none(tmp_path: Path) -> None:
    async with bench(tmp_path, metrics=measured()) as made:
        first = await asked_in_slack(made)
        assert await made.engine.desk.receive(first.dedup, "command", first.payload) is None
        await asked_in_slack(made, text="again")
        assert len(pictures(made)) == 2


async def test_the_command_line_gets_the_report_without_a_picture(tmp_path: Path) -> None:
    async with bench(tmp_path, metrics=measured()) as made:
        answer = await made.act("metrics", TERMINAL, environment=Environment.STAGING, service="shop")
        assert answer.kind is AnswerKind.INFO
        assert isinstance(answer.view, MetricReport)
        assert pictures(made) == []


async def test_a_guest_sees_nothing_and_prometheus_is_not_asked(tmp_path: Path) -> None:
    async with bench(tmp_path, metrics=measured()) as made:
        answer = await made.act("metrics", GUEST, environment=Environment.STAGING, service="shop")
        assert (answer.kind, answer.view) == (AnswerKind.REFUSED, None)
        assert [entry.action for entry in made.rows(Sealed)][-1] == "refused"


async def test_with_several_services_one_must_be_named_and_it_must_exist(tmp_path: Path) -> None:
    async with bench(tmp_path, metrics=measured()) as made:
        which = await made.act("metrics", ADA, environment=Environment.STAGING)
        unknown = await made.act("metrics", ADA, environment=Environment.STAGING, service="shp")
        assert (which.code, unknown.code) == ("service.which", "service.unknown")
        assert "Did you mean shop?" in unknown.remedy


async def test_asking_changes_nothing_and_leaves_no_entry_in_the_audit_log(tmp_path: Path) -> None:
    async with bench(tmp_path, metrics=measured()) as made:
        before = len(made.rows(Sealed))
        await asked_in_slack(made)
        assert len(made.rows(Sealed)) == before


async def test_what_the_service_does_not_have_is_neither_asked_nor_missing(tmp_path: Path) -> None:
    setting = setting_for()
    services = {name: replace(each, without=("queue_depth",)) for name, each in setting.services.items()}
    async with bench(tmp_path, metrics=measured(), setting=replace(setting, services=services)) as made:
        answer = await made.act("metrics", ADA, environment=Environment.STAGING, service="shop")
        assert "queue_depth" not in answer.view.missing
        assert answer.view.without == ("queue_depth",)

"""What `forge doctor` says of the series that production alone reads, over windows of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import pytest

from bot.checks.findings import Finding, State
from bot.checks.series import check_series
from runbook.ports import Sample, Series
from runbook.series import METRICS, ProdWindows, recorded_beside
from runbook.values import Environment
from tests.fakes.clock import NOON
from tests.runbook.fakes import SERVICE, setting

BESIDE = recorded_beside(ProdWindows())


@dataclass
class Recorded:
    """Fulfils `Metrics`: everything is recorded but what is missing."""

    missing: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)

    async def query(self, expression: str, at: datetime | None = None) -> tuple[Series, ...]:
        self.asked.append(expression)
        if any(name in expression for name in self.missing):
            return ()
        return (Series({"service": "shop"}, (Sample(NOON, 1.0),)),)

    async def query_range(self, expression: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        return ()


async def found(metrics: Recorded, env: Environment, without: tuple[str, ...] = ()) -> list[Finding]:
    urls: Mapping[Environment, str] = dict.fromkeys(Environment, "http://shop")
    service = replace(SERVICE, urls=urls, without=without)
    return [finding async for finding in check_series(env, metrics, setting(service=service))]


async def test_what_production_reads_beside_is_asked_in_production_alone() -> None:
    metrics = Recorded()
    assert [f.state for f in await found(metrics, Environment.PROD)] == [State.OK, State.OK]
    assert {name for name in BESIDE if any(name in query for query in metrics.asked)} == set(BESIDE)
    staging = Recorded()
    await found(staging, Environment.STAGING)
    assert not any(name in query for name in BESIDE for query in staging.asked)


@pytest.mark.parametrize("name", BESIDE)
async def test_rules_that_are_too_old_are_told_with_what_to_do(name: str) -> None:
    findings = await found(Recorded((name,)), Environment.PROD)
    (warned,) = [f for f in findings if f.state is State.WARN]
    assert name in warned.text
    assert "Load what `forge rules` prints again" in warned.remedy


async def test_what_is_missing_with_its_metric_is_told_once() -> None:
    findings = await found(Recorded(("error_ratio",)), Environment.PROD)
    assert [f for f in findings if "5m" in f.text] == []
    assert METRICS["error_ratio"].name in " ".join(f.text for f in findings)


async def test_what_the_service_does_not_have_is_not_missed() -> None:
    findings = await found(Recorded(("forge:request_rate:30s",)), Environment.PROD, without=("request_rate",))
    assert all(f.state is State.OK for f in findings)

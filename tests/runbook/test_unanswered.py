"""Silence says nothing of a version: in production it holds, and only an answer that is wrong rolls back."""

from __future__ import annotations

from typing import Any

import pytest

from runbook.plan import Result
from runbook.policy import HealthPaths, HealthPolicy, SmokeRequest
from runbook.ports import HttpAnswer, HttpRequest
from runbook.rules.unanswered import FAIL, HOLD
from runbook.steps import Observe, SmokeTest
from runbook.verdicts import Outcome
from tests.runbook.fakes import World, well

SMOKE = SmokeRequest(name="order", path="/api/orders")
QUICK = HealthPolicy(window_s=10.0, interval_s=1.0)


def silent(_: HttpRequest, __: float) -> HttpAnswer:
    return HttpAnswer(None, 2.0, error="timed out")


def broken(_: HttpRequest, __: float) -> HttpAnswer:
    return HttpAnswer(503, 0.01)


def partly(request: HttpRequest, at_s: float) -> HttpAnswer:
    return silent(request, at_s) if "ready" in request.url else broken(request, at_s)


def observe(unanswered: str, smoke: tuple[SmokeRequest, ...] = ()) -> Observe:
    return Observe(
        title="Observe", service="shop", base_url="http://shop", duration_s=30.0, health=HealthPaths(), acceptance=QUICK,
        smoke=smoke, smoke_every_s=5.0, unanswered=unanswered,
    )  # fmt: skip


async def outcome(step: Any, answer: Any) -> Result:
    world = World()
    world.probes.respond = answer
    result: Result = await world.finish(step.perform(world.scene()))
    return result


@pytest.mark.parametrize(
    ("answer", "unanswered", "expected"),
    [
        (silent, HOLD, Outcome.ERROR),
        (silent, FAIL, Outcome.FAIL),
        (broken, HOLD, Outcome.FAIL),
        (partly, HOLD, Outcome.FAIL),
        (well, HOLD, Outcome.PASS),
    ],
)
@pytest.mark.parametrize("smoke", [(), (SMOKE,)])
async def test_an_observation_that_nobody_answers_holds_in_production(
    answer: Any, unanswered: str, expected: Outcome, smoke: tuple[SmokeRequest, ...]
) -> None:
    result = await outcome(observe(unanswered, smoke), answer)
    assert result.outcome is expected, [v.reason for v in result.verdicts]


@pytest.mark.parametrize(
    ("answer", "unanswered", "expected"),
    [
        (silent, HOLD, Outcome.ERROR),
        (silent, FAIL, Outcome.FAIL),
        (broken, HOLD, Outcome.FAIL),
        (well, HOLD, Outcome.PASS),
    ],
)
async def test_journeys_that_nobody_answers_hold_in_production(answer: Any, unanswered: str, expected: Outcome) -> None:
    step = SmokeTest(title="Journeys", service="shop", base_url="http://shop", requests=(SMOKE,), unanswered=unanswered)
    assert (await outcome(step, answer)).outcome is expected


async def test_it_says_that_silence_proves_nothing_and_what_to_look_at() -> None:
    [verdict, *_] = (await outcome(observe(HOLD), silent)).verdicts
    assert verdict.code == "health.unreachable"
    assert "says nothing of the version" in verdict.reason
    assert "roll back by hand" in verdict.remedy

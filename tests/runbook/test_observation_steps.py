"""Smoke tests and the observation: hours of probes in milliseconds."""

import asyncio
import json
import math
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from runbook.errors import Permanent
from runbook.plan import Result
from runbook.policy import HealthPaths, HealthPolicy, SmokeRequest
from runbook.ports import HttpAnswer, HttpRequest
from runbook.steps import Observe, SmokeTest
from runbook.steps.requests import health_requests
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON
from tests.runbook.fakes import SERVICE, World, well

OBSERVE = Observe(
    title="Observe", service="shop", base_url="http://shop/", duration_s=1800, health=HealthPaths(),
    acceptance=HealthPolicy(), smoke=SERVICE.smoke, smoke_every_s=30,
)  # fmt: skip
SMOKE = SmokeTest(
    title="Smoke",
    service="shop",
    base_url="http://shop",
    requests=(*health_requests(HealthPaths(), 2.0), *SERVICE.smoke),
)


@pytest.fixture
def world() -> World:
    return World()


def elapsed(world: World) -> float:
    return (world.clock.now() - NOON).total_seconds()


async def observed(world: World, step: Observe = OBSERVE, progress: object = None) -> Result:
    result: Result = await world.finish(step.perform(world.scene(progress=progress)))
    return result


async def test_every_smoke_request_speaks_and_carries_its_token_s_name(world: World) -> None:
    result = await world.finish(SMOKE.perform(world.scene()))
    assert [v.gate for v in result.verdicts] == [
        "smoke: liveness",
        "smoke: readiness",
        "smoke: startup",
        "smoke: order",
    ]
    assert result.outcome is Outcome.PASS
    assert next(r for _, r in world.probes.sent if r.url.endswith("/api/orders")).token == "shop-token"


async def test_a_smoke_request_is_sent_until_it_is_answered_as_expected(world: World) -> None:
    world.probes.respond = lambda r, s: HttpAnswer(503, 0.01) if s < 2 and "ready" in r.url else well(r, s)
    assert (await world.finish(SMOKE.perform(world.scene()))).outcome is Outcome.PASS
    assert len(world.probes.paths("/health/ready")) == 2
    assert len(world.probes.paths("/health/live")) == 1


async def test_a_smoke_request_that_stays_wrong_fails_after_its_attempts_beside_the_others(world: World) -> None:
    world.probes.respond = lambda r, s: HttpAnswer(500, 0.01, "boom") if "orders" in r.url else well(r, s)
    result = await world.finish(SMOKE.perform(world.scene()))
    assert [v.outcome for v in result.verdicts] == [Outcome.PASS] * 3 + [Outcome.FAIL]
    assert len(world.probes.paths("/api/orders")) == 3


async def test_a_smoke_request_s_verdict_says_which_address_was_asked(world: World) -> None:
    result = await world.finish(SMOKE.perform(world.scene()))
    assert all(v.reason.endswith(", at http://shop") for v in result.verdicts)


async def test_where_the_canary_has_an_address_journeys_are_sent_there_too_and_judged_by_themselves(
    world: World,
) -> None:
    step = replace(SMOKE, canary_url="http://canary.shop")
    assert (await world.finish(step.perform(world.scene()))).outcome is Outcome.PASS
    asked = Counter(request.url for _, request in world.probes.sent)
    assert asked["http://canary.shop/api/orders"] == asked["http://shop/api/orders"] == 1
    assert asked["http://canary.shop/health/ready"] == 1

    world.probes.respond = lambda r, s: HttpAnswer(500, 0.01) if r.url.startswith("http://canary") else well(r, s)
    result = await world.finish(step.perform(world.scene()))
    failed = [verdict for verdict in result.verdicts if verdict.outcome is Outcome.FAIL]
    assert [verdict.gate for verdict in failed][-1] == "smoke: order of the canary"
    assert (len(failed), failed[-1].reason) == (4, "POST /api/orders answered 500, expected 200, at http://canary.shop")


async def test_a_token_that_is_not_configured_is_our_error_and_hides_nothing(world: World) -> None:
    def respond(request: HttpRequest, at_s: float) -> HttpAnswer:
        if request.token:
            raise Permanent("http", "no_token", "the service shop has no secret named shop-token", "Configure it")
        return well(request, at_s)

    world.probes.respond = respond
    result = await world.finish(SMOKE.perform(world.scene()))
    assert [v.outcome for v in result.verdicts] == [Outcome.PASS] * 3 + [Outcome.ERROR]


async def test_a_good_half_hour_probes_each_target_every_second_and_repeats_the_smoke_requests(world: World) -> None:
    result = await observed(world)
    assert result.outcome is Outcome.PASS
    assert len(world.probes.paths("/health/live")) == len(world.probes.paths("/health/ready")) == 1800
    assert len(world.probes.paths("/api/orders")) == 60
    assert elapsed(world) == 1800
    assert result.facts == {"observed_from": NOON.isoformat(), "observed_to": world.clock.now().isoformat()}
    assert {e.name for v in result.verdicts for e in v.evidence} >= {
        "health success",
        "health p95",
        "probes",
        "requests sent",
    }


async def test_the_schedule_does_not_drift_however_long_an_answer_takes(world: World) -> None:
    world.probes.respond = lambda r, s: HttpAnswer(200, 0.2, '{"ok": true}')
    await observed(world)
    assert world.probes.paths("/health/live") == [NOON + timedelta(seconds=i) for i in range(1800)]


async def test_a_certain_breach_fails_at_once(world: World) -> None:
    world.probes.respond = lambda r, s: HttpAnswer(503, 0.01) if "ready" in r.url and s >= 100 else well(r, s)
    result = await observed(world)
    assert (result.outcome, result.verdicts[0].code) == (Outcome.FAIL, "health.success_ratio")
    assert elapsed(world) == 104
    assert result.facts["observed_from"] == NOON.isoformat()


async def test_slow_health_answers_fail(world: World) -> None:
    world.probes.respond = lambda r, s: HttpAnswer(200, 0.3 if "live" in r.url else 0.01, '{"ok": true}')
    result = await observed(world)
    assert result.verdicts[0].code == "health.latency_p95"
    assert elapsed(world) < 20


async def test_a_target_that_hangs_is_asked_on_but_requests_never_pile_up(world: World) -> None:
    world.probes.respond = lambda r, s: HttpAnswer(None, math.inf) if "ready" in r.url else well(r, s)
    result = await observed(world)
    assert result.outcome is Outcome.FAIL
    assert elapsed(world) < 12
    assert world.probes.most_open <= 6
    assert world.probes.open == 0


async def test_a_port_that_breaks_its_time_out_is_given_up_and_left_with_nothing_open(world: World) -> None:
    world.probes.respond = lambda r, s: HttpAnswer(None, math.inf) if "ready" in r.url else well(r, s)
    world.probes.honours_timeout = False
    assert (await observed(world)).outcome is Outcome.FAIL
    assert elapsed(world) < 15
    assert world.probes.open == 0


async def test_one_failing_smoke_round_is_a_blip(world: World) -> None:
    world.probes.respond = lambda r, s: HttpAnswer(500, 0.01) if "orders" in r.url and 60 <= s < 61 else well(r, s)
    result = await observed(world)
    assert result.outcome is Outcome.PASS
    assert "59 of 60 rounds" in result.verdicts[-1].reason


async def test_two_failing_smoke_rounds_in_a_row_fail(world: World) -> None:
    world.probes.respond = lambda r, s: HttpAnswer(500, 0.01) if "orders" in r.url and s >= 60 else well(r, s)
    result = await observed(world)
    assert [v.code for v in result.verdicts] == ["smoke.repeated", "smoke.status"]
    assert 90 <= elapsed(world) <= 92


async def test_a_last_round_that_fails_is_repeated_at_once_before_anything_is_said(world: World) -> None:
    world.probes.respond = lambda r, s: HttpAnswer(500, 0.01) if "orders" in r.url and s >= 1770 else well(r, s)
    assert (await observed(world)).verdicts[0].code == "smoke.repeated"
    world = World()
    world.probes.respond = lambda r, s: HttpAnswer(500, 0.01) if "orders" in r.url and 1770 <= s < 1799 else well(r, s)
    assert (await observed(world)).outcome is Outcome.PASS


async def test_paused_time_does_not_count(world: World) -> None:
    task = asyncio.ensure_future(OBSERVE.perform(world.scene()))
    await world.clock.advance(600)
    world.paused = True
    await world.clock.advance(900)
    sent = len(world.probes.sent)
    await world.clock.advance(60)
    assert len(world.probes.sent) == sent
    world.paused = False
    result = await world.finish(task)
    assert result.outcome is Outcome.PASS
    assert len(world.probes.paths("/health/live")) == 1800
    assert elapsed(world) >= 1800 + 960 - 1


async def test_a_short_observation_is_judged_over_itself(world: World) -> None:
    short = Observe(
        title="Observe", service="shop", base_url="http://shop", duration_s=20, health=HealthPaths(),
        acceptance=HealthPolicy(), smoke=(SmokeRequest(name="order", path="/api/orders", token="t"),), smoke_every_s=5,
    )  # fmt: skip
    assert (await observed(world, short)).outcome is Outcome.PASS
    assert len(world.probes.paths("/api/orders")) == 4
    assert elapsed(world) == 20


@pytest.mark.parametrize("killed_after_s", [0.0, 0.005, 1.0, 299.5, 300.0, 1200.7, 1799.9])
async def test_after_a_kill_the_observation_goes_on_with_nothing_lost_or_repeated(
    world: World, killed_after_s: float
) -> None:
    task = asyncio.ensure_future(OBSERVE.perform(world.scene()))
    await world.clock.advance(killed_after_s)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert world.probes.open == 0
    kept = json.loads(json.dumps(world.saved[-1]))
    before = Counter(request.url for _, request in world.probes.sent)
    await world.clock.advance(600)  # down

    result = await observed(world, progress=kept)
    assert result.outcome is Outcome.PASS
    assert result.facts["observed_from"] == NOON.isoformat()
    after = Counter(request.url for _, request in world.probes.sent)
    judged = {e.name: e.value for e in result.verdicts[0].evidence}
    assert judged["probes"] == 1800
    # What was under way at the kill is asked again, and nothing else.
    assert all(after[url] - before[url] <= 1800 - before[url] + 1 for url in after if "health" in url)
    assert 60 <= after["http://shop/api/orders"] <= 61


async def test_failures_before_a_kill_count_after_it(world: World) -> None:
    world.probes.respond = lambda r, s: HttpAnswer(503, 0.01) if "ready" in r.url and s < 3 else well(r, s)
    task = asyncio.ensure_future(OBSERVE.perform(world.scene()))
    await world.clock.advance(50)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    failing_again = elapsed(world) + 1
    world.probes.respond = lambda r, s: HttpAnswer(503, 0.01) if "ready" in r.url and s < failing_again else well(r, s)
    result = await observed(world, progress=world.saved[-1])
    assert result.verdicts[0].code == "health.success_ratio"


async def test_progress_is_saved_before_the_first_probe_and_about_once_a_second(world: World) -> None:
    result = await observed(world)
    assert result.outcome is Outcome.PASS
    assert world.saved[0]["ticks"] == 0
    assert 1800 <= len(world.saved) <= 1802
    assert max(len(json.dumps(progress)) for progress in world.saved) < 8000


async def test_the_headline_is_told_seldom(world: World) -> None:
    await observed(world)
    assert len(world.said) <= 1800 / 15 + 2
    assert "observed 15 min of 30 min; 0 of 1800 health probes failed" in world.said


async def test_where_the_canary_has_an_address_it_is_asked_there_too_and_judged_by_itself(world: World) -> None:
    step = replace(OBSERVE, duration_s=20, canary_url="http://canary.shop")
    assert (await observed(world, step)).outcome is Outcome.PASS
    asked = Counter(request.url for _, request in world.probes.sent)
    assert asked["http://canary.shop/health/ready"] == asked["http://shop/health/ready"] == 20
    assert asked["http://canary.shop/api/orders"] == asked["http://shop/api/orders"] > 0

    world.probes.respond = lambda r, s: HttpAnswer(503, 0.01) if "canary" in r.url and "ready" in r.url else well(r, s)
    result = await observed(world, step)
    assert [(v.gate, v.code) for v in result.verdicts] == [
        ("health acceptance of /health/ready of the canary", "health.success_ratio")
    ]

"""The load as a step: what it is told, what it records, and that a load which didn't end well proves nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from runbook.errors import Permanent, StoreUnavailable, Temporary
from runbook.plan import Result
from runbook.values import Environment
from runbook.verdicts import Outcome
from tests.runbook.fake_jobs import JobLife
from tests.runbook.fakes import World
from tests.runbook.job_stories import ENDLESS, measure

GOOD = {"latency_ms": {"p50": 100, "p95": 380, "p99": 700}, "throughput_per_s": 99.0, "requests": 6000, "failed": 0}


@pytest.fixture
def world() -> World:
    return World()


async def result_of(world: World, data: Any, exit_code: int = 0, **changes: Any) -> Result:
    output = data if isinstance(data, str) else f"running\n{json.dumps(data)}\n"
    world.cluster.lives = lambda _: replace(JobLife(output=output, exit_code=exit_code), **changes)
    result: Result = await world.finish(measure().perform(world.scene()))
    return result


async def test_the_load_is_told_its_profile_and_target(world: World) -> None:
    await result_of(world, GOOD)
    env = world.cluster.created[0].env
    assert (env["FORGE_LOAD_RATE"], env["FORGE_LOAD_DURATION"], env["FORGE_TARGET_URL"]) == (
        "100",
        "60",
        "http://shop.staging",
    )


async def test_what_was_measured_is_kept_and_drawn_beside_the_last_go(world: World) -> None:
    world.memory.performance = {"p95_s": 0.36, "throughput": 101.0}
    result = await result_of(world, GOOD)
    fact = result.facts["performance"]
    assert result.outcome is Outcome.PASS
    assert (fact["outcome"], fact["p95_s"], fact["throughput"], fact["requests"]) == ("pass", 0.38, 99.0, 6000)
    (chart,) = result.charts
    assert chart.panels[0].bars[1].previous == 0.36


async def test_the_last_go_is_no_gate(world: World) -> None:
    """Ten times slower than the last go, and within the target."""
    world.memory.performance = {"p95_s": 0.038, "throughput": 1000.0}
    assert (await result_of(world, GOOD)).outcome is Outcome.PASS


async def test_the_first_release_of_a_service_has_nothing_to_be_compared_with(world: World) -> None:
    result = await result_of(world, GOOD)
    assert result.outcome is Outcome.PASS
    assert result.charts[0].panels[0].bars[1].previous is None


@pytest.mark.parametrize("error", [Temporary("store", "busy", "locked"), StoreUnavailable("full", "disk full")])
async def test_a_memory_that_can_not_be_read_changes_no_result(world: World, error: Exception) -> None:
    async def fails(service: str, environment: Environment) -> None:
        raise error

    world.memory.last_performance = fails  # type: ignore[method-assign]
    assert (await result_of(world, GOOD)).outcome is Outcome.PASS


async def test_too_slow_fails_and_is_drawn_all_the_same(world: World) -> None:
    result = await result_of(world, {**GOOD, "latency_ms": {"p50": 100, "p95": 900, "p99": 950}})
    assert result.verdicts[0].code == "performance.worse"
    assert result.facts["performance"]["outcome"] == "fail"
    assert len(result.charts) == 1


@pytest.mark.parametrize("output", ["", "garbage {", '{"latency_ms": {"p50": NaN}}', "\ufffd\x00" * 500])
async def test_garbage_is_no_data_and_nothing_is_measured(world: World, output: str) -> None:
    result = await result_of(world, output)
    assert (result.outcome, result.verdicts[0].code) == (Outcome.NO_DATA, "performance.unreadable")
    assert "p95_s" not in result.facts["performance"]
    assert result.charts == ()


async def test_good_numbers_of_a_load_that_failed_prove_nothing(world: World) -> None:
    result = await result_of(world, GOOD, exit_code=99)
    assert (result.outcome, result.verdicts[0].code) == (Outcome.FAIL, "job.failed")
    assert any(e.name == "p95" and e.value == 0.38 for e in result.verdicts[0].evidence)


async def test_a_load_that_failed_by_its_own_limits_says_what_is_too_slow(world: World) -> None:
    result = await result_of(world, {**GOOD, "throughput_per_s": 10.0}, exit_code=99)
    assert "throughput 10/s (target 100/s)" in result.verdicts[0].reason


async def test_a_load_that_hangs_is_a_time_out(world: World) -> None:
    world.cluster.lives = lambda _: replace(ENDLESS, output=json.dumps(GOOD))
    result = await world.finish(measure().perform(world.scene()))
    assert result.verdicts[0].code == "job.timeout"


async def test_a_log_that_can_not_be_read_is_no_data(world: World) -> None:
    world.cluster.errors["job_log"] = [Permanent("kubernetes", "forbidden", "pods/log is forbidden")]
    result = await result_of(world, GOOD)
    assert result.outcome is Outcome.NO_DATA
    assert "pods/log is forbidden" in result.verdicts[0].reason


async def test_a_log_that_broke_off_before_its_end_is_no_data(world: World) -> None:
    """What looks like a summary in its middle needn't be the last one."""
    result = await result_of(world, GOOD, complete_log=False)
    assert result.outcome is Outcome.NO_DATA


async def test_a_deleted_load_is_an_error(world: World) -> None:
    world.cluster.lives = lambda _: replace(ENDLESS, vanishes_after_s=10)
    result = await world.finish(measure().perform(world.scene()))
    assert (result.outcome, result.verdicts[0].code) == (Outcome.ERROR, "job.gone")

"""Test suites: exit code and reported tests together decide, and neither alone when they contradict each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runbook.plan import Result
from runbook.verdicts import Outcome, Verdict
from tests.runbook.fake_jobs import JobLife
from tests.runbook.fakes import World
from tests.runbook.job_stories import ENDLESS, suite

GOOD = (
    '<testsuite time="3"><testcase name="a"/><testcase name="b"/><testcase name="c"><skipped/></testcase></testsuite>\n'
)
BAD = '<testsuite><testcase name="pays"><failure message="402"/></testcase><testcase name="b"/></testsuite>\n'
CUT = GOOD[:60]


@pytest.fixture
def world() -> World:
    return World()


async def result_of(world: World, output: str, exit_code: int | None = 0, **changes: object) -> Result:
    life = JobLife(output=output, exit_code=exit_code)
    world.cluster.lives = lambda _: replace(life, **changes)  # type: ignore[arg-type]
    result: Result = await world.finish(suite().perform(world.scene()))
    return result


async def verdict_of(world: World, output: str, exit_code: int | None = 0, **changes: object) -> Verdict:
    return (await result_of(world, output, exit_code, **changes)).verdicts[0]


async def test_a_suite_whose_tests_pass_is_counted_and_kept(world: World) -> None:
    result = await result_of(world, "collecting\n" + GOOD)
    (verdict,) = result.verdicts
    assert (verdict.outcome, verdict.reason) == (Outcome.PASS, "2 tests passed, 1 skipped in 5 s")
    fact = result.facts["suite:api"]
    assert fact == {
        "name": "api", "kind": "integration", "outcome": "pass", "tests": 3, "failures": 0, "errors": 0, "skipped": 1,
        "duration_s": 5.0, "finished_at": fact["finished_at"],
    }  # fmt: skip


async def test_an_exit_code_of_zero_does_not_outweigh_a_failed_test(world: World) -> None:
    verdict = await verdict_of(world, BAD)
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "suite.failed")
    assert verdict.reason == "1 of 2 tests failed, though it exited with code 0: pays"
    assert any(e.name == "failed test" and e.value == "pays: 402" for e in verdict.evidence)


async def test_an_exit_code_of_zero_without_a_single_test_is_no_pass(world: World) -> None:
    verdict = await verdict_of(world, "<testsuite/>")
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "suite.empty")


async def test_a_suite_that_skipped_everything_is_no_pass(world: World) -> None:
    verdict = await verdict_of(world, '<testsuite><testcase name="a"><skipped/></testcase></testsuite>')
    assert (verdict.code, verdict.reason) == ("suite.empty", "all 1 tests were skipped")


async def test_tests_that_all_pass_do_not_outweigh_the_exit_code(world: World) -> None:
    verdict = await verdict_of(world, GOOD, exit_code=3)
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "job.failed")
    assert "none of its tests is reported as failed" in verdict.reason


@pytest.mark.parametrize(("exit_code", "outcome"), [(0, Outcome.PASS), (1, Outcome.FAIL)])
async def test_without_a_report_the_exit_code_decides(world: World, exit_code: int, outcome: Outcome) -> None:
    result = await result_of(world, "12 checks\n", exit_code)
    assert result.outcome is outcome
    assert result.facts["suite:api"]["tests"] is None


@pytest.mark.parametrize(("exit_code", "outcome"), [(0, Outcome.PASS), (1, Outcome.FAIL)])
async def test_with_a_report_that_is_cut_off_the_exit_code_decides_and_it_is_said(
    world: World, exit_code: int, outcome: Outcome
) -> None:
    verdict = await verdict_of(world, CUT, exit_code)
    assert verdict.outcome is outcome
    assert "cut off or unreadable in part" in verdict.reason


async def test_a_failure_in_a_report_that_is_cut_off_counts(world: World) -> None:
    assert (await verdict_of(world, BAD + CUT)).code == "suite.failed"


async def test_a_log_that_broke_off_makes_its_report_a_part(world: World) -> None:
    verdict = await verdict_of(world, GOOD, complete_log=False)
    assert verdict.outcome is Outcome.PASS
    assert "so the exit code decides; of the tests that it shows, 2 passed" in verdict.reason


async def test_the_report_at_the_end_of_fifty_megabytes_is_found(world: World) -> None:
    """The port keeps the end alone; here a small end of a long output."""
    world.cluster.lives = lambda _: JobLife(output="noise noise noise\n" * 100_000 + GOOD)
    result = await world.finish(suite(log_tail_bytes=20_000).perform(world.scene()))
    assert result.verdicts[0].reason.startswith("2 tests passed")


async def test_failed_tests_do_not_hide_that_memory_ran_out(world: World) -> None:
    verdict = await verdict_of(world, BAD, exit_code=137, reason="OOMKilled")
    assert verdict.code == "job.oom"
    assert any(e.name == "failed test" for e in verdict.evidence)


async def test_a_suite_that_hangs_fails_though_its_tests_passed(world: World) -> None:
    world.cluster.lives = lambda _: replace(ENDLESS, output=GOOD)
    result = await world.finish(suite().perform(world.scene()))
    assert result.verdicts[0].code == "job.timeout"
    assert result.facts["suite:api"]["outcome"] == "fail"


@pytest.mark.parametrize(
    "output", ["\x00\xff\ufffd" * 1000, "<testsuite" * 50, "<a>" * 1000, "]]>&&&<testsuite>&nope;"]
)
async def test_garbage_never_breaks_the_step(world: World, output: str) -> None:
    assert (await result_of(world, output, exit_code=2)).outcome is Outcome.FAIL


async def test_many_failures_are_named_in_part(world: World) -> None:
    cases = "".join(f'<testcase name="t{i}"><failure/></testcase>' for i in range(30))
    verdict = await verdict_of(world, f"<testsuite>{cases}</testsuite>", exit_code=1)
    assert verdict.reason == "30 of 30 tests failed: t0, t1, t2 and 27 more"
    assert sum(e.name == "failed test" for e in verdict.evidence) == 10


async def test_the_reason_quotes_the_last_line_in_words(world: World) -> None:
    verdict = await verdict_of(world, "Killed by the database\n" + GOOD + "\n}\n", exit_code=3)
    assert "its last line: Killed by the database" in verdict.reason


async def test_megabytes_of_results_are_read_beside_the_event_loop(world: World) -> None:
    cases = '<testcase classname="tests.api.orders" name="test_number" time="0.01"/>\n' * 5_000
    verdict = await verdict_of(world, f"<testsuite>{cases}</testsuite>")
    assert verdict.reason.startswith("5000 tests passed")

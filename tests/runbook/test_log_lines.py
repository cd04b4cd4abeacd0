"""Which lines of a log must not be there, in time that is linear in a line whatever the pattern; and the check that reads the pods' logs."""

import asyncio
from datetime import timedelta

import pytest

from runbook.errors import ForgeError, Permanent, Temporary
from runbook.policy import DevPolicy
from runbook.ports import JobLog, PodOfWorkload
from runbook.rules.log_lines import LONGEST_LINE, LogSight, Match, check_pattern, judge_logs, matching_lines, quoted
from runbook.steps import CleanLogs, Gate
from runbook.verdicts import Outcome, Verdict
from tests.fakes.clock import NOON
from tests.runbook.dev_stories import DEV_SERVICE, DevWorld

PATTERNS = DevPolicy().log_patterns
CHECK = CleanLogs(DEV_SERVICE.workloads[:1], PATTERNS, 4096, 0)
BEGUN = NOON - timedelta(minutes=16)
FACTS = {"before_effects_at": BEGUN.isoformat()}


def found(text: str, *patterns: str) -> list[str]:
    return [match.line for match in matching_lines("web-1/app", text, patterns or PATTERNS)]


# --- patterns -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "2026-03-02 FATAL: password authentication failed",
        "PANIC: could not write",
        "Traceback (most recent call last):",
        "java.lang.OutOfMemoryError: Java heap space",
    ],
)
def test_the_runbooks_patterns_find_what_must_not_be_there(line: str) -> None:
    assert found(f"started\n{line}\r\nserving\n") == [line]


@pytest.mark.parametrize("line", ["started", "a fatality", "no traceback", "FATALITY", ""])
def test_a_harmless_line_is_let_through(line: str) -> None:
    assert found(f"{line}\n") == []


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(a|aa)+$", r"(.*a){20}x", r"^(\w+\s?)*$!"])
def test_an_evil_pattern_ends(pattern: str) -> None:
    assert check_pattern(pattern) == ""
    assert found("a" * 4000 + "!\n", pattern) == []


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(", "unclosed group"),
        (r"(?=x)", "look-around"),
        (r"(a)\1", "backreferences"),
        (r"(x{1000}){1000}", "size limit"),
        ("", "1 to 500 characters"),
        ("a" * 501, "1 to 500 characters"),
        (".*", "every line"),
        ("x?", "every line"),
    ],
)
def test_a_pattern_that_cant_be_used_says_why(pattern: str, words: str) -> None:
    assert words in check_pattern(pattern)


def test_of_a_long_line_only_the_beginning_is_looked_at() -> None:
    assert found("x" * LONGEST_LINE + " FATAL\n") == []
    assert [len(line) for line in found("FATAL " + "x" * 100_000)] == [LONGEST_LINE]


# --- what people see -----------------------------------------------------------------------------------------------------


def test_a_quoted_line_holds_no_secret_and_no_control_characters() -> None:
    line = "FATAL \x1b[31mpostgres://shop:hunter2@db/shop token=abc123 Bearer eyJhbGciOiJIUzI1NiJ9.e30.x" + "y" * 500
    shown = quoted(Match("web-1/app", "FATAL", line))
    assert "hunter2" not in shown
    assert "abc123" not in shown
    assert "eyJ" not in shown
    assert shown.isprintable()
    assert len(shown) <= 200


def judged(matches: int = 0, tolerated: int = 0, **more: object) -> Verdict:
    lines = tuple(Match("web-1/app", "FATAL", f"FATAL {number} password=secret{number}") for number in range(matches))
    given = {"workload": "web", "pods": 2, "size_bytes": 2048, "lines": 40, "matches": lines} | more
    return judge_logs(LogSight(**given), tolerated)  # type: ignore[arg-type]


def test_the_offending_line_is_quoted_with_its_pod() -> None:
    verdict = judged(7)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason == "web-1/app says “FATAL 0 password=***”, and 6 more"
    assert [each.name for each in verdict.evidence] == ["matching lines", *["FATAL"] * 5]
    assert "secret" not in str(verdict)


def test_as_many_as_are_tolerated_pass() -> None:
    assert judged(2, 2).outcome is Outcome.PASS
    assert judged(3, 2).outcome is Outcome.FAIL


def test_clean_logs_say_how_much_was_read() -> None:
    verdict = judged(cut=True)
    assert verdict.reason == "40 lines (2.05 kB) of 2 pods were read, the ends of the logs: no line matches"


def test_what_could_not_be_read_is_unknown_unless_enough_was_found() -> None:
    assert judged(missing=("web-2/app has none now",)).outcome is Outcome.NO_DATA
    assert judged(1, missing=("web-2/app has none now",)).outcome is Outcome.FAIL
    assert judged(pods=0).code == "logs.no_pods"


# --- the check ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def world() -> DevWorld:
    return DevWorld()


async def asked(world: DevWorld, check: CleanLogs = CHECK) -> Verdict:
    ((verdict,), _) = await world.finish(check.ask(world.scene(FACTS)))
    return verdict


async def test_every_pod_is_read_since_the_deployment_began(world: DevWorld) -> None:
    world.cluster.running["web"] = (PodOfWorkload("web-a", {"app": 0}), PodOfWorkload("web-b", {"app": 0}))
    assert (await asked(world)).outcome is Outcome.PASS
    assert world.cluster.read == [("web-a", "app", BEGUN, 4096, False), ("web-b", "app", BEGUN, 4096, False)]


async def test_the_run_before_a_restart_is_read_too(world: DevWorld) -> None:
    world.cluster.running["web"] = (PodOfWorkload("web-a", {"app": 1, "sidecar": 9}),)
    world.cluster.logs["web-a", True] = "PANIC\n"
    verdict = await asked(world)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason.startswith("web-a/app (before its restart) says")


async def test_of_a_restart_whose_log_is_gone_nobody_knows(world: DevWorld) -> None:
    world.cluster.running["web"] = (PodOfWorkload("web-a", {"app": 1}),)
    world.cluster.logs["web-a", True] = None
    assert (await asked(world)).code == "logs.unread"


async def test_a_log_that_was_not_read_to_its_end_is_unknown(world: DevWorld) -> None:
    world.cluster.logs["web-1", False] = JobLog("started\n", 8, complete=False)
    assert "was not read to its end" in (await asked(world)).reason


async def test_an_empty_log_is_a_quiet_one(world: DevWorld) -> None:
    world.cluster.logs["web-1", False] = ""
    assert (await asked(world)).outcome is Outcome.PASS


async def test_without_pods_nothing_is_known(world: DevWorld) -> None:
    world.cluster.running["web"] = ()
    assert (await asked(world)).code == "logs.no_pods"


async def test_more_pods_than_are_read_are_told(world: DevWorld) -> None:
    world.cluster.running["web"] = tuple(PodOfWorkload(f"web-{n}", {"app": 0}) for n in range(60))
    verdict = await asked(world)
    assert verdict.outcome is Outcome.NO_DATA
    assert "10 more pods are not read" in verdict.reason
    assert len(world.cluster.read) == 50


async def test_a_megabyte_of_lines_is_searched(world: DevWorld) -> None:
    world.cluster.logs["web-1", False] = "all is well\n" * 90_000 + "FATAL: the end\n"
    check = CleanLogs(DEV_SERVICE.workloads[:1], PATTERNS, 1024 * 1024, 0)
    assert (await asked(world, check)).reason == "web-1/app says “FATAL: the end”"


async def test_a_flood_of_matching_lines_is_counted_within_bounds(world: DevWorld) -> None:
    world.cluster.logs["web-1", False] = "FATAL\n" * 90_000
    check = CleanLogs(DEV_SERVICE.workloads[:1], PATTERNS, 1024 * 1024, 0)
    verdict = await asked(world, check)
    assert verdict.evidence[0].value == 1000
    assert len(verdict.evidence) == 6


@pytest.mark.parametrize(
    ("error", "may_pass"),
    [(Temporary("kubernetes", "unreachable", "away"), True), (Permanent("kubernetes", "forbidden", "no right"), False)],
)
async def test_logs_that_cant_be_asked_for_are_an_error(world: DevWorld, error: ForgeError, may_pass: bool) -> None:
    world.cluster.logs["web-1", False] = error
    ((verdict,), passing) = await world.finish(CHECK.ask(world.scene(FACTS)))
    assert (verdict.outcome, passing) == (Outcome.ERROR, may_pass)


async def test_without_a_deployment_on_record_nothing_is_known(world: DevWorld) -> None:
    ((verdict,), _) = await world.finish(CHECK.ask(world.scene({})))
    assert verdict.code == "logs.no_deployment"


async def test_a_pod_that_goes_while_it_is_read_is_asked_for_again(world: DevWorld) -> None:
    """The gate's patience: the next look finds the pods that are there then."""
    world.cluster.logs["web-1", False] = None
    gate = Gate(title="Dev validation gate", checks=(CHECK,), patience_s=60.0, retries=0)
    scene = world.scene(FACTS)

    async def comes_back() -> None:
        await world.clock.sleep_until(NOON + timedelta(seconds=20))
        world.cluster.running["web"] = (PodOfWorkload("web-2", {"app": 0}),)

    again = asyncio.ensure_future(comes_back())
    assert (await world.finish(gate.perform(scene))).outcome is Outcome.PASS
    await again

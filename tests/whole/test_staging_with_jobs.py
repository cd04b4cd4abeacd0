"""The whole staging plan with Jobs that really run: migrations on a PostgreSQL, suites and load on the shop, scans told by CI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from sandbox.world import short
from sandbox.world.staff import ADA, DORA, PIA, RELEASES
from tests.kills.patience import ROOMY
from tests.whole.stage import STAGING_ALONE, Stage, paced
from tests.whole.test_staging_story import LINE

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIGRATES, TAKES_BACK, PLAIN, CONTRADICTED = "v1.4.0-rc.2", "v1.4.0-rc.4", "v1.4.0-rc.3", "v1.4.0-rc.10"
SUITE_TIMEOUT_S = 20
STEPS = [
    "Release candidate",
    "CI green",
    "Workloads deployable",
    "Deploy to staging",
    "Remember the images that run now",
    "Expand migration add-discounts",
    "Verify the data",
    "Deploy catalog",
    "Deploy web",
    "Smoke tests",
    "API integration tests: api",
    "End-to-end tests: orders",
    "Migration checks: schema",
    "Backward compatibility: old-queries",
    "Performance baseline",
    "Observe key metrics and health",
    "Staging promotion gate",
    "Go or no-go",
    "Record the result",
    "Announce the result",
]
JOBS = 7
FLOOD_GROWTH = 96 * 1024 * 1024
"""How much a bot may grow at its peak that reads 50 MB and keeps their last four."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_stage() -> AsyncIterator[Stage]:
    tempo = short(observation="5s", guards_for="10m", suite_timeout=f"{SUITE_TIMEOUT_S}s", start_within="10s")
    roomy = paced(replace(tempo, load_within=ROOMY), staging={"max_latency_p95": "20s"})
    async with Stage(tempo=roomy, environments=STAGING_ALONE) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def stage(shared_stage: Stage) -> AsyncIterator[Stage]:
    await shared_stage.tidy()
    await shared_stage.begin_anew()
    yield shared_stage
    await shared_stage.until(lambda: not shared_stage.jobs(), "no Job is left over")
    await shared_stage.until_no_job_process()


async def finish(stage: Stage, run: str) -> None:
    await stage.until(lambda: stage.asks(run, "Go or no-go") or stage.has_ended(run), "it gets there", within_s=240)
    await stage.decide_go(run)


def files(stage: Stage, run: str) -> list[str]:
    """Titles of the files in the run's thread."""
    headline = stage.actors.headline_message(run)
    assert headline is not None
    messages = stage.world.slack.messages(RELEASES, headline.ts)
    return [file["title"] for message in messages for file in message.files]


async def test_a_candidate_migrates_is_tested_loaded_observed_and_gets_its_go(stage: Stage) -> None:
    run = await stage.deploy(MIGRATES)
    await finish(stage, run)
    assert LINE.findall(stage.headline(run)) == STEPS
    assert len(stage.created) == len(set(stage.created)) == JOBS
    assert stage.world.database.migrations("staging") == ["add-discounts"]
    assert "discount_percent" in stage.world.database.columns("staging", "products")
    assert "old_price" in stage.world.database.columns("staging", "products"), "what contracts is a step of its own"
    thread = stage.thread(run)
    for words in (
        "add-discounts: applied in",
        "the data are whole",
        "8 tests passed",
        "ok: a customer buys 12",
        "the version before can still tell the turnover",
        "last lines of the log",
    ):
        assert words in thread, words
    await stage.until(lambda: "Performance baseline" in files(stage, run), "the chart is in the thread")
    gate = stage.verdicts(run)
    for name, words in {
        "automated tests": "api, orders, schema and old-queries passed",
        "migrations": "add-discounts is done, and the data were verified",
        "performance baseline": "target 500 ms",
        "security scan: web": "nothing critical",
        "core transaction success": "limit 98 %",
        "memory working set of its limit": "limit 90 %",
        "dependency time-outs": "timed out",
    }.items():
        assert ":white_check_mark:" in gate[name], gate[name]
        assert words in gate[name], gate[name]


async def test_what_contracts_is_a_run_of_its_own_that_the_database_owner_approves(stage: Stage) -> None:
    await finish(stage, await stage.deploy(MIGRATES))
    run = await stage.began(ADA, f"migrate staging {MIGRATES}")
    await stage.approve(DORA, run, title="Contract migrations")
    assert "completed" in await stage.until_ended(run)
    assert "old_price" not in stage.world.database.columns("staging", "products")
    assert "the data are whole" in stage.thread(run)


async def test_a_rejected_go_takes_an_incompatible_migration_back_by_its_down_job(stage: Stage) -> None:
    before = stage.staging_images()
    run = await stage.deploy(TAKES_BACK)
    await stage.until(lambda: stage.asks(run, "Go or no-go"), "the go is asked for", within_s=300)
    assert stage.world.database.columns("staging", "orders")["total"] == "bigint"
    await stage.actors.reject(PIA, "too many anvils", run, title="Go or no-go")
    assert " – returned" in await stage.until_ended(run)
    assert stage.staging_images() == before
    assert stage.world.database.columns("staging", "orders")["total"] == "integer"
    assert stage.world.database.migrations("staging") == []
    assert "widen-totals: taken back in" in stage.thread(run)


async def test_a_declaration_that_the_sql_contradicts_is_refused_to_the_caller_alone(stage: Stage) -> None:
    runs, seen = stage.actors.runs(), len(stage.ephemerals(ADA))
    await stage.command(ADA, f"deploy staging {CONTRADICTED}")
    told = await stage.until_told(ADA, "nothing was started", since=seen)
    for words in ("forget-quantities", "migrations/forget-quantities.up.sql", "ban-drop-column"):
        assert words in told, told
    assert stage.actors.runs() == runs
    assert stage.created == []


async def test_an_abort_during_a_suite_deletes_its_job_and_returns_staging(stage: Stage) -> None:
    before = stage.staging_images()
    stage.world.spoil(PLAIN, "suite hangs")
    run = await stage.deploy(PLAIN)
    await stage.until_at(run, "API integration tests: api")
    await stage.until_job_process()
    await stage.command(ADA, f'abort {run} --reason "no time for this"')
    assert "no time for this" in await stage.until_ended(run)
    assert " – returned" in stage.state(run)
    assert stage.jobs() == []
    await stage.until_no_job_process()
    assert stage.staging_images() == before
    assert len(stage.created) == 1


async def test_a_suite_that_hangs_is_ended_after_its_time_and_staging_returned(stage: Stage) -> None:
    before = stage.staging_images()
    stage.world.spoil(PLAIN, "suite hangs")
    run = await stage.deploy(PLAIN)
    assert " – returned" in await stage.until_ended(run, within_s=SUITE_TIMEOUT_S + 60)
    await stage.until(lambda: "API integration tests: api" in stage.verdicts(run), "the time-out is told")
    assert f"{SUITE_TIMEOUT_S} s" in stage.verdicts(run)["API integration tests: api"]
    assert "ok: the products are whole" in stage.thread(run), "the log so far is shown"
    assert stage.staging_images() == before


async def test_a_job_that_no_node_has_room_for_never_starts_and_kubernetes_words_say_why(stage: Stage) -> None:
    before = stage.staging_images()
    stage.world.spoil(PLAIN, "job never starts")
    run = await stage.deploy(PLAIN)
    sentence = await stage.until_ended(run, within_s=120)
    assert " – returned" in sentence
    assert ":x: API integration tests: api" in stage.headline(run)
    assert "Insufficient memory" in stage.thread(run)
    assert stage.staging_images() == before


async def test_fifty_megabytes_of_log_are_read_in_bounded_memory_and_the_result_at_their_end_counts(
    stage: Stage,
) -> None:
    pid = stage.world.bot.pid
    assert pid is not None
    before = psutil.Process(pid).memory_info().rss
    stage.world.spoil(PLAIN, "long log")
    run = await stage.deploy(PLAIN)
    await stage.until_at(run, "End-to-end tests: orders", within_s=120)
    status = Path(f"/proc/{pid}/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    assert peak - before < FLOOD_GROWTH
    await stage.until(lambda: "8 tests passed" in stage.thread(run), "its result is told")
    await stage.command(ADA, f"abort {run} --reason enough")
    assert " – returned" in await stage.until_ended(run)


async def test_a_load_that_prints_garbage_never_passes_and_holds(stage: Stage) -> None:
    before = stage.staging_images()
    stage.world.spoil(PLAIN, "garbage")
    run = await stage.deploy(PLAIN)
    await stage.until(lambda: " – held" in stage.state(run), "it is held", within_s=240)
    assert "Performance baseline" in stage.state(run)
    stage.world.spoil(PLAIN, "good")
    await stage.command(ADA, f"retry {run}")
    await stage.until(
        lambda: ":white_check_mark: Performance baseline" in stage.headline(run), "it is measured", within_s=180
    )
    await stage.command(ADA, f"abort {run} --reason enough")
    assert " – returned" in await stage.until_ended(run)
    assert stage.staging_images() == before

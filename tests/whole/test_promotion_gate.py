"""The promotion gate on the whole bot: scans as CI tells them, key metrics as Prometheus has them; all of it is said at once."""

from __future__ import annotations

import pytest

from sandbox.shop import Spoil
from sandbox.world.staff import ADA
from tests.whole.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLAIN, NEVER_SCANNED, SCANNED_LONG_AGO = "v1.4.0-rc.3", "v1.4.0-rc.11", "v1.4.0-rc.12"


def images_of(stage: Stage, version: str) -> list[str]:
    return [stage.world.releases.image(name, version) for name in stage.world.shop.workloads]


@pytest.mark.parametrize(
    ("bad", "missed"),
    [
        (
            Spoil(dependency_timeout_ratio=0.4, job_failure_ratio=0.5, memory_ratio=0.96),
            ("dependency time-outs", "background job failures", "memory working set of its limit"),
        ),
        (Spoil(queue_backlog=True), ("queue lag against the normal baseline",)),
    ],
    ids=["several", "queue"],
)
async def test_every_key_metric_that_is_missed_is_said_at_once_and_staging_returned(
    stage: Stage, bad: Spoil, missed: tuple[str, ...]
) -> None:
    before = stage.staging_images()
    for name in ("queue_lag_baseline_seconds", "dependency_timeout_baseline_ratio"):

        async def is_recorded(name: str = name) -> bool:
            return bool(await stage.world.prometheus.query(f'forge:{name}:1d{{env="staging"}}'))

        await stage.until_true(is_recorded, f"{name} is recorded")
    stage.world.shop.spoil(PLAIN, bad)
    run = await stage.deploy(PLAIN)
    assert " – returned" in await stage.until_ended(run)
    assert ":x: Staging promotion gate" in stage.headline(run)
    gate = stage.verdicts(run)
    for name in missed:
        assert gate[name].startswith(":x:"), gate[name]
    assert gate["core transaction success"].startswith(":white_check_mark:")
    assert stage.staging_images() == before


async def test_a_release_that_makes_the_database_slow_returns_staging(stage: Stage) -> None:
    before = stage.staging_images()
    database = stage.world.shop.meters["staging"].database
    database.run_slowly("staging", 40, waiting=True)
    try:
        run = await stage.deploy(PLAIN)
        assert " – returned" in await stage.until_ended(run)
    finally:
        database.run_slowly("staging", 0)
    gate = stage.verdicts(run)
    assert gate["PostgreSQL slow queries"].startswith(":x:")
    assert "wanted: at most 10" in gate["PostgreSQL slow queries"]
    assert "PostgreSQL lock waits 40" in gate["database metrics"]
    for name in ("PostgreSQL WAL growth", "PostgreSQL checkpoint duration"):
        assert gate[name].startswith(":white_check_mark:"), gate[name]
    assert stage.staging_images() == before


async def test_a_critical_finding_of_the_very_images_returns_staging_and_is_named(stage: Stage) -> None:
    before = stage.staging_images()
    stage.world.spoil(PLAIN, "critical finding")
    await stage.until(lambda: stage.world.ci.idle, "CI has told")
    run = await stage.deploy(PLAIN)
    assert " – returned" in await stage.until_ended(run)
    assert "CVE-2026-31337" in stage.verdicts(run)["security scan: web"]
    assert stage.staging_images() == before


@pytest.mark.parametrize("version", [NEVER_SCANNED, SCANNED_LONG_AGO])
async def test_a_scan_that_is_missing_or_stale_holds_until_ci_has_scanned(stage: Stage, version: str) -> None:
    run = await stage.deploy(version)
    await stage.until(lambda: " – held" in stage.state(run), "it is held", within_s=150)
    assert stage.verdicts(run)["security scan: web"].startswith(":grey_question:")
    assert "/webhooks/ci" in stage.thread(run)
    assert set(stage.staging_images().values()) == {version}
    stage.world.ci.scan(images_of(stage, version), "clean")
    await stage.until(lambda: stage.world.ci.idle, "CI has told")
    await stage.command(ADA, f"retry {run}")
    await stage.decide_go(run)

"""Scenario 1."""

from __future__ import annotations

from pathlib import Path

from runbook.policy import Policy
from tests.runbook.fakes import RELEASE_FILE, SERVICE, World
from tests.scenarios.stage import offered, stage


async def test_a_candidate_requested_for_staging_runs_every_step_in_order_and_the_headline_tells(
    tmp_path: Path,
) -> None:
    world = World()
    world.code.files[SERVICE.release_file] = RELEASE_FILE
    async with stage(tmp_path, world=world, policy=Policy()) as s:
        answer = await s.says("ada", "deploy staging v1.4.0-rc.2")
        assert "staging-1 has started" in answer
        await s.until_state("waiting")
        await s.shown_all()
        assert "Waiting for Service Owner" in s.headline
        await s.says("sam", "approve staging-1")
        await s.until_at("Go or no-go")
        await s.until_state("waiting")
        assert (s.world.clock.now() - s.run().created_at).total_seconds() >= 30 * 60
        await s.says("pia", "approve staging-1")
        await s.says("sam", "approve staging-1")
        run = await s.until_state("ended")
        await s.shown_all()
        assert run.ending == "completed"
        assert [step.title for step in s.steps()] == [
            "Release candidate", "CI green", "Workloads deployable", "Deploy to staging",
            "Remember the images that run now", "Expand migration 0007-currency",
            "Expand migration 0008-rename-total", "Verify the data", "Deploy web", "Deploy worker", "Smoke tests",
            "API integration tests: api", "End-to-end tests: journeys", "Migration checks: schema",
            "Backward compatibility: previous", "Performance baseline", "Observe key metrics and health",
            "Staging promotion gate", "Go or no-go", "Record the result",
            "Announce the result",
        ]  # fmt: skip
        assert all(step.outcome == "pass" for step in s.steps())
        assert all("@sha256:" in image for image in s.images().values())
        for title in ("Deploy web", "Observe key metrics and health", "Go or no-go"):
            assert title in s.headline


async def test_the_headline_shows_the_plan_and_what_is_done_and_what_runs_and_why_it_waits(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.waits_for_approval()
        assert s.headline.count("\n1. ") + s.headline.startswith("1. ") == 1
        assert all(f"{place}. " in s.headline for place in range(1, 19))
        assert "Waiting for Service Owner: Deploy to staging" in s.headline
        assert "Asked for by Ada" in s.headline
        await s.says("sam", "approve staging-1")
        await s.until_at("Observe key metrics and health")
        await s.clock.advance(31)
        await s.shown_all()
        assert "observed 30 s of 1 min" in s.headline
        assert "Watched now: error rate above 3 % for 5 min" in s.headline
        assert offered(next(m.message for m in s.chat.messages if not m.thread_ts)) == ["pause", "abort"]
        await s.until_state("waiting")
        await s.shown_all()
        assert "Waiting for Product and Service Owner: Go or no-go" in s.headline

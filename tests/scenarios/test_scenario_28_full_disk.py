"""Scenario 28. What readiness says then is tested with the bot's own server, the store's side of it with the store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from engine.records import Received, Run
from runbook.errors import StoreUnavailable
from tests.runbook.fakes import World, signed_tag
from tests.scenarios.stage import Stage, StoreTrouble, healthy, stage

ROOT = Path(__file__).resolve().parents[2]


def spoil(s: Stage) -> None:
    s.metrics.value = lambda expression, at: 0.2 if "error_ratio" in expression else healthy(expression, at)


async def test_disk_full_nothing_new_is_started_and_nothing_is_rolled_back_because_of_it(tmp_path: Path) -> None:
    trouble = StoreTrouble()
    async with stage(tmp_path, trouble=trouble) as s:
        await s.waits_for_go()
        images = s.images()
        trouble.full = True
        with pytest.raises(StoreUnavailable):
            await s.says("rob", "deploy staging v1.4.0-rc.3")
        with pytest.raises(StoreUnavailable):
            await s.says("pia", "approve staging-1")
        await s.clock.advance(timedelta(hours=2))
        assert s.run().state == "waiting"
        assert len(s.rows(Run)) == 1
        assert s.images() == images
        trouble.full = False
        await s.says("pia", "approve staging-1")
        await s.says("sam", "approve staging-1")
        assert (await s.until_state("ended")).ending == "completed"


async def test_disk_full_in_the_middle_of_an_observation_it_stands_still_and_goes_on_with_what_it_has_observed(
    tmp_path: Path,
) -> None:
    trouble = StoreTrouble()
    async with stage(tmp_path, trouble=trouble) as s:
        await s.waits_for_approval()
        await s.says("sam", "approve staging-1")
        await s.until_at("Observe key metrics and health")
        await s.clock.advance(20)
        trouble.full = True
        await s.clock.advance(timedelta(hours=1))
        assert (s.run().state, s.at()) == ("running", "Observe key metrics and health")
        ticks = s.steps()[13].progress["ticks"]
        assert 15 <= ticks <= 21
        trouble.full = False
        await s.really(lambda: s.steps()[13].progress["ticks"] > ticks)
        await s.until_at("Go or no-go")
        assert s.steps()[13].progress["ticks"] == 60


async def test_with_only_the_ballasts_room_left_a_deploy_is_refused_and_what_is_queued_or_approved_does_not_begin(
    tmp_path: Path,
) -> None:
    trouble, world = StoreTrouble(), World()
    world.code.tags["v1.4.0-rc.3"] = signed_tag("v1.4.0-rc.3")
    async with stage(tmp_path, world=world, trouble=trouble) as s:
        await s.waits_for_approval()
        trouble.tight = True
        assert "All 1 given" in await s.says("sam", "approve staging-1")
        answer = await s.says("rob", "deploy staging v1.4.0-rc.3")
        assert "forge can't keep its records at the moment, so nothing new is started" in answer
        await s.clock.advance(timedelta(minutes=30))
        assert world.cluster.writes == []
        assert len(s.rows(Run)) == 1
        trouble.tight = False
        await s.until_at("Go or no-go")


async def test_what_is_queued_waits_out_the_trouble_and_starts_by_itself_afterwards(tmp_path: Path) -> None:
    trouble = StoreTrouble()
    async with stage(tmp_path, trouble=trouble) as s:
        await s.says("sam", "lock staging")
        await s.says("ada", "deploy staging v1.4.0-rc.2")
        trouble.tight = True
        await s.says("sam", "unlock staging")
        await s.clock.advance(timedelta(minutes=5))
        assert s.run().state == "queued"
        trouble.tight = False
        await s.until_state("waiting")


async def test_a_bad_release_in_that_hour_still_is_returned(tmp_path: Path) -> None:
    trouble = StoreTrouble()
    async with stage(tmp_path, trouble=trouble) as s:
        before = s.images()
        await s.waits_for_go()
        trouble.tight = True
        spoil(s)
        since = s.clock.now()
        run = await s.until_state("ended")
        assert run.ending == "returned"
        assert s.clock.now() - since < timedelta(minutes=7)
        assert s.images() == before


async def test_a_breach_that_could_not_be_written_down_is_acted_on_as_soon_as_it_can(tmp_path: Path) -> None:
    trouble = StoreTrouble()
    async with stage(tmp_path, trouble=trouble) as s:
        before = s.images()
        await s.waits_for_go()
        trouble.full = True
        spoil(s)
        await s.clock.advance(timedelta(minutes=10))
        s.metrics.value = healthy
        await s.clock.advance(timedelta(minutes=1))
        assert s.run().state == "waiting"
        trouble.full = False
        run = await s.until_state("ended")
        assert run.ending == "returned"
        assert "error rate was above 3 %" in run.ending_reason
        assert s.images() == before


def test_a_disk_that_is_really_full_starts_nothing_and_rolls_nothing_back_and_a_bad_release_is_returned(
    tmp_path: Path,
) -> None:
    command = [sys.executable, str(Path(__file__).with_name("full_disk.py")), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=120, check=False)
    assert child.returncode == 0, child.stderr[-2000:]
    during, after = (json.loads(line) for line in child.stdout.splitlines())
    assert during.pop("code") in ("store.io", "store.disk_full")
    assert during == {
        "healthy": False, "trouble": True, "state": "waiting", "runs": 1, "received": 0, "returned": False,
    }  # fmt: skip
    assert after["ending"] == "returned"
    assert "error rate was above 3 %" in after["reason"]
    assert after["returned"] is True


async def test_what_could_not_be_kept_was_not_taken_and_may_be_asked_again(tmp_path: Path) -> None:
    """Slack isn't answered then; the person sees that it failed, and the same trigger counts once it is delivered again."""
    trouble = StoreTrouble(full=False)
    async with stage(tmp_path, trouble=trouble) as s:
        trouble.full = True
        with pytest.raises(StoreUnavailable):
            await s.says("ada", "deploy staging v1.4.0-rc.2", trigger="trigger-1")
        assert s.rows(Received) == []
        trouble.full = False
        assert "has started" in await s.says("ada", "deploy staging v1.4.0-rc.2", trigger="trigger-1")

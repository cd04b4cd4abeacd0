"""Scenario 6."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from engine.records import Run
from tests.runbook.fakes import World, signed_tag
from tests.scenarios.stage import shown, stage

ONE, TWO, THREE = "v1.4.0-rc.1", "v1.4.0-rc.2", "v1.4.0-rc.3"


def three_candidates() -> World:
    world = World()
    world.code.tags = {v: signed_tag(v) for v in (ONE, TWO, THREE)}
    return world


async def test_two_releases_for_one_service_and_environment_the_second_waits_in_a_visible_queue(tmp_path: Path) -> None:
    async with stage(tmp_path, world=three_candidates()) as s:
        await s.says("ada", f"deploy staging {ONE}")
        await s.until_state("waiting")
        await s.clock.advance(timedelta(minutes=7))
        answer = await s.says("rob", f"deploy staging {TWO}")
        assert "staging-2 is queued. Queued behind staging-1 (v1.4.0-rc.1 by Ada, 7 min old)" in answer
        assert "Queued behind staging-1" in await s.says("rob", f"deploy staging {THREE}")
        await s.shown_all()
        second = next(shown(m.message) for m in s.chat.messages if m.message_id.startswith("headline:staging-2"))
        assert "Queued behind staging-1" in second
        status = await s.says("max", "status")
        assert status.index("staging-1") < status.index("Queue") < status.index("staging-2") < status.index("staging-3")
        assert [s.run(f"staging-{n}").state for n in (1, 2, 3)] == ["waiting", "queued", "queued"]


async def test_the_next_in_the_queue_starts_when_the_one_before_it_has_ended_whatever_its_end(tmp_path: Path) -> None:
    async with stage(tmp_path, world=three_candidates()) as s:
        await s.waits_for_go(ONE)
        await s.says("rob", f"deploy staging {TWO}")
        await s.says("rob", f"deploy staging {THREE}")
        await s.says("ada", "abort staging-1")
        await s.until_state("ended")
        await s.until_state("waiting", run_id="staging-2")
        assert s.run("staging-3").state == "queued"
        await s.says("rob", "cancel staging-2")
        await s.until_state("waiting", run_id="staging-3")
        assert [r.ending for r in s.rows(Run, order="number")] == ["returned", "cancelled", None]


async def test_a_lock_holders_reason_and_age_show(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        await s.says("sam", 'lock staging --reason "load test until noon"')
        await s.clock.advance(timedelta(minutes=12))
        answer = await s.says("ada", f"deploy staging {TWO}")
        assert "staging-1 is queued. Sam locked staging 12 min ago: load test until noon." in answer
        assert "unlock staging" in answer
        await s.shown_all()
        assert "Sam locked staging 12 min ago: load test until noon." in s.headline
        status = await s.says("max", "status")
        assert "Sam for 12 min" in status
        assert "load test until noon" in status
        assert "load test until noon" in await s.says("ada", "unlock staging")
        await s.until_state("waiting")

"""Scenario 4, for the environments that there are."""

from __future__ import annotations

from pathlib import Path

from engine.records import Button, Outgoing, Run, Segment
from runbook.policy import Policy
from tests.runbook.fakes import World
from tests.scenarios.stage import stage


async def test_plan_shows_the_steps_gates_approvers_and_durations_that_deploy_would_run_and_changes_nothing(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path, policy=Policy()) as s:
        answer = await s.says("max", "plan staging v1.4.0-rc.2")
        await s.shown_all()
        assert (s.rows(Run), s.rows(Segment), s.rows(Button), s.actions) == ([], [], [], [])
        assert s.chat.messages == []
        assert [o.kind for o in s.rows(Outgoing)] == ["answer"]
        assert s.world.cluster.writes == []
        assert s.world.probes.sent == []
        await s.says("ada", "deploy staging v1.4.0-rc.2")
        steps = s.steps()
        assert len(steps) == 18
        for place, step in enumerate(steps, start=1):
            assert f"{place}. *{step.title}*" in answer
        assert s.run().plan_hash[:12] in answer
    assert "Deploy to staging: Service Owner" in answer
    assert "Go or no-go: Product, Service Owner" in answer
    assert "30 min of observed time" in answer
    assert "expires after 24 h" in answer
    assert "is signed by ann@example.com" in answer
    assert "Nothing was changed" in answer
    for line in ("Security scan: Recommended · Required: no critical findings", "Smoke tests: Required · Required"):
        assert line in answer


async def test_a_plan_that_would_be_refused_says_why_and_changes_nothing(tmp_path: Path) -> None:
    world = World()
    world.images.digests = {}
    async with stage(tmp_path, world=world) as s:
        answer = await s.says("max", "plan staging v1.4.0-rc.2")
        assert answer.count("the registry has no image") >= 2
        assert s.rows(Run) == []
        assert s.chat.messages == []


async def test_plan_prod_answers_clearly_what_can_be_planned_and_changes_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        answer = await s.says("ada", "plan prod v1.4.0")
        assert "forge can't deploy to prod yet" in answer
        assert "staging vX.Y.Z-rc.N" in answer
        assert s.rows(Run) == []
        assert s.chat.messages == []

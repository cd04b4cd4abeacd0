"""Scenario 4."""

from __future__ import annotations

from pathlib import Path

from engine.records import Button, Outgoing, Run, Segment
from runbook.policy import Policy
from tests.runbook.fakes import World
from tests.scenarios.production import production
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


async def test_plan_prod_shows_the_steps_gates_approvers_and_durations_that_promote_would_run_and_changes_nothing(
    tmp_path: Path,
) -> None:
    async with production(tmp_path) as s:
        answer = await s.says("max", "plan prod v1.4.0")
        await s.shown_all()
        assert (s.rows(Run), s.rows(Segment), s.rows(Button), s.actions) == ([], [], [], [])
        assert s.chat.messages == []
        assert [o.kind for o in s.rows(Outgoing)] == ["answer"]
        assert (s.world.cluster.writes, s.world.cluster.moved, s.world.probes.sent) == ([], [], [])
        await s.says("ada", "promote v1.4.0 prod")
        steps = s.steps()
        assert len(steps) == 32
        for place, step in enumerate(steps, start=1):
            assert f"{place}. *{step.title}*" in answer, step.title
        assert s.run().plan_hash[:12] in answer
    assert "*Ship to production* – Service Owner and Product/Operations decide" in answer
    assert "5 min of observed time" in answer
    assert "Elevated watch: 60 min of observed time" in answer
    assert "expires after 24 h" in answer
    assert "is signed by ann@example.com" in answer
    assert "Nothing was changed" in answer


async def test_plan_prod_for_a_service_without_production_says_what_to_write(tmp_path: Path) -> None:
    async with stage(tmp_path) as s:
        answer = await s.says("ada", "plan prod v1.4.0")
        assert "shop has no prod in the configuration" in answer
        assert "services.shop.urls.prod" in answer
        assert s.rows(Run) == []
        assert s.chat.messages == []


async def test_plan_prod_of_a_version_without_a_go_says_why_and_changes_nothing(tmp_path: Path) -> None:
    async with production(tmp_path, has_go=False) as s:
        answer = await s.says("max", "plan prod v1.4.0")
        assert "to prod; nothing was started" in answer
        assert "no candidate on cccccccccccc, the commit of v1.4.0, has its go in staging" in answer
        assert s.rows(Run) == []
        assert s.chat.messages == []

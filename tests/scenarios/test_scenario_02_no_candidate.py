"""Scenario 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.records import Run
from tests.runbook.fakes import World, signed_tag
from tests.scenarios.stage import stage

KNOWN = ("v1.3.0-rc.7", "v1.4.0-rc.1", "v1.4.0-rc.2", "v1.4.0", "v1.3.9")


@pytest.mark.parametrize(
    ("version", "reason", "named"),
    [
        ("v1.4.0", "v1.4.0 is a release, not a candidate", "v1.4.0-rc.2 and v1.4.0-rc.1"),
        ("v1.4.0-rc.9", "there is no tag v1.4.0-rc.9", "v1.4.0-rc.2 and v1.4.0-rc.1"),
        ("v2.0.0-rc.1", "there is no tag v2.0.0-rc.1", "v1.4.0-rc.2, v1.4.0-rc.1 and v1.3.0-rc.7"),
        ("0f3a9c1", "0f3a9c1 is no version that forge knows", "v1.4.0-rc.2, v1.4.0-rc.1 and v1.3.0-rc.7"),
        ("1.4.0-rc2", "is no version: candidates are vX.Y.Z-rc.N", "Did you mean v1.4.0-rc.2?"),
    ],
)
async def test_a_version_that_is_no_candidate_is_refused_for_staging_with_the_reason_and_the_nearest_candidates_that_exist(
    tmp_path: Path, version: str, reason: str, named: str
) -> None:
    world = World()
    world.code.tags = {name: signed_tag(name) for name in KNOWN}
    async with stage(tmp_path, world=world) as s:
        answer = await s.says("ada", f"deploy staging {version}")
        assert reason in answer
        assert named in answer
        await s.shown_all()
        assert s.rows(Run) == []
        assert s.chat.messages == []
        assert world.cluster.writes == []


async def test_without_any_candidate_the_refusal_says_that_none_exists_yet(tmp_path: Path) -> None:
    world = World()
    world.code.tags = {"v1.4.0": signed_tag("v1.4.0")}
    async with stage(tmp_path, world=world) as s:
        answer = await s.says("ada", "deploy staging v1.4.0")
        assert "none exists yet" in answer
        assert s.rows(Run) == []

"""Scenario 24, in a real process over the real protocols: SIGKILL at any moment."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.kills.town import VERSION, town

pytestmark = pytest.mark.timeout(1800)
RANDOM_KILLS = 50
JOBS = 2
"""Of a run of VERSION: its migration and the verification."""


async def test_fifty_sigkills_at_any_moment_change_nothing_of_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(20260101)
    async with town(tmp_path / "boundaries", "none", monkeypatch) as t:
        killer = asyncio.create_task(t.killed_at_random(dice, RANDOM_KILLS))
        versions = [VERSION]
        await t.story()
        while not killer.done():
            versions.append("v1.4.0-rc.1" if versions[-1] == VERSION else VERSION)
            await t.story(versions[-1])
        await killer
        await t.at_rest()
        assert t.deaths >= RANDOM_KILLS
        assert t.changes == [(name, version) for version in versions for name in ("catalog", "web")]
        assert t.doubled() == {}
        assert len(t.jobs) == len({name for name, _ in t.jobs}) == JOBS * versions.count(VERSION)
        assert t.jobs_left() == []
        assert t.audit_problem() == ""

"""Scenario 24, in a real process over the real protocols: SIGKILL at every boundary, before the commit and after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kills.town import VERSION, town

pytestmark = pytest.mark.timeout(1800)
JOB_STEPS = (5, 6, 10)
"""The places of the migration, its verification, and the suite or the load."""


@pytest.mark.parametrize("kinds", ["audit", "outbox"])
async def test_sigkill_at_every_boundary_ends_as_if_nothing_had_happened(
    kinds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "boundaries"
    validates = ("api",) if kinds == "audit" else ("load",)
    async with town(file, kinds, monkeypatch, validates) as t:
        await t.story()
        await t.at_rest()
        boundaries = t.boundaries()
        assert t.deaths >= (40 if kinds == "audit" else 10), boundaries
        assert t.changes == [("catalog", VERSION), ("web", VERSION)]
        assert t.doubled() == {}
        assert [name for name, _ in t.jobs] == [f"forge-staging-1-{step}" for step in JOB_STEPS]
        assert t.jobs_left() == []
        assert t.audit_problem() == ""
        if kinds == "audit":
            for step in (
                "Expand migration",
                "Verify the data",
                "Deploy catalog",
                "Deploy web",
                "Smoke tests",
                "API integration tests",
                "Observe",
                "Staging promotion gate",
                "go for",
            ):
                assert any(step in boundary for boundary in boundaries), (step, boundaries)
            for known in ("created_at", "result"):
                of_a_job = [boundary for boundary in boundaries if f"progress staging-1/{JOB_STEPS[0]} " in boundary]
                assert any(known in boundary.split() for boundary in of_a_job), (known, boundaries)

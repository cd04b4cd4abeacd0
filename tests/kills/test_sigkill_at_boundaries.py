"""Scenario 24, in a real process over the real protocols: SIGKILL at every boundary, before the commit and after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kills.town import VERSION, town

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("kinds", ["audit", "outbox"])
async def test_sigkill_at_every_boundary_ends_as_if_nothing_had_happened(
    kinds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "boundaries"
    async with town(file, kinds, monkeypatch) as t:
        await t.story()
        await t.world.bot.stop()
        boundaries = file.read_text().splitlines()
        assert t.deaths >= (40 if kinds == "audit" else 10), boundaries
        assert t.changes == [("catalog", VERSION), ("web", VERSION)]
        assert t.doubled() == {}
        assert t.audit_problem() == ""
        if kinds == "audit":
            for step in ("Deploy catalog", "Deploy web", "Smoke tests", "Observe", "Staging acceptance", "go for"):
                assert any(step in boundary for boundary in boundaries), (step, boundaries)

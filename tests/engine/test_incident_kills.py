"""The process dies while a run's way back tells its incident: there is one incident, one card, and each word once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.records import IncidentRow, Sealed
from tests.engine import harness
from tests.engine.crash_images import Camera
from tests.engine.harness import Bench
from tests.engine.test_engine_kills import Story
from tests.engine.test_incident_updates import back_with_incident


class WithIncident(Story):
    def _seen(self, b: Bench) -> dict[str, Any]:
        """What can be seen of the incident when all is over."""
        return {
            "incidents": [(row.id, row.title, len(row.updates)) for row in b.rows(IncidentRow)],
            "messages": [(m.message.text, m.broadcast) for m in self.chat.messages if m.channel == "C2"],
            "actions": [entry.action for entry in b.rows(Sealed, subject="incident-1")],
        }


@pytest.mark.timeout(1200)
async def test_a_death_at_any_commit_tells_an_incident_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(harness.CONTINUATIONS, "return_to_previous", back_with_incident)
    (tmp_path / "whole").mkdir()
    first = WithIncident(tmp_path / "whole", "returned")
    camera = Camera(first.path, first.left)
    expected = await first.live(camera)
    assert [count for _, _, count in expected["incidents"]] == [2]
    assert len(expected["messages"]) == 3
    assert await first.live() == expected
    for number, image in enumerate(camera.images):
        story = first.after(image, tmp_path / f"{number}")
        assert await story.live() == expected, f"a death {image.boundary} of {camera.writes}"

"""The process dies while a run's way back tells its incident: there is one incident, one card, and each word once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine.incidents import NOTE, VIEW
from engine.ports import Ledger
from engine.records import IncidentRow, Outgoing, Sealed
from tests.engine import harness
from tests.engine.harness import bench
from tests.engine.test_engine_kills import Fate, Story
from tests.engine.test_incident_updates import back_with_incident


async def told(story: Story) -> dict[str, Any]:
    """What can be seen of the incident when all is over."""
    async with bench(story.path, outside=story.outside, chat=story.chat, clock=story.clock, metrics=story.metrics) as b:
        rows = b.rows(IncidentRow)
        return {
            "incidents": [(row.id, row.title, len(row.updates)) for row in rows],
            "messages": [(m.message.text, m.broadcast) for m in story.chat.messages if m.channel == "C2"],
            "actions": [entry.action for entry in b.rows(Sealed, subject="incident-1")],
        }


@dataclass
class Watching(Fate):
    """Never dies, and remembers which writes changed anything of an incident or of what is told of it."""

    touched: set[int] = field(default_factory=set)

    def wrap(self, write: Callable[[Any], Any]) -> Callable[[Any], Any]:
        mortal = super().wrap(write)

        async def watching(change: Callable[[Ledger], Any]) -> Any:
            def looked(ledger: Ledger) -> Any:
                before = seen(ledger)
                result = change(ledger)
                if seen(ledger) != before:
                    self.touched.add(self.writes)
                return result

            return await mortal(looked)

        return watching


def seen(ledger: Ledger) -> list[Any]:
    return [ledger.find(IncidentRow), ledger.find(Outgoing, kind=[VIEW, NOTE])]


async def test_a_death_at_any_commit_tells_an_incident_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(harness.CONTINUATIONS, "return_to_previous", back_with_incident)
    (tmp_path / "whole").mkdir()
    story, fate = Story(tmp_path / "whole", "returned"), Watching()
    assert await story.live(fate)
    expected = await told(story)
    assert [count for _, _, count in expected["incidents"]] == [2]
    assert len(expected["messages"]) == 3
    assert len(fate.touched) > 5
    for point in sorted(fate.touched):
        path = tmp_path / f"{point}"
        path.mkdir()
        story = Story(path, "returned")
        if not await story.live(Fate(at=point, after=point % 2 == 0)):
            assert await story.live(Fate()), f"the second life after a death at {point} did not end"
        assert await told(story) == expected, f"a death at write {point} of {fate.writes}"

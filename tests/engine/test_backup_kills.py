"""The process dies at every commit of a backup and of a drill, in turn before it and after it: the next life ends it as if nothing had happened."""

from __future__ import annotations

import asyncio
import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine.records import BackupRow, DrillRow, Outgoing, Run, Sealed
from tests.engine.backing import DAN, DOT, Backing, Place, backing
from tests.engine.harness import KeepingChat
from tests.fakes.clock import SimulatedClock

RUNS = {"run": "prod-1", "drill": "prod-2"}
"""A drill comes after a backup in which nobody died."""


@dataclass
class Fate:
    """Dies at the n-th changing write, before or after its commit; -1: never. From then on nothing gets through any more."""

    at: int = -1
    after: bool = False
    writes: int = 0
    died: asyncio.Event = field(default_factory=asyncio.Event)

    def wrap(self, write: Callable[[Any], Any]) -> Callable[[Any], Any]:
        async def mortal(change: Any) -> Any:
            await self.alive()
            self.writes += 1
            mine = self.writes == self.at
            if mine and not self.after:
                self.died.set()
            await self.alive()
            result = await write(change)
            if mine:
                self.died.set()
            await self.alive()
            return result

        return mortal

    async def alive(self) -> None:
        if self.died.is_set():
            await asyncio.Event().wait()


async def live(place: Place, fate: Fate, verb: str) -> bool:
    """One life, until the run has ended and all is shown, or until death. True when it was whole."""
    place.fate = fate
    life = asyncio.ensure_future(_whole_life(place, verb))
    death = asyncio.ensure_future(fate.died.wait())
    await asyncio.wait({life, death}, return_when=asyncio.FIRST_COMPLETED)
    death.cancel()
    if life.done():
        await life
        return True
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)
    return False


async def _whole_life(place: Place, verb: str) -> None:
    async with backing(place) as b:
        await _run(b, RUNS[verb], verb)
        await b.until(lambda: not b.rows(Outgoing, state=["pending", "sending"]))


async def _run(b: Backing, run: str, verb: str) -> None:
    """What the people do, whatever was done in an earlier life."""
    wanted = {"actor": DOT.id, "name": "backup", "environment": "prod", "options": {"verb": verb}}
    await b.engine.desk.receive(f"trigger-{run}", "command", wanted)
    await b.until(lambda: bool(b.rows(Run, id=run)))
    while b.run(run).state != "ended":
        await b.until(lambda: b.run(run).state in ("waiting", "ended"))
        if b.run(run).state == "waiting":
            signed = {"actor": DAN.id, "name": "signoff", "run": run}
            await b.engine.desk.receive(f"sign-{run}", "command", signed)
            await b.until(lambda: b.run(run).state != "waiting")


async def the_end(place: Place) -> dict[str, Any]:
    """What can be seen when all is over. A backup's id is made by chance, so that it is told by its place."""
    place.fate = None
    async with backing(place) as b:
        rows = [row for row in b.rows(BackupRow) if row.deleted_at is None]
        entries = [e.action for e in b.rows(Sealed)]
        return {
            "runs": [(run.id, run.ending, run.ending_reason) for run in b.rows(Run, order="number")],
            "backups": [(row.state, row.run, row.busy, bool(row.manifest)) for row in rows],
            "stored": len(place.repository.stored),
            "published": sorted(place.repository.manifests) == sorted(row.id for row in rows),
            "drills": [(drill.passed, drill.signed_off_by) for drill in b.rows(DrillRow)],
            "standing": dict(place.host.there),
            "messages": sorted(_without_names(m.message.text) for m in place.chat.messages),
            "proven": [entries.count(action) for action in ("backup.published", "drill.passed", "drill.signed_off")],
        }


def _without_names(text: str) -> str:
    return " ".join(word for word in text.split() if not word.startswith("shop-prod-"))


def at(path: Path, template: Place | None) -> Place:
    """A place of its own, as it was after the template's lives."""
    if template is None:
        path.mkdir()
        place = Place(path)
        place.database.takes_s = place.host.takes_s = 0.0
        return place
    shutil.copytree(template.path, path)
    chat = KeepingChat(len(template.chat.messages) + 1)
    chat.messages = copy.deepcopy(template.chat.messages)
    place = Place(path, clock=SimulatedClock(template.clock.now()), chat=chat)
    place.repository.stored = dict(template.repository.stored)
    place.repository.manifests = dict(template.repository.manifests)
    place.database.takes_s = place.host.takes_s = 0.0
    return place


@pytest.mark.parametrize("verb", ["run", "drill"])
async def test_a_death_at_any_commit_changes_nothing_of_the_end_of_a_backup_or_a_drill(
    tmp_path: Path, verb: str
) -> None:
    template = None
    if verb == "drill":
        template = at(tmp_path / "template", None)
        assert await live(template, Fate(), "run")
        template.fate = None
    place, fate = at(tmp_path / "whole", template), Fate()
    assert await live(place, fate, verb)
    expected = await the_end(place)
    assert expected["backups"] == [("verified" if verb == "drill" else "decoded", "prod-1", "", True)]
    assert expected["drills"] == ([(True, DAN.id)] if verb == "drill" else [])
    assert fate.writes > 20
    for point in range(1, fate.writes + 1):
        place = at(tmp_path / f"{point}", template)
        if not await live(place, Fate(at=point, after=point % 2 == 0), verb):
            assert await live(place, Fate(), verb), f"the second life after a death at {point} did not end"
        assert await the_end(place) == expected, f"a death at write {point} of {fate.writes}"

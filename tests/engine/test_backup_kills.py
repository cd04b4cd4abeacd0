"""The process dies at every commit of a backup and of a drill, before it and after it: the next life ends it as if nothing had happened."""

from __future__ import annotations

import copy
import shutil
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from engine.records import BackupRow, DrillRow, Outgoing, Run, Sealed
from tests.engine.backing import DAN, DOT, Backing, Place, backing
from tests.engine.crash_images import Camera, Image, Left, no_message_twice
from tests.engine.harness import Outside

RUNS = {"run": "prod-1", "drill": "prod-2"}
"""A drill comes after a backup in which nobody died."""


@dataclass(frozen=True)
class Around:
    """What outlives the program. kept: of the repository, the database and the place for restores, what each remembers by a name."""

    left: Left
    kept: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, place: Place) -> Around:
        return cls(Left.of(place.clock, place.chat, Outside()), tuple(_kept(part) for part in _parts(place)))

    def place(self, path: Path) -> Place:
        """A place in this folder where all of it is as it was."""
        place = Place(path, clock=self.left.clock(), chat=self.left.chat())
        for part, kept in zip(_parts(place), self.kept, strict=True):
            for name, value in kept.items():
                setattr(part, name, copy.copy(value))
        place.database.takes_s = place.host.takes_s = 0.0
        return place


def _parts(place: Place) -> tuple[Any, ...]:
    return place.repository, place.database, place.host


def _kept(part: Any) -> dict[str, Any]:
    found = {each.name: getattr(part, each.name) for each in fields(part)}
    return {name: copy.copy(value) for name, value in found.items() if isinstance(value, dict | list | set)}


async def live(place: Place, verb: str, fate: Any = None) -> dict[str, Any]:
    """One life, until the run has ended and all is shown."""
    place.fate = fate
    async with backing(place) as b:
        await _run(b, RUNS[verb], verb)
        await b.until(lambda: not b.rows(Outgoing, state=["pending", "sending"]))
        return seen(b)


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


def seen(b: Backing) -> dict[str, Any]:
    """What can be seen when all is over. A backup's id is made by chance, so that it is told by its place."""
    place = b.place
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


async def begun(path: Path, verb: str) -> Place:
    """Where nothing was done yet, or before a drill: one backup."""
    (path / "first").mkdir(parents=True)
    place = Place(path / "first")
    place.database.takes_s = place.host.takes_s = 0.0
    if verb == "run":
        return place
    await live(place, "run")
    shutil.copytree(place.path, path / "second")
    return Around.of(place).place(path / "second")


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("verb", ["run", "drill"])
async def test_a_death_at_any_commit_changes_nothing_of_the_end_of_a_backup_or_a_drill(
    tmp_path: Path, verb: str
) -> None:
    first = await begun(tmp_path, verb)
    camera = Camera(first.path, lambda: Around.of(first))
    expected = await live(first, verb, camera)
    assert expected["backups"] == [("verified" if verb == "drill" else "decoded", "prod-1", "", True)]
    assert expected["drills"] == ([(True, DAN.id)] if verb == "drill" else [])
    assert camera.writes > 20
    assert await live(first, verb) == expected
    for number, image in enumerate(camera.images):
        place = _after(image, tmp_path / f"{number}")
        assert await live(place, verb) == expected, f"a death {image.boundary} of {camera.writes}"
        assert no_message_twice(place.chat), f"a message twice after a death {image.boundary}"


def _after(image: Image[Around], path: Path) -> Place:
    return image.outside.place(image.laid_out(path))

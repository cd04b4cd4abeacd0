"""Releases of production parked in every state: written by the version that stored them, finished by every later one.

`python -m tests.parked.parking_production` writes the files that are missing; an existing file is never written again, for it stands for the
bot of its day. A file is an SQL dump of the whole database with the state of the world beside it.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.ports import Message
from engine.records import Button
from runbook import series
from runbook.errors import Temporary
from runbook.jobs import JobOrder
from runbook.plan import from_json, to_json
from runbook.ports import CanaryOrder
from tests.engine.harness import KeepingChat, KeptMessage
from tests.runbook.fake_jobs import FakeJob, JobLife
from tests.runbook.fake_traffic import LONG_AGO, Write
from tests.runbook.fakes import RELEASE_FILE
from tests.scenarios.production import (
    COMPATIBLE,
    ProductionStage,
    ProductionWorld,
    policy_with,
    production,
)
from tests.scenarios.stage import Deed
from tests.scenarios.two_tracks import CANARY, STABLE

FOLDER = Path(__file__).parent / "production"
OWN_LINE = "Support knows of it"
POLICY = policy_with(
    phase_s=60.0, phase_max_s=180.0, watch_s=120.0, quiet_s=60.0, min_requests=100, checklist=(OWN_LINE,),
)  # fmt: skip
FAILING = 0.3
SLOW_QUERIES = 40.0
WIDENING = ("choice_open", "taking_back")
MIGRATING = ("migrating", "prompt_open")


async def ticks(s: ProductionStage, who: str = "ada") -> None:
    """The line that only people can tick."""
    await s.until_at("Pre-deployment checklist")
    await s.until_state("waiting", "paused")
    await s.shown_all()
    own = next(button for button in s.rows(Button, action="tick") if button.argument["item"] == "own-1")
    await s.at_once(Deed(who, "click", {"action": "tick", "button": own.id, "reason": ""}))


async def begins(s: ProductionStage) -> None:
    await s.begins()
    await ticks(s)


async def rolls_out_to(s: ProductionStage, weight: int) -> None:
    await begins(s)
    await s.until_at(f"Observe {weight} %")
    await s.clock.advance(20)


# --- before traffic moves ---------------------------------------------------------------------------------------------


async def waiting_for_approval(s: ProductionStage) -> None:
    await s.waits_for_approval()


async def half_approved(s: ProductionStage) -> None:
    await s.waits_for_approval()
    await s.says("sam", "approve prod-1")


async def waiting_for_the_checklist(s: ProductionStage) -> None:
    await s.begins()
    await s.until_at("Pre-deployment checklist")
    await s.until_state("waiting")


async def held_by_a_gate(s: ProductionStage) -> None:
    """No backup is on record."""
    s.backups.backup = None
    await s.says("ada", "promote v1.4.0 prod")
    await s.until_state("held")


async def override_asked(s: ProductionStage) -> None:
    await held_by_a_gate(s)
    assert "A second person has to agree" in await s.says(
        "ada", 'override prod-1 backup --reason "a snapshot is there"'
    )


async def migrating(s: ProductionStage) -> None:
    """An expand migration's Job is on its way in the cluster."""
    s.world.cluster.lives = lambda order: JobLife(runs_s=60.0)
    await begins(s)
    await s.until(lambda: len(s.world.cluster.created) == 1)
    await s.clock.advance(5)


async def starting_the_canary(s: ProductionStage) -> None:
    s.world.cluster.start_s = 30.0
    await begins(s)
    await s.until_at("Start the canary")
    await s.clock.advance(5)


# --- while traffic moves ----------------------------------------------------------------------------------------------


async def at_5(s: ProductionStage) -> None:
    await rolls_out_to(s, 5)


async def at_25(s: ProductionStage) -> None:
    await rolls_out_to(s, 25)


async def at_100(s: ProductionStage) -> None:
    await rolls_out_to(s, 100)


async def shifting(s: ProductionStage) -> None:
    """The weight is written, the router hasn't accepted it yet."""
    await rolls_out_to(s, 5)
    s.world.cluster.routes["web"].accepts_after_s = 30.0
    await s.until(lambda: s.weights == [5, 25])
    await s.clock.advance(5)


async def held_in_a_phase(s: ProductionStage) -> None:
    await rolls_out_to(s, 25)
    s.tracks.trouble = lambda expression, at: Temporary("prometheus", "unreachable", "Prometheus can't be reached")
    await s.until_state("held")


async def paused(s: ProductionStage) -> None:
    await rolls_out_to(s, 25)
    await s.says("ada", "pause prod-1")


async def prompt_open(s: ProductionStage) -> None:
    """The migration has brought slow queries: on-call is asked, and has not answered."""
    await rolls_out_to(s, 5)
    s.tracks.says(series.DB_SLOW_QUERIES, SLOW_QUERIES, STABLE)
    await s.until(lambda: bool(s.prompts()))


async def watched(s: ProductionStage) -> None:
    await begins(s)
    await s.until_at("Elevated watch")
    await s.clock.advance(50)


async def taking_over(s: ProductionStage) -> None:
    """Stable takes the new image; the canary has all of the traffic still."""
    await begins(s)
    await s.until_at("Elevated watch")
    s.world.cluster.start_s = 30.0
    await s.until_at("Make it stable")
    await s.clock.advance(5)


# --- on the way back --------------------------------------------------------------------------------------------------


async def choice_open(s: ProductionStage) -> None:
    """A migration that the previous version can't work with: the Database Owner is asked."""
    await rolls_out_to(s, 25)
    s.tracks.fails(CANARY, FAILING)
    await s.until_at("What becomes of the schema")
    await s.until_state("waiting")


async def taking_back(s: ProductionStage) -> None:
    """The Database Owner chose: the traffic is back, the `down` Job is on its way."""
    await choice_open(s)
    s.world.cluster.lives = lambda order: JobLife(runs_s=60.0)
    await s.chooses("dora", "rollback_undo_schema")
    await s.until_at("Take back migration 0008-rename-total")
    await s.clock.advance(5)


async def rolling_back(s: ProductionStage) -> None:
    """Stable has four of its ten pods: a part of the traffic waits on the canary for the others."""
    await rolls_out_to(s, 100)
    s.world.cluster.resize("web", 4)
    s.world.cluster.start_s = 30.0
    await s.says("olly", 'rollback prod --reason "orders fail"')
    await s.until(lambda: s.weights[-1] == 60)
    await s.clock.advance(5)


async def rolling_back_afterwards(s: ProductionStage) -> None:
    """After the release was completed: its previous images are on their way back."""
    await begins(s)
    await s.until_state("ended")
    s.world.cluster.start_s = 30.0
    await s.says("olly", "rollback prod")
    await s.until_at("Return worker to its previous image", "prod-2")
    await s.clock.advance(5)


STATES: dict[str, Callable[[ProductionStage], Awaitable[None]]] = {
    f.__name__: f
    for f in (
        waiting_for_approval, half_approved, waiting_for_the_checklist, held_by_a_gate, override_asked, migrating, starting_the_canary,
        at_5, shifting, at_25, paused, held_in_a_phase, prompt_open, at_100, watched, taking_over, choice_open, taking_back, rolling_back,
        rolling_back_afterwards,
    )
}  # fmt: skip


# --- laying away and taking out ---------------------------------------------------------------------------------------


def world_for(name: str) -> ProductionWorld:
    return ProductionWorld(RELEASE_FILE if name in WIDENING else COMPATIBLE if name in MIGRATING else "")


async def park(name: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        async with production(Path(place), world=world_for(name), policy=POLICY) as s:
            await STATES[name](s)
            await s.shown_all()
            world = _told(s)
        with closing(sqlite3.connect(Path(place) / "forge.db")) as database:
            dump = "\n".join(database.iterdump())
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.sql").write_text(dump + "\n", encoding="utf-8")
    (folder / f"{name}.json").write_text(json.dumps(world, indent=1) + "\n", encoding="utf-8")


def _told(s: ProductionStage) -> dict[str, Any]:
    """In words of its own: today's classes may look otherwise tomorrow."""
    cluster = s.world.cluster
    cluster.pass_time()
    stable = {name: found for name, found in cluster.deployments.items() if not name.endswith("-canary")}
    canaries = {name: found for name, found in cluster.deployments.items() if name.endswith("-canary")}
    return {
        "now": s.clock.now().isoformat(),
        "stable": {
            name: {"image": d.containers[0].image, "replicas": d.replicas, "generation": d.generation}
            for name, d in stable.items()
        },
        "canaries": {
            name: {
                "images": {c.name: c.image for c in d.containers}, "replicas": d.replicas, "run": d.marks["forge/run"],
                "annotations": dict(d.annotations),
            }
            for name, d in canaries.items()
        },
        "weight": s.weight,
        "moved": [[w.at.isoformat(), w.what, w.number, w.available] for w in cluster.moved],
        "files": s.world.code.files,
        "jobs": [{"order": to_json(job.order), "created_at": job.created_at.isoformat()} for job in cluster.there.values()],
        "steps_with_jobs": [order.step for order in cluster.created],
        "actions": s.actions,
    }  # fmt: skip


def unpark(name: str, folder: Path, place: Path) -> tuple[ProductionWorld, KeepingChat]:
    """Lays the database into `place`; returns the world and the chat as they were then. What was wrong with the world is over."""
    with closing(sqlite3.connect(place / "forge.db")) as database:
        database.executescript((folder / f"{name}.sql").read_text(encoding="utf-8"))
        posted = database.execute("select subject, channel, ts, thread_ts from posted").fetchall()
    told = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    world = world_for(name)
    world.clock.set(datetime.fromisoformat(told["now"]))
    world.code.files.update(told["files"])
    _restore(world, told)
    chat = KeepingChat(first_ts=1000 + len(posted))
    chat.messages = [
        KeptMessage(ts, Message(""), thread_ts, False, subject, channel=channel)
        for subject, channel, ts, thread_ts in posted
    ]
    return world, chat


def _restore(world: ProductionWorld, told: dict[str, Any]) -> None:
    cluster = world.cluster
    for name, stable in told["stable"].items():
        found = cluster.deployments[name]
        containers = tuple(replace(c, image=stable["image"]) for c in found.containers)
        cluster.deployments[name] = replace(
            found, containers=containers, replicas=stable["replicas"], generation=stable["generation"]
        )
        cluster.pods[name] = [LONG_AGO] * stable["replicas"]
    for name, canary in told["canaries"].items():
        order = CanaryOrder(
            name.removesuffix("-canary"),
            name,
            canary["images"],
            canary["replicas"],
            canary["run"],
            canary["annotations"],
        )
        cluster._create(order)
        cluster.pods[name] = [LONG_AGO] * canary["replicas"]
    cluster.routes["web"].stable, cluster.routes["web"].canary = 100 - told["weight"], told["weight"]
    cluster.moved[:] = [
        Write(datetime.fromisoformat(at), what, number, available) for at, what, number, available in told["moved"]
    ]
    for stored in told["jobs"]:
        order = from_json(JobOrder, stored["order"])
        cluster.there[order.name] = FakeJob(order, JobLife(runs_s=60.0), datetime.fromisoformat(stored["created_at"]))


def main() -> None:
    for name in STATES:
        if not (FOLDER / f"{name}.sql").exists():
            asyncio.run(park(name, FOLDER))


if __name__ == "__main__":
    main()

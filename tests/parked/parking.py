"""Runs parked in every state: written by the version that stored them, finished by every later one.

`python -m tests.parked.parking` writes the files that are missing; an existing file is never written again, for it stands for the bot of its
day. A file is an SQL dump of the whole database with the state of the world beside it.
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
from runbook.jobs import JobOrder
from runbook.plan import from_json, to_json
from runbook.policy import Policy, StagingPolicy
from runbook.ports import Rollout
from tests.engine.harness import KeepingChat, KeptMessage
from tests.fakes.clock import SimulatedClock
from tests.runbook.fake_jobs import FakeJob, JobLife
from tests.runbook.fakes import BUSY_ROLLOUT, RELEASE_FILE, SERVICE, World
from tests.scenarios.stage import Stage, stage

FOLDER = Path(__file__).parent / "runs"
POLICY = Policy(staging=StagingPolicy(observation_s=30, min_requests=10))
VERSION = "v1.4.0-rc.2"


async def queued(s: Stage) -> None:
    await s.says("sam", 'lock staging --reason "load test"')
    await s.says("ada", f"deploy staging {VERSION}")


async def waiting_for_approval(s: Stage) -> None:
    await s.says("ada", f"deploy staging {VERSION}")
    await s.until_state("waiting")


async def paused(s: Stage) -> None:
    await waiting_for_approval(s)
    await s.says("ada", "pause staging-1")
    await s.says("sam", "approve staging-1")


async def deploying(s: Stage) -> None:
    s.world.cluster.rollouts = lambda _: BUSY_ROLLOUT
    await waiting_for_approval(s)
    await s.says("sam", "approve staging-1")
    await s.until(lambda: len(s.world.cluster.writes) == 1)
    await s.clock.advance(3)


async def observing(s: Stage) -> None:
    await waiting_for_approval(s)
    await s.says("sam", "approve staging-1")
    await s.until_at("Observe key metrics and health")
    await s.clock.advance(12)


async def held(s: Stage) -> None:
    s.metrics.value = lambda expression, at: None
    await waiting_for_approval(s)
    await s.says("sam", "approve staging-1")
    await s.until_state("held")


async def half_approved_go(s: Stage) -> None:
    await s.waits_for_go()
    await s.says("pia", "approve staging-1")


async def aborting(s: Stage) -> None:
    """The abort is on record, the engine has not answered it yet: it died in that moment."""
    await s.waits_for_go()
    await s.shown_all()
    s.store.write_now(_interrupt)


def _interrupt(ledger: Any) -> None:
    from engine.records import Run

    run = ledger.get(Run, "staging-1")
    ledger.save(replace(run, interrupt={"kind": "abort", "code": "aborted", "reason": "aborted by Ada: wrong day"}))


async def returning(s: Stage) -> None:
    await s.waits_for_go()
    s.world.cluster.rollouts = lambda _: BUSY_ROLLOUT
    await s.says("pia", "reject staging-1 --reason slow")
    await s.until(lambda: len(s.world.cluster.writes) == 3)
    await s.clock.advance(3)


async def migrating(s: Stage) -> None:
    """A migration's Job is on its way in the cluster."""
    s.world.code.files[SERVICE.release_file] = RELEASE_FILE
    s.world.cluster.lives = lambda order: JobLife(runs_s=60.0)
    await waiting_for_approval(s)
    await s.says("sam", "approve staging-1")
    await s.until(lambda: len(s.world.cluster.created) == 2)
    await s.clock.advance(5)


async def testing(s: Stage) -> None:
    """A suite runs while the bot dies."""
    s.world.cluster.lives = lambda order: JobLife(runs_s=60.0)
    await waiting_for_approval(s)
    await s.says("sam", "approve staging-1")
    await s.until_at("End-to-end tests: journeys")
    await s.clock.advance(5)


async def without_a_scan(s: Stage) -> None:
    """Held at the promotion gate: no scanner has spoken yet."""
    s.world.scans.clean = False
    await waiting_for_approval(s)
    await s.says("sam", "approve staging-1")
    await s.until_at("Staging promotion gate")
    await s.until_state("held")


async def taking_back(s: Stage) -> None:
    """A rejected go: the `down` Job of a migration that isn't compatible is on its way."""
    s.world.code.files[SERVICE.release_file] = RELEASE_FILE
    await s.waits_for_go()
    s.world.cluster.lives = lambda order: JobLife(runs_s=60.0)
    await s.says("pia", "reject staging-1 --reason slow")
    await s.until_at("Take back migration 0008-rename-total")
    await s.clock.advance(5)


STATES: dict[str, Callable[[Stage], Awaitable[None]]] = {
    f.__name__: f
    for f in (
        queued, waiting_for_approval, paused, migrating, deploying, testing, observing, held, without_a_scan, half_approved_go,
        aborting, returning, taking_back,
    )
}  # fmt: skip


async def park(name: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        async with stage(Path(place), policy=POLICY) as s:
            await STATES[name](s)
            world = {
                "now": s.clock.now().isoformat(), "images": s.images(), "actions": s.actions,
                "files": s.world.code.files, "jobs": [_job(job) for job in s.world.cluster.there.values()],
            }  # fmt: skip
        with closing(sqlite3.connect(Path(place) / "forge.db")) as database:
            dump = "\n".join(database.iterdump())
    (folder / f"{name}.sql").write_text(dump + "\n", encoding="utf-8")
    (folder / f"{name}.json").write_text(json.dumps(world, indent=1) + "\n", encoding="utf-8")


def _job(job: FakeJob) -> dict[str, Any]:
    return {"order": to_json(job.order), "created_at": job.created_at.isoformat()}


def unpark(name: str, folder: Path, place: Path) -> tuple[World, KeepingChat]:
    """Lays the database into `place`; returns the world and the chat as they were then."""
    with closing(sqlite3.connect(place / "forge.db")) as database:
        database.executescript((folder / f"{name}.sql").read_text(encoding="utf-8"))
        posted = database.execute("select subject, ts, thread_ts from posted").fetchall()
    state = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    world = World()
    world.clock = world.cluster.clock = world.probes.clock = SimulatedClock(datetime.fromisoformat(state["now"]))
    world.ports = replace(world.ports, clock=world.clock)
    world.scans.clock = world.clock
    world.code.files.update(state.get("files", {}))
    for stored in state.get("jobs", ()):
        order: JobOrder = from_json(JobOrder, stored["order"])
        world.cluster.there[order.name] = FakeJob(
            order, JobLife(runs_s=60.0), datetime.fromisoformat(stored["created_at"])
        )
    for workload, image in state["images"].items():
        found = world.cluster.deployments[workload]
        containers = tuple(replace(c, image=image) for c in found.containers)
        world.cluster.deployments[workload] = replace(found, containers=containers)
    world.cluster.rollouts = lambda _: Rollout(generation=2, observed=True, desired=2, updated=2, available=2, total=2)
    chat = KeepingChat(first_ts=1 + len(posted))
    chat.messages = [KeptMessage(ts, Message(""), thread_ts, False, subject) for subject, ts, thread_ts in posted]
    return world, chat


def main() -> None:
    for name in STATES:
        if not (FOLDER / f"{name}.sql").exists():
            asyncio.run(park(name, FOLDER))


if __name__ == "__main__":
    main()

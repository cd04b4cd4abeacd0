"""A town's production: a candidate that has its go, a router whose every weight is noted, and a bot that dies on the way."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.records import Decision
from runbook.plan import to_json
from runbook.values import FrozenImage, Release
from sandbox.world import World, short
from sandbox.world.acting import Actors
from sandbox.world.staff import ADA, PIA, SAM
from state.store import open_store
from tests.kills.patience import patient
from tests.kills.town import Town, product

CANDIDATE, FINAL = "v1.4.2-rc.1", "v1.4.2"
WEIGHTS = (5, 25, 100)


@dataclass
class Noted:
    """What the cluster has seen of production, by name: the canary's weight at every write of its route, images and replicas of every
    generation, canaries that came and went."""

    weights: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    images: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    replicas: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    came: list[str] = field(default_factory=list)
    went: list[str] = field(default_factory=list)
    _generations: dict[tuple[str, str], int] = field(default_factory=dict)

    def note(self, change: str, obj: dict[str, Any]) -> None:
        kind, name = obj.get("kind", ""), obj["metadata"]["name"]
        if kind not in ("HTTPRoute", "Deployment"):
            return
        if change in ("ADDED", "DELETED"):
            (self.came if change == "ADDED" else self.went).append(name)
        generation = obj["metadata"].get("generation", 1)
        if change == "DELETED" or self._generations.get((kind, obj["metadata"]["uid"])) == generation:
            return
        self._generations[kind, obj["metadata"]["uid"]] = generation
        if kind == "HTTPRoute":
            weights = {ref["name"]: ref["weight"] for ref in obj["spec"]["rules"][0]["backendRefs"]}
            assert sum(weights.values()) == 100
            self.weights[name].append(weights[f"{name}-canary"])
        else:
            self.images[name].append(obj["spec"]["template"]["spec"]["containers"][0]["image"])
            self.replicas[name].append(obj["spec"]["replicas"])


@dataclass
class ProductionTown(Town):
    noted: Noted = field(default_factory=Noted)
    nurse: asyncio.Task[None] | None = None

    async def promoted(self) -> str:
        run = await self.opened(ADA, f"promote {FINAL} prod", lambda run: run.version == FINAL)
        self.nurse = asyncio.create_task(self.tries_again(run))
        return run

    async def tries_again(self, run: str) -> None:
        """Whenever it is held, as a person would."""
        while True:
            if " – held" in self.headlines(run):
                await self.actors.command(ADA, f"retry {run}")
            await asyncio.sleep(1.0)

    async def approved(self, run: str) -> None:
        await self.asked("Ship to production", run)
        for who, gone in ((SAM, "Service Owner"), (PIA, "Ship to production")):
            await self.decide(who, "Ship to production", run, gone)

    def weight(self, workload: str = "web") -> int:
        """What the route says now."""
        return self.noted.weights[workload][-1] if self.noted.weights[workload] else 0


@contextlib.asynccontextmanager
async def production_town(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    phase: str = "3s",
    weights: Sequence[int] = WEIGHTS,
) -> AsyncIterator[ProductionTown]:
    """Only the canary's errors may bring it back: other triggers take longer than any story, however busy the machine is."""
    file.with_suffix(".story").write_text("")
    monkeypatch.setenv("MORTAL_FILE", str(file))
    monkeypatch.setenv("MORTAL_KINDS", "audit")
    quick = short(
        guards_for="600s", validates=(), database=False, phase=phase, phase_max="300s", watch="3s", weights=weights,
        triggers={"core_for": "600s", "regression_for": "600s"},
    )  # fmt: skip
    tempo = patient(quick, prod={"min_requests": 3})
    async with World(product(), tempo=tempo, with_bot=False, environments=("prod",)) as world:
        await asyncio.to_thread(give_go, world)
        noted = Noted()
        for each in (*world.cluster.list("Deployment"), *world.cluster.list("HTTPRoute")):
            noted._generations[each["kind"], each["metadata"]["uid"]] = each["metadata"].get("generation", 1)
        world.cluster.on_change(noted.note)
        it = ProductionTown(world, Actors(world.slack), file, noted=noted)
        await world.bot.start()
        await it.listens()
        try:
            yield it
        finally:
            if it.nurse is not None:
                it.nurse.cancel()


def give_go(world: World) -> None:
    """As staging's release of the candidate ends when it is good, before this bot's first life."""
    registry = world.registry
    images = tuple(
        FrozenImage(name, name, f"{registry.host}/acme/{name}", CANDIDATE, str(registry.digest(f"acme/{name}", CANDIDATE)))
        for name in world.shop.everything
    )  # fmt: skip
    release = Release("shop", CANDIDATE, "f" * 40, world.releases.commits[CANDIDATE], world.signer.principal, images)
    approvers = [{"actor": who, "name": who, "roles": [], "decision": "approve"} for who in (SAM, PIA)]
    decision = Decision(
        run="staging-1", service="shop", environment="staging", version=CANDIDATE, result="go",
        release=to_json(release), approvers=approvers, at=datetime.now(UTC),
    )  # fmt: skip
    with contextlib.closing(open_store("", data_dir=world.folder)) as store:
        store.write_now(lambda ledger: ledger.add(decision))

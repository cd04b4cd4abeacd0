"""A town's production: a candidate that has its go, a router whose every weight is noted, and a bot that dies on the way."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.records import Decision
from integrations.prometheus.rules import rules_text
from runbook.plan import to_json
from runbook.values import FrozenImage, Release
from sandbox.world import Product, World, short
from sandbox.world.acting import Actors
from sandbox.world.staff import ADA, PIA, SAM
from state.store import open_store
from tests.kills.town import STORY_WITHIN_S, Town

CANDIDATE, FINAL = "v1.4.2-rc.1", "v1.4.2"
ENDED = (" – completed", " – returned", " – incomplete", " – failed")


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

    def has_ended(self, run: str) -> bool:
        return any(end in self.headlines(run) for end in ENDED)

    async def promoted(self) -> str:
        """Asked for until a run is on record: what the bot's death swallowed is typed again, as a person would."""
        while not self.actors.runs():
            await self.actors.command(ADA, f"promote {FINAL} prod")
            with contextlib.suppress(TimeoutError):
                await self.actors.until(self.actors.runs, "it begins", within_s=20)
        run = self.actors.runs()[0]
        self.nurse = asyncio.create_task(self.tries_again(run))
        return run

    async def tries_again(self, run: str) -> None:
        """Whenever it is held, as a person would: a scan, say, came while the bot was dead, and comes again."""
        while True:
            if " – held" in self.headlines(run):
                await self.actors.command(ADA, f"retry {run}")
            await asyncio.sleep(1.0)

    async def approved(self, run: str) -> None:
        await self.asked("Ship to production", run)
        for who, gone in ((SAM, "Service Owner"), (PIA, "Ship to production")):
            await self.decide(who, "Ship to production", run, gone)

    async def ends(self, run: str) -> str:
        """The headline's sentence."""
        await self.actors.until(lambda: self.has_ended(run), f"{run} ends", within_s=STORY_WITHIN_S)
        return self.headlines(run)

    def weight(self, workload: str = "web") -> int:
        """What the route says now."""
        return self.noted.weights[workload][-1] if self.noted.weights[workload] else 0


@contextlib.asynccontextmanager
async def production_town(
    file: Path, monkeypatch: pytest.MonkeyPatch, *, kinds: str = "audit", every: int = 1, since: str = ""
) -> AsyncIterator[ProductionTown]:
    """every, since: see `mortal_bot`."""
    settings = {"FILE": str(file), "KINDS": kinds, "EVERY": str(every), "FROM": since}
    for name, value in settings.items():
        monkeypatch.setenv(f"MORTAL_{name}", value)
    product = Product([sys.executable, "-m", "tests.kills.mortal_bot"], rules_text, [])
    quick = short(validates=(), database=False, phase="3s", watch="3s")
    tempo = replace(quick, policy={**quick.policy, "prod": {**quick.policy["prod"], "min_requests": 3}})
    async with World(product, tempo=tempo, with_bot=False, environments=("prod",)) as world:
        await asyncio.to_thread(give_go, world)
        noted = Noted()
        for each in (*world.cluster.list("Deployment"), *world.cluster.list("HTTPRoute")):
            noted._generations[each["kind"], each["metadata"]["uid"]] = each["metadata"].get("generation", 1)
        world.cluster.on_change(noted.note)
        it = ProductionTown(world, Actors(world.slack), [], file, [], noted)
        await world.bot.start()
        await it.actors.until(lambda: world.slack.connection_state() == "connected", "the bot listens", within_s=90)
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

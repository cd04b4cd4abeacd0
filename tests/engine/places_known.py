"""A ledger with results, a GitHub in memory and clusters that run what tests say: for what is asked about places, candidates and changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from engine.intents import Intent
from engine.lookups import Asking
from engine.memory import LedgerMemory
from engine.ports import Ledger
from engine.records import Decision, Run
from integrations.github import GitHub
from runbook.plan import to_json
from runbook.policy import Policy, Service, Setting
from runbook.ports import Ports, Tag
from runbook.source import CommitInfo
from runbook.values import Actor, Environment, FrozenImage, Release, Role
from state.store import SqlStore
from tests.fakes.clock import NOON
from tests.fixtures_store import open_quickly
from tests.runbook.fake_source import FakeSource
from tests.runbook.fakes import SERVICE, FakeCluster, World

DEV, STAGING, PROD = Environment.DEV, Environment.STAGING, Environment.PROD
ADA = Actor("T1:UADA", "Ada", frozenset({Role.RELEASE_ENGINEER}))
SHOP: Service = replace(SERVICE, urls={env: f"http://shop.{env.value}" for env in Environment}, repository="acme/shop")


def sha(number: int) -> str:
    return f"{number:040x}"


def release(version: str, commit: str, digest: str = "1") -> Release:
    images = tuple(FrozenImage(w.name, w.container, w.image, version, f"sha256:{digest * 64}") for w in SHOP.workloads)
    return Release("shop", version, "f" * 40, commit, "ann@example.com", images)


@dataclass
class Known:
    """A world whose ledger, tags, branch and clusters a test fills. setting: of every service there is. github: asked in place of the one in
    memory.
    """

    store: SqlStore
    setting: Setting
    world: World
    source: FakeSource
    clusters: dict[Environment, FakeCluster]
    results: int = 0
    github: GitHub | None = None

    @property
    def ports(self) -> Ports:
        memory = LedgerMemory(self.store, self.world.clock)
        code, source = self.github or self.world.code, self.github or self.source
        return replace(self.world.ports, clusters=self.clusters, code=code, source=source, memory=memory)

    def asking(self, name: str, environment: Environment | None = None, **more: Any) -> Asking:
        intent = Intent(name=name, environment=environment, **more)
        return Asking(intent, ADA, self.ports, self.setting, self.store)

    def pushed(self, number: int) -> list[CommitInfo]:
        """So many commits on the branch, the oldest first: 1, 2, 3, …"""
        return [self.source.push(sha(n), f"Change {n}", "Ada Lovelace") for n in range(1, number + 1)]

    def tag(self, name: str, commit: str) -> None:
        self.world.code.tags[name] = Tag(name, commit, "f" * 40)

    async def told(self, result: str, found: Release, by: str = "Ada", service: str = "shop") -> str:
        """A result on record, each a minute after the one before; returns the run's id."""
        place = {"validated": DEV, "not_validated": DEV, "released": PROD, "rolled_back": PROD}.get(result, STAGING)
        self.results += 1
        at = NOON - timedelta(hours=5) + timedelta(minutes=self.results)
        run = Run(
            id=f"{place.value}-{self.results}", number=self.results, service=service, environment=place.value,
            procedure=place.value, version=found.version, arguments={}, requester="T1:UADA", requester_name=by,
            state="ended", ending="completed", created_at=at, ended_at=at,
        )  # fmt: skip
        row = Decision(
            run=run.id, service=service, environment=place.value, version=found.version, result=result,
            release=to_json(found), approvers=[], at=at,
        )  # fmt: skip

        def keep(ledger: Ledger) -> None:
            ledger.add(run)
            ledger.add(row)

        await self.store.write(keep)
        return run.id

    async def runs(self, environment: Environment, found: Release) -> None:
        """The cluster runs these very images."""
        cluster = self.clusters[environment]
        for image in found.images:
            await cluster.set_images(image.workload, {image.container: image.reference}, {})


@contextmanager
def known_places(tmp_path: Path, *services: Service) -> Iterator[Known]:
    """services: in place of the shop with its three environments."""
    store = open_quickly("", data_dir=tmp_path)
    world = World()
    world.code.tags.clear()
    setting = Setting(Policy(), {each.name: each for each in services or (SHOP,)}, "s1")
    try:
        yield Known(store, setting, world, FakeSource(), {env: FakeCluster(world.clock) for env in Environment})
    finally:
        store.close()

"""A whole engine with the real procedures of backups, drills and restores, a real ledger, and databases in memory on simulated time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.answers import Answer
from engine.backup_ledger import LedgerBackups
from engine.engine import Engine
from engine.intents import Intent
from engine.memory import LedgerMemory
from engine.records import BackupRow, Received, Run, Sealed, StepRow
from engine.settings import Settings
from messages.showing import Showing
from runbook.backups import RestoreChecks
from runbook.jobs import JobTemplate
from runbook.policy import BackupsPolicy, Policy, Setting
from runbook.ports import Ports
from runbook.procedures import CONTINUATIONS, PROCEDURES
from runbook.values import Actor, Environment, Role
from state.store import SqlStore
from tests.engine.harness import DATABASE, Counted, KeepingChat, QuickPainter
from tests.fakes.clock import SimulatedClock
from tests.fixtures_store import open_quickly
from tests.runbook.fake_databases import FakeDatabase, FakeRepository, FakeRestoreHost, facts_found
from tests.runbook.fakes import SERVICE, World

DOT = Actor("T1:UDOT", "Dot", frozenset({Role.DATABASE_OWNER}))
DAN = Actor("T1:UDAN", "Dan", frozenset({Role.DATABASE_OWNER}))
ADA = Actor("T1:UADA", "Ada", frozenset({Role.RELEASE_ENGINEER}))
EVE = Actor("T1:UEVE", "Eve")
PEOPLE = (DOT, DAN, ADA, EVE)

PROD, STAGING = Environment.PROD, Environment.STAGING
BY_HAND = BackupsPolicy(full="", base="", drill="")
CHECKS = RestoreChecks(schema_version="select 1", tables=("public.orders",), minimum_rows={"public.orders": 1000})
SHOP = replace(
    SERVICE, urls={PROD: "http://shop.prod", STAGING: "http://shop.staging"}, restore_checks=CHECKS,
    restore_switch=JobTemplate(image="registry.example/acme/switch@sha256:" + "5" * 64, args=("switch",)),
)  # fmt: skip


def setting_of(backups: BackupsPolicy = BY_HAND, hash_: str = "s1") -> Setting:
    roles = {Role.DATABASE_OWNER: ("UDOT", "UDAN"), Role.RELEASE_ENGINEER: ("UADA",), Role.ON_CALL: ("SONCALL",)}
    return Setting(Policy(backups=backups), {"shop": SHOP}, hash_, roles=roles)


@dataclass
class Place:
    """What outlives the program: databases, their backups, the cluster, the chat, the clock."""

    path: Path
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    chat: KeepingChat = field(default_factory=KeepingChat)
    setting: Setting = field(default_factory=setting_of)
    fate: Any = None

    def __post_init__(self) -> None:
        self.world = World()
        self.world.clock = self.clock
        self.repository = FakeRepository()
        self.database = FakeDatabase(self.clock, self.repository)
        self.host = FakeRestoreHost(self.clock, found=facts_found())

    def ports(self, store: Any) -> Ports:
        ledger = LedgerBackups(store, self.clock)
        given: Ports = replace(
            self.world.ports, clock=self.clock, memory=LedgerMemory(store, self.clock), backups=ledger,
            databases={("shop", PROD): self.database, ("shop", STAGING): self.database}, repository=self.repository,
            restore_host=self.host, backup_ledger=ledger,
        )  # fmt: skip
        return given


@dataclass
class Backing:
    engine: Engine
    store: SqlStore
    place: Place
    ledger: LedgerBackups

    @property
    def clock(self) -> SimulatedClock:
        return self.place.clock

    @property
    def chat(self) -> KeepingChat:
        return self.place.chat

    async def act(self, name: str, actor: Actor = DOT, *, run: str = "", **more: Any) -> Answer:
        """more: `reason`, `options`, `environment` (prod), `service`."""
        if not run:
            more.setdefault("environment", PROD)
        answer = await self.clock.complete(self.engine.desk.act(Intent(name=name, run=run, **more), actor))
        await self.clock.settle()
        return answer

    async def at_once(self, *intents: tuple[Intent, Actor]) -> list[Answer]:
        """In the same moment."""
        desk = self.engine.desk
        given = await self.clock.complete(asyncio.gather(*(desk.act(intent, actor) for intent, actor in intents)))
        await self.clock.settle()
        return given

    async def backup(self, verb: str = "run", actor: Actor = DOT, **more: Any) -> Answer:
        options = {"verb": verb, **more.pop("options", {})}
        return await self.act("backup", actor, options=options, **more)

    async def made(self, **more: Any) -> BackupRow:
        """A backup from its command to its end."""
        answer = await self.backup(**more)
        assert answer.ok, answer
        ended = await self.ended(answer.run)
        assert ended.ending == "completed", (ended.ending_reason, self.told())
        (row,) = self.rows(BackupRow, run=answer.run)
        assert isinstance(row, BackupRow)
        return row

    def run(self, run_id: str) -> Run:
        found = self.store.read_now(lambda ledger: ledger.get(Run, run_id))
        assert found is not None
        return found

    def rows(self, kind: Any, /, **equals: Any) -> list[Any]:
        return self.store.read_now(lambda ledger: ledger.find(kind, **equals))

    def steps(self, run_id: str) -> list[StepRow]:
        return self.store.read_now(lambda ledger: ledger.find(StepRow, run=run_id, order="index"))

    def audited(self, action: str) -> list[Sealed]:
        return [each for each in self.rows(Sealed) if each.action == action]

    def told(self) -> list[str]:
        return [kept.message.text for kept in self.chat.messages]

    async def until(self, condition: Callable[[], bool]) -> None:
        await self.clock.run_until(condition)

    async def ended(self, run_id: str) -> Run:
        await self.until(lambda: self.run(run_id).state == "ended")
        return self.run(run_id)

    async def waits(self, run_id: str) -> Run:
        await self.until(lambda: self.run(run_id).state in ("waiting", "ended"))
        return self.run(run_id)

    async def go_to(self, moment: datetime) -> None:
        await self.clock.advance(moment - self.clock.now())


@asynccontextmanager
async def backing(place: Place) -> AsyncIterator[Backing]:
    """One life of the program; again on the same place for the next."""
    store = open_quickly(DATABASE.get(), data_dir=place.path)
    counted = Counted(store)
    if place.fate is not None:
        counted.write = place.fate.wrap(counted.write)  # type: ignore[method-assign]
    counted.stops(place.clock)
    settings = Settings(place.setting)
    ports = place.ports(counted)
    showing = Showing(settings)
    engine = Engine(
        counted, ports, settings, place.chat, showing, lambda: "C1", PROCEDURES.get, CONTINUATIONS,
        painter=QuickPainter(), incidents=lambda: "C2",
    )  # fmt: skip
    showing.doing = engine.interpreter.doing

    async def consume(received: Received) -> None:
        payload = dict(received.payload)
        actor = {a.id: a for a in PEOPLE}[payload.pop("actor")]
        environment = payload.pop("environment", None)
        intent = Intent(environment=Environment(environment) if environment else None, **payload)
        await engine.desk.act(intent, actor, received=received)

    try:
        await engine.start(consume)
        await place.clock.settle()
        assert isinstance(ports.backup_ledger, LedgerBackups)
        yield Backing(engine, store, place, ports.backup_ledger)
    finally:
        await engine.stop(0.0)
        store.close()

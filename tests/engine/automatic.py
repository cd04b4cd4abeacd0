"""A whole engine that deploys a branch's green commits to dev by itself: GitHub in memory, a small procedure, simulated time."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.answers import Answer
from engine.ci_results import LedgerCiResults
from engine.engine import Engine
from engine.intents import Intent
from engine.memory import LedgerMemory
from engine.records import Run, Sealed
from engine.settings import Settings
from messages.showing import Showing
from runbook.errors import ForgeError
from runbook.plan import Plan, procedure, to_json
from runbook.policy import DevPolicy, Policy, Service, Setting, Workload
from runbook.ports import CiCheck, Ports
from runbook.procedures.base import Prepared, Request
from runbook.steps.control import Announce, RecordDecision
from runbook.values import Actor, Environment, Release, Role
from runbook.verdicts import Verdict
from state.store import SqlStore
from tests.engine.harness import (
    ADA,
    DATABASE,
    OUTSIDE,
    Act,
    Counted,
    KeepingChat,
    Look,
    Outside,
    QuickPainter,
)
from tests.fakes.clock import SimulatedClock
from tests.fixtures_store import open_quickly
from tests.runbook.fake_source import REPOSITORY, FakeSource

DEV = Environment.DEV
POLICY = DevPolicy(settle_s=10.0, poll_s=300.0)


def service(name: str, repository: str = REPOSITORY, **more: Any) -> Service:
    return Service(name, repository, (Workload("web", "web", f"r.test/{name}"),), {DEV: "http://shop.dev"}, **more)


SHOP = service("shop")


def setting_of(*services: Service, dev: DevPolicy = POLICY, hash_: str = "s1") -> Setting:
    roles = {Role.RELEASE_ENGINEER: ("UADA",)}
    return Setting(Policy(dev=dev), {each.name: each for each in services or (SHOP,)}, hash_, roles=roles)


def sha_of(number: int) -> str:
    return hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest()


@dataclass
class FakeCi:
    """Fulfils `CodeHost.checks` alone. states: by commit; a commit that isn't there has no check at all. errors: raised by the next calls in turn,
    or by each where it is a single one."""

    states: dict[str, str] = field(default_factory=dict)
    errors: list[ForgeError] | ForgeError = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def checks(self, repository: str, commit: str) -> tuple[CiCheck, ...]:
        self.asked.append(commit)
        if isinstance(self.errors, ForgeError):
            raise self.errors
        if self.errors:
            raise self.errors.pop(0)
        return (CiCheck("build", self.states[commit]),) if commit in self.states else ()


@dataclass
class Place:
    """What outlives the program. refuse: what the procedure refuses a commit with, by its SHA; raises: what it raises."""

    path: Path
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    chat: KeepingChat = field(default_factory=KeepingChat)
    source: FakeSource = field(default_factory=FakeSource)
    ci: FakeCi = field(default_factory=FakeCi)
    outside: Outside = field(default_factory=Outside)
    setting: Setting = field(default_factory=setting_of)
    refuse: dict[str, Verdict] = field(default_factory=dict)
    raises: dict[str, ForgeError] = field(default_factory=dict)
    fate: Any = None
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def push(self, ci: str = "success", **more: Any) -> str:
        """A commit on top of the branch; ci: its state, or empty for none. Returns its SHA."""
        sha = sha_of(next(self.numbers))
        self.source.push(sha, **more)
        if ci:
            self.ci.states[sha] = ci
        return sha

    async def prepare(self, request: Request, setting: Setting, ports: Ports) -> Prepared:
        """The procedure `dev`, of these tests."""
        assert ports.source is not None
        found = await ports.source.commit(setting.services[request.service].repository, request.version)
        assert found is not None
        if found.sha in self.raises:
            raise self.raises[found.sha]
        if found.sha in self.refuse:
            return Prepared(None, (self.refuse[found.sha],))
        return Prepared(self._plan(request, found.sha), (Verdict.passed("commit", "fine"),))

    def _plan(self, request: Request, sha: str) -> Plan:
        world, back = f"{self.path}", procedure("return_to_previous")
        return Plan(
            procedure="dev", service=request.service, environment=DEV, version=sha[:12],
            nodes=(
                Look(title="look", world=world, on_fail="hold"),
                Act(title="deploy", world=world, on_fail=back),
                Look(title="observe", world=world, on_fail="hold"),
                RecordDecision(title="record", result="validated"),
                Announce(title="tell", moment="completed"),
            ),
            about={"release": to_json(Release(request.service, sha[:12], "", sha, "", ()))},
        )  # fmt: skip


def way_back(left: Plan, facts: Mapping[str, Any]) -> Plan | None:
    first = next(iter(left.steps()))
    assert isinstance(first, Look)
    return Plan(
        procedure="return_to_previous", service=left.service, environment=left.environment, version=left.version,
        nodes=(
            Act(title="return", world=first.world, on_fail="continue"),
            RecordDecision(title="record", result="no_go", on_fail="continue"),
        ),
    )  # fmt: skip


@dataclass
class Automatic:
    engine: Engine
    store: SqlStore
    place: Place
    counted: Counted
    results: LedgerCiResults

    @property
    def clock(self) -> SimulatedClock:
        return self.place.clock

    def runs(self) -> list[Run]:
        return self.store.read_now(lambda ledger: ledger.find(Run, order="number"))

    def deployed(self) -> list[str]:
        """The versions that runs were opened for, in order."""
        return [run.version for run in self.runs()]

    def rows(self, kind: Any, /, **equals: Any) -> list[Any]:
        return self.store.read_now(lambda ledger: ledger.find(kind, **equals))

    def audited(self, action: str) -> list[Sealed]:
        return [each for each in self.rows(Sealed) if each.action == action]

    def told(self, words: str) -> list[str]:
        return [m.message.text for m in self.place.chat.messages if words in m.message.text + str(m.message.blocks)]

    async def until(self, condition: Callable[[], bool]) -> None:
        await self.clock.run_until(condition)

    async def all_ended(self, count: int) -> list[Run]:
        await self.until(lambda: len(self.runs()) >= count and all(run.state == "ended" for run in self.runs()))
        return self.runs()

    async def act(self, name: str, actor: Actor = ADA, **more: Any) -> Answer:
        answer = await self.clock.complete(self.engine.desk.act(Intent(name=name, **more), actor))
        await self.clock.settle()
        return answer

    def ring(self, repository: str = REPOSITORY) -> None:
        self.engine.auto_deploys.ring(repository)


@asynccontextmanager
async def automatic(place: Place) -> AsyncIterator[Automatic]:
    """One life of the program; again on the same place for the next."""
    store = open_quickly(DATABASE.get(), data_dir=place.path)
    counted = Counted(store)
    if place.fate is not None:
        counted.write = place.fate.wrap(counted.write)  # type: ignore[method-assign]
    counted.stops(place.clock)
    OUTSIDE[f"{place.path}"] = place.outside
    settings, results = Settings(place.setting), LedgerCiResults(counted)
    nothing: Any = None
    cluster: Any = object()
    code: Any = place.ci
    ports = Ports(
        clock=place.clock, clusters={DEV: cluster}, metrics={}, code=code, images=nothing, signatures=nothing, probes=nothing,
        memory=LedgerMemory(counted, place.clock), source=place.source, ci_results=results,
    )  # fmt: skip
    showing = Showing(settings)
    engine = Engine(
        counted, ports, settings, place.chat, showing, lambda: "C1", {"dev": place.prepare}.get,
        {"return_to_previous": way_back}, painter=QuickPainter(), incidents=lambda: "C2",
    )  # fmt: skip
    showing.doing = engine.interpreter.doing

    async def consume(received: Any) -> None:
        raise AssertionError("nobody types anything here")

    try:
        await engine.start(consume)
        await place.clock.settle()
        yield Automatic(engine, store, place, counted, results)
    finally:
        await engine.stop(0.0)
        store.close()


def with_dev(setting: Setting, **changes: Any) -> Setting:
    """The same setting, with other numbers for dev."""
    return replace(setting, policy=replace(setting.policy, dev=replace(setting.policy.dev, **changes)), hash="s2")

"""A whole engine on a real SQLite store with a simulated clock, a chat that keeps what it was given, and procedures made for a test."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from engine.answers import Answer
from engine.engine import Engine
from engine.intents import Intent
from engine.memory import LedgerMemory
from engine.ports import Message, Placed
from engine.records import Received, Run, StepRow
from engine.settings import Settings
from messages.showing import Showing
from runbook.charts import Chart
from runbook.errors import ForgeError
from runbook.plan import Guard, Plan, Result, Scene, Span, Work, procedure
from runbook.policy import Policy, Service, Setting, Workload
from runbook.ports import Ports, Sample, Series
from runbook.procedures.base import Continuation, Prepared, Request
from runbook.steps.control import Announce, Approval, RecordDecision
from runbook.values import Actor, Environment, Role
from runbook.verdicts import Verdict
from state.store import SqlStore
from tests.fakes.clock import SimulatedClock
from tests.fixtures_store import open_quickly
from tests.runbook.fakes import FakeCodeHost

ADA = Actor("T1:UADA", "Ada", frozenset({Role.RELEASE_ENGINEER}))
SAM = Actor("T1:USAM", "Sam", frozenset({Role.SERVICE_OWNER}))
PIA = Actor("T1:UPIA", "Pia", frozenset({Role.PRODUCT}))
BOTH = Actor("T1:UBOTH", "Bo", frozenset({Role.PRODUCT, Role.SERVICE_OWNER}))
GUEST = Actor("T1:UGUEST", "Gus", refusal="guests may do nothing here")


@dataclass
class Outside:
    """The outside world of the test's steps: what was done to it, and how it behaves. Keyed by a step's title."""

    done: list[str] = field(default_factory=list)
    results: dict[str, Callable[[], Result]] = field(default_factory=dict)
    takes_s: dict[str, float] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)


OUTSIDE: dict[str, Outside] = {}


@dataclass(frozen=True, kw_only=True)
class Act(Work):
    """Does what `Outside` says. world: which `Outside` it belongs to."""

    kind: ClassVar[str] = "test_act"
    effect: ClassVar[bool] = True
    world: str

    async def perform(self, scene: Scene) -> Result:
        outside = OUTSIDE[self.world]
        outside.done.append(self.title)
        takes_s = outside.takes_s.get(self.title, 0.0)
        try:
            if takes_s:
                from datetime import timedelta

                await scene.ports.clock.sleep_until(scene.begun_at + timedelta(seconds=takes_s))
        except asyncio.CancelledError:
            outside.cancelled.append(self.title)
            raise
        make = outside.results.get(self.title)
        return (
            make() if make is not None else Result((Verdict.passed(self.title, "as it should"),), {self.title: "done"})
        )


@dataclass(frozen=True, kw_only=True)
class Look(Act):
    kind: ClassVar[str] = "test_look"
    effect: ClassVar[bool] = False


@dataclass
class KeptMessage:
    ts: str
    message: Message
    thread_ts: str
    broadcast: bool
    message_id: str
    edits: int = 0
    channel: str = ""


@dataclass
class KeptUpload:
    """after: how many messages stood there before."""

    channel: str
    name: str
    title: str
    alt: str
    data: bytes
    thread_ts: str
    after: int


class KeepingChat:
    """Fulfils `Chat`; raises what is queued in `faults` first."""

    def __init__(self, first_ts: int = 1) -> None:
        self.messages: list[KeptMessage] = []
        self.answers: list[tuple[str, Message]] = []
        self.uploads: list[KeptUpload] = []
        self.faults: list[ForgeError] = []
        self.upload_faults: list[ForgeError] = []
        self.is_upload_kept_before_its_fault = False
        self._ts = itertools.count(first_ts)

    def _strike(self) -> None:
        if self.faults:
            raise self.faults.pop(0)

    async def post(
        self, channel: str, message: Message, message_id: str, *, thread_ts: str = "", broadcast: bool = False
    ) -> Placed:
        self._strike()
        kept = KeptMessage(f"{next(self._ts)}.0", message, thread_ts, broadcast, message_id, channel=channel)
        self.messages.append(kept)
        return Placed(channel, kept.ts, f"https://slack.test/{kept.ts}")

    async def update(self, channel: str, ts: str, message: Message) -> None:
        self._strike()
        kept = next(m for m in self.messages if m.ts == ts)
        kept.message, kept.edits = message, kept.edits + 1

    async def find(self, channel: str, message_id: str, *, thread_ts: str = "", since: datetime) -> Placed | None:
        kept = next((m for m in self.messages if m.message_id == message_id), None)
        return None if kept is None else Placed(channel, kept.ts)

    async def respond(self, address: str, message: Message) -> None:
        self._strike()
        self.answers.append((address, message))

    async def upload(self, channel: str, name: str, title: str, alt: str, data: bytes, *, thread_ts: str = "") -> None:
        """Raises what is queued in `upload_faults` first."""
        fault = self.upload_faults.pop(0) if self.upload_faults else None
        if fault is None or self.is_upload_kept_before_its_fault:
            self.uploads.append(KeptUpload(channel, name, title, alt, data, thread_ts, len(self.messages)))
        if fault is not None:
            raise fault

    async def find_file(self, channel: str, name: str, *, thread_ts: str = "", since: datetime) -> bool:
        return any(u.name == name and u.channel == channel and u.thread_ts == thread_ts for u in self.uploads)

    async def direct(self, user_id: str) -> str:
        return f"D{user_id[1:]}"


class QuickPainter:
    """Fulfils `Painter` without drawing: the bytes name the chart. Raises what is queued in `faults` first."""

    def __init__(self) -> None:
        self.drawn: list[str] = []
        self.faults: list[ForgeError] = []

    async def draw(self, chart: Chart) -> bytes:
        self.drawn.append(chart.title)
        if self.faults:
            raise self.faults.pop(0)
        return f"PNG of {chart.title}".encode()


class Series1:
    """Fulfils `Metrics` by a function of time."""

    def __init__(self) -> None:
        self.value: Callable[[str, datetime], list[Series]] = lambda metric, at: []
        self.clock: SimulatedClock | None = None
        self.queries = 0

    async def query(self, expression: str, at: datetime | None = None) -> tuple[Series, ...]:
        assert self.clock is not None
        self.queries += 1
        return tuple(self.value(expression, at or self.clock.now()))

    async def query_range(self, expression: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        from datetime import timedelta

        found: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
        at = start
        while at <= end:
            for series in self.value(expression, at):
                found.setdefault(tuple(sorted(series.labels.items())), []).append(series.samples[0])
            at += timedelta(seconds=step_s)
        return tuple(Series(dict(labels), tuple(samples)) for labels, samples in found.items())


@dataclass
class Bench:
    engine: Engine
    store: SqlStore
    clock: SimulatedClock
    chat: KeepingChat
    metrics: Series1
    outside: Outside
    numbers: dict[str, Any]
    painter: QuickPainter

    async def act(self, name: str, actor: Actor, run: str = "", **more: Any) -> Answer:
        answer = await self.engine.desk.act(Intent(name=name, run=run, **more), actor)
        await self.clock.settle()
        return answer

    async def deploy(self, version: str = "v1.0.0-rc.1", actor: Actor = ADA, **more: Any) -> str:
        more.setdefault("service", "shop")
        answer = await self.act("deploy", actor, environment=Environment.STAGING, version=version, **more)
        assert answer.ok, answer
        return answer.run

    def run(self, run_id: str) -> Run:
        run = self.store.read_now(lambda ledger: ledger.get(Run, run_id))
        assert run is not None
        return run

    def steps(self, run_id: str) -> list[StepRow]:
        return self.store.read_now(lambda ledger: ledger.find(StepRow, run=run_id, order="index"))

    def rows(self, kind: Any, /, **equals: Any) -> list[Any]:
        return self.store.read_now(lambda ledger: ledger.find(kind, **equals))

    async def until(self, run_id: str, *states: str) -> Run:
        await self.clock.run_until(lambda: self.run(run_id).state in states)
        return self.run(run_id)

    async def ended(self, run_id: str) -> Run:
        return await self.until(run_id, "ended")


def plan_for(request: Request, setting: Setting, world: str, numbers: Mapping[str, Any]) -> Plan:
    back = procedure("return_to_previous")
    return Plan(
        procedure="staging",
        service=request.service,
        environment=request.environment,
        version=request.version,
        about={"release": None, "numbers": dict(numbers)},
        nodes=(
            Look(title="look", world=world),
            Approval(title="ship it", roles=(Role.SERVICE_OWNER,), expires_s=setting.policy.waiting.approval_expires_s),
            Look(title="remember", world=world),
            Span(
                guards=(Guard("error rate", "forge:error_ratio:1m", True, 0.03, 300.0),),
                on_breach="return_to_previous",
                steps=(
                    Act(title="deploy one", world=world, on_fail=back),
                    Act(title="deploy two", world=world, on_fail=back),
                    Approval(
                        title="go or no-go", roles=(Role.PRODUCT, Role.SERVICE_OWNER), expires_s=86400.0, purpose="go",
                        on_fail=back,
                    ),
                ),
            ),
            RecordDecision(title="record", result="go"),
            Announce(title="tell", moment="completed"),
        ),
    )  # fmt: skip


def way_back(left: Plan, facts: Mapping[str, Any]) -> Plan | None:
    first = next(iter(left.steps()))
    assert isinstance(first, Act)
    return Plan(
        procedure="return_to_previous",
        service=left.service,
        environment=left.environment,
        version=left.version,
        nodes=(
            Act(title="return two", world=first.world, on_fail="continue"),
            Act(title="return one", world=first.world, on_fail="continue"),
            RecordDecision(title="record", result="no_go", on_fail="continue"),
            Announce(title="tell", moment="returned", on_fail="continue"),
        ),
    )


CONTINUATIONS: dict[str, Continuation] = {"return_to_previous": way_back}


def setting_for(policy: Policy | None = None, hash_: str = "s1") -> Setting:
    services = {
        name: Service(
            name, f"acme/{name}", (Workload("web", "web", f"r.test/{name}"),), {Environment.STAGING: "http://x"}
        )
        for name in ("shop", "desk")
    }
    roles = {
        Role.RELEASE_ENGINEER: ("UADA",), Role.SERVICE_OWNER: ("USAM", "UBOTH"), Role.PRODUCT: ("UPIA", "UBOTH"),
        Role.ON_CALL: ("SONCALL",),
    }  # fmt: skip
    return Setting(policy or Policy(), services, hash_, roles=roles)


class Counted:
    """The store, with a count of what is under way in its threads: simulated time stands still meanwhile."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self.under_way = 0
        self._at_rest = asyncio.Event()

    def stops(self, clock: SimulatedClock) -> None:
        """Lets this clock stand still while anything is under way."""
        clock.stand_still_while(lambda: self.under_way > 0, self._at_rest.wait)

    async def write(self, change: Any) -> Any:
        with self._counting():
            return await self.store.write(change)

    async def read(self, look: Any) -> Any:
        with self._counting():
            return await self.store.read(look)

    @contextmanager
    def _counting(self) -> Iterator[None]:
        self.under_way += 1
        self._at_rest.clear()
        try:
            yield
        finally:
            self.under_way -= 1
            if not self.under_way:
                self._at_rest.set()

    @property
    def healthy(self) -> bool:
        return self.store.healthy


DATABASE: ContextVar[str] = ContextVar("DATABASE", default="")
"""Where the tests of one module run on several databases; empty: SQLite in the test's folder."""


@asynccontextmanager
async def bench(
    tmp_path: Path, *, outside: Outside | None = None, clock: SimulatedClock | None = None, chat: KeepingChat | None = None,
    metrics: Series1 | None = None, setting: Setting | None = None, numbers: dict[str, Any] | None = None, world: str = "",
    fate: Any = None, painter: QuickPainter | None = None,
) -> AsyncIterator[Bench]:  # fmt: skip
    """One life of the program; call it again on the same path for the next."""
    store = open_quickly(DATABASE.get(), data_dir=tmp_path)
    counted = Counted(store)
    if fate is not None:
        counted.write = fate.wrap(counted.write)  # type: ignore[method-assign]
    clock = clock or SimulatedClock()
    counted.stops(clock)
    chat, outside, metrics = chat or KeepingChat(), outside or Outside(), metrics or Series1()
    painter = painter or QuickPainter()
    metrics.clock = clock
    world = world or f"{tmp_path}"
    OUTSIDE[world] = outside
    shared = numbers if numbers is not None else {}
    settings = Settings(setting or setting_for())
    nothing: Any = None
    ports = Ports(
        clock=clock, clusters={}, metrics={Environment.STAGING: metrics}, code=FakeCodeHost(tags={}), images=nothing,
        signatures=nothing, probes=nothing, memory=LedgerMemory(counted, clock),
    )  # fmt: skip

    async def staging(request: Request, setting: Setting, ports: Ports) -> Prepared:
        if shared.get("error") is not None:
            raise shared["error"]
        if shared.get("refuse"):
            return Prepared(
                None, (Verdict.failed("tag", "tag.moved", "the tag has moved", remedy="cut a new candidate"),)
            )
        plan = plan_for(request, setting, world, {k: v for k, v in shared.items() if k not in ("error", "refuse")})
        return Prepared(plan, (Verdict.passed("tag", "fine"),))

    showing = Showing(settings)
    engine = Engine(
        counted, ports, settings, chat, showing, lambda: "C1", {"staging": staging}.get,
        CONTINUATIONS, painter=painter, incidents=lambda: "C2",
    )  # fmt: skip
    showing.doing = engine.interpreter.doing

    async def consume(received: Received) -> None:
        payload = received.payload
        actor = {a.id: a for a in (ADA, SAM, PIA, BOTH, GUEST)}[payload["actor"]]
        environment = Environment(payload["environment"]) if payload.get("environment") else None
        fields = {k: v for k, v in payload.items() if k not in ("actor", "environment", "response_url")}
        await engine.desk.act(Intent(environment=environment, **fields), actor, received=received)

    try:
        await engine.start(consume)
        await clock.settle()
        yield Bench(engine, store, clock, chat, metrics, outside, shared, painter)
    finally:
        await engine.stop(0.0)
        store.close()


def failing(title: str) -> Result:
    return Result((Verdict.failed(title, "test.failed", f"{title} went wrong"),))


def without_data(title: str) -> Result:
    return Result((Verdict.no_data(title, "metrics.absent", f"{title}: nothing to judge by"),))


def ratio(service: str, value: float) -> Callable[[str, datetime], list[Series]]:
    return lambda metric, at: [Series({"service": service, "env": "staging", "track": "stable"}, (Sample(at, value),))]

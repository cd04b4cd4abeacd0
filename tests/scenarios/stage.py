"""The whole bot on simulated time: real store, engine, procedures, parser and messages; the outside world in memory.

People type what they would type in Slack and click what the newest cards offer; what they see is what the chat was given.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.engine import Engine
from engine.memory import LedgerMemory
from engine.records import Button, Outgoing, Run, Sealed, Segment, StepRow
from engine.settings import Settings
from handlers.consumer import SlackConsumer, asks_for_a_reason
from messages.showing import Showing
from runbook.criteria import Weight
from runbook.errors import ForgeError, StoreUnavailable
from runbook.policy import Policy, Service, Setting, StagingPolicy
from runbook.ports import Metrics, Sample, Series
from runbook.procedures import CONTINUATIONS, PROCEDURES
from runbook.values import Actor, Environment, Role
from state.store import SqlStore
from tests.engine.harness import Counted, KeepingChat, KeptMessage, QuickPainter
from tests.fixtures_store import open_quickly
from tests.runbook.fakes import GOOD_METRICS, SERVICE, World

TEAM = "T1"
PEOPLE = {
    "ada": Actor("T1:UADA", "Ada", frozenset({Role.RELEASE_ENGINEER})),
    "rob": Actor("T1:UROB", "Rob", frozenset({Role.RELEASE_ENGINEER})),
    "sam": Actor("T1:USAM", "Sam", frozenset({Role.SERVICE_OWNER})),
    "sue": Actor("T1:USUE", "Sue", frozenset({Role.SERVICE_OWNER})),
    "pia": Actor("T1:UPIA", "Pia", frozenset({Role.PRODUCT})),
    "bo": Actor("T1:UBO", "Bo", frozenset({Role.SERVICE_OWNER, Role.PRODUCT})),
    "owen": Actor("T1:UOWEN", "Owen", frozenset({Role.RELEASE_ENGINEER, Role.SERVICE_OWNER})),
    "dora": Actor("T1:UDORA", "Dora", frozenset({Role.DATABASE_OWNER})),
    "olly": Actor("T1:UOLLY", "Olly", frozenset({Role.ON_CALL})),
    "opal": Actor("T1:UOPAL", "Opal", frozenset({Role.OPERATIONS})),
    "max": Actor("T1:UMAX", "Max"),
    "gus": Actor("T1:UGUS", "Gus", refusal="guests can't use forge"),
    "old": Actor("T1:UOLD", "Old", frozenset({Role.SERVICE_OWNER}), refusal="this account is deactivated"),
    "far": Actor(
        "T9:UFAR", "Far", frozenset({Role.SERVICE_OWNER}), refusal="another workspace's members can't use forge"
    ),
}
ROLES = {
    Role.RELEASE_ENGINEER: ("UADA", "UROB", "UOWEN"), Role.SERVICE_OWNER: ("USAM", "USUE", "UBO", "UOWEN"),
    Role.PRODUCT: ("UPIA", "UBO"), Role.ON_CALL: ("SONCALL",),
    Role.DATABASE_OWNER: ("UDORA",), Role.OPERATIONS: ("UOPAL",),
}  # fmt: skip


@dataclass
class PeopleDirectory:
    """Fulfils `handlers.ports.Directory` from a table that a test may change."""

    people: dict[str, Actor] = field(default_factory=lambda: {a.id: a for a in PEOPLE.values()})
    error: ForgeError | None = None

    async def actor(self, team_id: str, user_id: str) -> Actor:
        if self.error is not None:
            raise self.error
        return self.people[f"{team_id}:{user_id}"]


SHORT = Policy(staging=StagingPolicy(observation_s=60.0))
"""Everything as the runbook has it, but for a minute of observation."""


def setting_of(policy: Policy = SHORT, hash_: str = "setting-1", service: Service = SERVICE) -> Setting:
    return Setting(policy, {service.name: service}, hash_, roles=ROLES)


LIGHT = replace(SERVICE, suites=(), performance=None)
"""Without suites and load, for stories that are told many times over; its policy must not require them."""


def lightly(policy: Policy) -> Policy:
    """The same, requiring neither suites nor a load."""
    rows = tuple(
        replace(row, to_prod=Weight.OPTIONAL) if row.name in ("suites", "performance") else row
        for row in policy.criteria
    )
    return replace(policy, criteria=rows)


class Measured:
    """Fulfils `Metrics`: what each recorded metric says at a moment, for the service's one series; expressions of gates by a word in them.

    value: (expression, moment) -> number, several numbers, None for no series, or an error to raise.
    """

    def __init__(self, world: World, service: str) -> None:
        self._world, self._service = world, service
        self.value: Callable[[str, datetime], float | list[float] | ForgeError | None] = healthy

    async def query(self, expression: str, at: datetime | None = None) -> tuple[Series, ...]:
        moment = at or self._world.clock.now()
        found = self.value(expression, moment)
        if isinstance(found, ForgeError):
            raise found
        numbers = [] if found is None else found if isinstance(found, list) else [found]
        labels = {"service": self._service, "env": "staging", "track": "stable"}
        return tuple(Series({**labels, "copy": str(i)}, (Sample(moment, n),)) for i, n in enumerate(numbers))

    async def query_range(self, expression: str, start: datetime, end: datetime, step_s: float) -> tuple[Series, ...]:
        samples, at = [], start
        while at <= end:
            answer = await self.query(expression, at)
            if len(answer) == 1:
                samples.append(answer[0].samples[0])
            at += (end - start) / max(1, round((end - start).total_seconds() / step_s))
        return (
            (Series({"service": self._service, "env": "staging", "track": "stable"}, tuple(samples)),)
            if samples
            else ()
        )


GO = 15
"""The place of the go among the steps of a release without migrations."""

JUDGED = ("request_rate", "error_rate", "error_ratio", "request_duration", "latency_p", "readiness")


def healthy(expression: str, at: datetime) -> float:
    """600 requests a minute, 1 in 1,000 fails, p95 of 120 ms, everything ready. Gates' expressions are longer than guards'."""
    other = next((value for word, value in GOOD_METRICS.items() if word in expression), None)
    if isinstance(other, float) and not any(word in expression for word in JUDGED):
        return other
    if "histogram_quantile" in expression or "latency_p95" in expression:
        return 0.12
    if "readiness" in expression:
        return 1.0
    if "error_rate" in expression:
        return 0.001 if "/" in expression else 18.0
    return 0.001 if "error_ratio" in expression else 18_000.0


@dataclass(frozen=True)
class Deed:
    """What somebody does in Slack. trigger: what a redelivery keeps; empty: one of its own."""

    who: str
    kind: str
    payload: Mapping[str, Any]
    trigger: str = ""


def spoken(who: str, text: str, trigger: str = "") -> Deed:
    return Deed(who, "command", {"text": text, "command": "/forge"}, trigger)


@dataclass
class Stage:
    engine: Engine
    store: SqlStore
    world: World
    metrics: Measured
    chat: KeepingChat
    directory: PeopleDirectory
    consumer: SlackConsumer
    first: str = "staging-1"
    """The run that is meant where none is named."""

    @property
    def clock(self) -> Any:
        return self.world.clock

    async def says(self, who: str, text: str, *, trigger: str = "") -> str:
        """`/forge <text>`; returns the answer that this person alone sees (empty for a redelivery)."""
        return (await self.at_once(spoken(who, text, trigger)))[0]

    async def clicks(
        self, who: str, action: str, *, index: int | None = None, card: int = -1, reason: str = "", trigger: str = ""
    ) -> str:
        """A button of the newest card (or headline, with index None) of the newest run."""
        return (await self.at_once(self.click(who, action, index=index, card=card, reason=reason, trigger=trigger)))[0]

    def click(
        self, who: str, action: str, *, index: int | None = None, card: int = -1, reason: str = "", trigger: str = ""
    ) -> Deed:
        """The same, not done yet. card: among the buttons of this action and step in the order of their plans."""
        number = {s.hash: s.number for s in self.rows(Segment)}
        found = [b for b in self.rows(Button, action=action) if b.index == index]
        buttons = sorted(found, key=lambda b: (b.created_at, number[b.plan_hash]))
        kind = "view" if asks_for_a_reason(action) else "click"
        return Deed(who, kind, {"action": action, "button": buttons[card].id, "reason": reason}, trigger)

    async def at_once(self, *deeds: Deed) -> list[str]:
        """What several people do in the same moment; the answers that each of them alone sees."""
        addresses = [f"https://hooks.slack.test/{secrets.token_hex(6)}" for _ in deeds]
        kept = await asyncio.gather(*(self._received(d, a) for d, a in zip(deeds, addresses, strict=True)))
        waited = {address for address, received in zip(addresses, kept, strict=True) if received}
        await self.clock.run_until(lambda: waited <= {address for address, _ in self.chat.answers})
        return [next((shown(m) for a, m in self.chat.answers if a == address), "") for address in addresses]

    async def _received(self, deed: Deed, address: str) -> bool:
        team, user = PEOPLE[deed.who].id.split(":")
        payload = {"team": team, "user": user, "channel": "C1", "response_url": address, **deed.payload}
        return await self.engine.desk.receive(deed.trigger or address, deed.kind, payload) is not None

    def rows(self, kind: Any, /, **equals: Any) -> list[Any]:
        return self.store.read_now(lambda ledger: ledger.find(kind, **equals))

    def run(self, run_id: str = "") -> Run:
        found = self.store.read_now(lambda ledger: ledger.get(Run, run_id or self.first))
        assert found is not None
        return found

    def steps(self, run_id: str = "") -> list[StepRow]:
        return self.rows(StepRow, run=run_id or self.first, order="index")

    def at(self, run_id: str = "") -> str:
        """The title of the step that the run is at."""
        run = self.run(run_id)
        return next((s.title for s in self.steps(run_id) if s.index == run.position), "")

    async def until(self, condition: Callable[[], bool]) -> None:
        await self.clock.run_until(condition)

    async def until_state(self, *states: str, run_id: str = "") -> Run:
        await self.until(lambda: self.run(run_id).state in states)
        return self.run(run_id)

    async def until_at(self, title: str, run_id: str = "") -> None:
        await self.until(lambda: self.at(run_id) == title)

    async def really(self, condition: Callable[[], bool], within_s: float = 120.0) -> None:
        """Waits for something that takes real time; simulated time stands still meanwhile."""
        end = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            await asyncio.sleep(0.01)

    async def shown_all(self) -> None:
        await self.until(lambda: not self.rows(Outgoing, state=["pending", "sending"]))

    async def waits_for_approval(self, version: str = "v1.4.0-rc.2", who: str = "ada") -> None:
        """Somebody asks; `staging-1` waits for its approval, and everything is shown."""
        await self.says(who, f"deploy staging {version}")
        await self.until_state("waiting")
        await self.shown_all()

    async def waits_for_go(self, version: str = "v1.4.0-rc.2") -> None:
        """Ada asks, Sam approves, the observation goes by: `staging-1` waits for its go."""
        await self.says("ada", f"deploy staging {version}")
        await self.until_state("waiting")
        await self.says("sam", "approve staging-1")
        await self.until_at("Go or no-go")
        await self.until_state("waiting")

    @property
    def headline(self) -> str:
        return shown(next(m.message for m in self.chat.messages if not m.thread_ts))

    @property
    def texts(self) -> list[str]:
        return [shown(m.message) for m in self.chat.messages]

    def cards(self) -> list[KeptMessage]:
        return [m for m in self.chat.messages if m.message_id.startswith("approval:")]

    @property
    def notes(self) -> list[str]:
        """What stands in the run's thread beside its cards, the oldest first."""
        return [shown(m.message) for m in self.chat.messages if m.message_id.startswith("note:")]

    @property
    def actions(self) -> list[str]:
        """What the audit log tells of, but for the starts of the program."""
        return [e.action for e in self.rows(Sealed, order="seq") if e.action != "forge.started"]

    def images(self) -> dict[str, str]:
        """What staging runs now."""
        return {name: d.containers[0].image for name, d in self.world.cluster.deployments.items()}


def offered(message: Any) -> list[str]:
    """The `action_id`s of the buttons that a message shows."""
    return [e["action_id"] for b in message.blocks if b["type"] == "actions" for e in b["elements"]]


def shown(message: Any) -> str:
    """A message's text and all the texts of its blocks."""
    found = [message.text]

    def walk(value: Any) -> None:
        if isinstance(value, Mapping):
            if isinstance(value.get("text"), str):
                found.append(value["text"])
            for item in value.values():
                walk(item)
        elif isinstance(value, list | tuple):
            for item in value:
                walk(item)

    walk(list(message.blocks))
    return "\n".join(found)


@dataclass
class StoreTrouble:
    """What a test does to the store. full: nothing can be written. tight: only the given-up ballast makes room: all is written, no more."""

    full: bool = False
    tight: bool = False


class TroubledStore(Counted):
    def __init__(self, store: SqlStore, trouble: StoreTrouble) -> None:
        super().__init__(store)
        self._trouble = trouble

    async def write(self, change: Any) -> Any:
        if self._trouble.full:
            raise StoreUnavailable("disk_full", "the disk is full", "Make room on it")
        return await super().write(change)

    @property
    def healthy(self) -> bool:
        return self.store.healthy and not (self._trouble.full or self._trouble.tight)


@asynccontextmanager
async def stage(
    path: Path, *, world: World | None = None, chat: KeepingChat | None = None, policy: Policy = SHORT,
    url: str = "", fate: Any = None, metrics: Measured | None = None, directory: PeopleDirectory | None = None,
    trouble: StoreTrouble | None = None, service: Service = SERVICE, recorded: Mapping[Environment, Metrics] | None = None,
) -> AsyncIterator[Stage]:  # fmt: skip
    """One life of the program; call it again with the same path, world and chat for the next. recorded: in place of `metrics`."""
    store = open_quickly(url, data_dir=path)
    counted = TroubledStore(store, trouble or StoreTrouble())
    if fate is not None:
        counted.write = fate.wrap(counted.write)  # type: ignore[method-assign]
    world, chat = world or World(), chat or KeepingChat()
    counted.stops(world.clock)
    metrics, directory = metrics or Measured(world, SERVICE.name), directory or PeopleDirectory()
    ports = replace(
        world.ports, metrics={**dict.fromkeys(world.ports.metrics, metrics), **(recorded or {})},
        memory=LedgerMemory(counted, world.clock),
    )  # fmt: skip
    settings = Settings(setting_of(policy, service=service))
    showing = Showing(settings)
    engine = Engine(
        counted, ports, settings, chat, showing, lambda: "C1", PROCEDURES.get, CONTINUATIONS, painter=QuickPainter(),
        incidents=lambda: "C2",
    )  # fmt: skip
    showing.doing = engine.interpreter.doing
    consumer = SlackConsumer(engine.desk, directory)
    try:
        await engine.start(consumer)
        await world.clock.settle()
        yield Stage(engine, store, world, metrics, chat, directory, consumer)
    finally:
        await engine.stop(0.0)
        store.close()

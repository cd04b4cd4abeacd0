"""A commit goes to dev in the whole engine, by the real procedure; the process dies at every boundary of it, of its marking and of its way
back, and it ends as if nothing had happened.

What is outside (cluster, GitHub, chat) outlives every death.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from engine.answers import Answer
from engine.engine import Engine
from engine.intents import Intent
from engine.memory import LedgerMemory
from engine.records import Decision, Outgoing, Received, Run, Sealed
from engine.settings import Settings
from messages.showing import Showing
from runbook.policy import DevPolicy, Policy, Setting
from runbook.ports import HttpAnswer
from runbook.procedures import CONTINUATIONS, PROCEDURES
from runbook.values import Environment, Role
from state.store import SqlStore
from tests.engine.dying import DyingChat, Mortality
from tests.engine.harness import ADA, Counted, QuickPainter
from tests.fixtures_store import open_quickly
from tests.runbook.dev_stories import DEV_SERVICE, SHORT, DevWorld
from tests.runbook.fake_source import REPOSITORY
from tests.runbook.fakes import COMMIT, NOON

POLICY = Policy(dev=DevPolicy(auto_deploy=False, observation_s=15.0, traffic_wait_s=30.0, smoke_every_s=5.0))
MARKING = ("mark", "write_draft")
OLD = {"app": "registry.example/acme/old@sha256:0"}


@dataclass
class Late(Mortality):
    """Deadly from the first boundary on that says so; without a word everywhere."""

    since: str = ""
    is_late: bool = False

    def is_fatal(self, boundary: str) -> bool:
        self.is_late = self.is_late or self.since in boundary
        return self.is_late and super().is_fatal(boundary)


@dataclass
class Story:
    """One run of dev, in as many lives as it takes. broken: the service fails once the new images run."""

    path: Path
    broken: bool = False
    mortality: Mortality = field(default_factory=lambda: Mortality(on=False))

    def __post_init__(self) -> None:
        self.path.mkdir()
        self.world = DevWorld()
        self.chat = DyingChat(self.mortality)
        self.mortality.strike(self.world.cluster)
        for method in MARKING:
            struck = self.mortality._struck(method, getattr(self.world.source, method))
            setattr(self.world.source, method, struck)
        if self.broken:
            self.world.probes.respond = self._respond
        self.lives = 0

    def _respond(self, request: Any, at_s: float) -> HttpAnswer:
        is_new = self.images()["web"] != OLD["app"]
        return HttpAnswer(500 if is_new else 200, 0.01, '{"ok": true}')

    def images(self) -> dict[str, str]:
        return {name: found.containers[0].image for name, found in self.world.cluster.deployments.items()}

    async def told(self) -> str:
        """The ending of the run."""
        while not await self._life():
            self.mortality.next_life()
        self.mortality.on = False
        async with self.engine() as (_, store):
            (run,) = store.read_now(lambda ledger: ledger.find(Run))
            return str(run.ending)

    async def _life(self) -> bool:
        """False: it died."""
        self.lives += 1
        life = asyncio.ensure_future(self._lived())
        death = asyncio.ensure_future(self.mortality.died.wait())
        await asyncio.wait({life, death}, return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if life.done():
            await life
            return True
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        return False

    async def _lived(self) -> None:
        async with self.engine() as (engine, store):
            await engine.desk.receive("deploy", "command", {"name": "deploy", "environment": "dev", "service": "shop"})

            def ended() -> bool:
                runs = store.read_now(lambda ledger: ledger.find(Run))
                return bool(runs) and runs[0].state == "ended"

            await self.world.clock.run_until(ended)

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[tuple[Engine, SqlStore]]:
        """One life of the program."""
        store = open_quickly("", data_dir=self.path)
        counted, clock = Counted(store), self.world.clock
        counted.write = self.mortality.wrap(counted.write)  # type: ignore[method-assign]
        clock.stand_still_while(lambda: counted.under_way > 0 and not self.mortality.died.is_set())
        roles = {Role.RELEASE_ENGINEER: ("UADA",), Role.SERVICE_OWNER: ("USAM",), Role.ON_CALL: ("UONCALL",)}
        settings = Settings(Setting(POLICY, {"shop": DEV_SERVICE}, "s1", roles))
        showing = Showing(settings)
        ports = replace(self.world.ports, memory=LedgerMemory(counted, clock))
        engine = Engine(
            counted, ports, settings, self.chat, showing, lambda: "C1", PROCEDURES.get, CONTINUATIONS,
            painter=QuickPainter(), incidents=lambda: "C2",
        )  # fmt: skip
        showing.doing = engine.interpreter.doing

        async def consume(received: Received) -> None:
            payload = dict(received.payload)
            intent = Intent(environment=Environment(payload.pop("environment")), **payload)
            await engine.desk.act(intent, ADA, received=received)

        try:
            await engine.start(consume)
            yield engine, store
        finally:
            await engine.stop(0.0)
            store.close()


async def results(story: Story) -> list[tuple[str, str]]:
    async with story.engine() as (_, store):
        found = store.read_now(lambda ledger: ledger.find(Decision))
    return [(each.version, each.result) for each in found]


async def test_a_commit_is_validated_and_staging_knows_it(tmp_path: Path) -> None:
    story = Story(tmp_path / "one")
    assert await story.told() == "completed"
    assert await results(story) == [(SHORT, "validated")]
    async with story.engine() as (_, store):
        found = await LedgerMemory(store, story.world.clock).validated("shop", COMMIT)
    assert found is not None
    assert (found.run, found.release.commit) == ("dev-1", COMMIT)
    assert found.facts["smoke"]["outcome"] == "pass"
    assert found.facts["marked"]["notes"] == "v0.1.0"


async def test_a_commit_that_fails_brings_back_what_ran_before(tmp_path: Path) -> None:
    story = Story(tmp_path / "one", broken=True)
    assert await story.told() == "returned"
    assert await results(story) == [(SHORT, "not_validated")]
    assert set(story.images().values()) == set(OLD.values())
    assert not story.world.source.marks
    assert not story.world.source.drafts_kept


@pytest.mark.parametrize(("broken", "since"), [(False, ""), (True, "Return worker")])
async def test_a_death_at_every_boundary_changes_nothing(tmp_path: Path, broken: bool, since: str) -> None:
    whole = Story(tmp_path / "whole", broken)
    ending = await whole.told()
    story = Story(tmp_path / "mortal", broken, Late(on=True, since=since))
    assert await story.told() == ending
    assert story.lives > 8
    assert await results(story) == await results(whole)
    assert story.images() == whole.images()
    assert [(at, sha, mark.context, mark.state) for at, sha, mark in story.world.source.marks] == [
        (at, sha, mark.context, mark.state) for at, sha, mark in whole.world.source.marks
    ]
    assert [draft.body.count(SHORT) for draft in story.world.source.drafts_kept.get(REPOSITORY, [])] == [
        draft.body.count(SHORT) for draft in whole.world.source.drafts_kept.get(REPOSITORY, [])
    ]
    ids = [kept.message_id for kept in story.chat.messages]
    assert len(ids) == len(set(ids)), "a message is posted once"
    assert story.world.clock.now() >= NOON


async def test_a_held_run_of_dev_calls_its_own_people_and_never_on_call(tmp_path: Path) -> None:
    story = Story(tmp_path / "one")
    story.world.cluster.logs["web-1", False] = None
    async with story.engine() as (engine, store):
        await engine.desk.receive("deploy", "command", {"name": "deploy", "environment": "dev", "service": "shop"})

        def escalated() -> bool:
            return "hold.escalated" in [entry.action for entry in store.read_now(lambda ledger: ledger.find(Sealed))]

        await story.world.clock.run_until(escalated)
        await story.world.clock.advance(60)
    said = [f"{kept.message.text} {kept.message.blocks}" for kept in story.chat.messages]
    assert any("has been held for" in words and "USAM" in words for words in said)
    assert not any("UONCALL" in words for words in said)


async def test_a_bug_in_a_run_of_dev_is_told_in_its_thread_and_the_channel_and_never_to_on_call(tmp_path: Path) -> None:
    story = Story(tmp_path / "one")

    async def bug(*_: object) -> int:
        raise ZeroDivisionError

    story.world.cluster.set_images = bug  # type: ignore[method-assign]
    async with story.engine() as (engine, store):
        await engine.desk.receive("deploy", "command", {"name": "deploy", "environment": "dev", "service": "shop"})

        def escalated() -> bool:
            return "hold.escalated" in [entry.action for entry in store.read_now(lambda ledger: ledger.find(Sealed))]

        await story.world.clock.run_until(escalated)
        await story.world.clock.advance(60)
        notes = store.read_now(lambda ledger: ledger.find(Outgoing, kind="note"))
    said = [f"{kept.message.text} {kept.message.blocks}" for kept in story.chat.messages]
    assert [note.broadcast for note in notes if note.subject.startswith("note:dev-1:held:")] == [True]
    assert any("is held" in words and "correlation id" in words and "UADA" in words for words in said)
    assert not any("UONCALL" in words for words in said)


async def test_a_commit_that_is_under_way_is_not_deployed_twice(tmp_path: Path) -> None:
    story = Story(tmp_path / "one")

    async def asked(engine: Engine, version: str) -> Answer:
        intent = Intent(name="deploy", environment=Environment.DEV, service="shop", version=version)
        return await engine.desk.act(intent, ADA)

    async with story.engine() as (engine, _):
        first = await asked(engine, COMMIT[:7])
        second = await asked(engine, "")
        assert (first.run, first.ok) == ("dev-1", True)
        assert (second.code, second.run) == ("deploy.already", "dev-1")

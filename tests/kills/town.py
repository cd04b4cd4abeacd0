"""A town whose bot dies and lives again, and the people who get a release through it all the same."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import pytest

from engine.records import Outgoing, Received, Run, RunState
from integrations.prometheus.rules import rules_text
from runbook.errors import StoreUnavailable
from sandbox.serving import until
from sandbox.world import Product, World, short
from sandbox.world.acting import Actors
from sandbox.world.staff import ADA, PIA, RELEASES, SAM
from state.checkpoints import load_private_key
from state.places import DirectoryPlace
from state.store import open_store
from state.verify import verify
from tests.kills.patience import patient

R = TypeVar("R")
VERSION = "v1.4.0-rc.2"
STORY_WITHIN_S = 600
LONGEST_START_S = 0.5
READ_WITHIN_S = 60.0
HEARD_WITHIN_S = 10.0
"""For a command that nobody acknowledged: so long it may still come to be on record."""


def product() -> Product:
    return Product([sys.executable, "-m", "tests.kills.mortal_bot"], rules_text, [])


@dataclass
class Town:
    """A world whose bot dies, and somebody who starts it again at once.

    file: keeps the boundaries that are behind it. jobs: (name, key) of each Job as the cluster saw it created. changes: (workload, version)
    of each image that a Deployment was told to run.
    """

    world: World
    actors: Actors
    file: Path
    changes: list[tuple[str, str]] = field(default_factory=list)
    jobs: list[tuple[str, str]] = field(default_factory=list)

    # --- its bot

    def deadly(self, story: str, *, every: int = 1, since: str = "") -> None:
        """From now on every n-th boundary is deadly, once in this story, from the first one on that has `since` in its name."""
        self.file.with_suffix(".story").write_text(f"{story}|{every}|{since}")

    def immortal(self) -> None:
        self.file.with_suffix(".story").write_text("")

    def boundaries(self, story: str = "") -> list[str]:
        """What is behind of it, deadly or not."""
        lead = f"{story}: " if story else ""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [line.removeprefix(lead) for line in lines if line.startswith(lead)]

    def assert_died_at(self, story: str, *boundaries: str) -> None:
        """Of a story in which every boundary is deadly: these are among them."""
        behind = self.boundaries(story)
        for each in boundaries:
            assert any(each in boundary for boundary in behind), (each, behind)

    @property
    def deaths(self) -> int:
        file = self.file.with_suffix(".deaths")
        return len(file.read_text()) if file.exists() else 0

    def kill(self) -> None:
        """The life that is on now, if one is."""
        with contextlib.suppress(ProcessLookupError, FileNotFoundError, ValueError):
            os.kill(int(self.file.with_suffix(".pid").read_text()), signal.SIGKILL)

    async def killed_at_random(self, dice: Random, times: int, longest_s: float = 1.0) -> None:
        """Every third life at any moment of its start, the others within `longest_s` from when they listen."""
        while (deaths := self.deaths) < times:
            if deaths % 3:
                await self.listens()
            await asyncio.sleep(dice.uniform(0.0, longest_s if deaths % 3 else LONGEST_START_S))

            async def is_dead(deaths: int = deaths) -> bool:
                if self.deaths == deaths:
                    self.kill()
                return self.deaths > deaths

            await until(is_dead, STORY_WITHIN_S, "it dies")

    async def listens(self) -> None:
        """Raises AssertionError where it has ended."""
        world = self.world

        def is_decided() -> bool:
            return world.slack.connection_state() == "connected" or world.bot.pid is None

        await self.actors.until(is_decided, "the bot listens", within_s=STORY_WITHIN_S)
        assert world.bot.pid is not None, world.bot.last_lines()

    # --- what is on record

    def records(self, kind: type[R], *, order: str = "", **equals: Any) -> list[R]:
        """Read beside the bot, or without it. Nothing stays open: the next life has to recover the database by itself.

        A life that died half way through a commit leaves what can't be read until then."""
        deadline = time.monotonic() + READ_WITHIN_S
        while True:
            try:
                with contextlib.closing(open_store("", data_dir=self.world.folder, read_only=True)) as store:
                    return store.read_now(lambda ledger: list(ledger.find(kind, order=order, **equals)))
            except StoreUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)  # the bot's next life needs nothing of this process to recover it

    def run(self, run: str) -> Run:
        (found,) = self.records(Run, id=run)
        return found

    def is_heard(self) -> bool:
        """Whatever was typed or clicked, and came to be on record, has had its effect."""
        return not self.records(Received, done_at=None)

    def jobs_left(self) -> list[str]:
        return [job["metadata"]["name"] for job in self.world.cluster.list("Job")]

    def headlines(self, run: str) -> str:
        return self.actors.state(run)

    # --- people

    async def opened(self, user: str, text: str, is_it: Callable[[Run], bool]) -> str:
        """The run that this command opens. Typed again, as a person would, where the bot's death swallowed it, or where it was refused."""
        before = {run.id for run in self.records(Run)}

        def new() -> list[str]:
            return [run.id for run in self.records(Run) if run.id not in before and is_it(run)]

        while True:
            result = await self.actors.command(user, text)

            async def is_opened() -> bool:
                return bool(new())

            async def is_answered() -> bool:
                return bool(new()) or self.is_heard()

            if result.outcome != "acknowledged":  # what is acknowledged was on record before
                with contextlib.suppress(TimeoutError):
                    await until(is_opened, HEARD_WITHIN_S, f"{text} opens a run", every_s=0.1)
            await until(is_answered, STORY_WITHIN_S, f"{text} is heard", every_s=0.1)
            if found := new():
                assert len(found) == 1, f"{text} opened {found}"
                return found[0]
            await asyncio.sleep(0.5)

    async def asked(self, title: str, run: str) -> None:
        await self.actors.until(
            lambda: "Waiting for" in self.headlines(run) and title in self.headlines(run), f"{run} asks: {title}",
            within_s=STORY_WITHIN_S,
        )  # fmt: skip

    async def decide(self, who: str, title: str, run: str, gone: str, action: str = "approve") -> None:
        """Clicks until it is on record: a click whose bot died before the acknowledgement is repeated, as a person would."""
        while gone in self.headlines(run):
            with contextlib.suppress(LookupError, TimeoutError, OSError):
                await self.actors.click(who, action, run)
            with contextlib.suppress(TimeoutError):
                await self.actors.until(lambda: gone not in self.headlines(run), f"{title} by {who}", within_s=3)

    async def story(self, version: str = VERSION) -> str:
        """A deployment from the command to its good end."""
        run = await self.opened(ADA, f"deploy staging {version}", lambda run: run.version == version)
        await self.asked("Deploy to staging", run)
        await self.decide(SAM, "Deploy to staging", run, "Deploy to staging")
        await self.asked("Go or no-go", run)
        await self.decide(PIA, "Go or no-go", run, "Product")
        await self.decide(SAM, "Go or no-go", run, "Waiting for Service Owner")
        assert await self.ended(run) == "completed", f"{self.actors.headline(run)}\n{self.actors.thread(run)}"
        await self.told()
        assert " – completed" in self.headlines(run)
        return run

    async def ended(self, run: str) -> str:
        """How, as it is on record."""

        async def holds() -> bool:
            return self.run(run).state == RunState.ENDED

        await until(holds, STORY_WITHIN_S, f"the end of {run}", every_s=0.2)
        return str(self.run(run).ending)

    # --- the end

    async def told(self) -> None:
        """Until everything that was to be said is said."""

        async def holds() -> bool:
            return not self.records(Outgoing, state=["pending", "sending"])

        await until(holds, STORY_WITHIN_S, "everything is told", every_s=0.1)

    async def at_rest(self) -> None:
        """The bot has said everything and ends in good order: its last boundaries, such as a receiver's end, are deadly no more.

        One that took too long to end and was killed for it tries it once more."""
        await self.told()
        self.immortal()
        while True:
            await self.world.restart_bot()
            await self.told()
            await self.world.bot.stop()
            if self.world.bot.exit_code == 0:
                return

    def doubled(self) -> dict[str, int]:
        messages = [m for m in self.world.slack.workspace.messages[RELEASES] if m.metadata and not m.ephemeral_for]
        ids = Counter(m.metadata["event_payload"]["id"] for m in messages if m.metadata)
        return {name: count for name, count in ids.items() if count > 1}

    def audit_problem(self) -> str:
        """What `forge audit verify` would say; empty when all is well."""
        key = load_private_key(self.world.kept.audit_key).public_key()
        with contextlib.closing(open_store("", data_dir=self.world.folder, read_only=True)) as store:
            found = verify(store, [key], DirectoryPlace(self.world.folder / "checkpoints").found())
        return "" if found.ok else found.sentence

    # --- what the cluster sees

    def note_jobs(self, change: str, obj: dict[str, Any]) -> None:
        if obj.get("kind") == "Job" and change == "ADDED":
            self.jobs.append((obj["metadata"]["name"], obj["metadata"]["annotations"]["forge/job-key"]))

    def note_images(self, env: str) -> None:
        """Begin to note `changes`."""
        last = dict(self.world.images(env))

        def note(change: str, obj: dict[str, Any]) -> None:
            if obj.get("kind") != "Deployment" or obj["metadata"]["namespace"] != env:
                return
            name = obj["metadata"]["name"]
            version = self.world.images(env)[name]
            if last[name] != version:
                last[name] = version
                self.changes.append((name, version))

        self.world.cluster.on_change(note)


@contextlib.asynccontextmanager
async def town(
    file: Path, kinds: str, monkeypatch: pytest.MonkeyPatch, validates: Sequence[str] = ()
) -> AsyncIterator[Town]:
    """kinds: see `mortal_bot`."""
    monkeypatch.setenv("MORTAL_FILE", str(file))
    monkeypatch.setenv("MORTAL_KINDS", kinds)
    tempo = short(observation="3s", guards_for="600s", validates=validates, suite_timeout="300s", start_within="240s")
    async with World(product(), tempo=patient(tempo), with_bot=False, environments=("staging",)) as world:
        it = Town(world, Actors(world.slack), file)
        it.note_images("staging")
        world.cluster.on_change(it.note_jobs)
        await world.bot.start()
        await it.listens()
        yield it

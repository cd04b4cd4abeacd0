"""A town whose bot dies and lives again, and the people who get a release through it all the same."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from integrations.prometheus.rules import rules_text
from sandbox.world import Product, World, short
from sandbox.world.acting import Actors
from sandbox.world.staff import ADA, PIA, RELEASES, SAM
from state.checkpoints import load_private_key
from state.places import DirectoryPlace
from state.store import open_store
from state.verify import verify

VERSION = "v1.4.0-rc.2"
STORY_WITHIN_S = 600


@dataclass
class Town:
    """A world whose bot dies, and somebody who starts it again at once. jobs: (name, key) of each Job as the cluster saw it created."""

    world: World
    actors: Actors
    changes: list[tuple[str, str]]
    file: Path
    jobs: list[tuple[str, str]]

    def jobs_left(self) -> list[str]:
        return [job["metadata"]["name"] for job in self.world.cluster.list("Job")]

    @property
    def deaths(self) -> int:
        file = self.file.with_suffix(".deaths")
        return len(file.read_text()) if file.exists() else 0

    def kill(self) -> None:
        """The life that is on now, if one is."""
        with contextlib.suppress(ProcessLookupError, FileNotFoundError, ValueError):
            os.kill(int(self.file.with_suffix(".pid").read_text()), signal.SIGKILL)

    def headlines(self, run: str) -> str:
        return self.actors.state(run)

    async def asked(self, title: str, run: str) -> None:
        await self.actors.until(
            lambda: "Waiting for" in self.headlines(run) and title in self.headlines(run), f"{run} asks: {title}",
            within_s=STORY_WITHIN_S,
        )  # fmt: skip

    async def decide(self, who: str, title: str, run: str, gone: str) -> None:
        """Clicks until it is on record: a click whose bot died before the acknowledgement is repeated, as a person would."""
        while gone in self.headlines(run):
            with contextlib.suppress(LookupError, TimeoutError, OSError):
                await self.actors.click(who, "approve", run)
            await asyncio.sleep(0.5)

    async def story(self, version: str = VERSION, end: str = " – completed") -> str:
        """A deployment from the command to its end."""
        before = set(self.actors.runs())
        while not (new := set(self.actors.runs()) - before):
            result = await self.actors.command(ADA, f"deploy staging {version}")
            if result.timed_out:
                continue
            with contextlib.suppress(TimeoutError):
                await self.actors.until(lambda: set(self.actors.runs()) - before, "it begins", within_s=20)
        run = min(new)
        await self.asked("Deploy to staging", run)
        await self.decide(SAM, "Deploy to staging", run, "Deploy to staging")
        await self.asked("Go or no-go", run)
        await self.decide(PIA, "Go or no-go", run, "Product")
        await self.decide(SAM, "Go or no-go", run, "Waiting for Service Owner")
        await self.actors.until(lambda: end in self.headlines(run), f"{run} ends", within_s=STORY_WITHIN_S)
        return run

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


@contextlib.asynccontextmanager
async def town(
    file: Path, kinds: str, monkeypatch: pytest.MonkeyPatch, validates: Sequence[str] = ()
) -> AsyncIterator[Town]:
    monkeypatch.setenv("MORTAL_FILE", str(file))
    monkeypatch.setenv("MORTAL_KINDS", kinds)
    product = Product([sys.executable, "-m", "tests.kills.mortal_bot"], rules_text, [])
    tempo = short(observation="3s", guards_for="60s", validates=validates)
    async with World(product, tempo=tempo, with_bot=False, environments=("staging",)) as world:
        changes: list[tuple[str, str]] = []
        jobs: list[tuple[str, str]] = []
        last = dict(world.images("staging"))

        def note(change: str, obj: dict[str, Any]) -> None:
            if obj.get("kind") == "Job" and change == "ADDED":
                jobs.append((obj["metadata"]["name"], obj["metadata"]["annotations"]["forge/job-key"]))
            if obj.get("kind") == "Deployment" and obj["metadata"]["namespace"] == "staging":
                name = obj["metadata"]["name"]
                version = world.images("staging")[name]
                if last[name] != version:
                    last[name] = version
                    changes.append((name, version))

        world.cluster.on_change(note)
        it = Town(world, Actors(world.slack), changes, file, jobs)
        await world.bot.start()
        await it.actors.until(lambda: world.slack.connection_state() == "connected", "the bot listens", within_s=90)
        yield it

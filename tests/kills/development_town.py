"""A town whose developers merge, and whose dev gets what is green from a bot that dies on the way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.records import Decision, Run, Sealed
from runbook.rules.validated_notes import markers
from sandbox.github.repository import Release, Repository, Status
from sandbox.serving import until
from sandbox.world import World, short
from sandbox.world.acting import Actors
from sandbox.world.development import VALIDATED, Development
from sandbox.world.tags import CHECKS, REPOSITORY
from tests.kills.patience import patient
from tests.kills.town import STORY_WITHIN_S, Town, product

DEV = "dev"
WORKLOADS = ("catalog", "web")


@dataclass
class DevelopmentTown(Town):
    """GitHub's webhook leads to where the bot listens, as behind an address that stays; while it is dead, nowhere."""

    @property
    def developers(self) -> Development:
        assert self.world.development is not None
        return self.world.development

    @property
    def repository(self) -> Repository:
        return self.world.github.repository(REPOSITORY)

    async def follow(self) -> None:
        """Leads the webhook to each life."""
        while True:
            if (address := self.world.bot.address()) is not None:
                self.developers.lead(address, self.world.kept.hook_secret)
            await asyncio.sleep(0.05)

    # --- developers

    async def merged_and_green(self) -> str:
        """Merged and built; returns the commit."""
        commit = self.developers.merge()

        async def is_green() -> bool:
            return self.is_green(commit)

        await until(is_green, STORY_WITHIN_S, f"CI of {commit[:12]} is green")
        return commit

    def is_green(self, commit: str) -> bool:
        done = {each.name for each in self.repository.checks if (each.head_sha, each.conclusion) == (commit, "success")}
        return set(CHECKS) <= done

    # --- forge

    def runs_of(self, commit: str) -> list[Run]:
        return self.records(Run, environment=DEV, version=commit[:12])

    async def deployed(self, commit: str) -> str:
        """The one run of the commit, which nobody asked for, once it is complete."""

        async def begins() -> bool:
            return bool(self.runs_of(commit))

        await until(begins, STORY_WITHIN_S, f"a run of {commit[:12]} begins", every_s=0.2)
        run = self.runs_of(commit)[0].id
        assert await self.ended(run) == "completed", f"{self.actors.headline(run)}\n{self.actors.thread(run)}"
        return run

    def skipped(self) -> list[str]:
        return [entry.subject for entry in self.records(Sealed, action="auto_deploy.skipped")]

    def results(self) -> list[tuple[str, str, str]]:
        """(run, version, result) of every decision on record."""
        return [(each.run, each.version, each.result) for each in self.records(Decision)]

    # --- GitHub

    def marks(self, commit: str) -> list[Status]:
        """What forge has set on the commit, all of it and not the newest alone."""
        return [each for each in self.repository.statuses if (each.sha, each.context) == (commit, VALIDATED)]

    def drafts(self) -> list[Release]:
        return [each for each in self.repository.releases if each.draft]

    async def redelivered(self, count: int, is_going_on: Callable[[], bool]) -> None:
        """As a person may on GitHub's page: what was sent after its first `count` deliveries and not taken, until nothing is left of it."""
        hooks = self.world.github.hooks
        while is_going_on() or self._untaken(count):
            for guid in self._untaken(count)[:1]:
                hooks.redeliver(guid)
            with contextlib.suppress(TimeoutError):
                await hooks.settled()
            await asyncio.sleep(0.2)

    def _untaken(self, count: int) -> list[str]:
        """Their GUIDs, the oldest first; none while an answer is waited for."""
        sent = self.world.github.hooks.deliveries[count:]
        if any(each.status == "pending" for each in sent):
            return []
        taken = {each.guid for each in sent if 200 <= each.status_code < 300}
        return list(dict.fromkeys(each.guid for each in sent if each.guid not in taken))

    def heard_since(self, count: int) -> list[str]:
        """Events that the bot has taken, of those that GitHub sent after its first `count`."""
        return [each.event for each in self.world.github.hooks.deliveries[count:] if 200 <= each.status_code < 300]

    # --- the end

    def assert_once(self, validated: Sequence[str]) -> None:
        """validated: the commits that were deployed, one run each, in their order."""
        short_of = [commit[:12] for commit in validated]
        runs = self.records(Run, order="number")
        assert [(run.version, run.procedure, run.ending) for run in runs] == [
            (commit, DEV, "completed") for commit in short_of
        ]
        assert self.results() == [(run.id, commit, "validated") for run, commit in zip(runs, short_of, strict=True)]
        for name in WORKLOADS:
            assert [version for workload, version in self.changes if workload == name] == short_of, (
                "each image is set once"
            )
        assert self.world.serves(DEV, short_of[-1])
        for commit in validated:
            assert [mark.state for mark in self.marks(commit)] == ["success"]
        self._assert_notes(short_of)
        assert self.doubled() == {}
        assert self.audit_problem() == ""
        assert self.jobs_left() == []

    def _assert_notes(self, short_of: Sequence[str]) -> None:
        (draft,) = self.drafts()
        start, end = markers("shop")
        assert (draft.body.count(start), draft.body.count(end)) == (1, 1)
        for commit in short_of:
            assert draft.body.count(f"`{commit}`") == 1, draft.body


@contextlib.asynccontextmanager
async def development_town(file: Path, monkeypatch: pytest.MonkeyPatch, kinds: str) -> AsyncIterator[DevelopmentTown]:
    """Its bot is immortal until a story begins. kinds: see `mortal_bot`."""
    file.with_suffix(".story").write_text("")
    monkeypatch.setenv("MORTAL_FILE", str(file))
    monkeypatch.setenv("MORTAL_KINDS", kinds)
    quick = short(guards_for="600s", validates=(), database=False, dev="required")
    tempo = patient(quick, dev={"observation": "2s", "min_requests": 1, "ci_wait": "600s"})
    async with World(product(), tempo=tempo, with_bot=False, environments=(DEV,)) as world:
        it = DevelopmentTown(world, Actors(world.slack), file)
        it.note_images(DEV)
        world.cluster.on_change(it.note_jobs)
        await world.bot.start()
        follower = asyncio.create_task(it.follow())
        try:
            await it.listens()
            yield it
        finally:
            follower.cancel()

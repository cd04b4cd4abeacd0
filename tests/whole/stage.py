"""The whole bot among all stand-ins, over the real protocols: what tests do as people, and what they see."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from bot.assembly import Bot
from bot.configuration.loading import load
from integrations.prometheus.rules import rules_text
from runbook.commands import COMMANDS
from sandbox.serving import until
from sandbox.slack import ClickResult, CommandResult
from sandbox.world import Actors, Product, Tempo, World, short
from sandbox.world.staff import ADA, PIA, SAM
from sandbox.world.tags import RUNNING
from state.store import SqlStore, open_store
from tests.whole.on_record import Record

HINTS = [{"name": c.name, "usage": c.usage.partition(" ")[2], "help": c.summary} for c in COMMANDS]
PRODUCT = Product([sys.executable, "-m", "bot.cli", "serve"], rules_text, HINTS)
ENDED = ("completed", "returned", "taken back", "cancelled", "failed", "way back incomplete", "not cleared up")
"""How a headline's sentence goes on after its first dash once the run has ended."""

ENVIRONMENTS = ("staging", "prod")
STAGING_ALONE = ("staging",)
ASKED = re.compile(r"\b(dev|staging|prod)\b")
VERSION = re.compile(r"\bv[0-9]\S+")
LABELS = {"backup run": "full backup", "backup drill": "restore drill", "restore": "restore"}
BASE = "base backup"
OF_PRODUCTION_PER_S = 1.0
HEARD_WITHIN_S = 30.0
BEGINS_WITHIN_S = 60.0
TYPED_AT_MOST = 3
VERDICT = re.compile(r"^:\w+: \*(.+?)\* – _.+$", re.MULTILINE)


class Stage:
    """One world with its bot: a process of its own, or with in_process=True in the loop of the test.

    Several tests may use one after the other: `tidy` brings it back to good order. Without a tempo of its own it leaves suites and load
    out, and nearly all of production's customers: most tests look at other things. created: every Job that was ever created, as (name, key).
    """

    def __init__(
        self, *, in_process: bool = False, tempo: Tempo | None = None, folder: Path | None = None, with_bot: bool = True,
        product: Product = PRODUCT, environments: tuple[str, ...] = ENVIRONMENTS,
    ) -> None:  # fmt: skip
        quick = {"observation": "5s", "guards_for": "2s", "validates": ()}
        tempo = tempo or short(**quick, production_per_s=OF_PRODUCTION_PER_S)
        starts_itself = with_bot and not in_process
        self.world = World(product, tempo=tempo, folder=folder, with_bot=starts_itself, environments=environments)
        self.actors = Actors(self.world.slack)
        self.record = Record(self.world.folder)
        self.bot: Bot | None = None
        self._in_process = in_process and with_bot
        self._store: SqlStore | None = None
        self.created: list[tuple[str, str]] = []
        self.world.cluster.on_change(self._note_job)

    def _note_job(self, change: str, obj: dict[str, Any]) -> None:
        if change == "ADDED" and obj["kind"] == "Job":
            metadata = obj["metadata"]
            self.created.append((metadata["name"], metadata["annotations"]["forge/job-key"]))

    async def __aenter__(self) -> Self:
        await self.world.start()
        if self._in_process:
            await self._start_in_process()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bot is not None and self._store is not None:
            await self.bot.stop()
            self._store.close()
        await self.world.stop()

    async def _start_in_process(self) -> None:
        configuration = load(self.world.config_path, self.world.bot_environment())
        connections = configuration.connections
        self._store = open_store(connections.database_url, data_dir=connections.data_dir)
        self.bot = Bot(configuration, self._store)
        await self.bot.start()
        await self.until(lambda: self.world.slack.connection_state() == "connected", "the bot listens")

    # --- people

    async def command(self, user: str, text: str) -> CommandResult:
        """Types `/forge <text>` in #releases; again where Slack says that nobody was there to hear it."""
        deadline = asyncio.get_running_loop().time() + HEARD_WITHIN_S
        while True:
            result = await self.actors.command(user, text)
            if result.outcome != "dispatch_failed" or asyncio.get_running_loop().time() > deadline:
                return result
            await asyncio.sleep(0.2)

    async def click(self, user: str, action: str, run: str = "") -> ClickResult:
        """Once, whatever comes of it."""
        return await self.actors.click(user, action, run)

    async def press(self, user: str, action: str, run: str = "", *, title: str = "") -> None:
        """Waits for the button and clicks until that is taken."""
        await self.actors.press(user, action, run, title=title)

    async def approve(self, user: str, run: str = "", *, title: str = "") -> None:
        """Waits until the run asks (for `title`, where one is given), then clicks; again where Slack says that the app didn't answer."""
        await self.until(lambda: self.asks(run, title), f"{run} asks for {title or 'an approval'}", within_s=300)
        await self.actors.approve(user, run, title=title)

    async def began(self, user: str, text: str) -> str:
        """Types a command that begins a run; returns the new run of the environment and of the thing that it names.

        Raises TimeoutError with what the user was told in its place.
        """
        environment, thing = meant(text)
        before, seen = set(self.actors.runs()), len(self.ephemerals(user))

        def new() -> list[str]:
            return [run for run in self.actors.runs(environment, thing) if run not in before]

        for _ in range(TYPED_AT_MOST):
            result = await self.command(user, text)
            try:
                await self.until(new, f"{text} begins a run", within_s=BEGINS_WITHIN_S)
            except TimeoutError:
                if result.timed_out:
                    continue  # Slack said that the app didn't answer, and it hasn't acted on it since
                break
            return new()[0]
        raise TimeoutError(f"{text} begins no run; {user} is told: {self.ephemerals(user)[seen:]}")

    async def deploy(self, version: str, *, approve: bool = True) -> str:
        """Ada asks for it and Sam approves; returns the run's id."""
        run = await self.began(ADA, f"deploy staging {version}")
        if approve:
            await self.approve(SAM, run, title="Deploy to staging")
        return run

    async def decide_go(self, run: str) -> str:
        """Product and the service's owner give the go; returns the sentence that the run has completed with."""
        await self.approve(PIA, run, title="Go or no-go")
        await self.approve(SAM, run, title="Go or no-go")
        sentence = await self.until_ended(run)
        assert " – completed" in sentence, f"{sentence}\n{self.thread(run)}"
        return sentence

    # --- what is seen

    async def until(self, condition: Callable[[], Any], what: str, *, within_s: float = 60.0) -> Any:
        return await self.actors.until(condition, what, within_s=within_s)

    async def until_true(self, condition: Callable[[], Awaitable[bool]], what: str, *, within_s: float = 120.0) -> None:
        """As `until`, for a condition that has to ask."""
        await until(condition, within_s, what, every_s=0.2)

    async def until_ended(self, run: str, *, within_s: float = 180.0) -> str:
        """The headline's one sentence once the run has ended and everything is told: a headline may be ahead of its thread."""
        await self.until(lambda: self.has_ended(run), f"{run} ends", within_s=within_s)
        await self.until(lambda: self.record.is_told(run), f"everything of {run} is told", within_s=120)
        return self.state(run)

    async def until_at(self, run: str, step: str, *, within_s: float = 90.0) -> None:
        """Until this step of the run has begun, as the bot has it on record: the headline comes later, and may leave a short one out."""
        await self.until(lambda: self.record.has_begun(run, step), f"{run} is at {step}", within_s=within_s)

    async def until_told(self, user: str, words: str, *, since: int, within_s: float = 60.0) -> str:
        """What the user alone was told after the first `since` answers, once it has these words."""
        await self.until(
            lambda: words in "".join(self.ephemerals(user)[since:]), f"{user} is told {words!r}", within_s=within_s
        )
        return "".join(self.ephemerals(user)[since:])

    def asks(self, run: str, title: str = "") -> bool:
        return "Waiting for" in self.state(run) and title in self.state(run)

    def has_ended(self, run: str) -> bool:
        return self.state(run).partition(" – ")[2].startswith(ENDED)

    def state(self, run: str = "") -> str:
        return self.actors.state(run)

    def headline(self, run: str = "") -> str:
        return self.actors.headline(run)

    def thread(self, run: str = "") -> str:
        return "\n".join(self.actors.thread(run))

    def ephemerals(self, user: str) -> list[str]:
        return self.actors.ephemerals(user)

    def staging_images(self) -> dict[str, str]:
        """workload -> version that the Deployments of staging are told to run."""
        return self.world.images("staging")

    def image_changes(self) -> list[tuple[str, str]]:
        """Every change of an image in staging that was asked of the cluster since `watch_images`: (workload, version)."""
        return list(self._changes)

    def watch_images(self) -> None:
        """Begin to note what `image_changes` gives."""
        self._changes: list[tuple[str, str]] = []
        last = dict(self.staging_images())

        def note(_: str, obj: dict[str, Any]) -> None:
            metadata = obj["metadata"]
            if obj.get("kind") != "Deployment" or metadata.get("namespace") != "staging":
                return
            image = obj["spec"]["template"]["spec"]["containers"][0]["image"]
            version = self.world.shop.spoils.version_of(image)
            if last.get(metadata["name"]) != version:
                last[metadata["name"]] = version
                self._changes.append((metadata["name"], version))

        self.world.cluster.on_change(note)

    def jobs(self) -> list[str]:
        """Names of the Jobs that are in the cluster now."""
        return [job["metadata"]["name"] for job in self.world.cluster.list("Job")]

    def job_processes(self) -> list[int]:
        """Ids of the processes that play this world's Jobs."""
        folder = str(self.world.folder)
        children = psutil.Process().children(recursive=True)
        return [child.pid for child in children if _is_job(child, folder)]

    async def until_job_process(self) -> None:
        """Until a Job of this world runs. Looking at every process costs something: not more often than needed."""

        async def runs() -> bool:
            return bool(self.job_processes())

        await self.until_true(runs, "a Job runs")

    async def until_no_job_process(self) -> None:
        """Until no process of a Job is left over."""

        async def is_over() -> bool:
            return not self.job_processes()

        await self.until_true(is_over, "no Job's process is left over")

    def verdicts(self, run: str) -> dict[str, str]:
        """gate -> its newest line in the thread, mark-up and all."""
        return {match[1]: match[0] for match in VERDICT.finditer(self.thread(run))}

    # --- the bot's life

    async def kill_bot(self) -> None:
        """SIGKILL."""
        await self.world.bot.kill()
        await self.until(lambda: self.world.slack.connection_state() == "offline", "Slack notices")

    async def start_bot(self) -> None:
        await self.world.start_bot()

    async def tidy(self) -> None:
        """Everything works again, the bot runs, and no run is left over."""
        world = self.world
        world.heal()
        world.slack.come_back()
        world.slack.rate_limits = False
        world.set_kubernetes("fine")
        await world.set_prometheus("up")
        if self.bot is None and world.bot.starts and world.bot.pid is None:
            await world.start_bot()
        for run in self.record.under_way():
            for way in ("cancel", "abort"):
                await self.command(ADA, f"{way} {run} --reason tidying")
            await self.until_ended(run)
        await until(self._is_quiet, 120, "staging's metrics are good again", every_s=0.2)
        await self.until(lambda: world.ci.idle, "every scan was told")

    async def begin_anew(self) -> None:
        """The released version on the schema that the world began with; after `tidy`."""
        self.world.begin_anew("staging")
        await self.until(lambda: self.world.serves("staging", RUNNING), f"{RUNNING} serves")
        self.created.clear()

    async def _is_quiet(self) -> bool:
        """What the story before did is out of the window."""
        window = self.world.tempo.window
        limits = {"error_ratio": 0.01, "latency_p95_seconds": 0.3}
        found = {name: await self.world.prometheus.query(f'forge:{name}:{window}{{env="staging"}}') for name in limits}
        return all(len(found[name]) == 1 and found[name][0][1] < limit for name, limit in limits.items())


def paced(tempo: Tempo, **sections: Mapping[str, Any]) -> Tempo:
    """The tempo, but for these values of its policy's sections."""
    changed = {name: {**tempo.policy[name], **values} for name, values in sections.items()}
    return replace(tempo, policy={**tempo.policy, **changed})


def meant(text: str) -> tuple[str, str]:
    """The environment that a command names, and what its run's headline calls the thing: a version, a kind of backup; empty: anything."""
    environment, version = ASKED.search(text), VERSION.search(text)
    label = next((label for words, label in LABELS.items() if text.startswith(words)), "")
    thing = version[0] if version else BASE if label and "--kind base" in text and "run" in text else label
    return (environment[0] if environment else ""), thing


def _is_job(process: psutil.Process, folder: str) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return "sandbox.jobs" in words and any(word.startswith(folder) for word in words)

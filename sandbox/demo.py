"""`forge demo`: one story in the sandbox without a browser. It ends with 0 only when the story ended as it should."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from sandbox.world import Actors, Product, World, short
from sandbox.world.command import TROUBLES
from sandbox.world.staff import ADA, OLLY, PIA, SAM
from sandbox.world.tags import RUNNING
from sandbox.world.telling import Teller

UNSIGNED, GOOD, BAD = "v1.4.0-rc.7", "v1.4.0-rc.2", "v1.4.0-rc.3"
FINAL = "v1.4.0"
PROD = "prod"
PHASE = "12s"
"""Of production's weights: long enough for the comparison with stable to speak first."""

PATIENCE_S = 180.0


class StoryBroken(RuntimeError):
    """The story went another way; the message says where."""


def main(argv: Sequence[str], product: Product) -> int:
    """Plays the story. Returns an exit code; why it failed is on standard error."""
    return int(_command(product).main(list(argv), prog_name="forge demo", standalone_mode=False) or 0)


def _command(product: Product) -> click.Command:
    @click.command(context_settings={"help_option_names": ["-h", "--help"]})
    @click.option("--observation", default="10s", show_default=True, help="How long staging is observed.")
    @click.option(
        "--data-dir", type=click.Path(path_type=Path), help="Keep everything there; else it goes away at the end."
    )
    def demo(observation: str, data_dir: Path | None) -> int:
        """Play one story: an unsigned candidate, a bad one, a good one, and its release, whose canary turns bad at 25 %."""
        tempo = short(observation, guards_for="3s", phase=PHASE, database=False)
        try:
            asyncio.run(_play(World(product, tempo=tempo, folder=data_dir)))
        except StoryBroken as broken:
            click.echo(f"\nThe story broke: {broken}", err=True)
            return 1
        except TROUBLES as trouble:
            click.echo(f"The demo can't be played: {trouble or type(trouble).__name__}", err=True)
            return 1
        return 0

    return demo


def _say(text: str) -> None:
    click.echo(text)
    sys.stdout.flush()


async def _play(world: World) -> None:
    began = time.monotonic()
    _say("Starting Slack, Kubernetes, GitHub, a registry, Prometheus, PostgreSQL, a shop and the bot …")
    async with world:
        _say(f"#releases. {world.tempo.notice}; staging runs {RUNNING}.")
        actors = Actors(world.slack)
        with Teller(world.slack, actors, _say) as teller:
            story = Story(world, actors, teller)
            await story.refuse_unsigned()
            await story.give_go()
            await story.return_bad()
            await story.roll_back()
    _say(f"\nThe story ended as it should, after {time.monotonic() - began:.0f} s.")


@dataclass(frozen=True)
class Story:
    """Three candidates and a release, four ends. Each part raises StoryBroken when it ends otherwise."""

    world: World
    actors: Actors
    teller: Teller

    async def refuse_unsigned(self) -> None:
        _say("\n— A candidate that nobody signed —")
        await self._type(ADA, f"deploy staging {UNSIGNED}")
        await self._until(lambda: any("not signed" in text for text in self.actors.ephemerals(ADA)), "it is refused")
        self._require(not self.actors.runs(), "an unsigned candidate became a run")

    async def give_go(self) -> None:
        _say("\n— A good candidate —")
        run = await self._deploy(GOOD, "staging-1")
        await self._until(lambda: "Go or no-go" in self._waiting(run), "the go is asked for")
        await self._approve(PIA, run, "Go or no-go")
        await self._approve(SAM, run, "Go or no-go")
        await self._until(lambda: "completed" in self.actors.state(run), "it gets its go")
        await self._until(lambda: self._tells(run, "got its go"), "the go is announced")
        self._require(self._staging_is(GOOD), f"staging runs {self.world.images('staging')}")

    async def return_bad(self) -> None:
        _say(
            "\n— A bad candidate: it passes its tests, and while it is observed a fifth of its answers become errors —"
        )
        run = await self._deploy(BAD, "staging-2")
        await self._until(self._is_loaded, "it is put under load")
        await self._until(lambda: not self._is_loaded(), "the load is over")
        self.world.spoil(BAD, "errors")
        await self._until(lambda: " – returned" in self.actors.state(run), "staging is returned")
        await self._until(lambda: self._tells(run, "has returned to the previous state"), "the return is told")
        self._require(self._staging_is(GOOD), f"staging runs {self.world.images('staging')}")
        # the guard, or two of the journeys that go on while it is observed
        self._require(self._tells(run, "error rate") or self._tells(run, "requests failed"), "nobody is told why")

    async def roll_back(self) -> None:
        _say("\n— The good candidate is released; with a quarter of the traffic a fifth of its answers become errors —")
        await self._type(ADA, f"promote {FINAL} {PROD}")
        run = "prod-1"
        await self._until(lambda: "Ship to production" in self._waiting(run), f"{run} waits for its approval")
        await self._approve(SAM, run, "Ship to production")
        await self._approve(PIA, run, "Ship to production")
        await self._until(lambda: "Observe 25 %" in self.actors.state(run), "a quarter of the traffic is observed")
        self.world.spoil(FINAL, "errors", env=PROD, track="canary")
        await self._until(lambda: " – returned" in self.actors.state(run), "production is rolled back")
        await self._until(lambda: self._is_told_of("incident-1", "rolled back"), "the incident is updated")
        self._require(set(self.world.images(PROD).values()) == {RUNNING}, f"{PROD} runs {self.world.images(PROD)}")
        await self._type(OLLY, "incident list")
        await self._until(
            lambda: any("incident-1" in text for text in self.actors.ephemerals(OLLY)), "the incident is listed"
        )

    # --- what they do

    async def _deploy(self, version: str, run: str) -> str:
        """Ada asks, Sam approves."""
        await self._type(ADA, f"deploy staging {version}")
        await self._until(lambda: "Deploy to staging" in self._waiting(run), f"{run} waits for its approval")
        await self._approve(SAM, run, "Deploy to staging")
        return run

    async def _type(self, user: str, text: str) -> None:
        self.teller.person(user, f"types: /forge {text}")
        await self.actors.command(user, text)

    async def _approve(self, user: str, run: str, title: str) -> None:
        await self._until(lambda: self.actors.with_button("approve", run, title), "there is a card with a button")
        self.teller.person(user, "clicks: Approve")
        await self.actors.approve(user, run, title=title)

    # --- what they see

    def _waiting(self, run: str) -> str:
        state = self.actors.state(run)
        return state if "Waiting for" in state else ""

    def _tells(self, run: str, words: str) -> bool:
        return any(words in text for text in self.actors.thread(run))

    def _is_told_of(self, incident: str, words: str) -> bool:
        texts = map(self.actors.text, self.actors.messages())
        return any(incident in text and words in text.lower() for text in texts)

    def _is_loaded(self) -> bool:
        """Asked of the cluster: what the channel shows comes later."""
        jobs = self.world.cluster.list("Job", "staging")
        return any(job["spec"]["template"]["spec"]["containers"][0].get("args") == ["load"] for job in jobs)

    def _staging_is(self, version: str) -> bool:
        return set(self.world.images("staging").values()) == {version}

    async def _until(self, condition: Callable[[], object], what: str) -> None:
        try:
            await self.actors.until(condition, what, within_s=PATIENCE_S)
        except TimeoutError as late:
            raise StoryBroken(str(late)) from None

    def _require(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise StoryBroken(otherwise)

"""The process dies at every boundary of production's roll-out and of its rollback, life after life: it ends as if nothing had happened.

Seen from outside each effect is had once: one canary, one Job, one message, and no weight on the router that no plan knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.records import Button, Decision, IncidentRow, Outgoing, Prompt, Run
from runbook.policy import Policy
from runbook.ports import Autoscaler, HttpAnswer, HttpRequest
from tests.engine.dying import DyingChat, Mortality
from tests.runbook.fakes import RELEASE_FILE, well
from tests.scenarios.production import COMPATIBLE, NEW, SIZE, ProductionStage, ProductionWorld, policy_with, production
from tests.scenarios.two_tracks import CANARY

POLICY = policy_with(phase_s=15.0, phase_max_s=120.0, watch_s=15.0, quiet_s=15.0, min_requests=100, smoke_every_s=15.0)
LONGER = replace(POLICY, prod=replace(POLICY.prod, phase_s=90.0))
"""Where a breach is awaited in a phase, whenever the bot lives."""
WITHIN = timedelta(hours=4)
DOWN = "rollback_undo_schema"
OF_THE_BREACH = "shop in prod: canary against stable"
"""This chart is drawn beside the rollback, which waits for nothing: it may die with the process."""


async def promote(s: ProductionStage) -> None:
    await ask(s, "ada", "promote v1.4.0 prod")
    await s.until(lambda: bool(s.rows(Run)))


async def ask(s: ProductionStage, who: str, text: str) -> None:
    """Typed once; in a later life it is a redelivery, as Slack does it."""
    payload = {"team": "T1", "user": f"U{who.upper()}", "channel": "C1", "text": text, "command": "/forge"}
    await s.engine.desk.receive(f"trigger {who} {text}", "command", payload)


async def no_trouble(s: ProductionStage) -> None:
    pass


async def shrunk_and_failing(s: ProductionStage) -> None:
    """An autoscaler has left four of stable's ten pods, new ones take a while, and three in ten of the canary's requests fail."""
    s.world.cluster.resize("web", 4)
    s.world.cluster.start_s = 20.0
    s.tracks.fails(CANARY, 0.3)


async def broken_when_stable(s: ProductionStage) -> None:
    """Users' journeys fail once stable runs the new version."""
    deployments = s.world.cluster.deployments

    def respond(request: HttpRequest, at_s: float) -> HttpAnswer:
        is_new = deployments["web"].containers[0].image == NEW["web"]
        return HttpAnswer(500, 0.01, "") if is_new and request.url.endswith("/api/orders") else well(request, at_s)

    s.world.probes.respond = respond


@dataclass(frozen=True)
class Tale:
    """until: the step up to which nobody dies. then: what happens there. says: what Ada then types. run: the one that is mortal."""

    release_file: str
    until: str
    then: Callable[[ProductionStage], Awaitable[None]]
    ending: str
    weights: tuple[int, ...]
    says: str = ""
    run: str = "prod-1"
    policy: Policy = POLICY
    has_autoscaler: bool = True
    """The web's leaves it one pod while it has no traffic, if nothing keeps it from that."""


TALES = {
    "released": Tale(COMPATIBLE, "", no_trouble, "completed", (5, 25, 100, 0)),
    "returned": Tale(
        RELEASE_FILE,
        "Observe 100 %",
        shrunk_and_failing,
        "returned",
        (5, 25, 100, 60, 0),
        policy=LONGER,
        has_autoscaler=False,
    ),
    "taken over": Tale("", "Elevated watch", broken_when_stable, "returned", (5, 25, 100, 0)),
    "rolled back by hand": Tale("", "Observe 5 %", no_trouble, "returned", (5, 0), "rollback prod"),
    "rolled back afterwards": Tale(
        "", "the end", no_trouble, "returned", (5, 25, 100, 0), "rollback prod", run="prod-2"
    ),
}


@dataclass
class Story:
    path: Path
    tale: Tale
    mortality: Mortality = field(default_factory=lambda: Mortality(on=False))

    def __post_init__(self) -> None:
        self.path.mkdir()
        self.world = ProductionWorld(self.tale.release_file)
        if self.tale.has_autoscaler:
            self.world.cluster.scalers = {"web": Autoscaler("web", least=1, most=2 * SIZE)}
        self.chat = DyingChat(self.mortality)
        self.mortality.strike(self.world.cluster)
        self.lives = 0

    async def whole(self, mortal: bool) -> None:
        """One life up to where the tale becomes interesting; then as many as it takes."""
        assert await self.life(self.prologue)
        self.mortality.on = mortal
        while not await self.life(self.tell):
            self.mortality.next_life()
        self.mortality.on = False

    async def life(self, what: Callable[[ProductionStage], Awaitable[None]]) -> bool:
        """False: it died."""
        self.lives += 1
        life = asyncio.ensure_future(self._lived(what))
        death = asyncio.ensure_future(self.mortality.died.wait())
        await asyncio.wait({life, death}, return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if life.done():
            await life
            return True
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        return False

    async def _lived(self, what: Callable[[ProductionStage], Awaitable[None]]) -> None:
        async with production(
            self.path, world=self.world, chat=self.chat, policy=self.tale.policy, fate=self.mortality
        ) as s:
            await what(s)

    async def prologue(self, s: ProductionStage) -> None:
        if self.tale.until == "the end":
            await s.is_released()
        elif self.tale.until:
            await s.begins()
            await s.until_at(self.tale.until)
            await s.shown_all()
        await self.tale.then(s)

    async def tell(self, s: ProductionStage) -> None:
        """What the people do, whatever was done in an earlier life."""
        if self.tale.until != "the end":
            await promote(s)
        if self.tale.says:
            await ask(s, "ada", self.tale.says)
        await s.until(lambda: any(run.id == self.tale.run for run in s.rows(Run)))
        while s.run(self.tale.run).state != "ended":
            await s.until_state("waiting", "ended", run_id=self.tale.run)
            if s.run(self.tale.run).state == "waiting":
                await self._decide(s)
        await s.shown_all()

    async def _decide(self, s: ProductionStage) -> None:
        position = s.run(self.tale.run).position
        if s.at(self.tale.run) == "What becomes of the schema":
            await s.until(lambda: bool(s.rows(Button, action=f"choose:{DOWN}")))
            button = s.rows(Button, action=f"choose:{DOWN}")[-1]
            await s.at_once(s.click("dora", f"choose:{DOWN}", index=button.index, trigger="trigger dora"))
        else:
            for who in ("sam", "pia"):
                await ask(s, who, f"approve {self.tale.run}")
        run = s.run
        await s.until(lambda: (run(self.tale.run).position, run(self.tale.run).state) != (position, "waiting"))

    async def the_end(self) -> dict[str, Any]:
        """What can be seen when all is over."""
        async with production(self.path, world=self.world, chat=self.chat, policy=self.tale.policy) as s:
            run, cluster = s.run(self.tale.run), self.world.cluster
            return {
                "runs": len(s.rows(Run)),
                "ending": (run.ending, run.ending_code),
                "steps": [(r.title, r.state, r.outcome, r.code) for r in s.steps(run.id)],
                "weights": tuple(s.weights),
                "moved": [(write.what, write.number) for write in cluster.moved],
                "images set": list(dict.fromkeys((name, images["app"]) for name, images, _ in cluster.writes)),
                "jobs": [(order.step, order.args) for order in cluster.created],
                "jobs left": list(cluster.there),
                "images": s.images(),
                "replicas": s.replicas(),
                "autoscalers": {name: (each.least, each.marks) for name, each in cluster.scalers.items()},
                "decisions": [(d.environment, d.result) for d in s.rows(Decision)],
                "prompts": [(p.subject, p.state) for p in s.rows(Prompt)],
                "incidents": [(i.id, i.title, len(i.updates)) for i in s.rows(IncidentRow)],
                "unsent": s.rows(Outgoing, state=["pending", "sending"]),
                "messages": sorted(
                    (m.message_id.partition(":")[0], m.channel, m.broadcast) for m in self.chat.messages
                ),
                "pictures": sorted({upload.title for upload in self.chat.uploads}),
                "actions": [a for a in s.actions if a != "step.started"],
            }


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", TALES)
async def test_a_death_at_every_boundary_of_production_and_of_its_rollback_changes_nothing_of_the_end(
    tmp_path: Path, name: str
) -> None:
    tale = TALES[name]
    undisturbed = Story(tmp_path / "whole", tale)
    await undisturbed.whole(mortal=False)
    expected = await undisturbed.the_end()
    assert (expected["ending"][0], expected["weights"]) == (tale.ending, tale.weights), expected["steps"]
    assert expected["autoscalers"] == ({"web": (1, {})} if tale.has_autoscaler else {})
    story = Story(tmp_path / "mortal", tale)
    await story.whole(mortal=True)
    found = await story.the_end()
    assert story.lives > 50
    pictures, found_pictures = expected.pop("pictures"), found.pop("pictures")
    assert set(pictures) - set(found_pictures) <= {OF_THE_BREACH}
    assert set(found_pictures) <= set(pictures)
    for what, was in expected.items():
        assert found[what] == was, f"{what}, after {story.lives} lives"
    ids = [m.message_id for m in story.chat.messages]
    assert len(ids) == len(set(ids))

"""The whole bot before production, on simulated time: a version with its go, a cluster whose router divides traffic, and people who decide."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from engine.records import Button, Decision, Prompt
from runbook.plan import to_json
from runbook.policy import DAY_S, ChangeWindow, HealthPolicy, Policy, ProdPolicy, Service
from runbook.ports import Backup, Person
from runbook.values import Actor, Environment, FrozenImage, Role
from tests.engine.harness import KeepingChat, KeptMessage
from tests.fakes.clock import NOON
from tests.runbook.fakes import (
    RELEASE,
    RELEASE_FILE,
    SERVICE,
    TOOLS,
    FakeCluster,
    World,
    deployment,
    good_life,
    signed_tag,
)
from tests.scenarios.stage import PEOPLE, Deed, PeopleDirectory, Stage, shown, stage
from tests.scenarios.two_tracks import TwoTracks

FINAL, CANDIDATE = "v1.4.0", RELEASE.version
PROMOTE = f"promote {FINAL} prod"
SIZE = 10
"""Replicas of each of production's Deployments."""

OLD = {name: f"registry.example/acme/{name}@sha256:{'0' * 64}" for name in ("web", "worker")}
NEW = {image.workload: image.reference for image in RELEASE.images}
STABLE_AGAIN = {"web": OLD["web"], "worker": OLD["worker"]}

SHOP = replace(
    SERVICE,
    workloads=(SERVICE.workloads[0], replace(SERVICE.workloads[1], traffic="replicas")),
    urls={Environment.STAGING: "http://shop.staging", Environment.PROD: "http://shop"},
)
"""The web's traffic is divided by a route, the worker's by the number of its pods."""

ANY_TIME = ChangeWindow("any time", rrule="FREQ=DAILY;BYHOUR=0;BYMINUTE=0;BYSECOND=0", duration_s=DAY_S)
PROD = ProdPolicy(smoke_every_s=60.0, windows=(ANY_TIME,))
RUNBOOKS = Policy(prod=PROD, health=HealthPolicy(interval_s=15.0))
"""Everything as the runbook has it, but that health is asked every 15 seconds: half an hour of probes a second is told elsewhere."""

COMPATIBLE = RELEASE_FILE[: RELEASE_FILE.index("  - name: 0008")] + "verification: {workload: web, args: [verify]}\n"
"""A release file whose one expand migration the previous version can work with; RELEASE_FILE has one that it can't."""


def policy_with(**prod: Any) -> Policy:
    return replace(RUNBOOKS, prod=replace(PROD, **prod))


QUICK = policy_with(phase_s=60.0, watch_s=300.0, quiet_s=240.0)
"""For stories that only need a release that is over."""


class TaggedRegistry:
    """Fulfils `ImageRegistry`: digest by (repository, tag)."""

    def __init__(self) -> None:
        self.tags = {(image.repository, tag): image.digest for image in RELEASE.images for tag in (CANDIDATE, FINAL)}
        self.tags |= {(repository, CANDIDATE): found for repository, found in TOOLS.items()}

    async def digest(self, repository: str, tag: str) -> str | None:
        return self.tags.get((repository, tag))


@dataclass
class KnownPeople:
    """Fulfils `People` from the same table that Slack answers by."""

    directory: PeopleDirectory

    async def holders(self, role: Role) -> tuple[Person, ...]:
        held = [actor for actor in self.directory.people.values() if role in actor.roles]
        return tuple(self._person(actor) for actor in held)

    def _person(self, actor: Actor) -> Person:
        return Person(actor.id.partition(":")[2], actor.name, not actor.refusal, actor.refusal)


@dataclass
class KeptBackups:
    """Fulfils `Backups`. backup: None: none is on record."""

    backup: Backup | None = field(
        default_factory=lambda: Backup(
            "backup-7",
            "shop",
            NOON - timedelta(hours=2),
            "verified",
            NOON - timedelta(days=1),
            NOON + timedelta(days=9),
        )
    )

    async def newest(self, service: str, environment: Environment) -> Backup | None:
        return self.backup


class ProductionWorld(World):
    """Staging and production; `cluster` is production's."""

    def __init__(self, release_file: str = "") -> None:
        super().__init__()
        self.staging = self.cluster
        found = {name: deployment(name, OLD[name], replicas=SIZE) for name in OLD}
        self.cluster = FakeCluster(
            self.clock, lives=good_life, deployments=found, kubectl="kubectl --context prod -n shop"
        )
        self.registry, self.backups, self.directory = TaggedRegistry(), KeptBackups(), PeopleDirectory()
        self.tracks = TwoTracks(self.clock.now, self.cluster.moved)
        self.code.tags[FINAL] = signed_tag(FINAL, tag_object="f" * 40)
        self.code.notes[FINAL] = "Orders may be paid in euros."
        if release_file:
            self.code.files[SHOP.release_file] = release_file
        self.ports = replace(
            self.ports,
            clusters={Environment.STAGING: self.staging, Environment.PROD: self.cluster},
            metrics={**self.ports.metrics, Environment.PROD: self.tracks},
            images=self.registry,
            people=KnownPeople(self.directory),
            backups=self.backups,
        )

    def use(self, cluster: FakeCluster) -> None:
        """In place of production's; its deployments and writes must be the same."""
        self.cluster = cluster
        self.ports = replace(self.ports, clusters={Environment.STAGING: self.staging, Environment.PROD: cluster})


@dataclass
class ProductionStage(Stage):
    first: str = "prod-1"

    @property
    def tracks(self) -> TwoTracks:
        assert isinstance(self.world, ProductionWorld)
        return self.world.tracks

    @property
    def backups(self) -> KeptBackups:
        assert isinstance(self.world, ProductionWorld)
        return self.world.backups

    # --- a release, as far as a story needs it ----------------------------------------------------------------------------

    async def waits_for_approval(self, version: str = FINAL, who: str = "ada") -> None:
        await self.says(who, f"promote {version} prod")
        await self.until_state("waiting")
        await self.shown_all()

    async def begins(self) -> None:
        """Ada asks, Sam and Pia approve: the canary is started."""
        await self.waits_for_approval()
        await self.says("sam", f"approve {self.first}")
        await self.says("pia", f"approve {self.first}")

    async def rolls_out_to(self, weight: int) -> None:
        """The canary has this much of the traffic, and it is looked at."""
        await self.begins()
        await self.until_at(f"Observe {weight} %")

    async def is_watched(self) -> None:
        await self.begins()
        await self.until_at("Elevated watch")

    async def is_released(self) -> None:
        await self.begins()
        assert (await self.until_state("ended")).ending == "completed"
        await self.shown_all()

    async def ends(self) -> str:
        """How; when everything is shown. A run that is held instead says what holds it."""
        run = await self.until_state("ended", "held")
        await self.shown_all()
        return str(run.ending) if run.state == "ended" else f"held: {self.why()}"

    async def until_at(self, title: str, run_id: str = "") -> None:
        """Fails as soon as the run can't get there any more by itself."""
        await self.until(lambda: self.at(run_id) == title or self.run(run_id).state in ("ended", "held"))
        assert self.at(run_id) == title, self.why(run_id)

    def why(self, run_id: str = "") -> str:
        """Where the run is or was, and what was said of it."""
        step = next((step for step in self.steps(run_id) if step.index == self.run(run_id).position), None)
        held = f"{step.title}: {step.reason}" if step is not None else ""
        return f"{held} ({self.run(run_id).ending_reason})"

    # --- what became of the world -----------------------------------------------------------------------------------------

    def moved(self, what: str) -> list[int]:
        """The numbers of the cluster's writes of one kind, in order: `weight web`, `scale worker-canary`."""
        return [write.number for write in self.world.cluster.moved if write.what == what]

    @property
    def weights(self) -> list[int]:
        """Every weight that was written to the HTTPRoute, in order."""
        return self.moved("weight web")

    @property
    def weight(self) -> int | None:
        """What the HTTPRoute says now."""
        return self.world.cluster.routes["web"].weight

    def replicas(self) -> dict[str, int]:
        self.world.cluster.pass_time()
        return {name: found.replicas for name, found in self.world.cluster.deployments.items()}

    def is_as_before(self) -> bool:
        """Stable at full strength with its old images and all of the traffic, and no canary."""
        self.world.cluster.pass_time()
        return (self.images(), self.replicas(), self.weight) == (OLD, dict.fromkeys(OLD, SIZE), 0)

    # --- what was said ----------------------------------------------------------------------------------------------------

    @property
    def incident_messages(self) -> list[str]:
        """In the incident channel, the oldest first."""
        return [shown(m.message) for m in self.chat.messages if m.channel == "C2"]

    @property
    def announced(self) -> list[str]:
        """What the release channel was told in so many words, beside headlines."""
        return [shown(m.message) for m in self.chat.messages if m.broadcast and m.channel == "C1"]

    def cards_of(self, kind: str) -> list[KeptMessage]:
        """`prompt`, `choice`, `checklist`, `override`."""
        return [m for m in self.chat.messages if m.message_id.startswith(f"{kind}:")]

    def prompts(self, **equals: Any) -> list[Prompt]:
        return sorted(self.rows(Prompt, **equals), key=lambda p: p.number)

    async def presses(self, who: str, action: str, *, reason: str = "") -> str:
        """A button of the newest prompt."""
        index = max(prompt.number for prompt in self.prompts())
        return await self.clicks(who, action, index=-index, reason=reason)

    async def ticks(self, who: str, item: str) -> str:
        """A line of the newest checklist that has it."""
        button = next(
            b for b in reversed(self.rows(Button, action="tick", order="index")) if b.argument["item"] == item
        )
        return await self.presses_button(who, "tick", button)

    async def agrees(self, who: str) -> str:
        """To the newest override that somebody has asked for."""
        button = [b for b in self.rows(Button, action="approve") if (b.argument or {}).get("override")][-1]
        return await self.presses_button(who, "approve", button)

    async def presses_button(self, who: str, action: str, button: Button) -> str:
        return (await self.at_once(Deed(who, "click", {"action": action, "button": button.id, "reason": ""})))[0]

    async def chooses(self, who: str, option: str) -> str:
        button = self.rows(Button, action=f"choose:{option}")[-1]
        return await self.clicks(who, f"choose:{option}", index=button.index)


@asynccontextmanager
async def production(
    path: Path, *, world: ProductionWorld | None = None, chat: KeepingChat | None = None, policy: Policy = RUNBOOKS,
    service: Service = SHOP, has_go: bool = True, **more: Any,
) -> AsyncIterator[ProductionStage]:  # fmt: skip
    """One life of the program. has_go: the candidate got its go in staging, as the records say."""
    world = world or ProductionWorld()
    recorded = {Environment.PROD: world.ports.metrics[Environment.PROD]}
    async with stage(
        path,
        world=world,
        chat=chat,
        policy=policy,
        service=service,
        directory=world.directory,
        recorded=recorded,
        **more,
    ) as s:
        if has_go and not s.rows(Decision):
            await give_go(s)
        yield ProductionStage(s.engine, s.store, world, s.metrics, s.chat, s.directory, s.consumer)


async def give_go(s: Stage, images: tuple[FrozenImage, ...] = RELEASE.images) -> None:
    """As staging's release of the candidate ends when it is good."""
    release = replace(RELEASE, images=images)
    approvers = [
        {"actor": PEOPLE[who].id, "name": PEOPLE[who].name, "roles": [], "decision": "approve"}
        for who in ("sam", "pia")
    ]
    decision = Decision(
        run="staging-1", service=release.service, environment="staging", version=release.version, result="go",
        release=to_json(release), approvers=approvers, at=s.clock.now(),
    )  # fmt: skip
    await s.store.write(lambda ledger: ledger.add(decision))

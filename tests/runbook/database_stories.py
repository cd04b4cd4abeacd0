"""A world with databases, and a run of a plan in it: steps in order, retries, `on_fail`, and the way back, as the engine does it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from runbook.backups import BackupKind, BackupOrder, BackupRecord, RestoreChecks, manifest_of
from runbook.jobs import JobTemplate
from runbook.plan import BEGUN, CONTINUE, HOLD, STOP, Plan, Result, Scene, Step, Work, canonical, parse, to_json
from runbook.policy import Policy, Service, Setting
from runbook.procedures import CONTINUATIONS, PROCEDURES
from runbook.procedures.base import Prepared, Request
from runbook.steps import Approval, Checklist
from runbook.values import Environment
from runbook.verdicts import Outcome
from tests.runbook.fake_databases import (
    FakeDatabase,
    FakeLedger,
    FakeRepository,
    FakeRestoreHost,
    facts_found,
    made,
    published,
)
from tests.runbook.fakes import SERVICE, World, digest

CHECKS = RestoreChecks(
    schema_version="select version from schema_version",
    tables=("public.orders",),
    smoke=("select count(*) > 0 from public.orders",),
    minimum_rows={"public.orders": 1000},
)
SWITCH = JobTemplate(image=f"registry.example/acme/switch@{digest('5')}", args=("switch",))
SANITISE = JobTemplate(workload="web", args=("sanitise",))
PROD, STAGING = Environment.PROD, Environment.STAGING
SHOP = replace(
    SERVICE,
    urls={PROD: "http://shop.prod", STAGING: "http://shop.staging"},
    restore_checks=CHECKS,
    restore_switch=SWITCH,
    restore_sanitise=SANITISE,
)


class DatabaseWorld(World):
    """All ports, with a database of the shop in production and in staging, nothing backed up yet."""

    def __init__(self) -> None:
        super().__init__()
        self.repository = FakeRepository()
        self.database = FakeDatabase(self.clock, self.repository)
        self.host = FakeRestoreHost(self.clock, found=facts_found(smoke={CHECKS.smoke[0]: True}))
        self.ledger = FakeLedger(self.clock)
        self.ports = replace(
            self.ports,
            clusters={PROD: self.cluster, STAGING: self.cluster},
            databases={("shop", PROD): self.database, ("shop", STAGING): self.database},
            repository=self.repository,
            restore_host=self.host,
            backup_ledger=self.ledger,
        )

    def backed_up(
        self, id: str = "shop-prod-1", at: datetime | None = None, kind: BackupKind = BackupKind.LOGICAL, **changes: Any
    ) -> BackupRecord:
        """A published backup that was finished at this moment, by default now. changes: of its record."""
        at = at or self.clock.now()
        order = BackupOrder(id, kind, "shop", changes.pop("environment", "prod"), "prod-1", "forge")
        given = made(started_at=at, finished_at=at)
        self.repository.stored[id] = given
        return published(self.ledger, self.repository, manifest_of(order, "shop", given), **changes)

    def standing(self) -> set[str]:
        return {*self.host.there, *self.host.fetched}


def setting(policy: Policy | None = None, service: Service = SHOP) -> Setting:
    return Setting(policy or Policy(), {service.name: service}, "hash")


async def prepared(
    world: DatabaseWorld,
    procedure: str,
    environment: Environment = PROD,
    *,
    given: Setting | None = None,
    **options: str,
) -> Prepared:
    """options: of the request; `from_` is `from`."""
    request = Request(
        service="shop", environment=environment, version="", options={k.rstrip("_"): v for k, v in options.items()}
    )
    return await PROCEDURES[procedure](request, given or setting(), world.ports)


@dataclass
class Story:
    """One run. rejects: titles of approvals that are rejected (or expire). signs: what the engine's fact says of the sign-off; None: nobody.

    before: called ahead of each step with its title. held: where it stopped for a person. told: each step with its outcome.
    """

    world: DatabaseWorld
    run: str = "prod-12"
    requester: str = "T1:UDBA"
    rejects: tuple[str, ...] = ()
    signs: str | None = "T1:UADA"
    abort_before: str = ""
    had_effect: bool = False
    before: Callable[[str], None] = lambda title: None
    wrap: Callable[[Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]] = lambda call: call
    died: type[BaseException] = KeyboardInterrupt
    facts: dict[str, Any] = field(default_factory=dict)
    told: list[tuple[str, Outcome]] = field(default_factory=list)
    results: dict[str, Result] = field(default_factory=dict)
    held: str = ""
    ended: str = ""
    segments: list[Plan] = field(default_factory=list)

    async def play(self, plan: Plan) -> Story:
        """Until its end; the plan goes through its stored form."""
        plan = parse(canonical(plan))
        self.segments.append(plan)
        begun: list[int] = []
        for place, step in enumerate(plan.steps()):
            if step.title == self.abort_before:
                self.abort_before = ""
                return await self._leave(plan, begun, self._way_back(plan), "aborted by ada")
            self.before(step.title)
            begun.append(place)
            outcome, reason = await self._perform(plan, place, step)
            self.told.append((step.title, outcome))
            if outcome is Outcome.PASS or step.on_fail == CONTINUE:
                continue
            if step.on_fail == HOLD or outcome in (Outcome.ERROR, Outcome.NO_DATA):
                self.held = step.title
                return self
            if step.on_fail == STOP:
                self.ended = "failed"
                return self
            return await self._leave(plan, begun, step.on_fail.removeprefix("procedure:"), f"{step.title}: {reason}")
        self.ended = "completed" if len(self.segments) == 1 else "returned"
        return self

    async def _leave(self, plan: Plan, begun: list[int], name: str, reason: str) -> Story:
        self.facts |= {BEGUN: begun}
        self.facts.setdefault("left_because", {"reason": reason})
        following = CONTINUATIONS[name](plan, self.facts)
        self.had_effect |= any(step.effect for place, step in enumerate(plan.steps()) if place in begun)
        if following is None or not self.had_effect:
            self.ended = "cancelled"
            return self
        return await self.play(following)

    def _way_back(self, plan: Plan) -> str:
        from runbook.procedures import WAYS_BACK

        return WAYS_BACK[plan.procedure]

    async def _perform(self, plan: Plan, place: int, step: Step) -> tuple[Outcome, str]:
        if isinstance(step, Approval):
            return self._decided(step)
        if isinstance(step, Checklist):
            return (Outcome.PASS, "") if step.title not in self.rejects else (Outcome.FAIL, "not ticked")
        if not isinstance(step, Work):
            return Outcome.PASS, ""
        saved: list[Any] = []
        for attempt in range(1, step.retries + 2):
            result = await self._attempt(plan, place, step, attempt, saved)
            if result.outcome is not Outcome.ERROR:
                break
        self.results[step.title] = result
        self.facts |= json.loads(json.dumps(dict(result.facts)))
        return result.outcome, "; ".join(v.reason for v in result.verdicts if v.outcome is result.outcome)

    async def _attempt(self, plan: Plan, place: int, step: Work, attempt: int, saved: list[Any]) -> Result:
        begun_at = self.world.ports.clock.now()

        async def save(progress: Any) -> None:
            saved.append(json.loads(json.dumps(progress)))

        while True:
            scene = Scene(
                ports=self.world.ports, run=self.run, index=10 * len(self.segments) + place, attempt=attempt,
                environment=plan.environment, facts=self.facts, begun_at=begun_at, progress=saved[-1] if saved else None,
                save=self.wrap(save), paused=lambda: False, doing=self.world.said.append, requester=self.requester,
            )  # fmt: skip
            try:
                result: Result = await self.world.finish(step.perform(scene))
            except self.died:
                continue
            return result

    def _decided(self, step: Approval) -> tuple[Outcome, str]:
        if step.title in self.rejects:
            return Outcome.FAIL, "rejected"
        if step.purpose == "signoff" and self.signs is not None:
            at = self.world.ports.clock.now().isoformat()
            self.facts["signed_off"] = {"by": self.signs, "name": "Ada", "at": at}
        return Outcome.PASS, ""


def titles(plan: Plan | None) -> list[str]:
    assert plan is not None
    return [step.title for step in plan.steps()]


def as_json(value: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = to_json(value)
    return found

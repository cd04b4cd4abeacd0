"""A world with a dev environment, and a run there from its first step to its end, as the engine drives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from runbook.criteria import DEFAULT_CRITERIA, Criterion, Weight
from runbook.plan import BEGUN, CONTINUE, Plan, Result, Scene, Step, Work, canonical
from runbook.policy import DevPolicy, Policy, Service, Setting
from runbook.ports import Released
from runbook.procedures import CONTINUATIONS, PROCEDURES
from runbook.procedures.base import Prepared, Request
from runbook.values import Environment, Release
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON
from tests.runbook.fake_source import FakeSource
from tests.runbook.fakes import COMMIT, GOOD_METRICS, RELEASE, SERVICE, World, setting

DEV_SERVICE: Service = replace(
    SERVICE, urls={Environment.DEV: "http://shop.dev", Environment.STAGING: "http://shop.staging"}, image_tag="sha-{short}"
)  # fmt: skip
SHORT = COMMIT[:12]


class DevWorld(World):
    """COMMIT is the newest on main, green, and has its images."""

    def __init__(self) -> None:
        super().__init__()
        self.source = FakeSource()
        self.source.push("b" * 40, "An older change")
        self.source.push(COMMIT, "Sell gift cards")
        self.metrics.answers = dict(GOOD_METRICS)
        both = (Environment.DEV, Environment.STAGING)
        self.ports = replace(
            self.ports,
            clusters=dict.fromkeys(both, self.cluster),
            metrics=dict.fromkeys(both, self.metrics),
            source=self.source,
        )
        self.here = Environment.DEV
        self.run = "dev-12"

    def scene(self, *args: Any, **kwargs: Any) -> Scene:
        return replace(super().scene(*args, **kwargs), environment=self.here, run=self.run)

    async def prepared(self, version: str = "", how: Setting | None = None, service: str = "shop") -> Prepared:
        request = Request(service=service, environment=self.here, version=version)
        return await PROCEDURES[self.here.value](request, how or dev_setting(), self.ports)

    async def plan(self, version: str = "", how: Setting | None = None) -> Plan:
        found = await self.prepared(version, how)
        assert found.plan is not None, [v.reason for v in found.verdicts]
        return found.plan


def dev_setting(service: Service = DEV_SERVICE, policy: Policy | None = None) -> Setting:
    return setting(policy or Policy(dev=DevPolicy(traffic_wait_s=60.0)), service)


def weighing(row: str, weight: Weight, *, to_staging: bool) -> tuple[Criterion, ...]:
    """The table with one row's weight changed in one column."""
    key = "to_staging" if to_staging else "to_prod"
    return tuple(replace(each, **{key: weight}) if each.name == row else each for each in DEFAULT_CRITERIA)  # type: ignore[arg-type]


class Played:
    """What became of a plan. ended: `completed`, `held`, `stopped`, or the procedure that it was left for. Approvals are given."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.results: dict[str, Result] = {}
        self.facts: dict[str, Any] = {}
        self.ended = "completed"
        self.last = ""

    def codes(self, title: str) -> list[str]:
        return [verdict.code for verdict in self.results[title].verdicts if verdict.outcome is not Outcome.PASS]


async def play(world: World, plan: Plan, facts: Mapping[str, Any] | None = None) -> Played:
    """Every step in its turn; NO_DATA and ERROR hold, a FAIL does what the step says."""
    told = Played()
    told.facts |= facts or {}
    for step in plan.steps():
        told.titles.append(step.title)
        told.last = step.title
        if not isinstance(step, Work):
            continue
        result: Result = await world.finish(step.perform(world.scene(told.facts)))
        told.results[step.title] = result
        told.facts |= result.facts
        if result.outcome is Outcome.PASS or step.on_fail == CONTINUE:
            continue
        if result.outcome is not Outcome.FAIL:
            told.ended = "held"
        elif step.on_fail.startswith("procedure:"):
            told.ended = step.on_fail.removeprefix("procedure:")
        else:
            told.ended = {"stop": "stopped", "hold": "held"}[step.on_fail]
        return told
    return told


def way_back(plan: Plan, played: Played) -> list[Step]:
    """The steps of the way back from where it was left."""
    begun = list(range(len(played.titles)))
    back = CONTINUATIONS["return_to_previous"](plan, {**played.facts, BEGUN: begun})
    return [] if back is None else list(back.steps())


def validated(facts: Mapping[str, Any] | None = None, release: Release = RELEASE, run: str = "dev-12") -> Released:
    """As the ledger has it."""
    plan = Plan(procedure="dev", service="shop", environment=Environment.DEV, version=SHORT, nodes=())
    recorded = {"smoke": {"outcome": "pass", "requests": 4}} if facts is None else facts
    return Released(run, SHORT, release, canonical(plan), recorded, NOON)

"""Runbook: Dev promotion gate to staging candidate, in the procedure of staging, before anybody is asked to approve."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runbook.criteria import Weight
from runbook.errors import Temporary
from runbook.plan import STOP, canonical, parse
from runbook.policy import Policy, StagingPolicy
from runbook.ports import Incident
from runbook.steps import Approval, CalmAcross, DevValidated, Gate
from runbook.values import Environment
from runbook.verdicts import Outcome, Verdict
from tests.fakes.clock import NOON
from tests.runbook.dev_stories import DEV_SERVICE, DevWorld, dev_setting, validated, weighing
from tests.runbook.fakes import COMMIT, RELEASE, SERVICE, VERSION, setting

TITLE = "Dev promotion gate"


@pytest.fixture
def world() -> DevWorld:
    made = DevWorld()
    made.here = Environment.STAGING
    made.memory.validations[COMMIT] = validated()
    return made


async def gate_of(world: DevWorld, policy: Policy | None = None) -> Gate:
    plan = await world.plan(VERSION, dev_setting(policy=policy))
    return next(step for step in plan.steps() if isinstance(step, Gate) and step.title == TITLE)


async def verdicts(world: DevWorld, policy: Policy | None = None) -> dict[str, Verdict]:
    result = await world.finish((await gate_of(world, policy)).perform(world.scene()))
    return {verdict.gate: verdict for verdict in result.verdicts}


async def outcome(world: DevWorld, policy: Policy | None = None) -> Outcome:
    return (await world.finish((await gate_of(world, policy)).perform(world.scene()))).outcome


def incident(severity: int, id: str = "incident-7", environment: str = "dev") -> Incident:
    return Incident(id, "shop", environment, severity, "Orders get lost", "T1:UADA", NOON)


async def test_it_is_asked_before_the_approval_and_stops(world: DevWorld) -> None:
    plan = await world.plan(VERSION, dev_setting())
    steps = list(plan.steps())
    at = next(place for place, step in enumerate(steps) if step.title == TITLE)
    assert [step.title for step in steps[:at]] == ["Release candidate", "CI green", "Workloads deployable"]
    assert isinstance(steps[at + 1], Approval)
    gate = steps[at]
    assert isinstance(gate, Gate)
    assert gate.on_fail == STOP
    assert gate.checks == (
        CalmAcross("shop", (Environment.DEV, Environment.STAGING)),
        DevValidated("shop", COMMIT, Weight.OPTIONAL, Weight.RECOMMENDED),
    )
    assert parse(canonical(plan)) == plan


async def test_a_validated_commit_passes_with_what_its_run_recorded(world: DevWorld) -> None:
    assert await outcome(world) is Outcome.PASS
    found = await verdicts(world)
    assert found["dev-validated"].reason == "cccccccccccc was validated in dev by dev-12"
    assert found["smoke tests in dev"].reason == "all 4 smoke requests were answered as expected"
    assert found["no open incident"].outcome is Outcome.PASS


async def test_a_commit_that_was_not_validated_holds_with_the_command_to_type(world: DevWorld) -> None:
    world.memory.validations.clear()
    assert await outcome(world) is Outcome.NO_DATA
    found = (await verdicts(world))["dev-validated"]
    assert found.code == "dev.not_validated"
    assert found.remedy == "`/forge deploy dev cccccccccccc`, and wait for its result"


async def test_smoke_tests_that_are_not_on_record_are_unknown(world: DevWorld) -> None:
    world.memory.validations[COMMIT] = validated({})
    assert await outcome(world) is Outcome.NO_DATA
    assert (await verdicts(world))["smoke tests in dev"].reason == "dev-12 has recorded no smoke tests"


@pytest.mark.parametrize("environment", ["dev", "staging"])
@pytest.mark.parametrize(("severity", "expected"), [(1, "fail"), (2, "fail"), (3, "pass"), (4, "pass")])
async def test_a_grave_incident_in_dev_or_staging_stops(
    world: DevWorld, environment: str, severity: int, expected: str
) -> None:
    async def open_incidents(service: str, here: Environment) -> tuple[Incident, ...]:
        return (incident(severity, environment=environment),) if here.value == environment else ()

    world.memory.open_incidents = open_incidents  # type: ignore[method-assign]
    assert await outcome(world) == expected


async def test_an_incident_of_both_environments_is_told_once(world: DevWorld) -> None:
    world.memory.incidents = (incident(2), incident(1, "incident-8"))
    found = (await verdicts(world))["no open incident"]
    assert [each.name for each in found.evidence] == ["incident-8", "incident-7"]


async def test_a_ledger_that_gives_no_answer_is_an_error(world: DevWorld) -> None:
    world.memory.error = Temporary("store", "locked", "the database is locked")
    assert await outcome(world) is Outcome.ERROR


@pytest.mark.parametrize("row", ["suites", "performance"])
@pytest.mark.parametrize(
    ("facts", "when_required"),
    [
        ({}, Outcome.NO_DATA),
        ({"suite:api": {"outcome": "pass"}, "performance": {"outcome": "pass"}}, Outcome.PASS),
        ({"suite:api": {"outcome": "fail"}, "performance": {"outcome": "fail"}}, Outcome.FAIL),
        ({"suite:api": {"outcome": "no_data"}, "performance": {"outcome": "no_data"}}, None),
        ({"suite:api": "garbage", "performance": 7}, None),
    ],
)
async def test_what_is_only_recommended_or_optional_is_shown_and_decides_nothing(
    world: DevWorld, row: str, facts: dict[str, Any], when_required: Outcome | None
) -> None:
    world.memory.validations[COMMIT] = validated({"smoke": {"outcome": "pass", "requests": 4}} | facts)
    name = {"suites": "automated tests in dev", "performance": "performance baseline in dev"}[row]
    assert not (await verdicts(world))[name].binding
    assert await outcome(world) is Outcome.PASS
    required = Policy(criteria=weighing(row, Weight.REQUIRED, to_staging=True))
    found = await outcome(world, required)
    assert found is when_required if when_required is not None else found is not Outcome.PASS


RECOMMENDED = StagingPolicy(dev_validated=Weight.RECOMMENDED)


async def test_a_validation_that_is_only_recommended_is_shown_and_decides_nothing(world: DevWorld) -> None:
    world.memory.validations.clear()
    relaxed = Policy(staging=RECOMMENDED)
    assert await outcome(world, relaxed) is Outcome.PASS
    found = (await verdicts(world, relaxed))["dev-validated"]
    assert (found.outcome, found.binding) == (Outcome.NO_DATA, False)
    world.memory.incidents = (incident(1),)
    assert await outcome(world, relaxed) is Outcome.FAIL


@pytest.mark.parametrize("row", ["suites", "performance"])
async def test_what_the_table_requires_of_dev_is_required_though_the_validation_is_not(
    world: DevWorld, row: str
) -> None:
    world.memory.validations.clear()
    policy = Policy(staging=RECOMMENDED, criteria=weighing(row, Weight.REQUIRED, to_staging=True))
    assert await outcome(world, policy) is Outcome.NO_DATA


# --- where there is no dev ------------------------------------------------------------------------------------------------


async def test_without_dev_nothing_is_asked_and_the_plan_says_so(world: DevWorld) -> None:
    found = await world.prepared(VERSION, setting(service=SERVICE))
    assert found.plan is not None
    assert TITLE not in [step.title for step in found.plan.steps()]
    told = next(verdict for verdict in found.verdicts if verdict.code == "dev.not_configured")
    assert told.outcome is Outcome.PASS
    assert told.reason == "nothing is asked of dev: shop has none (services.shop.urls.dev and environments.dev)"


async def test_an_address_without_a_cluster_is_no_dev(world: DevWorld) -> None:
    world.ports = replace(world.ports, clusters={Environment.STAGING: world.cluster})
    found = await world.prepared(VERSION, dev_setting())
    assert found.plan is not None
    assert TITLE not in [step.title for step in found.plan.steps()]


async def test_the_plan_of_a_service_without_dev_is_as_it_always_was(world: DevWorld) -> None:
    """Its approvals stay valid over an upgrade: nothing of dev is in its text."""
    plan = await world.plan(VERSION, setting(service=replace(DEV_SERVICE, urls=SERVICE.urls)))
    text = canonical(plan)
    assert "dev_validated" not in text
    assert "calm_across" not in text
    assert plan.about["release"]["commit"] == RELEASE.commit

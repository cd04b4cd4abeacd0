"""Runbook: Promotion Criteria Summary, the whole table: every row and column, met, missing and unknown, through the procedures themselves.

What is required decides; what is recommended or optional is shown with its outcome and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from runbook.authority import fill_slots
from runbook.criteria import DEFAULT_CRITERIA, Promotion, Weight, criterion
from runbook.errors import Temporary
from runbook.plan import STOP, Plan, procedure
from runbook.policy import Policy
from runbook.ports import CiCheck, ScanReport
from runbook.steps import Approval, Gate
from runbook.values import Environment, Role
from runbook.verdicts import Outcome, Verdict, decided
from tests.runbook.dev_stories import DEV_SERVICE, DevWorld, dev_setting, play, validated, weighing
from tests.runbook.fakes import COMMIT, RELEASE, VERSION, digest
from tests.runbook.test_production_plan import planned

TO_STAGING, TO_PROD = Promotion.TO_STAGING, Promotion.TO_PROD
MET, MISSING, UNKNOWN, SILENT = "met", "missing", "unknown", "silent"
STATES = (MET, MISSING, UNKNOWN, SILENT)
"""SILENT: the one who would know gives no answer."""

GATES = {
    ("ci", TO_STAGING): "CI green",
    ("smoke", TO_STAGING): "Dev promotion gate",
    ("suites", TO_STAGING): "Dev promotion gate",
    ("performance", TO_STAGING): "Dev promotion gate",
    ("scan", TO_STAGING): "Release candidate",
    ("ci", TO_PROD): "Staging promotion gate",
    ("smoke", TO_PROD): "Staging promotion gate",
    ("suites", TO_PROD): "Staging promotion gate",
    ("performance", TO_PROD): "Staging promotion gate",
    ("scan", TO_PROD): "Staging promotion gate",
}
"""Where each of the rows that a machine can answer is asked, in the procedure of staging."""

VERDICTS = {
    ("ci", TO_STAGING): "CI green", ("ci", TO_PROD): "CI green",
    ("smoke", TO_STAGING): "smoke tests in dev", ("smoke", TO_PROD): "smoke tests",
    ("suites", TO_STAGING): "automated tests in dev", ("suites", TO_PROD): "automated tests",
    ("performance", TO_STAGING): "performance baseline in dev", ("performance", TO_PROD): "performance baseline",
    ("scan", TO_STAGING): "security scan", ("scan", TO_PROD): "security scan",
}  # fmt: skip

SUITES = ("api", "journeys", "schema", "previous")
GOOD_FACTS: dict[str, Any] = {
    "smoke": {"outcome": "pass", "requests": 4},
    **{f"suite:{name}": {"outcome": "pass", "tests": 3} for name in SUITES},
    "performance": {"outcome": "pass", "reason": "p95 150 ms, target 200 ms", "p95_s": 0.15},
}


@dataclass(frozen=True)
class Case:
    row: str
    column: Promotion
    state: str
    weight: Weight

    @property
    def policy(self) -> Policy:
        return Policy(criteria=weighing(self.row, self.weight, to_staging=self.column is TO_STAGING))

    @property
    def expected(self) -> set[Outcome]:
        if self.weight is not Weight.REQUIRED or self.state == MET:
            return {Outcome.PASS}
        return {Outcome.FAIL} if self.state == MISSING else {Outcome.NO_DATA, Outcome.ERROR}

    def __str__(self) -> str:
        return f"{self.row}-{self.column}-{self.state}-{self.weight}"


def states_of(row: str) -> tuple[str, ...]:
    """What a run has recorded itself can't be silent; its facts are there or not."""
    return STATES if row in ("ci", "scan") else STATES[:3]


CASES = [
    Case(row, column, state, criterion(DEFAULT_CRITERIA, row).weight(column))
    for row, column in GATES
    for state in states_of(row)
]
"""The runbook's table as it stands."""

WEIGHED = [
    Case(row, column, state, weight)
    for row, column in GATES
    if row in ("suites", "performance", "scan")  # the others can't be weighed differently
    for state in states_of(row)
    for weight in Weight
]


AWAY = Temporary("outside", "unreachable", "nobody answers")


def spoil(world: DevWorld, facts: dict[str, Any], row: str, state: str) -> None:
    """facts: of the run that the row is about, in dev or in staging."""
    match row:
        case "ci":
            spoil_ci(world, state)
        case "scan":
            spoil_scan(world, state)
        case "smoke":
            spoil_fact(facts, ("smoke",), state)
        case "suites":
            spoil_fact(facts, ("suite:api",) if state == MISSING else tuple(f"suite:{name}" for name in SUITES), state)
        case "performance":
            spoil_fact(facts, ("performance",), state)


def spoil_fact(facts: dict[str, Any], names: tuple[str, ...], state: str) -> None:
    for name in names:
        if state == MISSING:
            facts[name] = {**facts[name], "outcome": "fail"}
        elif state == UNKNOWN:
            del facts[name]


def spoil_ci(world: DevWorld, state: str) -> None:
    async def silent(repository: str, commit: str) -> tuple[CiCheck, ...]:
        raise AWAY

    if state == SILENT:
        world.code.checks = silent  # type: ignore[method-assign]
    elif state != MET:
        world.code.ci = [CiCheck("unit", "failure")] if state == MISSING else []


def spoil_scan(world: DevWorld, state: str) -> None:
    if state == MISSING:
        now = world.clock.now()
        world.scans.reports[digest("1")] = ScanReport(
            digest("1"), "trivy", "trivy", now, now, {"critical": 1}, ("CVE-1",)
        )
    elif state == UNKNOWN:
        world.scans.clean = False
    elif state == SILENT:
        world.scans.error = AWAY


async def world_and_plan(policy: Policy) -> tuple[DevWorld, Plan]:
    world = DevWorld()
    world.here = Environment.STAGING
    world.memory.validations[COMMIT] = validated(GOOD_FACTS)
    return world, await world.plan(VERSION, dev_setting(policy=policy))


def gate_of(plan: Plan, title: str) -> Gate:
    gate = next(step for step in plan.steps() if step.title == title)
    assert isinstance(gate, Gate)
    return gate


async def asked(case: Case) -> tuple[Gate, tuple[Verdict, ...]]:
    """The row's gate of the real plan, in a world where this alone is not as it should be."""
    world, plan = await world_and_plan(case.policy)
    gate = gate_of(plan, GATES[case.row, case.column])
    facts: dict[str, Any] = dict(GOOD_FACTS)
    if case.column is TO_PROD:
        facts |= {"observed_from": world.clock.now().isoformat(), "before_effects_at": world.clock.now().isoformat()}
        spoil(world, facts, case.row, case.state)
    else:
        spoil(world, facts, case.row, case.state)
        world.memory.validations[COMMIT] = validated(facts)
    scene = world.scene(facts)
    await world.clock.advance(1800)
    return gate, (await world.finish(gate.perform(scene))).verdicts


def told(verdicts: tuple[Verdict, ...], case: Case) -> list[Verdict]:
    name = VERDICTS[case.row, case.column]
    found = [verdict for verdict in verdicts if verdict.gate == name or verdict.gate.startswith(f"{name}:")]
    if case.row == "smoke" or case.row == "ci":
        return found
    return [verdict for verdict in found if verdict.outcome is not Outcome.PASS] or found


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_each_row_of_the_table_decides_as_the_runbook_weighs_it(case: Case) -> None:
    gate, verdicts = await asked(case)
    assert decided(verdicts) in case.expected, [
        f"{v.gate}: {v.reason}" for v in verdicts if v.outcome is not Outcome.PASS
    ]
    assert gate.on_fail == (STOP if case.column is TO_STAGING else procedure("return_to_previous"))


@pytest.mark.parametrize("case", WEIGHED, ids=str)
async def test_a_row_that_is_weighed_differently_decides_by_that_weight(case: Case) -> None:
    _, verdicts = await asked(case)
    assert decided(verdicts) in case.expected, [
        f"{v.gate}: {v.reason}" for v in verdicts if v.outcome is not Outcome.PASS
    ]


@pytest.mark.parametrize("case", [*CASES, *WEIGHED], ids=str)
async def test_each_row_is_shown_whatever_it_weighs(case: Case) -> None:
    _, verdicts = await asked(case)
    shown = told(verdicts, case)
    assert shown
    assert {verdict.binding for verdict in shown} == {case.weight is Weight.REQUIRED}
    outcomes = {verdict.outcome for verdict in shown}
    if case.state == MET:
        assert outcomes == {Outcome.PASS}
    elif case.state == MISSING:
        assert Outcome.FAIL in outcomes
    else:
        assert outcomes & {Outcome.NO_DATA, Outcome.ERROR}


# --- the whole way --------------------------------------------------------------------------------------------------------

TO_THE_APPROVAL = [case for case in CASES if case.column is TO_STAGING]


@pytest.mark.parametrize("case", TO_THE_APPROVAL, ids=str)
async def test_what_is_required_of_dev_keeps_a_candidate_from_staging(case: Case) -> None:
    """Nothing has changed where it is kept; what isn't required keeps nothing."""
    world, plan = await world_and_plan(case.policy)
    facts = dict(GOOD_FACTS)
    spoil(world, facts, case.row, case.state)
    world.memory.validations[COMMIT] = validated(facts)
    until = next(place for place, step in enumerate(plan.steps()) if isinstance(step, Approval))
    played = await play(world, replace(plan, nodes=tuple(list(plan.steps())[: until + 1])))
    goes_on = case.expected == {Outcome.PASS}
    assert (played.ended == "completed") is goes_on
    assert not world.cluster.writes
    if not goes_on:
        assert played.ended == ("stopped" if case.state == MISSING else "held")
        assert played.last == GATES[case.row, case.column]


@pytest.mark.parametrize("state", [MET, MISSING, UNKNOWN, SILENT])
async def test_ci_decides_whether_dev_is_deployed_at_all(state: str) -> None:
    world = DevWorld()
    plan = await world.plan()
    spoil(world, {}, "ci", state)
    played = await play(world, plan)
    assert played.ended == {MET: "completed", MISSING: "stopped"}.get(state, "held")
    assert bool(world.cluster.writes) is (state == MET)


# --- approvals --------------------------------------------------------------------------------------------------------------

OWNER, PRODUCT, OPERATIONS = (
    frozenset({Role.SERVICE_OWNER}), frozenset({Role.PRODUCT}), frozenset({Role.OPERATIONS}),
)  # fmt: skip
NOBODY: frozenset[Role] = frozenset({Role.RELEASE_ENGINEER})


def complete(step: Approval, *people: frozenset[Role]) -> bool:
    return fill_slots(step.slots, [(f"T1:U{place}", roles) for place, roles in enumerate(people)]).complete


async def approval(environment: Environment, title: str) -> Approval:
    if environment is Environment.PROD:
        plan = await planned()
    else:
        _, plan = await world_and_plan(Policy())
    found = next(step for step in plan.steps() if step.title == title)
    assert isinstance(found, Approval)
    return found


@pytest.mark.parametrize(
    ("people", "is_met"),
    [((OWNER,), True), ((), False), ((NOBODY,), False), ((PRODUCT, OPERATIONS), False)],
)
async def test_the_service_owner_approves_what_goes_to_staging(
    people: tuple[frozenset[Role], ...], is_met: bool
) -> None:
    step = await approval(Environment.STAGING, "Deploy to staging")
    assert complete(step, *people) is is_met
    assert step.on_fail == STOP


@pytest.mark.parametrize(
    ("people", "is_met"),
    [
        ((OWNER, PRODUCT), True),
        ((OWNER, OPERATIONS), True),
        ((OWNER,), False),
        ((PRODUCT, OPERATIONS), False),
        ((OWNER | PRODUCT,), False),
        ((OWNER, NOBODY), False),
        ((), False),
    ],
)
async def test_service_owner_and_product_or_operations_approve_what_goes_to_production(
    people: tuple[frozenset[Role], ...], is_met: bool
) -> None:
    step = await approval(Environment.PROD, "Ship to production")
    assert complete(step, *people) is is_met
    assert step.on_fail == STOP


async def test_nobody_approves_a_deployment_to_dev() -> None:
    plan = await DevWorld().plan()
    assert not [step for step in plan.steps() if isinstance(step, Approval)]


def test_every_row_and_column_of_the_table_is_tried_here() -> None:
    tried = {row for row, _ in GATES} | {"approvals"}
    assert tried == {row.name for row in DEFAULT_CRITERIA}
    assert {column for _, column in GATES} == set(Promotion)
    assert {case.state for case in CASES} == set(STATES)
    assert DEV_SERVICE.suites[0].name in SUITES
    assert RELEASE.commit == COMMIT

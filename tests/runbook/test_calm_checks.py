"""Freezes, incidents and windows as a gate asks them: what holds a release up, who says so, and what a person types."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from runbook.errors import StoreUnavailable
from runbook.plan import Plan, canonical, parse
from runbook.policy import ChangeWindow
from runbook.ports import Freeze, Incident
from runbook.rules.calm import check_no_freeze, check_no_open_incident
from runbook.steps import ChangeWindowOpen, Gate, NoFreeze, NoOpenIncident
from runbook.values import Environment
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON
from tests.runbook.fakes import World


def freeze(service: str = "*", owner: str = "Ada", reason: str = "end of year", hours: float | None = 3) -> Freeze:
    until = None if hours is None else NOON + timedelta(hours=hours)
    return Freeze("prod", service, owner, reason, NOON, until)


def incident(severity: int, number: int = 7, title: str = "checkout is slow") -> Incident:
    return Incident(f"incident-{number}", "shop", "prod", severity, title, "Olga", NOON)


@pytest.mark.parametrize(
    ("freezes", "words", "remedy"),
    [
        ([freeze()], "prod is frozen by Ada until Mon 02 Mar 2026 15:00 UTC: end of year", "`/forge unfreeze prod`"),
        ([freeze("shop", hours=None)], "shop on prod is frozen by Ada until it is lifted", "`/forge unfreeze prod --service shop`"),
        ([freeze(reason="")], "no reason given", "`/forge unfreeze prod`"),
        ([freeze(), freeze("shop", "Sam")], "by Sam", "`/forge unfreeze prod` and `/forge unfreeze prod --service shop`"),
        ([freeze(reason="x" * 10_000 + "\n<!channel>")], "x…", "`/forge unfreeze prod`"),
    ],
)  # fmt: skip
def test_a_freeze_says_who_why_until_when_and_what_lifts_it(freezes: list[Freeze], words: str, remedy: str) -> None:
    verdict = check_no_freeze(freezes)
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "freeze.in_force")
    assert words in verdict.reason
    assert remedy in verdict.remedy
    assert len(verdict.reason) < 1_000


def test_without_a_freeze_it_passes() -> None:
    assert check_no_freeze([]).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("severities", "outcome"),
    [((), Outcome.PASS), ((1,), Outcome.FAIL), ((2,), Outcome.FAIL), ((3,), Outcome.PASS), ((4, 3), Outcome.PASS), ((3, 2), Outcome.FAIL)],
)  # fmt: skip
def test_incidents_of_severity_1_and_2_hold_a_release_up(severities: tuple[int, ...], outcome: Outcome) -> None:
    verdict = check_no_open_incident([incident(severity, number) for number, severity in enumerate(severities, 1)])
    assert verdict.outcome is outcome
    assert len(verdict.evidence) == len(severities)
    if outcome is Outcome.FAIL:
        assert verdict.code == "incident.open"
        assert "/forge incident resolve incident-" in verdict.remedy


def test_lesser_incidents_are_shown() -> None:
    verdict = check_no_open_incident([incident(3), incident(4, 8)])
    assert verdict.reason == "no incident of severity 1 or 2 is open (2 of severity 3 or 4)"


def test_the_gate_asks_all_three_and_every_obstacle_is_told_at_once() -> None:
    world = World()
    world.memory.frozen = (freeze(),)
    world.memory.incidents = (incident(1),)
    closed = ChangeWindow("sunday", rrule="FREQ=WEEKLY;BYDAY=SU;BYHOUR=6", duration_s=60.0)
    gate = Gate(title="moment", checks=(ChangeWindowOpen((closed,)), NoFreeze("shop"), NoOpenIncident("shop")))
    result = asyncio.run(gate.perform(world.scene()))
    assert [verdict.code for verdict in result.verdicts] == ["window.closed", "freeze.in_force", "incident.open"]
    assert result.outcome is Outcome.FAIL


def test_a_database_that_cant_be_asked_is_no_calm() -> None:
    """It is the engine's to wait for its own database: the gate gives no answer."""

    class Broken:
        async def freezes(self, service: str, environment: Environment) -> tuple[Freeze, ...]:
            raise StoreUnavailable("locked", "the database is locked")

    world = World()
    world.ports = replace(world.ports, memory=Broken())  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable):
        asyncio.run(Gate(title="moment", checks=(NoFreeze("shop"),)).perform(world.scene()))


def test_the_checks_are_stored_in_a_plan_and_come_back_equal() -> None:
    window = ChangeWindow("w", "Europe/Berlin", "FREQ=WEEKLY;BYDAY=MO")
    checks = (ChangeWindowOpen((window,)), NoFreeze("shop"), NoOpenIncident("shop"))
    nodes = (Gate(title="moment", checks=checks),)
    plan = Plan(procedure="prod", service="shop", environment=Environment.PROD, version="v1.0.0", nodes=nodes)
    assert parse(canonical(plan)) == plan

"""Runbook: Rollback Procedure 4. The Database Owner's point-in-time choice runs the restore procedure to the moment before the migrations."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from runbook.backups import BackupKind, BackupState, RecoveryWindow
from runbook.errors import Permanent
from runbook.plan import CONTINUE, Plan, canonical, parse, step_to_json
from runbook.policy import Service
from runbook.procedures import CONTINUATIONS
from runbook.procedures.base import Request
from runbook.procedures.production import production
from runbook.procedures.rollback import KEEP, RESTORE, rollback
from runbook.steps import CheckRecoverable, LeftToPeople, SmokeTest
from runbook.values import Environment, Role
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON
from tests.runbook.database_stories import CHECKS, SWITCH, DatabaseWorld, Story, setting, titles
from tests.runbook.fakes import RELEASE_FILE, SERVICE
from tests.runbook.test_production_plan import begun_until
from tests.runbook.test_promoting import SHOP, Stage

BEFORE = datetime.fromisoformat("2026-03-02T12:00:00+00:00")
AFTER = NOON + timedelta(hours=1)
BY_PEOPLE = "Restore the database to before the migrations"
IN_ORDER = [
    "The database can be recovered to Mon 02 Mar 2026 12:00 UTC",
    "Fetch everything and check it before anything reads it",
    "Provision a PostgreSQL of the same major version, apart from everything else",
    "Restore the base backup and replay WAL to Mon 02 Mar 2026 12:00 UTC",
    "Post-restore checks",
    "Sign off what was restored, before any traffic goes there",
    "Lead the traffic to the restored database",
    "Give the backup back to the retention",
]
ENDING = [
    "Health endpoints and user journeys",
    "Record the rollback",
    "Update the incident",
    "Announce the rollback",
    "Post-incident checklist",
]


async def released(service: Service) -> Plan:
    """A production plan with a migration that the previous version can't work with."""
    stage = Stage()
    stage.service = replace(service, restore_checks=CHECKS)
    stage.code.files[SERVICE.release_file] = RELEASE_FILE
    request = Request(service="shop", environment=Environment.PROD, version="v1.4.0")
    found = await production(request, setting(service=stage.service), stage.ports)
    assert found.plan is not None, [v.reason for v in found.verdicts]
    return found.plan


async def way(service: Service, name: str = RESTORE) -> Plan:
    """What the Database Owner's answer goes on with."""
    plan = await released(service)
    facts = begun_until(plan, "Shift 5 % of the traffic")
    asked = rollback(plan, facts)
    assert asked is not None
    chosen = CONTINUATIONS[name](asked, facts)
    assert chosen is not None
    return chosen


CONFIGURED = replace(SHOP, restore_switch=SWITCH)


def recoverable() -> DatabaseWorld:
    world = DatabaseWorld()
    begun = NOON - timedelta(days=2)
    world.backed_up("shop-prod-base", begun, BackupKind.BASE, state=BackupState.DECODED)
    world.ledger.recovery = RecoveryWindow(begun, AFTER - timedelta(minutes=4), "shop-prod-base")
    world.clock.set(AFTER)
    return world


async def played(world: DatabaseWorld, **story: Any) -> Story:
    """The restore within the rollback, without the traffic and images before it."""
    plan = await way(CONFIGURED)
    steps = tuple(plan.steps())
    first = next(place for place, step in enumerate(steps) if isinstance(step, CheckRecoverable))
    only = replace(plan, nodes=steps[first:])
    facts = begun_until(await released(CONFIGURED), "Shift 5 % of the traffic")
    return await Story(world, facts=facts, had_effect=True, **story).play(only)


async def test_the_choice_runs_the_restore_procedures_steps_to_the_moment_before_the_first_effect() -> None:
    plan = await way(CONFIGURED)
    names = titles(plan)
    first = names.index(IN_ORDER[0])
    assert names[first:] == [*IN_ORDER, *ENDING]
    assert names[0] == "Shift traffic back to the last known good version"
    check = next(step for step in plan.steps() if isinstance(step, CheckRecoverable))
    assert datetime.fromisoformat(check.until) == BEFORE
    assert parse(canonical(plan)) == plan


async def test_without_a_job_that_switches_it_stays_left_to_people() -> None:
    plan = await way(SHOP)
    (step,) = [step for step in plan.steps() if isinstance(step, LeftToPeople)]
    assert step.title == BY_PEOPLE
    assert "not configured" in step.reason
    assert "restore" not in plan.about


async def test_a_plan_without_the_configuration_is_as_it_was_and_the_other_answers_always_are() -> None:
    assert "restore" not in (await released(SHOP)).about
    one, other = await way(SHOP, KEEP), await way(CONFIGURED, KEEP)
    assert [step_to_json(step) for step in one.steps()] == [step_to_json(step) for step in other.steps()]


async def test_it_restores_is_signed_off_by_the_database_owner_and_switches() -> None:
    world = recoverable()
    story = await played(world)
    assert [title for title, outcome in story.told if outcome is not Outcome.PASS] == []
    assert world.host.orders[0].until == BEFORE
    assert [order.args for order in world.cluster.created] == [("switch",)]
    sign = next(step for step in story.segments[0].steps() if step.title == IN_ORDER[5])
    assert getattr(sign, "roles", ()) == (Role.DATABASE_OWNER,)


async def test_where_the_moment_cant_be_reached_it_is_left_to_people_and_the_rollback_goes_on() -> None:
    world = recoverable()
    world.ledger.recovery = None
    world.ledger.by_id.clear()
    story = await played(world)
    names = [title for title, _ in story.told]
    assert names == [IN_ORDER[0], "Fence and drop what was restored", BY_PEOPLE, *ENDING]
    assert not world.host.orders


async def test_where_nothing_is_configured_at_all_the_check_says_so() -> None:
    world = recoverable()
    world.ports = replace(world.ports, restore_host=None)
    story = await played(world)
    assert story.results[IN_ORDER[0]].verdicts[0].code == "backups.no_host"
    assert [title for title, outcome in story.told if outcome is not Outcome.PASS] == [IN_ORDER[0], BY_PEOPLE]


async def test_a_failure_on_the_way_drops_the_instance_and_leaves_the_restore_to_people() -> None:
    world = recoverable()
    world.host.errors["restore"] = [Permanent("postgres", "restore", "recovery ended before the moment")]
    story = await played(world)
    names = titles(story.segments[-1])
    assert names == ["Fence and drop what was restored", BY_PEOPLE, *ENDING]
    assert (BY_PEOPLE, Outcome.FAIL) in story.told
    assert not world.standing()
    assert not world.cluster.created


async def test_a_rejected_sign_off_leaves_the_restore_to_people_and_the_rest_is_done() -> None:
    world = recoverable()
    story = await played(world, rejects=(IN_ORDER[5],))
    assert [title for title, _ in story.told][-len(ENDING) :] == ENDING
    assert not world.standing()


async def test_what_the_abandoned_restore_goes_on_with_is_attempted_whatever_fails() -> None:
    plan = await way(CONFIGURED)
    begun = list(range(titles(plan).index(IN_ORDER[3]) + 1))
    rest = CONTINUATIONS["abandon_restore"](plan, {"begun": begun})
    assert rest is not None
    assert all(step.on_fail == CONTINUE for step in rest.steps())
    assert any(isinstance(step, SmokeTest) for step in rest.steps())
    assert rest.procedure != plan.procedure

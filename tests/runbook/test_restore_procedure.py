"""Runbook: Restore Procedure. Declared, restored beside what runs, checked, signed off, and only then the traffic is led there."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from runbook.backups import BackupKind, BackupState, RecoveryWindow
from runbook.errors import Permanent
from runbook.jobs import JobTemplate
from runbook.plan import HOLD, STOP, canonical, parse
from runbook.policy import Policy, Service
from runbook.ports import HttpAnswer
from runbook.procedures.base import Prepared
from runbook.steps import Approval, Checklist, LeftToPeople, SwitchTraffic
from runbook.values import Environment, Role
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON
from tests.runbook.database_stories import CHECKS, PROD, SHOP, STAGING, DatabaseWorld, Story, prepared, setting, titles
from tests.runbook.fake_databases import facts_found
from tests.runbook.fake_jobs import JobLife

CHECK, APPROVE, DECLARE, TOLD = (
    "The backup can be restored",
    "Restore the database",
    "Declare the incident or change",
    "Announce the restore",
)
FETCH, PROVISION, RESTORE, LOOK = (
    "Fetch everything and check it before anything reads it",
    "Provision PostgreSQL 16, apart from everything else",
    "Restore shop-prod-1",
    "Post-restore checks",
)
SIGN, SWITCH, HEALTH = (
    "Sign off what was restored, before any traffic goes there",
    "Lead the traffic to the restored database",
    "Health endpoints and user journeys",
)
ENDING = [
    "Give the backup back to the retention",
    "Record the restore",
    "Update the incident",
    "Announce the restored database",
]
DROP, PEOPLE = "Fence and drop what was restored", "Decide where the traffic is"


def backed_up() -> DatabaseWorld:
    world = DatabaseWorld()
    world.backed_up(at=NOON - timedelta(hours=10), state=BackupState.DECODED)
    return world


async def played(world: DatabaseWorld, environment: Environment = PROD, options: Any = None, **story: Any) -> Story:
    found = await prepared(world, "restore", environment, **(options or {}))
    assert found.plan is not None, found.verdicts
    return await Story(world, **story).play(found.plan)


def switches(world: DatabaseWorld) -> list[str]:
    return [order.name for order in world.cluster.created if order.args == ("switch",)]


async def test_a_restore_in_production_has_the_runbooks_steps_in_its_order() -> None:
    found = await prepared(backed_up(), "restore")
    expected = [CHECK, APPROVE, DECLARE, TOLD, FETCH, PROVISION, RESTORE, LOOK, SIGN, SWITCH, HEALTH, *ENDING]
    assert titles(found.plan) == expected
    assert found.plan is not None
    assert (found.plan.procedure, found.plan.version) == ("restore", "restore")
    assert parse(canonical(found.plan)) == found.plan


async def test_it_leads_the_traffic_to_what_was_restored_checked_and_signed_off() -> None:
    world = backed_up()
    story = await played(world)
    assert story.ended == "completed"
    (order,) = world.cluster.created
    assert order.env["FORGE_RESTORE_NAME"] == "forge-prod-12"
    assert order.env["FORGE_RESTORE_DATABASE"] == "shop"
    assert "FORGE_RESTORE_HOST" not in order.env, "nobody but forge reaches a server on its own machine"
    assert world.host.filled == {"forge-prod-12": "shop-prod-1"}
    assert world.ledger.by_id["shop-prod-1"].state is BackupState.VERIFIED
    assert world.ledger.by_id["shop-prod-1"].busy == ""
    assert not world.host.dropped


async def test_production_takes_two_people_and_both_decisions_are_the_database_owners() -> None:
    found = await prepared(backed_up(), "restore")
    assert found.plan is not None
    begin, sign = [step for step in found.plan.steps() if isinstance(step, Approval)]
    assert (begin.roles, begin.purpose, begin.on_fail) == ((Role.DATABASE_OWNER,), "restore", STOP)
    assert (sign.slots, sign.purpose) == (((Role.DATABASE_OWNER,),), "signoff")


async def test_elsewhere_its_owner_starts_it_alone_and_an_owner_signs_it_off() -> None:
    world = backed_up()
    world.backed_up("shop-staging-1", environment="staging")
    found = await prepared(world, "restore", STAGING)
    assert found.plan is not None
    (sign,) = [step for step in found.plan.steps() if isinstance(step, Approval)]
    assert sign.slots == ((Role.DATABASE_OWNER, Role.SERVICE_OWNER),)


async def test_where_others_may_start_it_a_database_owner_approves_everywhere() -> None:
    world = backed_up()
    world.backed_up("shop-staging-1", environment="staging")
    policy = Policy()
    policy = replace(policy, commands={**policy.commands, "restore": (Role.DATABASE_OWNER, Role.RELEASE_ENGINEER)})
    found = await prepared(world, "restore", STAGING, given=setting(policy))
    assert titles(found.plan)[1] == APPROVE


@pytest.mark.parametrize(
    ("method", "step"), [("fetch", FETCH), ("provision", PROVISION), ("restore", RESTORE), ("check", LOOK)]
)
async def test_a_failure_before_the_switch_drops_the_instance_and_moves_no_traffic(method: str, step: str) -> None:
    world = backed_up()
    world.host.errors[method] = [Permanent("backups", "broken", "it is broken")]
    story = await played(world)
    assert (step, Outcome.FAIL) in story.told
    assert (DROP, Outcome.PASS) in story.told
    assert titles(story.segments[-1]) == [
        DROP,
        "Record the result",
        "Update the incident",
    ]
    assert not world.standing()
    assert not switches(world)
    assert world.ledger.by_id["shop-prod-1"].busy == ""


async def test_checks_that_fail_are_never_signed_off() -> None:
    world = backed_up()
    world.host.found = facts_found(invalid=("orders_total_check",), smoke={CHECKS.smoke[0]: True})
    story = await played(world)
    assert SIGN not in [title for title, _ in story.told]
    assert not world.standing()


async def test_the_switch_is_told_the_address_of_a_server_that_others_reach() -> None:
    world = backed_up()
    world.host.servers[Environment.PROD] = ("restores.example", 5433)
    assert (await played(world)).ended == "completed"
    (order,) = world.cluster.created
    assert (order.env["FORGE_RESTORE_HOST"], order.env["FORGE_RESTORE_PORT"]) == ("restores.example", "5433")
    assert {order.target for order in world.host.orders} == {Environment.PROD}
    assert world.host.admitted == [(order.env["FORGE_RESTORE_NAME"], Environment.PROD)]


async def test_a_rejected_sign_off_drops_the_instance() -> None:
    world = backed_up()
    story = await played(world, rejects=(SIGN,))
    assert (DROP, Outcome.PASS) in story.told
    assert not world.standing()
    assert not switches(world)


async def test_a_rejected_restore_begins_nothing() -> None:
    world = backed_up()
    story = await played(world, rejects=(APPROVE,))
    assert (story.ended, world.host.calls) == ("failed", [])


async def test_an_aborted_restore_drops_the_instance_until_the_switch_has_begun() -> None:
    for step in (PROVISION, RESTORE, LOOK, SIGN, SWITCH):
        world = backed_up()
        await played(world, abort_before=step)
        assert not world.standing(), step
        assert not switches(world)


async def test_once_the_switch_has_begun_nothing_is_dropped_and_a_person_decides() -> None:
    world = backed_up()
    story = await played(world, abort_before=HEALTH)
    assert (PEOPLE, Outcome.FAIL) in story.told
    assert world.standing() == {"forge-prod-12"}
    left = next(step for step in story.segments[-1].steps() if isinstance(step, LeftToPeople))
    assert "some of the traffic may be there" in left.reason


async def test_a_switch_that_fails_waits_for_a_person() -> None:
    world = backed_up()
    world.cluster.lives = lambda order: JobLife(exit_code=1)
    story = await played(world)
    assert story.held == SWITCH
    assert world.standing() == {"forge-prod-12"}
    assert len(switches(world)) == 1


async def test_a_service_that_is_not_well_after_the_switch_waits_for_a_person() -> None:
    world = backed_up()
    world.probes.respond = lambda request, at_s: HttpAnswer(500, 0.01)
    story = await played(world)
    assert story.held == HEALTH


async def test_without_a_job_a_person_leads_the_traffic_there() -> None:
    world = backed_up()
    by_hand = replace(SHOP, restore_switch=None)
    found = await prepared(world, "restore", given=setting(service=by_hand))
    assert found.plan is not None
    (step,) = [step for step in found.plan.steps() if isinstance(step, Checklist)]
    assert (step.waits, step.roles, step.on_fail) == (True, (Role.DATABASE_OWNER,), HOLD)
    story = await Story(world, abort_before=HEALTH).play(found.plan)
    assert (PEOPLE, Outcome.FAIL) in story.told
    assert world.standing()


async def test_a_job_that_runs_in_a_workload_runs_what_runs_now() -> None:
    world = backed_up()
    service = replace(SHOP, restore_switch=JobTemplate(workload="web", args=("switch",)))
    found = await prepared(world, "restore", given=setting(service=service))
    assert titles(found.plan)[2] == "Remember the images that run now"
    assert found.plan is not None
    story = await Story(world).play(found.plan)
    assert story.ended == "completed"
    assert world.cluster.created[0].image == "registry.example/acme/old@sha256:0"


async def test_a_switch_with_an_image_by_tag_is_refused() -> None:
    service = replace(SHOP, restore_switch=JobTemplate(image="registry.example/acme/switch"))
    found = await prepared(backed_up(), "restore", given=setting(service=service))
    assert [v.code for v in found.verdicts if v.outcome is not Outcome.PASS] == ["restore.image"]


# --- to a moment ------------------------------------------------------------------------------------------------------


async def test_a_moment_is_recovered_to_from_the_base_backup() -> None:
    world = backed_up()
    begun, at = NOON - timedelta(days=2), NOON - timedelta(hours=1)
    world.backed_up("shop-prod-base", begun, BackupKind.BASE)
    world.ledger.recovery = RecoveryWindow(begun, NOON - timedelta(minutes=3), "shop-prod-base")
    story = await played(world, options={"at": at.isoformat()})
    assert story.ended == "completed"
    assert [order.until for order in world.host.orders] == [at]
    assert story.segments[0].about["until"] == at.isoformat()


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (NOON + timedelta(seconds=1), "restore.future"),
        (NOON - timedelta(minutes=1), "restore.beyond"),
        (NOON - timedelta(days=9), "restore.outside"),
    ],
)
async def test_a_moment_that_cant_be_reached_is_refused_with_those_that_can(at: Any, code: str) -> None:
    world = backed_up()
    begun = NOON - timedelta(days=2)
    world.backed_up("shop-prod-base", begun, BackupKind.BASE)
    world.ledger.recovery = RecoveryWindow(begun, NOON - timedelta(minutes=3), "shop-prod-base")
    found = await prepared(world, "restore", at=at.isoformat())
    assert [v.code for v in found.verdicts] == [code]
    assert found.verdicts[0].remedy


async def test_without_a_base_backup_the_backup_before_that_moment_is_named() -> None:
    found = await prepared(backed_up(), "restore", at=(NOON - timedelta(hours=1)).isoformat())
    assert [v.code for v in found.verdicts] == ["restore.no_window"]
    assert "shop-prod-1" in found.verdicts[0].remedy


async def test_a_moment_without_its_zone_is_refused() -> None:
    found = await prepared(backed_up(), "restore", at="2026-03-02T11:00")
    assert [v.code for v in found.verdicts] == ["restore.bad_moment"]


async def test_wal_that_isnt_whole_ends_it_before_anything_stands() -> None:
    world = backed_up()
    world.host.errors["fetch"] = [Permanent("backups", "gap", "000000010000000000000007 is missing")]
    story = await played(world)
    assert story.results[FETCH].verdicts[0].code == "backups.gap"
    assert "provision" not in world.host.calls


# --- from another environment -----------------------------------------------------------------------------------------


async def elsewhere(world: DatabaseWorld, service: Service = SHOP) -> Prepared:
    return await prepared(world, "restore", STAGING, given=setting(service=service), from_="prod")


async def test_productions_data_are_sanitised_before_the_sign_off() -> None:
    world = backed_up()
    found = await elsewhere(world)
    steps = titles(found.plan)
    assert steps.index(LOOK) < steps.index("Take out customers' data") < steps.index(SIGN) < steps.index(SWITCH)
    assert found.plan is not None
    story = await Story(world, run="staging-12").play(found.plan)
    assert story.ended == "completed"
    assert [order.args for order in world.cluster.created] == [("sanitise",), ("switch",)]


async def test_without_the_job_that_sanitises_it_is_refused() -> None:
    found = await elsewhere(backed_up(), replace(SHOP, restore_sanitise=None))
    assert found.plan is None
    bad = [v for v in found.verdicts if v.outcome is not Outcome.PASS]
    assert [v.code for v in bad] == ["restore.not_sanitised"]
    assert "restore_sanitise" in bad[0].remedy


@pytest.mark.parametrize("life", [JobLife(exit_code=1), JobLife(starts_after_s=math.inf)])
async def test_data_that_could_not_be_sanitised_are_dropped(life: JobLife) -> None:
    world = backed_up()
    world.cluster.lives = lambda order: life
    found = await elsewhere(world)
    assert found.plan is not None
    await Story(world, run="staging-12").play(found.plan)
    assert not world.standing()
    assert not switches(world)


async def test_the_switch_looks_itself_whether_the_data_were_sanitised() -> None:
    world = backed_up()
    found = await elsewhere(world)
    assert found.plan is not None
    switch = next(step for step in found.plan.steps() if isinstance(step, SwitchTraffic))
    facts = {"instance": {}, "restore_checks": {"outcome": "pass"}}
    result = await switch.perform(world.scene(facts=facts))
    assert [v.code for v in result.verdicts] == ["restore.not_sanitised"]


async def test_production_is_restored_from_its_own_backups_alone() -> None:
    world = backed_up()
    found = await prepared(world, "restore", PROD, from_="staging")
    assert "restore.into_prod" in [v.code for v in found.verdicts]
    assert found.plan is None


@pytest.mark.parametrize("missing", ["repository", "restore_host", "backup_ledger"])
async def test_without_configuration_there_is_a_refusal(missing: str) -> None:
    world = backed_up()
    gone: dict[str, Any] = {missing: None}
    world.ports = replace(world.ports, **gone)
    found = await prepared(world, "restore")
    assert [v.code for v in found.verdicts] == ["restore.not_configured"]

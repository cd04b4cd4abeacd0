"""Runbook: Backup Policy, "Weekly restore drill": from beginning to end, timed, on record, and destroyed afterwards whatever became of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from runbook.backups import BackupKind, BackupState, RecoveryWindow
from runbook.errors import Permanent, Temporary
from runbook.plan import canonical
from runbook.steps import Approval
from runbook.values import Environment, Role
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON
from tests.runbook.database_stories import CHECKS, DatabaseWorld, Story, prepared, titles
from tests.runbook.fake_databases import facts_found

FETCH, PROVISION, CHECK = (
    "Fetch everything and check it before anything reads it",
    "Provision PostgreSQL 16, apart from everything else",
    "Post-restore checks",
)
RECORD, DROP, SIGN, SIGNED = (
    "Record the drill and its recovery time",
    "Drop the instance and wipe the scratch space",
    "Sign off the drill",
    "Record the sign-off",
)
RESTORE = "Restore shop-prod-1"
GONE = Temporary("backups", "storage", "the storage is gone")


def backed_up() -> DatabaseWorld:
    world = DatabaseWorld()
    world.backed_up(at=NOON - timedelta(hours=10), state=BackupState.DECODED)
    return world


async def played(world: DatabaseWorld, **story: Any) -> Story:
    found = await prepared(world, "drill")
    assert found.plan is not None, found.verdicts
    return await Story(world, **story).play(found.plan)


async def test_a_drill_has_the_runbooks_steps_in_its_order() -> None:
    found = await prepared(backed_up(), "drill")
    expected = ["The backup can be restored", FETCH, PROVISION, RESTORE, CHECK, RECORD, DROP, SIGN, SIGNED]
    assert titles(found.plan) == expected
    assert found.plan is not None
    assert (found.plan.procedure, found.plan.version) == ("drill", "restore drill")
    assert canonical(found.plan) == canonical((await prepared(backed_up(), "drill")).plan or found.plan)


async def test_a_drill_that_passes_is_on_record_with_its_recovery_time_and_sign_off() -> None:
    world = backed_up()
    story = await played(world)
    assert story.ended == "completed"
    (drill,) = world.ledger.made_drills
    assert (drill.passed, drill.backup, drill.major, drill.reason) == (True, "shop-prod-1", 16, "")
    assert drill.seconds == 2 * world.host.takes_s
    assert (drill.signed_off_by, drill.signed_off_at) == ("T1:UADA", world.clock.now())
    assert world.ledger.by_id["shop-prod-1"].state is BackupState.VERIFIED


async def test_the_instance_is_gone_before_the_sign_off_is_asked_for() -> None:
    world = backed_up()
    standing: list[set[str]] = []

    def look(title: str) -> None:
        if title == SIGN:
            standing.append(world.standing())

    await played(world, before=look)
    assert standing == [set()]
    assert world.ledger.by_id["shop-prod-1"].busy == ""


async def test_nothing_reads_a_byte_before_everything_was_fetched_and_checked() -> None:
    world = backed_up()
    await played(world)
    assert world.host.calls[0] == "fetch"
    assert world.host.calls.index("fetch") < world.host.calls.index("restore") < world.host.calls.index("check")


async def test_while_it_is_read_the_retention_leaves_the_backup_alone() -> None:
    world = backed_up()
    busy: list[str] = []
    await played(world, before=lambda _: busy.append(world.ledger.by_id["shop-prod-1"].busy))
    assert busy == ["", "", "prod-12", "prod-12", "prod-12", "prod-12", "prod-12", "", ""]


async def test_nobodys_sign_off_fails_no_drill() -> None:
    world = backed_up()
    story = await played(world, rejects=(SIGN,))
    assert story.ended == "completed"
    (drill,) = world.ledger.made_drills
    assert (drill.passed, drill.signed_off_by) == (True, "")
    (verdict,) = story.results[SIGNED].verdicts
    assert (verdict.code, verdict.binding) == ("drill.not_signed_off", False)


async def test_a_sign_off_that_the_ledger_has_already_stays() -> None:
    world = backed_up()

    def signed(title: str) -> None:
        if title == SIGNED:
            (drill,) = world.ledger.made_drills
            world.ledger.made_drills = [replace(drill, signed_off_by="T1:UBO")]

    story = await played(world, before=signed, signs=None)
    assert world.ledger.made_drills[0].signed_off_by == "T1:UBO"
    assert story.results[SIGNED].outcome is Outcome.PASS


async def test_the_database_owner_signs_off() -> None:
    found = await prepared(backed_up(), "drill")
    assert found.plan is not None
    (approval,) = [step for step in found.plan.steps() if isinstance(step, Approval)]
    assert (approval.roles, approval.purpose) == ((Role.DATABASE_OWNER,), "signoff")


@pytest.mark.parametrize(
    ("method", "error", "step"),
    [
        ("fetch", Permanent("backups", "tampered", "a byte was flipped"), FETCH),
        ("provision", Permanent("postgres", "no_server", "no PostgreSQL 16 is installed"), PROVISION),
        ("restore", Permanent("postgres", "restore", "pg_restore ended with 1"), RESTORE),
        ("check", Permanent("postgres", "unreachable", "it doesn't answer"), CHECK),
    ],
)
async def test_a_drill_that_fails_anywhere_is_on_record_and_leaves_nothing_standing(
    method: str, error: Permanent, step: str
) -> None:
    world = backed_up()
    world.host.errors[method] = [error]
    story = await played(world)
    assert (step, Outcome.FAIL) in story.told
    assert story.ended == "returned"
    (drill,) = world.ledger.made_drills
    assert not drill.passed
    assert error.cause in drill.reason
    assert not world.standing()
    assert world.ledger.by_id["shop-prod-1"].busy == ""


async def test_what_passes_by_itself_is_tried_again() -> None:
    world = backed_up()
    world.host.errors["restore"] = [GONE, GONE]
    assert (await played(world)).ended == "completed"


async def test_a_check_that_fails_fails_the_drill() -> None:
    world = backed_up()
    world.host.found = facts_found(rows={"public.orders": 999}, smoke={CHECKS.smoke[0]: True})
    story = await played(world)
    (drill,) = world.ledger.made_drills
    assert not drill.passed
    assert "public.orders has 999 rows; at least 1,000 are expected" in drill.reason
    assert world.ledger.by_id["shop-prod-1"].state is BackupState.RESTORED
    assert not world.standing()
    assert story.told[-2:] == [(RECORD, Outcome.PASS), (DROP, Outcome.PASS)]


async def test_an_aborted_drill_is_on_record_as_failed_and_drops_its_instance() -> None:
    world = backed_up()
    await played(world, abort_before=CHECK)
    (drill,) = world.ledger.made_drills
    assert (drill.passed, drill.reason) == (False, "aborted by ada")
    assert not world.standing()


async def test_a_drill_that_passed_stays_passed_when_it_is_aborted_before_its_sign_off() -> None:
    world = backed_up()
    await played(world, abort_before=SIGN)
    assert [drill.passed for drill in world.ledger.made_drills] == [True]


async def test_an_instance_that_cant_be_dropped_is_tried_again_on_the_way_back() -> None:
    world = backed_up()
    world.host.errors["drop"] = [GONE] * 3
    story = await played(world)
    assert story.told[-1] == (DROP, Outcome.PASS)
    assert not world.standing()
    assert [drill.passed for drill in world.ledger.made_drills] == [True]


async def test_a_swapped_manifest_reaches_no_program() -> None:
    world = backed_up()
    world.backed_up("shop-prod-0", NOON - timedelta(days=3))
    world.repository.manifests["shop-prod-1"] = world.repository.manifests["shop-prod-0"]
    story = await played(world)
    assert story.results[FETCH].verdicts[0].code == "backups.wrong_manifest"
    assert "restore" not in world.host.calls
    assert "fetch" not in world.host.calls


async def test_a_backup_that_was_deleted_meanwhile_ends_it_and_is_a_failed_drill() -> None:
    world = backed_up()
    found = await prepared(world, "drill")
    assert found.plan is not None
    await world.ledger.deleted("shop-prod-1", "by hand")
    story = await Story(world).play(found.plan)
    assert story.ended == "failed"
    (drill,) = world.ledger.made_drills
    assert not drill.passed
    assert "deleted" in drill.reason
    assert drill.major == 16


async def test_the_newest_restorable_backup_is_drilled_or_the_one_that_is_named() -> None:
    world = backed_up()
    world.backed_up("shop-prod-0", NOON - timedelta(days=3))
    world.backed_up("shop-prod-2", NOON - timedelta(hours=1), state=BackupState.STORED)
    found = await prepared(world, "drill")
    assert found.plan is not None
    assert found.plan.about["backup"] == "shop-prod-1"
    found = await prepared(world, "drill", backup="shop-prod-0")
    assert found.plan is not None
    assert found.plan.about["backup"] == "shop-prod-0"
    found = await prepared(world, "drill", backup="shop-prod-2")
    assert [v.code for v in found.verdicts] == ["restore.not_restorable"]


async def test_a_drill_to_a_moment_starts_from_the_base_backup() -> None:
    world = backed_up()
    begun = NOON - timedelta(days=2)
    world.backed_up("shop-prod-base", begun, BackupKind.BASE)
    world.ledger.recovery = RecoveryWindow(begun, NOON - timedelta(minutes=3), "shop-prod-base")
    at = NOON - timedelta(hours=1)
    found = await prepared(world, "drill", at=at.isoformat())
    assert found.plan is not None, found.verdicts
    assert "Restore the base backup and replay WAL to Mon 02 Mar 2026 11:00 UTC" in titles(found.plan)
    story = await Story(world).play(found.plan)
    assert story.ended == "completed"
    (drill,) = world.ledger.made_drills
    assert (drill.kind, drill.until) == (BackupKind.BASE, at)


async def test_nothing_restorable_is_a_refusal() -> None:
    found = await prepared(DatabaseWorld(), "drill")
    assert found.plan is None
    assert [v.code for v in found.verdicts] == ["restore.nothing"]


async def test_a_drill_elsewhere_uses_that_environments_backups() -> None:
    world = backed_up()
    found = await prepared(world, "drill", Environment.STAGING)
    assert found.plan is None
    world.backed_up("shop-staging-1", environment="staging")
    found = await prepared(world, "drill", Environment.STAGING)
    assert found.plan is not None
    assert found.plan.about["backup"] == "shop-staging-1"


async def test_a_backup_that_two_read_stays_busy_until_both_are_done() -> None:
    world = backed_up()
    await world.ledger.busy("shop-prod-1", "prod-9")
    busy: list[str] = []
    await played(world, before=lambda _: busy.append(world.ledger.by_id["shop-prod-1"].busy))
    assert set(busy) == {"prod-9", "prod-12, prod-9"}
    assert world.ledger.by_id["shop-prod-1"].busy == "prod-9"

"""Runbook: Backup Procedure. The steps in its order, each way to fail, and what is left behind: nothing that is called a backup and isn't."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from runbook.backups import BackupKind, BackupState, Digest, StoredFile, WalSegment
from runbook.database_ports import Destination, WalFile
from runbook.errors import Permanent, Temporary
from runbook.plan import canonical
from runbook.policy import BackupsPolicy, Policy
from runbook.procedures import PROCEDURES, WAYS_BACK
from runbook.values import Environment
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON
from tests.runbook.database_stories import PROD, DatabaseWorld, Story, prepared, setting, titles
from tests.runbook.fake_databases import SYSTEM, made

CHECK, MAKE, CONFIRM, RECORD, RETAIN = (
    "Verify the backup destination: available and encrypted",
    "Make the full logical backup",
    "Validate the stored backup's integrity",
    "Record the backup's metadata",
    "Apply the retention",
)
DISCARD = "Discard what was not published"
GONE = Temporary("backups", "storage", "the storage is gone")
NO_CLIENT = Permanent("postgres", "no_client", "no pg_dump of version 16 is installed")


async def played(world: DatabaseWorld, procedure: str = "backup", **story: Any) -> Story:
    found = await prepared(world, procedure)
    assert found.plan is not None
    return await Story(world, **story).play(found.plan)


def nothing_left(world: DatabaseWorld) -> None:
    assert not world.repository.stored
    assert not world.repository.manifests
    assert [r.state for r in world.ledger.by_id.values()] == [BackupState.FAILED] * len(world.ledger.by_id)
    assert all(r.failure for r in world.ledger.by_id.values())


async def test_a_backup_has_the_runbooks_steps_in_its_order() -> None:
    found = await prepared(DatabaseWorld(), "backup")
    assert titles(found.plan) == [CHECK, MAKE, CONFIRM, RECORD, RETAIN]
    assert found.plan is not None
    assert (found.plan.procedure, found.plan.version) == ("backup", "full backup")


async def test_a_base_backup_is_the_same_procedure() -> None:
    world = DatabaseWorld()
    story = await played(world, "base_backup")
    assert story.ended == "completed"
    assert world.database.calls.count("base_backup") == 1
    assert "dump" not in world.database.calls
    (record,) = world.ledger.by_id.values()
    assert (record.kind, story.segments[0].version) == (BackupKind.BASE, "base backup")


async def test_the_plan_is_the_same_whenever_it_is_made() -> None:
    world = DatabaseWorld()
    first = await prepared(world, "backup")
    await world.clock.advance(3600)
    world.backed_up()
    second = await prepared(world, "backup")
    assert first.plan is not None
    assert second.plan is not None
    assert canonical(first.plan) == canonical(second.plan)


async def test_a_backup_that_goes_well_is_published_with_the_runbooks_metadata() -> None:
    world = DatabaseWorld()
    story = await played(world)
    assert story.ended == "completed"
    ((id, manifest),) = world.repository.manifests.items()
    assert id.startswith("shop-prod-20260302T120000Z-")
    assert (manifest.operator, manifest.run, manifest.database) == ("T1:UDBA", "prod-12", "shop")
    assert (manifest.stored_bytes, manifest.server_version) == (80_020_000, "16.4")
    assert manifest.finished_at - manifest.started_at == timedelta(seconds=30)
    record = world.ledger.by_id[id]
    assert record.restorable
    assert record.state is BackupState.DECODED


async def test_its_progress_is_told_with_bytes_and_rate() -> None:
    world = DatabaseWorld()
    await played(world)
    assert "dumping: 40 MB of about 80 MB (50 %), 2.67 MB/s, 40 MB stored" in world.said


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"writable": False, "problem": "read-only file system"}, "backups.not_writable"),
        ({"encrypted": False}, "backups.not_encrypted"),
        ({"in_transit": False}, "backups.not_encrypted_in_transit"),
        ({"free_bytes": 399_000_000}, "backups.no_room"),
    ],
)
async def test_a_destination_that_isnt_fit_stops_it_before_anything_is_made(changes: dict[str, Any], code: str) -> None:
    world = DatabaseWorld()
    world.repository.answer = replace(Destination("/var/backups/forge", True, True, True, 10**12), **changes)
    story = await played(world)
    assert story.ended == "failed"
    (verdict,) = story.results[CHECK].verdicts
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, code)
    assert verdict.remedy
    assert not world.ledger.by_id


async def test_room_is_asked_for_by_the_size_of_the_backup_before() -> None:
    world = DatabaseWorld()
    world.backed_up(at=NOON - timedelta(days=1), stored_bytes=80_000_000)
    world.repository.answer = replace(world.repository.answer, free_bytes=97_000_000)
    assert (await played(world)).ended == "completed"
    world.repository.answer = replace(world.repository.answer, free_bytes=95_000_000)
    world.backed_up(at=NOON - timedelta(days=1), stored_bytes=80_000_000)
    assert (await played(world, run="prod-13")).ended == "failed"


async def test_a_destination_of_unknown_room_is_no_obstacle() -> None:
    world = DatabaseWorld()
    world.repository.answer = replace(world.repository.answer, free_bytes=None)
    assert (await played(world)).ended == "completed"


async def test_a_client_that_is_missing_fails_at_once_and_leaves_nothing() -> None:
    world = DatabaseWorld()
    world.database.errors["dump"] = [NO_CLIENT]
    story = await played(world)
    assert story.told[-2:] == [(MAKE, Outcome.FAIL), (DISCARD, Outcome.PASS)]
    assert world.database.calls.count("dump") == 1
    assert story.ended == "returned"
    nothing_left(world)


async def test_a_destination_that_goes_half_way_is_tried_again_under_another_name() -> None:
    world = DatabaseWorld()
    world.database.errors["half-way"] = [GONE]
    story = await played(world)
    assert story.ended == "completed"
    first, second = world.database.orders
    assert first.id != second.id
    assert set(world.repository.stored) == {second.id}
    assert world.ledger.by_id[first.id].state is BackupState.FAILED


async def test_what_never_works_fails_and_holds_up_no_later_run() -> None:
    world = DatabaseWorld()
    world.database.errors["half-way"] = [GONE] * 3
    story = await played(world)
    assert (story.held, story.ended) == ("", "returned")
    assert len(world.database.orders) == 3
    nothing_left(world)
    assert (await played(world, run="prod-13")).ended == "completed"


async def test_a_dump_of_nothing_is_no_backup() -> None:
    world = DatabaseWorld()
    world.database.gives = made(entries=0)
    story = await played(world)
    assert story.results[MAKE].verdicts[0].code == "backups.empty"
    nothing_left(world)


async def test_what_no_program_has_read_whole_is_not_published() -> None:
    world = DatabaseWorld()
    world.database.gives = made(decoded=False)
    story = await played(world)
    assert story.results[MAKE].verdicts[0].code == "backups.not_decoded"
    nothing_left(world)


async def test_stored_bytes_that_have_changed_are_found_and_discarded() -> None:
    world = DatabaseWorld()

    def spoil(title: str) -> None:
        if title == CONFIRM:
            world.repository.spoilt |= set(world.repository.stored)

    story = await played(world, before=spoil)
    assert story.results[CONFIRM].verdicts[0].code == "backups.not_stored"
    assert story.told[-1] == (DISCARD, Outcome.PASS)
    nothing_left(world)


async def test_a_manifest_that_cant_be_published_leaves_nothing() -> None:
    world = DatabaseWorld()
    world.repository.errors["publish"] = [GONE] * 3
    await played(world)
    nothing_left(world)


async def test_a_cancelled_backup_is_discarded_and_one_that_is_published_stays() -> None:
    world = DatabaseWorld()
    await played(world, abort_before=CONFIRM)
    nothing_left(world)
    world = DatabaseWorld()
    story = await played(world, abort_before=RETAIN)
    assert story.told[-1] == (DISCARD, Outcome.PASS)
    assert len(world.repository.manifests) == 1
    assert [r.restorable for r in world.ledger.by_id.values()] == [True]


async def test_what_was_published_and_not_yet_recorded_goes_with_the_run() -> None:
    world = DatabaseWorld()
    world.ledger.errors["published"] = [GONE] * 3
    await played(world)
    nothing_left(world)


async def test_a_backup_of_half_the_size_is_told_and_kept() -> None:
    world = DatabaseWorld()
    world.backed_up(at=NOON - timedelta(days=1), plain_bytes=200_000_000)
    story = await played(world)
    assert story.ended == "completed"
    assert [v.code for v in story.results[MAKE].verdicts if not v.binding] == ["backups.shrunk"]


async def test_another_server_than_before_is_told() -> None:
    world = DatabaseWorld()
    world.backed_up(at=NOON - timedelta(days=1), system_identifier="1")
    story = await played(world)
    assert [v.code for v in story.results[MAKE].verdicts if not v.binding] == ["backups.other_server"]


async def test_the_retention_tells_what_it_will_do_before_it_deletes() -> None:
    world = DatabaseWorld()
    old = world.backed_up("shop-prod-old", NOON - timedelta(days=36), state=BackupState.DECODED)
    seen: list[list[str]] = []
    remove = world.repository.remove

    async def watched(backup_id: str) -> None:
        seen.append([str(key) for plan in world.ledger.plans for key in plan["delete"]])  # type: ignore[attr-defined]
        await remove(backup_id)

    world.repository.remove = watched  # type: ignore[method-assign]
    story = await played(world)
    assert story.ended == "completed"
    assert seen == [[old.id]]
    assert world.ledger.by_id[old.id].state is BackupState.DELETED
    assert "35 d are kept" in story.results[RETAIN].verdicts[0].reason


async def test_stored_wal_that_is_on_no_record_goes_after_it_was_told() -> None:
    """forge died between storing a segment and recording it, two days ago."""
    world = DatabaseWorld()
    name = f"{1:024X}"
    file = StoredFile(f"{name}-0a0a0a0a.age", Digest(16 << 20, ""), Digest(16 << 20, ""))
    world.ledger.archived = [WalSegment("shop", "prod", SYSTEM, 1, name, file, NOON)]
    two_days = NOON - timedelta(days=2)
    double, young = [WalFile(SYSTEM, f"{name}-{n * 4}.age", 9, at) for n, at in (("0b", two_days), ("0c", NOON))]
    world.repository.wal = [WalFile(SYSTEM, file.key, 9, two_days), double, young]
    story = await played(world)
    assert [each.key for each in world.repository.wal] == [file.key, young.key]
    assert [plan["wal_not_on_record"] for plan in world.ledger.plans] == [1]
    assert "stored WAL on no record removed: 1" in story.results[RETAIN].verdicts[0].reason
    assert [segment.name for segment in world.ledger.archived] == [name]


async def test_what_is_needed_meanwhile_is_spared() -> None:
    world = DatabaseWorld()
    old = world.backed_up("shop-prod-old", NOON - timedelta(days=36), state=BackupState.DECODED)
    planned = world.ledger.planned

    async def then_held(environment: Environment, service: str, run: str, plan: Mapping[str, object]) -> None:
        await planned(environment, service, run, plan)
        world.ledger.add(replace(old, busy="prod-9"))

    world.ledger.planned = then_held  # type: ignore[method-assign]
    story = await played(world)
    assert old.id in world.repository.manifests
    assert "spared" in story.results[RETAIN].verdicts[0].reason


async def test_a_retention_that_fails_fails_no_backup() -> None:
    world = DatabaseWorld()
    world.backed_up("shop-prod-old", NOON - timedelta(days=36), state=BackupState.DECODED)
    world.repository.errors["remove"] = [GONE] * 3
    story = await played(world)
    assert story.told[-1] == (RETAIN, Outcome.FAIL)
    assert story.ended == "completed"


async def test_each_environment_keeps_as_long_as_the_policy_says() -> None:
    world = DatabaseWorld()
    for environment, days in ((PROD, 35), (Environment.STAGING, 14)):
        found = await prepared(world, "backup", environment)
        assert found.plan is not None
        assert found.plan.about["keep_s"] == days * 86_400
    longer = setting(Policy(backups=BackupsPolicy(retention_s={PROD: 90 * 86_400.0})))
    found = await prepared(world, "backup", given=longer)
    assert found.plan is not None
    assert found.plan.about["keep_s"] == 90 * 86_400


@pytest.mark.parametrize("missing", ["databases", "repository", "backup_ledger"])
async def test_without_configuration_there_is_a_refusal_with_its_remedy(missing: str) -> None:
    world = DatabaseWorld()
    gone: dict[str, Any] = {missing: {} if missing == "databases" else None}
    world.ports = replace(world.ports, **gone)
    found = await prepared(world, "backup")
    assert found.plan is None
    (verdict,) = found.verdicts
    assert verdict.code == "backups.not_configured"
    assert "integrations.postgres" in verdict.remedy


def test_every_procedure_of_databases_has_a_way_back() -> None:
    assert {name: WAYS_BACK[name] for name in ("backup", "base_backup", "drill", "restore") if name in PROCEDURES} == {
        "backup": "discard_backup",
        "base_backup": "discard_backup",
        "drill": "end_drill",
        "restore": "abandon_restore",
    }

"""A backup, a drill and a restore die before or after each of their awaits and go on: the end is the same, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from runbook.backups import BackupState
from tests.fakes.clock import NOON
from tests.runbook.database_stories import DatabaseWorld, Story, prepared
from tests.runbook.test_job_steps_interrupted import Deaths, Died

METHODS = {
    "database": ("look", "dump", "base_backup"),
    "repository": ("destination", "confirm", "publish", "manifest", "remove", "remove_segments", "wal_files", "remove_wal_files"),
    "host": ("fetch", "provision", "restore", "check", "drop"),
    "ledger": ("began", "made", "published", "failed", "proven", "busy", "deleted", "planned", "drilled", "records", "record", "segments"),
    "cluster": ("start_job", "job", "job_log", "delete_job"),
}  # fmt: skip


def world_of(procedure: str) -> DatabaseWorld:
    world = DatabaseWorld()
    world.database.takes_s = 2.0
    world.backed_up(at=NOON - timedelta(hours=10), state=BackupState.DECODED)
    if procedure == "backup":
        world.backed_up("shop-prod-old", NOON - timedelta(days=60), state=BackupState.DECODED)
    return world


async def played(procedure: str, deaths: Deaths, abort_before: str = "") -> tuple[DatabaseWorld, Story]:
    world = world_of(procedure)
    found = await prepared(world, procedure)
    assert found.plan is not None
    for port, methods in METHODS.items():
        for method in methods:
            target = getattr(world, port)
            setattr(target, method, deaths.wrap(getattr(target, method)))
    story = Story(world, wrap=deaths.wrap, died=Died, abort_before=abort_before)
    return world, await story.play(found.plan)


async def awaits(procedure: str, abort_before: str = "") -> int:
    deaths = Deaths()
    await played(procedure, deaths, abort_before)
    return deaths.count


def one_good_backup(world: DatabaseWorld) -> None:
    new = [record for record in world.ledger.by_id.values() if record.run == "prod-12"]
    assert [record.id for record in new if record.restorable] == [
        id for id in world.repository.manifests if id != "shop-prod-1"
    ]
    assert len([record for record in new if record.restorable]) == 1
    assert all(record.state is BackupState.FAILED for record in new if not record.restorable)
    assert set(world.repository.stored) == set(world.repository.manifests)
    assert world.ledger.by_id["shop-prod-old"].state is BackupState.DELETED
    assert world.ledger.plans


def one_good_drill(world: DatabaseWorld) -> None:
    assert [(drill.passed, drill.signed_off_by) for drill in world.ledger.made_drills] == [(True, "T1:UADA")]
    assert not world.standing()
    assert world.ledger.by_id["shop-prod-1"].busy == ""
    assert world.ledger.by_id["shop-prod-1"].state is BackupState.VERIFIED


def one_switch(world: DatabaseWorld) -> None:
    assert len(world.cluster.created) == 1
    assert world.standing() == {"forge-prod-12"}
    assert world.host.filled == {"forge-prod-12": "shop-prod-1"}
    assert world.ledger.by_id["shop-prod-1"].busy == ""


ENDS: dict[str, Callable[[DatabaseWorld], None]] = {
    "backup": one_good_backup,
    "drill": one_good_drill,
    "restore": one_switch,
}


@pytest.mark.parametrize("procedure", ENDS)
@pytest.mark.parametrize("before", [True, False])
async def test_a_death_at_any_await_changes_nothing(procedure: str, before: bool) -> None:
    for number in range(1, await awaits(procedure) + 1):
        world, story = await played(procedure, Deaths(((number, before),)))
        assert story.ended == "completed", (number, story.told)
        ENDS[procedure](world)


@pytest.mark.parametrize("procedure", ENDS)
async def test_two_deaths_in_a_row_change_nothing(procedure: str) -> None:
    for number in range(1, await awaits(procedure) + 1, 2):
        world, story = await played(procedure, Deaths(((number, False), (number + 1, True), (number + 3, False))))
        assert story.ended == "completed", (number, story.told)
        ENDS[procedure](world)


ABORTED: dict[str, Any] = {
    "backup": "Record the backup's metadata",
    "drill": "Post-restore checks",
    "restore": "Sign off what was restored, before any traffic goes there",
}


@pytest.mark.parametrize("procedure", ABORTED)
@pytest.mark.parametrize("before", [True, False])
async def test_a_death_at_any_await_of_the_way_back_leaves_nothing(procedure: str, before: bool) -> None:
    step = ABORTED[procedure]
    for number in range(1, await awaits(procedure, step) + 1):
        world, story = await played(procedure, Deaths(((number, before),)), step)
        assert story.ended == "returned", (number, story.told)
        assert not world.standing()
        assert world.ledger.by_id["shop-prod-1"].busy == ""
        new = [record for record in world.ledger.by_id.values() if record.run == "prod-12"]
        assert all(record.state is BackupState.FAILED for record in new)
        assert set(world.repository.stored) == set(world.repository.manifests)
        assert not world.cluster.created

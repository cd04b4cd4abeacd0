"""`backup drill --kind base`: the newest base backup with all the WAL that is archived behind it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from runbook.backups import BackupKind, BackupState, Digest, StoredFile, WalSegment
from runbook.procedures.base import Prepared
from tests.fakes.clock import NOON
from tests.runbook.database_stories import DatabaseWorld, Story, prepared
from tests.runbook.fake_databases import SYSTEM

SEGMENT = 16 << 20


def segment(number: int, ended_at: datetime) -> WalSegment:
    name = f"{1:08X}{0:08X}{number:08X}"
    file = StoredFile(f"{name}-0a0b0c0d.age", Digest(SEGMENT, ""), Digest(SEGMENT, ""))
    return WalSegment("shop", "prod", SYSTEM, 1, name, file, ended_at)


def world_with(*ended: datetime) -> DatabaseWorld:
    """A base backup of ten hours ago that ends in segment 5, a dump of one hour ago, and archived segments from 5 on."""
    world = DatabaseWorld()
    base(world, "shop-prod-base", NOON - timedelta(hours=10))
    world.backed_up("shop-prod-dump", NOON - timedelta(hours=1), state=BackupState.DECODED)
    world.ledger.archived = [segment(5 + index, at) for index, at in enumerate(ended)]
    return world


def base(world: DatabaseWorld, id: str, at: datetime, **changes: Any) -> None:
    world.backed_up(
        id, at, BackupKind.BASE, **{"state": BackupState.DECODED, "lsn_end": "0/5000100", "system_identifier": SYSTEM, **changes}
    )  # fmt: skip


async def drill(world: DatabaseWorld, **options: str) -> Prepared:
    return await prepared(world, "drill", **options)


def chosen(found: Prepared) -> tuple[str, str]:
    assert found.plan is not None, found.verdicts
    return found.plan.about["backup"], found.plan.about["until"]


async def test_without_a_kind_it_is_the_newest_backup_of_any() -> None:
    assert chosen(await drill(world_with(NOON))) == ("shop-prod-dump", "")


async def test_of_a_base_backup_it_replays_all_the_wal_there_is() -> None:
    ended = NOON - timedelta(minutes=3)
    assert chosen(await drill(world_with(NOON - timedelta(hours=2), ended), kind="base")) == (
        "shop-prod-base",
        ended.isoformat(),
    )


async def test_it_ends_before_a_gap() -> None:
    world = world_with(NOON - timedelta(hours=2))
    world.ledger.archived.append(segment(9, NOON))
    assert chosen(await drill(world, kind="base"))[1] == (NOON - timedelta(hours=2)).isoformat()


async def test_without_any_wal_behind_it_the_base_backup_alone_is_drilled() -> None:
    assert chosen(await drill(world_with(), kind="base")) == ("shop-prod-base", "")


async def test_a_clock_that_was_ahead_names_no_moment_to_come() -> None:
    assert chosen(await drill(world_with(NOON + timedelta(hours=2)), kind="base"))[1] == NOON.isoformat()


async def test_another_servers_wal_is_no_wal_of_it() -> None:
    world = world_with(NOON - timedelta(hours=2))
    world.ledger.archived = [replace(each, system_identifier="9999") for each in world.ledger.archived]
    assert chosen(await drill(world, kind="base"))[1] == ""


async def test_the_newest_that_was_read_back_whole_counts() -> None:
    world = world_with(NOON - timedelta(hours=2))
    base(world, "shop-prod-stored", NOON - timedelta(hours=1), state=BackupState.STORED)
    base(world, "shop-prod-older", NOON - timedelta(days=3))
    assert chosen(await drill(world, kind="base"))[0] == "shop-prod-base"


async def test_without_a_base_backup_it_says_how_to_make_one() -> None:
    world = DatabaseWorld()
    world.backed_up("shop-prod-dump", NOON - timedelta(hours=1), state=BackupState.DECODED)
    found = await drill(world, kind="base")
    assert found.plan is None
    (verdict,) = found.verdicts
    assert (verdict.code, verdict.remedy) == ("restore.no_base", "Make one: `/forge backup run <env> --kind base`")


async def test_of_full_backups_it_is_the_newest_of_these() -> None:
    world = world_with(NOON)
    base(world, "shop-prod-newest", NOON - timedelta(minutes=1))
    assert chosen(await drill(world, kind="logical")) == ("shop-prod-dump", "")


@pytest.mark.parametrize("kind", ["base", "logical"])
async def test_such_a_drill_is_carried_out_to_its_end(kind: str) -> None:
    world = world_with(NOON - timedelta(hours=2))
    found = await drill(world, kind=kind)
    assert found.plan is not None
    assert (await Story(world).play(found.plan)).ended == "completed"
    (made,) = world.ledger.made_drills
    assert (made.passed, made.kind.value) == (True, kind)

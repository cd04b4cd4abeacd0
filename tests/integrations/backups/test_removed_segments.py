"""Archived WAL that no base backup needs any more goes from the repository, and nothing else does."""

from __future__ import annotations

import os
import time
from pathlib import Path

from integrations.backups import Repository, wal_place
from runbook.backups import WalSegment
from runbook.database_ports import WalFile
from runbook.values import Environment
from tests.integrations.backups.repositories import AT, in_pieces


async def archived(repository: Repository, name: str, system: str = "7345") -> WalSegment:
    place = wal_place("shop", "prod", system)
    file = await repository.store(place, name, in_pieces(name.encode()))
    return WalSegment("shop", "prod", system, 1, name, file, AT)


async def test_the_named_segments_go_and_the_others_stay(repository: Repository) -> None:
    first, second = [await archived(repository, f"{n:024X}") for n in (1, 2)]
    other = await archived(repository, first.name, "9999")
    await repository.remove_segments((first,))
    assert await repository.files(wal_place("shop", "prod", "7345")) == (second.file.key,)
    assert await repository.files(wal_place("shop", "prod", "9999")) == (other.file.key,)


async def test_what_is_not_there_any_more_is_fine(repository: Repository) -> None:
    segment = await archived(repository, f"{1:024X}")
    await repository.remove_segments((segment,))
    await repository.remove_segments((segment,))
    await repository.remove_segments(())
    assert await repository.files(wal_place("shop", "prod", "7345")) == ()


async def test_all_stored_wal_is_listed_with_its_server_and_when_it_was_stored(repository: Repository) -> None:
    first, other = await archived(repository, f"{1:024X}"), await archived(repository, f"{1:024X}", "9999")
    await repository.store("shop/prod/shop-prod-20260302T020000Z-1f3a", "dump", in_pieces(b"no WAL"))
    files = await repository.wal_files("shop", Environment.PROD)
    assert [(file.system_identifier, file.key, file.bytes) for file in files] == [
        ("7345", first.file.key, first.file.cipher.bytes),
        ("9999", other.file.key, other.file.cipher.bytes),
    ]
    assert all(abs(file.stored_at.timestamp() - time.time()) < 86_400 for file in files)
    assert await repository.wal_files("shop", Environment.STAGING) == ()


async def test_wal_that_is_not_on_record_goes_by_its_key_alone(repository: Repository) -> None:
    first = await archived(repository, f"{1:024X}")
    double = await archived(repository, first.name)
    stray = next(f for f in await repository.wal_files("shop", Environment.PROD) if f.key == double.file.key)
    for _ in range(2):
        await repository.remove_wal_files("shop", Environment.PROD, (stray,))
        assert await repository.files(wal_place("shop", "prod", "7345")) == (first.file.key,)


async def test_uploads_that_a_crash_ended_a_day_ago_go_from_a_folder(local: Repository, tmp_path: Path) -> None:
    segment = await archived(local, f"{1:024X}")
    folder = tmp_path / "repository" / wal_place("shop", "prod", "7345")
    yesterday = time.time() - 90_000
    for name, at in (("old.age#1", yesterday), ("new.age#1", time.time()), ("finished.age", yesterday)):
        (folder / name).write_bytes(b"part")
        os.utime(folder / name, (at, at))
    files: tuple[WalFile, ...] = ()
    await local.remove_wal_files("shop", Environment.PROD, files)
    assert {path.name for path in folder.iterdir()} == {segment.file.key, "new.age#1", "finished.age"}

"""Archived WAL that no base backup needs any more goes from the repository, and nothing else does."""

from __future__ import annotations

from integrations.backups import Repository, wal_place
from runbook.backups import WalSegment
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

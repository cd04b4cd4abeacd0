"""A folder on a volume that isn't mounted is never taken for the repository: nothing lands on the disk beneath the mount point."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.backup_ledger import LedgerBackups
from engine.clock import SteadyClock
from engine.records import Sealed
from integrations.backups import Repository, backup_place
from integrations.backups.own_folder import MARKER
from runbook.database_ports import KnownPlace
from runbook.errors import ForgeError, Permanent, StoreUnavailable, Temporary
from tests.fixtures_store import open_quickly
from tests.integrations.backups.repositories import (
    ORDER,
    Keys,
    everything_in,
    in_pieces,
    new_repository,
    stored_backup,
)

PLACE = backup_place(ORDER.id)


class Remembering:
    """What forge's database remembers, over every restart of these tests."""

    def __init__(self, newest: str = "") -> None:
        self.made_at: datetime | None = None
        self.newest = newest
        self.error: StoreUnavailable | None = None

    async def known_place(self, destination: str) -> KnownPlace:
        if self.error is not None:
            raise self.error
        return KnownPlace(self.made_at, self.newest)

    async def place_seen(self, destination: str, made_at: datetime) -> None:
        self.made_at = made_at


class Mount:
    """The folder `repository` as a mount point: unmounting leaves the empty folder that is beneath."""

    def __init__(self, folder: Path, keys: Keys) -> None:
        self.root = folder
        self.folder = folder / "repository"
        self.memory = Remembering()
        self._keys = keys

    def started(self) -> Repository:
        """As forge opens it after a restart."""
        return new_repository(self.root, self._keys, memory=self.memory)

    def unmount(self, *, folder: bool = True) -> None:
        self.folder.rename(self.root / "volume")
        if folder:
            self.folder.mkdir()

    def mount(self) -> None:
        if self.folder.is_dir():
            self.folder.rmdir()
        (self.root / "volume").rename(self.folder)

    def beneath(self) -> list[Path]:
        return list(self.folder.iterdir()) if self.folder.exists() else []


@pytest.fixture
def mount(tmp_path: Path, keys: Keys) -> Mount:
    return Mount(tmp_path, keys)


async def refused(repository: Repository) -> ForgeError:
    """What every way to it says, those that only read too."""
    with pytest.raises(Permanent) as writing:
        await repository.store(PLACE, "dump", in_pieces(b"x"))
    for asked in (repository.published(), repository.files("shop"), repository.manifest(ORDER.id)):
        with pytest.raises(Permanent) as reading:
            await asked
        assert str(reading.value) == str(writing.value)
    answer = await repository.destination()
    assert (answer.writable, answer.problem) == (False, str(writing.value))
    return writing.value


async def test_at_first_use_the_folder_is_made_private_and_marked(mount: Mount) -> None:
    repository = mount.started()
    assert (await repository.destination()).problem == ""
    assert mount.folder.stat().st_mode & 0o777 == 0o700
    assert mount.memory.made_at is not None
    assert [path.name for path in mount.beneath() if path.is_file()] == [MARKER]
    marked = (mount.folder / MARKER).read_text()
    assert (await mount.started().destination()).problem == ""
    assert (mount.folder / MARKER).read_text() == marked


@pytest.mark.parametrize("folder", [True, False], ids=["an empty folder beneath", "no folder"])
@pytest.mark.parametrize("restarted", [True, False], ids=["after a restart", "while forge runs"])
async def test_an_unmounted_volume_is_told_and_nothing_is_written_beneath(
    mount: Mount, folder: bool, restarted: bool
) -> None:
    repository = mount.started()
    await stored_backup(repository, b"kept")
    mount.unmount(folder=folder)
    if restarted:
        repository = mount.started()
    error = await refused(repository)
    assert error.code == "backups.unmounted"
    assert "Is its volume mounted?" in error.remedy
    assert str(mount.folder) in error.cause
    assert mount.beneath() == []
    mount.mount()
    assert await repository.files(PLACE) != ()
    await repository.store(PLACE, "dump", in_pieces(b"again"))


async def test_a_repository_of_before_there_were_markers_gets_one_where_it_holds_the_newest_backup(
    mount: Mount,
) -> None:
    repository = mount.started()
    _, manifest = await stored_backup(repository, b"kept")
    await repository.publish(manifest)
    (mount.folder / MARKER).unlink()
    mount.memory.made_at, mount.memory.newest = None, ORDER.id
    assert await mount.started().published() == (ORDER.id,)
    assert (mount.folder / MARKER).is_file()
    assert mount.memory.made_at is not None


@pytest.mark.parametrize("folder", [True, False], ids=["an empty folder beneath", "no folder"])
async def test_with_backups_on_record_no_repository_is_begun_in_an_empty_place(mount: Mount, folder: bool) -> None:
    """The upgrade of a forge whose volume isn't mounted then: nothing was seen yet, but there are backups."""
    mount.memory.newest = ORDER.id
    if folder:
        mount.folder.mkdir()
    error = await refused(mount.started())
    assert error.code == "backups.unmounted"
    assert ORDER.id in error.cause
    assert mount.beneath() == []


async def test_a_person_can_say_that_it_begins_anew(mount: Mount) -> None:
    """As the remedy says, while forge runs or before it starts."""
    repository = mount.started()
    await repository.destination()
    mount.unmount()
    assert (await refused(repository)).code == "backups.unmounted"
    (mount.folder / MARKER).touch()
    assert (await repository.destination()).problem == ""
    assert (await mount.started().destination()).problem == ""
    made_at = mount.memory.made_at
    assert made_at is not None
    assert made_at.isoformat() in (mount.folder / MARKER).read_text()


async def test_another_volume_than_before_is_told_until_a_person_says_that_it_is_meant(
    mount: Mount, tmp_path: Path
) -> None:
    repository = mount.started()
    await repository.destination()
    mount.unmount()
    (mount.folder / MARKER).write_text('{"made_at": "2026-01-01T00:00:00+00:00"}')
    for each in (repository, mount.started()):
        error = await refused(each)
        assert error.code == "backups.another"
        assert "Is the right volume mounted?" in error.remedy
    assert everything_in(mount.folder) == []
    (mount.folder / MARKER).write_text("")
    assert (await repository.destination()).problem == ""


async def test_a_forge_whose_record_is_lost_takes_the_repository_that_it_finds(mount: Mount) -> None:
    _, manifest = await stored_backup(mount.started(), b"kept")
    await mount.started().publish(manifest)
    was, mount.memory.made_at = mount.memory.made_at, None
    assert await mount.started().published() == (ORDER.id,)
    assert mount.memory.made_at == was


async def test_many_at_once_at_first_use_begin_one_repository(mount: Mount) -> None:
    several = [mount.started() for _ in range(4)]
    await asyncio.gather(*(each.destination() for each in several for _ in range(3)))
    assert [await each.files("shop") for each in several] == [()] * 4


async def test_while_forges_record_does_not_answer_nothing_is_begun(mount: Mount) -> None:
    mount.memory.error = StoreUnavailable("trouble", "the disk is full")
    with pytest.raises(Temporary) as raised:
        await mount.started().files("shop")
    assert raised.value.code == "backups.record"
    assert not mount.folder.exists()
    mount.memory.error = None
    assert await mount.started().files("shop") == ()


async def test_forges_database_remembers_which_repository_it_saw(tmp_path: Path, keys: Keys) -> None:
    with open_quickly("", data_dir=tmp_path / "data") as store:
        memory = LedgerBackups(store, SteadyClock())
        await new_repository(tmp_path, keys, memory=memory).destination()
        known = await memory.known_place(str(tmp_path / "repository"))
        assert known.made_at is not None
        assert known.made_at.isoformat() in (tmp_path / "repository" / MARKER).read_text()
        await memory.place_seen(str(tmp_path / "repository"), known.made_at)
        assert await memory.known_place("/elsewhere") == KnownPlace()
        later = known.made_at + timedelta(days=1)
        await memory.place_seen(str(tmp_path / "repository"), later)
        entries = await store.read(lambda ledger: ledger.find(Sealed, action="backup.destination"))
        assert [entry.evidence["before"] for entry in entries] == [None, known.made_at.isoformat()]
    with open_quickly("", data_dir=tmp_path / "data") as store:
        memory = LedgerBackups(store, SteadyClock())
        assert (await memory.known_place(str(tmp_path / "repository"))).made_at == later.astimezone(UTC)

"""Base backups of real servers: whole, checked, encrypted; refused where a part would be missing; nothing stays in scratch."""

from __future__ import annotations

import asyncio
import os
import signal
import tarfile
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.backups import backup_place
from integrations.backups.own_folder import MARKER
from integrations.postgres import PostgresConnection, PostgresDatabase
from integrations.postgres.base import read_range
from integrations.postgres.folder_tar import packed, tree_size, unpack
from integrations.postgres.server_programs import give_to_server
from runbook.backups import BackupKind
from runbook.errors import ForgeError
from runbook.rules.wal import lsn_number
from sandbox.postgres import USER, LocalPostgres
from tests.integrations.postgres.physical import Site, asks, order_for
from tests.integrations.postgres.processes import children
from tests.integrations.postgres.servers import finder, until

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    with LocalPostgres(major=15, tcp=True, tls=True, segment_mib=1) as running:
        running.create_database("shop")
        asks(running, "CREATE TABLE orders AS SELECT n FROM generate_series(1, 1000) n")
        yield running


@pytest.fixture
def site(server: LocalPostgres, scratch: Path) -> Site:
    return Site(server, scratch)


def left(site: Site) -> list[str]:
    """In scratch and in the repository, beside its marker."""
    found = (path for part in ("scratch", "repository") for path in (site.folder / part).rglob("*") if path.is_file())
    return sorted(path.name for path in found if path.name != MARKER)


async def test_a_base_backup_over_tls_is_whole_and_encrypted(site: Site, tmp_path: Path) -> None:
    server = site.server
    connection = PostgresConnection(
        "127.0.0.1",
        "shop",
        USER,
        server.password,
        server.port,
        sslmode="verify-full",
        sslrootcert=str(server.authority),
    )
    database = PostgresDatabase(connection, finder(), site.repository, site.folder / "scratch")
    order = order_for(BackupKind.BASE)
    made = await database.base_backup(order, site.told.append)
    assert made.server.encrypted
    assert made.decoded
    assert lsn_number(made.lsn_start) < lsn_number(made.lsn_end)
    assert made.started_at < made.finished_at
    assert [name for name in left(site) if not name.endswith(".age")] == []
    await site.repository.fetch(backup_place(order.id), made.files[0], tmp_path / "base.tar")
    with tarfile.open(tmp_path / "base.tar") as tar:
        files = {member.name for member in tar.getmembers() if member.isfile()}
    assert {"PG_VERSION", "backup_label", "backup_manifest", "global/pg_control"} <= files
    assert made.entries == len(files)


async def test_a_server_with_tablespaces_is_refused(scratch: Path) -> None:
    with LocalPostgres(major=16, segment_mib=1) as spread:
        spread.create_database("shop")
        place = spread.home / "elsewhere"
        place.mkdir()
        give_to_server(place)
        asks(spread, f"CREATE TABLESPACE far LOCATION '{place}'")
        site = Site(spread, scratch)
        with pytest.raises(ForgeError) as refused:
            await site.base()
    assert refused.value.code == "postgres.tablespaces"
    assert "far" in str(refused.value)
    assert left(site) == []


async def test_a_user_who_may_not_replicate_is_told_what_to_grant(site: Site) -> None:
    asks(
        site.server,
        "DO $$ BEGIN CREATE ROLE plain LOGIN PASSWORD 'x' IN ROLE pg_monitor; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    )
    connection = PostgresConnection(str(site.server.run), "shop", "plain", "x", site.server.port, sslmode="disable")
    database = PostgresDatabase(connection, finder(), site.repository, site.folder / "scratch")
    with pytest.raises(ForgeError) as refused:
        await database.base_backup(order_for(BackupKind.BASE), site.told.append)
    assert refused.value.code == "postgres.replication"
    assert "ALTER ROLE plain REPLICATION" in refused.value.remedy
    assert left(site) == []


async def test_a_user_with_replication_alone_can_make_one(site: Site) -> None:
    asks(
        site.server,
        "DO $$ BEGIN CREATE ROLE copier LOGIN REPLICATION PASSWORD 'x'; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    )
    connection = PostgresConnection(str(site.server.run), "shop", "copier", "x", site.server.port, sslmode="disable")
    database = PostgresDatabase(connection, finder(), site.repository, site.folder / "scratch")
    made = await database.base_backup(order_for(BackupKind.BASE), site.told.append)
    assert made.settings["superuser"] == USER


async def test_too_little_room_is_told_before_anything_is_copied(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("integrations.postgres.base.shutil.disk_usage", lambda path: Usage(1 << 40, 1 << 40, 1_000_000))
    with pytest.raises(ForgeError) as refused:
        await site.base()
    assert refused.value.code == "postgres.room"
    assert left(site) == []


async def test_a_copy_that_is_killed_leaves_nothing_and_can_be_repeated(site: Site) -> None:
    order = order_for(BackupKind.BASE)
    making = asyncio.create_task(site.database().base_backup(order, site.told.append))
    await until(lambda: bool(children("pg_basebackup", str(site.folder))), "pg_basebackup runs")
    os.kill(min(children("pg_basebackup", str(site.folder))), signal.SIGKILL)
    with pytest.raises(ForgeError, match="ended by signal"):
        await making
    await until(lambda: not children("pg_basebackup", str(site.folder)), "its own child is gone too")
    assert left(site) == []
    made = await site.database().base_backup(order, site.told.append)
    assert made.decoded


async def test_a_copy_that_is_cancelled_leaves_no_process_and_nothing_in_scratch(site: Site) -> None:
    making = asyncio.create_task(site.database().base_backup(order_for(BackupKind.BASE), site.told.append))
    await until(lambda: bool(children("pg_basebackup", str(site.folder))), "pg_basebackup runs")
    making.cancel()
    await asyncio.wait({making})
    assert making.cancelled()
    await until(lambda: not children("pg_basebackup", str(site.folder)), "its own child is gone too")
    assert left(site) == []


def test_a_manifest_without_wal_ranges_is_refused(tmp_path: Path) -> None:
    for text in ("", "{}", '{"WAL-Ranges": []}', '{"WAL-Ranges": [{"Timeline": 1}]}'):
        (tmp_path / "backup_manifest").write_text(text)
        with pytest.raises(ForgeError, match="no manifest that can be read"):
            read_range(tmp_path / "backup_manifest")


async def test_a_folder_comes_back_from_its_tar_as_it_was(tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    (source / "deep" / ("long" * 40)).mkdir(parents=True)
    (source / "empty").mkdir()
    (source / "nothing").touch()
    (source / "deep" / ("long" * 40) / "öffnung").write_bytes(os.urandom(3_000_001))
    (source / "deep" / "exact").write_bytes(b"x" * 512)
    (source / "deep" / "exact").chmod(0o600)
    archive = tmp_path / "a.tar"
    archive.write_bytes(b"".join([piece async for piece in packed(source)]))
    back.mkdir()
    unpack(archive, back)
    assert tree_size(back) == tree_size(source) == (3, 3_000_513)
    for path in source.rglob("*"):
        twin = back / path.relative_to(source)
        assert twin.is_dir() if path.is_dir() else twin.read_bytes() == path.read_bytes()
    assert (back / "deep" / "exact").stat().st_mode & 0o777 == 0o600


async def test_a_link_in_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "away").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match="neither a file nor a folder"):
        [piece async for piece in packed(tmp_path)]


def test_a_tar_that_leads_elsewhere_is_not_unpacked(tmp_path: Path) -> None:
    archive, into = tmp_path / "evil.tar", tmp_path / "into"
    into.mkdir()
    with tarfile.open(archive, "w") as tar:
        (tmp_path / "file").write_text("x")
        tar.add(tmp_path / "file", "../outside")
    with pytest.raises(tarfile.TarError):
        unpack(archive, into)
    assert not (tmp_path / "outside").exists()

"""Logical backups of real servers: 18, 16 and, with TLS, Debian's 15."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pyrage  # type: ignore[import-untyped]
import pytest

from integrations.backups import Repository, backup_place
from integrations.postgres import PostgresConnection, Program, ProgramFinder
from runbook.backups import manifest_of
from runbook.errors import Permanent
from sandbox.postgres import LocalPostgres
from sandbox.postgres_tls import write_certificates
from tests.integrations.backups.repositories import ORDER, Keys, everything_in, new_keys, new_repository
from tests.integrations.postgres.servers import finder
from tests.integrations.postgres.subjects import Subject, connection_to, contents, fill, subject

PLACE = backup_place(ORDER.id)


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    with LocalPostgres(tcp=True) as started:
        fill(started)
        started.create_database("empty", "template0")
        yield started


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return new_keys(tmp_path / "keys")


@pytest.fixture
def repository(tmp_path: Path, keys: Keys) -> Repository:
    return new_repository(tmp_path, keys)


@pytest.fixture
def shop(server: LocalPostgres, repository: Repository, tmp_path: Path) -> Subject:
    return subject(connection_to(server), repository, tmp_path)


async def test_a_restored_dump_equals_its_source(
    shop: Subject, server: LocalPostgres, repository: Repository, tmp_path: Path
) -> None:
    made = await shop.database.dump(ORDER, shop.told.append)
    await repository.fetch(PLACE, made.files[0], tmp_path / "dump")
    assert _restored(server, tmp_path / "dump") == contents(server.url("shop"))


async def test_what_was_made_tells_all_that_a_manifest_needs(shop: Subject, repository: Repository) -> None:
    made = await shop.database.dump(ORDER, shop.told.append)
    manifest = manifest_of(ORDER, made.server.database, made)
    assert (manifest.major, manifest.database) == (18, "shop")
    assert manifest.client_version.startswith("18.")
    assert manifest.entries > 10
    assert manifest.system_identifier.isdigit()
    assert manifest.recipients == repository.recipients
    assert manifest.started_at <= manifest.finished_at
    assert made.decoded
    assert made.lsn_start
    assert made.lsn_end
    assert await repository.confirm(ORDER, made)
    await repository.publish(manifest)
    assert await repository.manifest(ORDER.id) == manifest


async def test_progress_ends_with_everything_that_was_stored(shop: Subject) -> None:
    made = await shop.database.dump(ORDER, shop.told.append)
    assert [told.done for told in shop.told] == sorted(told.done for told in shop.told)
    assert (shop.told[-1].done, shop.told[-1].stored) == (made.files[0].plain.bytes, made.files[0].cipher.bytes)


async def test_nothing_of_it_is_published_and_scratch_space_is_empty(shop: Subject, repository: Repository) -> None:
    await shop.database.dump(ORDER, shop.told.append)
    assert await repository.published() == ()
    assert everything_in(shop.scratch) == []


async def test_a_backup_restores_by_hand(shop: Subject, server: LocalPostgres, keys: Keys, tmp_path: Path) -> None:
    """With the file as it lies there, an age identity and pg_restore, and nothing of forge."""
    await shop.database.dump(ORDER, shop.told.append)
    (stored,) = (tmp_path / "repository" / PLACE).glob("dump-*.age")
    identity = pyrage.x25519.Identity.from_str(keys.identity_file.read_text().splitlines()[-1])
    with stored.open("rb") as source, (tmp_path / "by-hand.dump").open("wb") as target:
        pyrage.decrypt_io(source, target, [identity])
    assert _restored(server, tmp_path / "by-hand.dump") == contents(server.url("shop"))


async def test_a_repeat_begins_anew(shop: Subject, repository: Repository) -> None:
    first = await shop.database.dump(ORDER, shop.told.append)
    second = await shop.database.dump(ORDER, shop.told.append)
    assert first.files[0].key != second.files[0].key
    assert await repository.files(PLACE) == (second.files[0].key,)


async def test_a_published_backup_is_never_made_again(shop: Subject, repository: Repository) -> None:
    made = await shop.database.dump(ORDER, shop.told.append)
    await repository.publish(manifest_of(ORDER, "shop", made))
    with pytest.raises(Permanent) as raised:
        await shop.database.dump(ORDER, shop.told.append)
    assert raised.value.code == "backups.published"
    assert await repository.confirm(ORDER, made)


async def test_an_empty_database_is_no_backup(server: LocalPostgres, repository: Repository, tmp_path: Path) -> None:
    """A dump that had been silently empty for months."""
    empty = subject(connection_to(server, "empty"), repository, tmp_path)
    with pytest.raises(Permanent) as raised:
        await empty.database.dump(ORDER, empty.told.append)
    assert raised.value.code == "postgres.empty"
    assert everything_in(tmp_path / "repository") == []


async def test_a_schema_without_rows_is_one(server: LocalPostgres, repository: Repository, tmp_path: Path) -> None:
    server.create_database("bare")
    _sql(server, "bare", "CREATE TABLE orders (id int)")
    bare = subject(connection_to(server, "bare"), repository, tmp_path)
    assert (await bare.database.dump(ORDER, bare.told.append)).entries > 0
    server.drop_database("bare")


async def test_large_objects_come_along(server: LocalPostgres, repository: Repository, tmp_path: Path) -> None:
    server.create_database("pictures")
    _sql(server, "pictures", "SELECT lo_from_bytea(4711, decode(repeat('ab', 300000), 'hex'))")
    pictures = subject(connection_to(server, "pictures"), repository, tmp_path)
    made = await pictures.database.dump(ORDER, pictures.told.append)
    await repository.fetch(PLACE, made.files[0], tmp_path / "dump")
    server.create_database("pictures_again", "template0")
    _pg_restore(server, "pictures_again", tmp_path / "dump")
    assert _sql(server, "pictures_again", "SELECT length(lo_get(4711))") == "300000"
    for name in ("pictures", "pictures_again"):
        server.drop_database(name)


@pytest.mark.parametrize("password", ["p:a\\s's\" w=o#rd", "ünï%20cödé", "trailing  "])
async def test_any_password_gets_through(
    server: LocalPostgres, repository: Repository, tmp_path: Path, password: str
) -> None:
    _sql(server, "shop", "DROP ROLE IF EXISTS odd")
    quoted = password.replace("'", "''")
    _sql(server, "shop", f"SET standard_conforming_strings = on; CREATE ROLE odd SUPERUSER LOGIN PASSWORD '{quoted}'")
    odd = subject(connection_to(server, user="odd", password=password), repository, tmp_path)
    assert (await odd.database.dump(ORDER, odd.told.append)).entries > 10


async def test_a_role_that_only_reads_is_enough(server: LocalPostgres, repository: Repository, tmp_path: Path) -> None:
    _sql(server, "shop", "CREATE ROLE reading LOGIN PASSWORD 'x' IN ROLE pg_read_all_data")
    reading = subject(connection_to(server, user="reading", password="x"), repository, tmp_path)
    assert (await reading.database.dump(ORDER, reading.told.append)).entries > 10
    _sql(server, "shop", "DROP ROLE reading")


async def test_a_role_that_may_not_read_is_told_so(
    server: LocalPostgres, repository: Repository, tmp_path: Path
) -> None:
    _sql(server, "shop", "CREATE ROLE stranger LOGIN PASSWORD 'x'")
    stranger = subject(connection_to(server, user="stranger", password="x"), repository, tmp_path)
    with pytest.raises(Permanent) as raised:
        await stranger.database.dump(ORDER, stranger.told.append)
    assert raised.value.code == "postgres.right"
    assert everything_in(tmp_path / "repository") == []
    _sql(server, "shop", "DROP ROLE stranger")


async def test_two_databases_are_dumped_at_once(shop: Subject, server: LocalPostgres) -> None:
    orders = [replace(ORDER, id=f"shop-prod-20260302T020000Z-{number:04x}") for number in range(3)]
    made = await asyncio.gather(*(shop.database.dump(order, shop.told.append) for order in orders))
    assert len({each.files[0].key for each in made}) == 3
    assert everything_in(shop.scratch) == []


# --- versions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("major", [16, 18])
async def test_the_client_is_chosen_by_the_servers_version(major: int, repository: Repository, tmp_path: Path) -> None:
    with await asyncio.to_thread(LocalPostgres(major=major).start) as own:
        fill(own)
        shop = subject(connection_to(own), repository, tmp_path)
        made = await shop.database.dump(ORDER, shop.told.append)
        assert made.server.major == major
        assert made.client.startswith(f"{major}.")
        await repository.fetch(PLACE, made.files[0], tmp_path / "dump")
        assert _restored(own, tmp_path / "dump") == contents(own.url("shop"))


async def test_a_verified_tls_connection_to_debians_15(repository: Repository, tmp_path: Path) -> None:
    with await asyncio.to_thread(LocalPostgres(major=15, tcp=True, tls=True).start) as own:
        fill(own)
        connection = connection_to(own, host="127.0.0.1", sslmode="verify-full", sslrootcert=str(own.authority))
        shop = subject(connection, repository, tmp_path)
        made = await shop.database.dump(ORDER, shop.told.append)
        assert made.server.encrypted
        assert made.client.startswith("15.")
        await repository.fetch(PLACE, made.files[0], tmp_path / "dump")
        assert _restored(own, tmp_path / "dump") == contents(own.url("shop"))
        await _refused_by_another_authority(connection, repository, tmp_path)


async def _refused_by_another_authority(connection: PostgresConnection, repository: Repository, tmp_path: Path) -> None:
    """Somebody in between, with a certificate of his own."""
    (tmp_path / "attacker").mkdir()
    write_certificates(tmp_path / "attacker")
    for authority in ("authority.pem", "nowhere.pem"):
        other = replace(connection, sslrootcert=str(tmp_path / "attacker" / authority))
        shop = subject(other, repository, tmp_path)
        with pytest.raises(Permanent) as raised:
            await shop.database.dump(ORDER, shop.told.append)
        assert raised.value.code == "postgres.certificate"


class OldPrograms(ProgramFinder):
    """A machine whose newest client is 17."""

    async def found(self, name: str) -> tuple[Program, ...]:
        return tuple(program for program in await finder().found(name) if program.version.major < 18)


async def test_without_a_client_that_is_new_enough_nothing_begins(
    server: LocalPostgres, repository: Repository, tmp_path: Path
) -> None:
    shop = subject(connection_to(server), repository, tmp_path, OldPrograms())
    with pytest.raises(Permanent) as raised:
        await shop.database.dump(ORDER, shop.told.append)
    assert raised.value.code == "postgres.no_program"
    assert "18 or later" in raised.value.cause
    assert "integrations.postgres.programs" in raised.value.remedy


def _restored(server: LocalPostgres, dump: Path) -> dict[str, object]:
    """Its contents in a database of its own, which is dropped again."""
    server.create_database("again", "template0")
    try:
        _pg_restore(server, "again", dump)
        return contents(server.url("again"))
    finally:
        server.drop_database("again")


def _pg_restore(server: LocalPostgres, database: str, dump: Path) -> None:
    command = [
        server.binaries / "pg_restore",
        "--exit-on-error",
        "--no-owner",
        f"--dbname={server.url(database)}",
        dump,
    ]
    subprocess.run(command, check=True, capture_output=True, env={"PATH": os.environ["PATH"]})


def _sql(server: LocalPostgres, database: str, statement: str) -> str:
    with psycopg.connect(server.url(database), autocommit=True) as session:
        cursor = session.execute(statement)  # type: ignore[arg-type]
        row = cursor.fetchone() if cursor.description else None
        return str(row[0]) if row else ""

"""A restore to a server that people provide: the copy equals its source with owners and grants, others' databases there are left alone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from integrations.postgres import PostgresConnection
from integrations.postgres.provided import Mark, ProvidedServer
from integrations.postgres.provided_restores import ProvidedRestores
from runbook.backups import Instance, Manifest, RestoreChecks
from runbook.database_ports import RestoreOrder
from runbook.errors import ForgeError, Temporary
from runbook.values import Environment
from sandbox.postgres import USER, LocalPostgres
from tests.integrations.postgres.physical import (
    AT_THE_GATE,
    IN_ORDER,
    Site,
    asks,
    fill,
    fill_with_gate,
    held,
    picture,
    picture_of,
    server_now,
)
from tests.integrations.postgres.processes import children
from tests.integrations.postgres.servers import end_all, finder, until

MAJOR = 15
RUN = "forge-prod-12"
PROD = Environment.PROD
OWNERS = """
SELECT c.oid::regclass::text, pg_get_userbyid(relowner), coalesce(array_to_string(ARRAY(SELECT unnest(relacl)::text ORDER BY 1), ','), '')
FROM pg_class c WHERE relnamespace::regnamespace::text IN ('public', 'stock') AND relkind IN ('r', 'v', 'S') ORDER BY 1
"""
DATABASES = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1"


@pytest.fixture(scope="module")
def source() -> Iterator[LocalPostgres]:
    with LocalPostgres(major=MAJOR, settings=("wal_level=replica",)) as server:
        fill_with_gate(server)
        yield server


@pytest.fixture
def provided() -> Iterator[LocalPostgres]:
    with LocalPostgres(major=MAJOR, tcp=True, tls=True) as server:
        yield server


@pytest.fixture
async def site(source: LocalPostgres, scratch: Path) -> AsyncIterator[Site]:
    yield Site(source, scratch)
    await end_all(scratch / "scratch")


def there(server: LocalPostgres, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
    return asks(server, statement, database)


def by_tls(server: LocalPostgres, user: str = USER, password: str = "", *, roles: bool = True) -> ProvidedServer:
    words = (user, password or server.password, server.port, "verify-full", str(server.authority))
    return ProvidedServer(PostgresConnection("127.0.0.1", "postgres", *words), roles)


def host_at(site: Site, server: ProvidedServer, installation: str = "one") -> ProvidedRestores:
    return ProvidedRestores(site.restores(), finder(), {PROD: lambda: server}, lambda: installation)


def order_of(manifest: Manifest, name: str = RUN) -> RestoreOrder:
    return RestoreOrder(name, manifest, None, PROD)


async def restored(host: ProvidedRestores, order: RestoreOrder, site: Site) -> Instance:
    await host.fetch(order, site.told.append)
    instance = await host.provision(order)
    await host.restore(order, instance, site.told.append)
    return instance


async def test_a_restored_dump_equals_its_source_with_owners_and_grants(site: Site, provided: LocalPostgres) -> None:
    host = host_at(site, by_tls(provided))
    instance = await restored(host, order_of(await site.logical()), site)
    assert (instance.host, instance.port, instance.database) == ("127.0.0.1", provided.port, "shop_restored_prod_12")
    assert instance.where == f"127.0.0.1:{provided.port}/shop_restored_prod_12"
    assert await picture_of(instance) == picture(site.server)
    assert there(provided, OWNERS, instance.database) == asks(site.server, OWNERS)
    assert there(provided, "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'shop_app'") == [(False,)]
    encoding = "SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = current_database()"
    assert there(provided, encoding, instance.database) == asks(site.server, encoding)
    facts = await host.check(instance, RestoreChecks(tables=("public.orders",)))
    assert (dict(facts.rows), facts.invalid, facts.behind) == ({"public.orders": 3000}, (), ())
    assert not (site.folder / "scratch" / "restores" / RUN).exists(), "customers' data are left in scratch"
    assert await host.standing() == (RUN,)
    assert provided.password not in instance.where


async def test_what_cant_be_made_side_by_side_is_made_one_after_another_there_too(
    provided: LocalPostgres, scratch: Path
) -> None:
    with LocalPostgres(major=MAJOR) as server:
        fill(server)
        asks(server, IN_ORDER)
        site = Site(server, scratch)
        try:
            instance = await restored(host_at(site, by_tls(provided)), order_of(await site.logical()), site)
            assert await picture_of(instance) == picture(server)
        finally:
            await end_all(scratch / "scratch")


async def test_nobody_else_gets_in_before_they_are_admitted(site: Site, provided: LocalPostgres) -> None:
    there(provided, "CREATE ROLE shop_app LOGIN PASSWORD 'app-word-1'")
    host = host_at(site, by_tls(provided))
    instance = await restored(host, order_of(await site.logical()), site)
    application = provided.url(instance.database).replace(f"{USER}:{provided.password}", "shop_app:app-word-1")
    assert "shop_app" in application
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(application)
    await host.admit(RUN, PROD)
    with psycopg.connect(application) as session:
        assert session.execute("SELECT count(*) FROM customers").fetchone() == (300,)


async def test_its_drop_leaves_everything_else_alone(site: Site, provided: LocalPostgres) -> None:
    provided.create_database("shop")
    there(provided, "CREATE ROLE somebody")
    host, manifest = host_at(site, by_tls(provided)), await site.logical()
    await restored(host, order_of(manifest), site)
    beside = await restored(host, order_of(manifest, "forge-prod-13"), site)
    assert await host.standing() == (RUN, "forge-prod-13")
    with psycopg.connect(provided.url("shop_restored_prod_12")):  # an application that is there already
        await host.drop(RUN, PROD)
    assert there(provided, DATABASES) == [("shop",), ("shop_restored_prod_13",)]
    assert await picture_of(beside) == picture(site.server)
    await host.drop("forge-prod-13", PROD)
    await host.drop("forge-prod-13", PROD)
    assert there(provided, DATABASES) == [("shop",)]
    await host.drop(RUN, PROD)
    found = there(provided, r"SELECT rolname FROM pg_roles WHERE rolname NOT LIKE 'pg\_%' ORDER BY 1")
    assert ("somebody",) in found
    assert await host.standing() == ()


async def test_a_run_of_another_forge_is_neither_seen_nor_dropped(site: Site, provided: LocalPostgres) -> None:
    order = order_of(await site.logical())
    await restored(host_at(site, by_tls(provided)), order, site)
    other = host_at(site, by_tls(provided), "two")
    await other.drop(RUN, PROD)
    assert await other.standing() == ()
    assert there(provided, DATABASES) == [("shop_restored_prod_12",)]
    with pytest.raises(ForgeError) as refused:
        await other.provision(order)
    assert refused.value.code == "postgres.taken"


async def test_a_database_of_that_name_that_people_made_is_never_touched(site: Site, provided: LocalPostgres) -> None:
    provided.create_database("shop_restored_prod_12")
    host, order = host_at(site, by_tls(provided)), order_of(await site.logical())
    await host.fetch(order, site.told.append)
    with pytest.raises(ForgeError, match="this run has not made"):
        await host.provision(order)
    await host.drop(RUN, PROD)
    assert there(provided, DATABASES) == [("shop_restored_prod_12",)]


async def test_a_restore_that_dies_in_the_middle_is_repeated(site: Site, provided: LocalPostgres) -> None:
    host, order = host_at(site, by_tls(provided)), order_of(await site.logical())
    await host.fetch(order, site.told.append)
    instance = await host.provision(order)
    with held(site.server):
        restoring = asyncio.create_task(host.restore(order, instance, site.told.append))
        await until(lambda: there(provided, AT_THE_GATE) == [(1,)], "it is in the middle")
        for pid in children("pg_restore", str(site.folder)):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(ForgeError, match="pg_restore was ended by signal 9"):
            await restoring
        cancelled = asyncio.create_task(host.restore(order, instance, site.told.append))
        await until(lambda: len(children("pg_restore", str(site.folder))) == 1, "pg_restore runs")
        cancelled.cancel()
        await asyncio.wait({cancelled})
    assert children("pg_restore", str(site.folder)) == []
    await host.restore(order, await host.provision(order), site.told.append)
    assert await picture_of(instance) == picture(site.server)


async def test_a_server_that_goes_away_in_the_middle_is_asked_again(site: Site, provided: LocalPostgres) -> None:
    host, order = host_at(site, by_tls(provided)), order_of(await site.logical())
    await host.fetch(order, site.told.append)
    with held(site.server):
        restoring = asyncio.create_task(host.restore(order, await host.provision(order), site.told.append))
        await until(lambda: there(provided, AT_THE_GATE) == [(1,)], "it is in the middle")
        await asyncio.to_thread(provided.kill)
        with pytest.raises(Temporary):
            await restoring


async def test_a_half_made_database_is_known_and_made_anew(site: Site, provided: LocalPostgres) -> None:
    half = "CREATE DATABASE shop_restored_prod_12 ALLOW_CONNECTIONS false"
    there(provided, half)
    host, order = host_at(site, by_tls(provided)), order_of(await site.logical())
    instance = await restored(host, order, site)
    assert await picture_of(instance) == picture(site.server)
    await host.drop(RUN, PROD)
    there(provided, half)
    await host.drop(RUN, PROD)
    assert there(provided, DATABASES) == []


async def test_another_major_version_is_refused_before_anything_is_made(site: Site) -> None:
    with LocalPostgres(major=16, tcp=True) as other:
        connection = PostgresConnection("127.0.0.1", "postgres", USER, other.password, other.port, sslmode="prefer")
        host = host_at(site, ProvidedServer(connection))
        order = order_of(await site.logical())
        await host.fetch(order, site.told.append)
        with pytest.raises(ForgeError, match="is PostgreSQL 16; the backup comes from 15") as refused:
            await host.provision(order)
        assert refused.value.code == "postgres.wrong_major"
        assert there(other, DATABASES) == []


async def test_what_was_tampered_with_never_gets_there(site: Site, provided: LocalPostgres) -> None:
    manifest = await site.logical()
    stored = site.stored_file(manifest.files[0].key)
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.write_bytes(content)
    host, order = host_at(site, by_tls(provided)), order_of(manifest)
    with pytest.raises(ForgeError) as refused:
        await host.fetch(order, site.told.append)
    assert refused.value.code == "backups.tampered"
    instance = await host.provision(order)
    with pytest.raises(ForgeError, match="was not fetched whole"):
        await host.restore(order, instance, site.told.append)
    assert there(provided, DATABASES) == []


async def test_a_server_whose_certificate_is_anothers_gets_nothing(site: Site, provided: LocalPostgres) -> None:
    order = order_of(await site.logical())
    with LocalPostgres(major=MAJOR, tcp=True, tls=True) as other:
        server = by_tls(provided)
        wrong = replace(server, connection=replace(server.connection, sslrootcert=str(other.authority)))
        with pytest.raises(ForgeError) as refused:
            await host_at(site, wrong).provision(order)
    assert refused.value.code == "postgres.certificate"


async def test_a_role_that_may_not_be_made_is_named(site: Site, provided: LocalPostgres) -> None:
    host, order = host_at(site, by_tls(provided, roles=False)), order_of(await site.logical())
    await host.fetch(order, site.told.append)
    instance = await host.provision(order)
    with pytest.raises(ForgeError, match="there is no role shop_app") as refused:
        await host.restore(order, instance, site.told.append)
    assert refused.value.code == "postgres.no_role"
    await host.drop(RUN, PROD)
    assert there(provided, DATABASES) == []
    there(provided, "CREATE ROLE shop_app LOGIN")
    await restored(host, order, site)
    await host.drop(RUN, PROD)
    assert there(provided, "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'shop_app'") == [(True,)]


async def test_a_role_without_the_right_is_told_what_it_needs(site: Site, provided: LocalPostgres) -> None:
    there(provided, "CREATE ROLE poor LOGIN PASSWORD 'restore-word-1'")
    with pytest.raises(ForgeError) as refused:
        await host_at(site, by_tls(provided, "poor", "restore-word-1")).provision(order_of(await site.logical()))
    assert (refused.value.code, refused.value.remedy) == ("postgres.right", "ALTER ROLE poor CREATEDB")
    assert "restore-word-1" not in refused.value.cause


async def test_a_role_that_is_no_superuser_restores_and_drops(provided: LocalPostgres, scratch: Path) -> None:
    there(provided, "CREATE ROLE restorer LOGIN CREATEDB CREATEROLE PASSWORD 'restore-word-1'")
    with LocalPostgres(major=MAJOR) as plain:
        plain.create_database("shop")
        asks(plain, "CREATE ROLE reader; CREATE TABLE orders AS SELECT n FROM generate_series(1, 500) n")
        asks(plain, "GRANT SELECT ON orders TO reader")
        site = Site(plain, scratch)
        host = host_at(site, by_tls(provided, "restorer", "restore-word-1"))
        order = order_of(await site.logical())
        there(provided, f"GRANT {USER} TO restorer")
        instance = await restored(host, order, site)
    assert there(provided, "SELECT count(*) FROM orders", instance.database) == [(500,)]
    assert there(provided, "SELECT has_table_privilege('reader', 'orders', 'SELECT')", instance.database) == [(True,)]
    await host.drop(RUN, PROD)
    assert there(provided, DATABASES) == []
    assert there(provided, "SELECT 1 FROM pg_roles WHERE rolname = 'reader'") == []


async def test_a_base_backup_gets_there_as_it_was_recovered_here(site: Site, provided: LocalPostgres) -> None:
    manifest = await site.base()
    before = server_now(site.server)
    host, order = host_at(site, by_tls(provided)), order_of(manifest)
    await host.fetch(order, site.told.append)
    instance = await host.provision(order)
    reached = await host.restore(order, instance, site.told.append)
    assert reached is not None
    assert reached <= before
    assert await picture_of(instance, sequences=False) == picture(site.server, sequences=False)
    assert there(provided, OWNERS, instance.database) == asks(site.server, OWNERS)
    await host.check(instance, RestoreChecks())
    assert not (site.folder / "scratch" / "restores" / RUN).exists()


async def test_a_drill_never_leaves_forges_own_machine(site: Site, provided: LocalPostgres) -> None:
    host = host_at(site, by_tls(provided))
    order = replace(order_of(await site.logical()), target=None)
    instance = await restored(host, order, site)
    assert (instance.host, instance.database) == ("", "shop")
    assert there(provided, DATABASES) == []
    await host.drop(RUN)
    assert await host.standing() == ()


async def test_a_server_that_is_away_hides_nothing_that_is_left_here(site: Site, provided: LocalPostgres) -> None:
    host = ProvidedRestores(site.restores(), finder(), {PROD: lambda: by_tls(provided)}, lambda: "one")
    await host.fetch(order_of(await site.logical()), site.told.append)
    provided.kill()
    assert await host.standing() == (RUN,)
    with pytest.raises(ForgeError) as refused:
        await host.drop(RUN, PROD)
    assert refused.value.code == "postgres.unreachable"
    provided.restart()
    await host.drop(RUN, PROD)
    assert await host.standing() == ()


def test_a_long_name_keeps_its_run() -> None:
    name = Mark("one", "forge-prod-12").database("ü" * 60)
    assert len(name.encode()) <= 63
    assert name.endswith("_restored_prod_12")

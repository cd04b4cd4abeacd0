"""A dump comes back as what it was of; an interrupted restore is repeated; what was tampered with reaches no PostgreSQL program."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest

from integrations.postgres.instances import connect
from runbook.backups import Digest, Instance, RestoreChecks
from runbook.database_ports import RestoreOrder
from runbook.errors import ForgeError
from sandbox.postgres import LocalPostgres
from tests.integrations.postgres.physical import (
    AT_THE_GATE,
    IN_ORDER,
    Site,
    ask,
    asks,
    fill,
    fill_with_gate,
    held,
    picture,
    picture_of,
)
from tests.integrations.postgres.processes import children
from tests.integrations.postgres.servers import end_all, new_scratch, until


@pytest.fixture(scope="module", params=[18, 16, 15])
def filled(request: pytest.FixtureRequest) -> Iterator[LocalPostgres]:
    with LocalPostgres(major=request.param) as server:
        fill(server)
        yield server


@pytest.fixture(scope="module")
def source() -> Iterator[LocalPostgres]:
    with LocalPostgres(major=16) as server:
        fill_with_gate(server)
        yield server


@pytest.fixture
async def site(source: LocalPostgres, scratch: Path) -> AsyncIterator[Site]:
    yield Site(source, scratch)
    await end_all(scratch / "scratch")


@dataclass
class Restored:
    site: Site
    instance: Instance


@pytest.fixture(scope="module")
def restored(source: LocalPostgres) -> Iterator[Restored]:
    """Once for all tests that only look at it."""
    with new_scratch() as folder:
        site = Site(source, folder)
        yield Restored(site, asyncio.run(restored_in(site)))
        asyncio.run(end_all(folder / "scratch"))


async def restored_in(site: Site) -> Instance:
    order, host = RestoreOrder("drill-1", await site.logical()), site.restores()
    await host.fetch(order, site.told.append)
    instance = await host.provision(order)
    await host.restore(order, instance, site.told.append)
    return instance


@pytest.fixture(scope="module")
def empty(source: LocalPostgres) -> Iterator[Site]:
    """Where nothing was ever restored: its server stays from one test to the next."""
    with new_scratch() as folder:
        yield Site(source, folder)
        asyncio.run(end_all(folder / "scratch"))


async def test_a_restored_dump_equals_its_source(filled: LocalPostgres, scratch: Path) -> None:
    site = Site(filled, scratch)
    manifest = await site.logical()
    order, host = RestoreOrder("drill-1", manifest), site.restores()
    try:
        await host.fetch(order, site.told.append)
        instance = await host.provision(order)
        assert await host.restore(order, instance, site.told.append) is None
        assert await picture_of(instance) == picture(filled)
        assert (await ask(instance, "SHOW server_version"))[0] == asks(filled, "SHOW server_version")[0]
        assert any(told.phase == "fetching" and told.done == told.of for told in site.told)
    finally:
        await host.drop("drill-1")
    assert await host.standing() == ()


async def test_what_cant_be_made_side_by_side_is_made_one_after_another(scratch: Path) -> None:
    with LocalPostgres(major=16) as server:
        fill(server)
        asks(server, IN_ORDER)
        site = Site(server, scratch)
        try:
            assert await picture_of(await restored_in(site)) == picture(server)
        finally:
            await end_all(scratch / "scratch")


async def test_a_role_that_only_the_source_has_is_made_without_the_right_to_log_in(restored: Restored) -> None:
    instance = restored.instance
    assert await ask(instance, "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'shop_app'") == [(False,)]
    assert await ask(instance, "SELECT tableowner FROM pg_tables WHERE tablename = 'customers'") == [("shop_app",)]


async def test_a_repeat_drops_what_was_half_restored(site: Site) -> None:
    order, host = RestoreOrder("drill-1", await site.logical()), site.restores()
    await host.fetch(order, site.told.append)
    instance = await host.provision(order)
    await host.restore(order, instance, site.told.append)
    async with await connect(Path(instance.service_file), "shop") as session:
        await session.execute("DELETE FROM orders; CREATE TABLE left_behind (n int)")
        await host.restore(order, instance, site.told.append)
    assert await picture_of(instance) == picture(site.server)
    assert await ask(instance, "SELECT to_regclass('left_behind')") == [(None,)]


async def test_a_restore_that_is_cancelled_leaves_no_pg_restore_and_can_be_repeated(site: Site) -> None:
    order, host = RestoreOrder("drill-1", await site.logical()), site.restores()
    await host.fetch(order, site.told.append)
    instance = await host.provision(order)
    with held(site.server):
        restoring = asyncio.create_task(host.restore(order, instance, site.told.append))
        await in_the_middle(restoring, instance)
        assert children("pg_restore", str(scratch_of(site))) != []
        restoring.cancel()
        await asyncio.wait({restoring})
    assert restoring.cancelled()
    assert children("pg_restore", str(scratch_of(site))) == []
    await host.restore(order, instance, site.told.append)
    assert await picture_of(instance) == picture(site.server)


async def test_a_pg_restore_that_is_killed_is_told_and_a_repeat_works(site: Site) -> None:
    order, host = RestoreOrder("drill-1", await site.logical()), site.restores()
    await host.fetch(order, site.told.append)
    instance = await host.provision(order)
    with held(site.server):
        restoring = asyncio.create_task(host.restore(order, instance, site.told.append))
        await in_the_middle(restoring, instance)
        for pid in children("pg_restore", str(scratch_of(site))):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(ForgeError, match="pg_restore was ended by signal 9"):
            await restoring
    await host.restore(order, instance, site.told.append)
    assert await picture_of(instance) == picture(site.server)


async def test_a_server_that_died_before_the_restore_is_started_again(site: Site) -> None:
    order, host = RestoreOrder("drill-1", await site.logical()), site.restores()
    await host.fetch(order, site.told.append)
    instance = await host.provision(order)
    postmaster = scratch_of(site) / "restores" / "drill-1" / "data" / "postmaster.pid"
    os.kill(int(postmaster.read_text().split()[0]), signal.SIGQUIT)
    await until(lambda: not postmaster.exists(), "the server is gone")
    await host.restore(order, instance, site.told.append)
    assert await picture_of(instance) == picture(site.server)


async def test_a_restored_database_is_there_again_after_its_server_died(site: Site) -> None:
    order, host = RestoreOrder("drill-1", await site.logical()), site.restores()
    await host.fetch(order, site.told.append)
    instance = await host.provision(order)
    await host.restore(order, instance, site.told.append)
    postmaster = scratch_of(site) / "restores" / "drill-1" / "data" / "postmaster.pid"
    os.kill(int(postmaster.read_text().split()[0]), signal.SIGKILL)
    facts = await site.restores().check(instance, RestoreChecks(tables=("public.orders",)))
    assert dict(facts.rows) == {"public.orders": 3000}


@pytest.mark.parametrize("spoil", ["flipped", "cut", "empty", "other", "gone"])
async def test_what_was_tampered_with_reaches_no_postgresql_program(empty: Site, spoil: str) -> None:
    site = empty
    manifest = await site.logical()
    stored = site.stored_file(manifest.files[0].key)
    content = bytearray(stored.read_bytes())
    if spoil == "flipped":
        content[len(content) // 2] ^= 1
    elif spoil == "other":
        content = bytearray(site.stored_file((await site.logical()).files[0].key).read_bytes())
    if spoil == "gone":
        stored.unlink()
    else:
        stored.write_bytes(bytes({"cut": content[:-10], "empty": b""}.get(spoil, content)))
    order, host = RestoreOrder("drill-1", manifest), site.restores()
    with pytest.raises(ForgeError) as refused:
        await host.fetch(order, site.told.append)
    assert refused.value.code in ("backups.tampered", "backups.missing")
    instance = await host.provision(order)
    with pytest.raises(ForgeError, match="was not fetched whole"):
        await host.restore(order, instance, site.told.append)
    assert await ask(replace(instance, database="template1"), "SELECT 1 FROM pg_database WHERE datname = 'shop'") == []


async def test_a_manifest_that_promises_other_bytes_is_not_believed(site: Site) -> None:
    manifest = await site.logical()
    wrong = replace(manifest.files[0], plain=Digest(manifest.files[0].plain.bytes, "0" * 64))
    with pytest.raises(ForgeError) as refused:
        await site.restores().fetch(RestoreOrder("drill-1", replace(manifest, files=(wrong,))), site.told.append)
    assert refused.value.code == "backups.tampered"


async def test_what_was_fetched_for_another_backup_is_not_restored(site: Site) -> None:
    one, two = await site.logical(), await site.logical()
    host = site.restores()
    await host.fetch(RestoreOrder("drill-1", one), site.told.append)
    instance = await host.provision(RestoreOrder("drill-1", two))
    with pytest.raises(ForgeError, match="was not fetched whole"):
        await host.restore(RestoreOrder("drill-1", two), instance, site.told.append)


async def test_a_dump_that_pg_restore_refuses_says_why(site: Site) -> None:
    manifest = await site.logical()
    order, host = RestoreOrder("drill-1", manifest), site.restores()
    await host.fetch(order, site.told.append)
    instance = await host.provision(order)
    (scratch_of(site) / "restores" / "drill-1" / "fetched" / "backup-0").write_bytes(b"PGDMP but no dump")
    with pytest.raises(ForgeError, match="pg_restore failed: pg_restore: error:") as refused:
        await host.restore(order, instance, site.told.append)
    assert refused.value.code == "postgres.restore"


async def test_leftovers_of_a_forge_that_died_are_listed_and_dropped(site: Site) -> None:
    order, host = RestoreOrder("drill-1", await site.logical()), site.restores()
    await host.fetch(order, site.told.append)
    await host.provision(order)
    later = site.restores()
    assert await later.standing() == ("drill-1",)
    await later.drop("drill-1")
    assert await later.standing() == ()
    restores = scratch_of(site) / "restores"
    assert list(restores.iterdir()) == []


CHECKS = RestoreChecks(
    schema_version="SELECT max(name) FROM schema_versions",
    tables=("public.orders", "public.customers", "public.lost", "nowhere.lost"),
    smoke=(
        "SELECT count(*) > 100 FROM orders",
        "SELECT 1 = 2",
        "SELECT 1",
        "SELECT nothing",
        "SELECT true WHERE false",
    ),
)


async def test_post_restore_checks_find_what_is_there_and_what_is_not(restored: Restored) -> None:
    facts = await restored.site.restores().check(restored.instance, CHECKS)
    assert facts.schema_version == "0007"
    assert dict(facts.rows) == {
        "public.orders": 3000,
        "public.customers": 300,
        "public.lost": None,
        "nowhere.lost": None,
    }
    assert (facts.invalid, facts.behind) == ((), ())
    assert [facts.smoke[statement] for statement in CHECKS.smoke[:2]] == [True, False]
    assert facts.smoke["SELECT 1"] == "gave '1', which is no truth value"
    assert "does not exist" in str(facts.smoke["SELECT nothing"])
    assert facts.smoke["SELECT true WHERE false"] == "gave nothing"
    assert facts.database_bytes > 0
    assert facts.version_num // 10_000 == 16


async def test_checks_name_what_is_invalid_and_sequences_that_are_behind(site: Site) -> None:
    order, host = RestoreOrder("drill-1", await site.logical()), site.restores()
    await host.fetch(order, site.told.append)
    instance = await host.provision(order)
    await host.restore(order, instance, site.told.append)
    async with await connect(Path(instance.service_file), "shop") as session:
        await session.execute("ALTER TABLE orders ADD CONSTRAINT small CHECK (total < 9) NOT VALID")
        await session.execute("SELECT setval('customers_id_seq', 7)")
        await session.execute("ALTER TABLE orders ALTER id RESTART WITH 3000")
        await session.execute(
            "CREATE SEQUENCE loose; CREATE TABLE drawn (n bigint DEFAULT nextval('loose')); INSERT INTO drawn VALUES (5)"
        )
        with pytest.raises(psycopg.errors.UniqueViolation):
            await session.execute("CREATE UNIQUE INDEX CONCURRENTLY once ON orders (customer)")
    facts = await host.check(instance, CHECKS)
    assert facts.invalid == ("constraint small of orders", "index once")
    assert facts.behind == ("customers_id_seq of customers.id", "loose of drawn.n", "orders_id_seq of orders.id")


async def test_checks_write_nothing(restored: Restored) -> None:
    deleting = RestoreChecks(smoke=("DELETE FROM orders RETURNING true",))
    facts = await restored.site.restores().check(restored.instance, deleting)
    assert "read-only transaction" in str(facts.smoke["DELETE FROM orders RETURNING true"])


async def in_the_middle(restoring: asyncio.Task[object], instance: Instance) -> None:
    """The restore is held."""
    async with asyncio.timeout(60):
        while await ask(replace(instance, database="template1"), AT_THE_GATE) == [(0,)]:
            assert not restoring.done()
            await asyncio.sleep(0.02)


def scratch_of(site: Site) -> Path:
    return site.folder / "scratch"

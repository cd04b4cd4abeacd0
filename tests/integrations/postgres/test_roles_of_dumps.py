"""Roles that a dump names: told by the backup, or read off the dump of an older one. None of them can log in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from integrations.postgres.roles import missing_role, named_in
from runbook.database_ports import RestoreOrder
from runbook.source_facts import Role
from sandbox.postgres import USER, LocalPostgres
from tests.integrations.postgres.physical import Site, ask, asks
from tests.integrations.postgres.servers import end_all

SCHEMA = """
CREATE ROLE owner_1 SUPERUSER; CREATE ROLE "Odd ""Role"; CREATE ROLE granted; CREATE ROLE by_default; CREATE ROLE in_policy; CREATE ROLE set_for;
CREATE TABLE orders AS SELECT n FROM generate_series(1, 500) n; ALTER TABLE orders OWNER TO "Odd ""Role"; GRANT SELECT ON orders TO granted;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON orders TO granted, in_policy USING (n = 1);
ALTER DEFAULT PRIVILEGES FOR ROLE owner_1 GRANT SELECT ON TABLES TO by_default; ALTER ROLE set_for IN DATABASE shop SET work_mem = '9MB';
CREATE FUNCTION told() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
GRANT ALL ON x TO not_there;
END $$;
CREATE EVENT TRIGGER telling ON ddl_command_end EXECUTE FUNCTION told(); ALTER EVENT TRIGGER telling OWNER TO owner_1;
ALTER EVENT TRIGGER telling DISABLE; ALTER DATABASE shop OWNER TO owner_1;
"""
OWNERS = """
SELECT relname, relowner::regrole::text, array(SELECT a::text FROM unnest(relacl) a ORDER BY 1) FROM pg_class WHERE relname = 'orders'
UNION ALL SELECT datname, datdba::regrole::text, NULL FROM pg_database WHERE datname = 'shop'
UNION ALL SELECT evtname, evtowner::regrole::text, NULL FROM pg_event_trigger
UNION ALL SELECT defaclrole::regrole::text, '', array(SELECT a::text FROM unnest(defaclacl) a ORDER BY 1) FROM pg_default_acl ORDER BY 1
"""


@pytest.fixture(scope="module")
def source() -> Iterator[LocalPostgres]:
    with LocalPostgres() as server:
        server.create_database("shop")
        asks(server, SCHEMA)
        yield server


@pytest.fixture
async def site(source: LocalPostgres, scratch: Path) -> AsyncIterator[Site]:
    yield Site(source, scratch)
    await end_all(scratch / "scratch")


@pytest.mark.parametrize("told", [True, False])
async def test_owners_and_grants_come_along_whether_or_not_the_backup_tells_the_roles(site: Site, told: bool) -> None:
    manifest = await site.logical()
    order, host = RestoreOrder("drill-1", manifest if told else replace(manifest, source=None)), site.restores()
    await host.fetch(order, site.told.append)
    instance = await host.provision(order)
    await host.restore(order, instance, site.told.append)
    await host.restore(order, instance, site.told.append)
    assert await ask(instance, OWNERS) == asks(site.server, OWNERS)
    assert await ask(instance, "SELECT rolname FROM pg_roles WHERE rolcanlogin") == [(USER,)]
    superusers = "SELECT rolname FROM pg_roles WHERE rolsuper AND rolname <> 'forge' ORDER BY 1"
    if told:
        assert await ask(instance, superusers) == [("owner_1",)], "as they are at the source"
    folder = site.folder / "scratch" / "restores" / "drill-1"
    assert not (folder / "schema.sql").exists()


async def test_a_role_that_nobody_had_foreseen_is_made_all_the_same(site: Site) -> None:
    manifest = await site.logical()
    assert manifest.source is not None
    fewer = replace(manifest, source=replace(manifest.source, roles=(Role("owner_1", superuser=True),)))
    order, host = RestoreOrder("drill-1", fewer), site.restores()
    await host.fetch(order, site.told.append)
    instance = await host.provision(order)
    await host.restore(order, instance, site.told.append)
    assert await ask(instance, OWNERS) == asks(site.server, OWNERS)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("ALTER TABLE public.x OWNER TO app;", {"app"}),
        ('GRANT SELECT ON TABLE public.x TO "Odd ""Role" WITH GRANT OPTION;', {'Odd "Role'}),
        ("REVOKE ALL ON SCHEMA public FROM PUBLIC;", set()),
        ("GRANT SELECT ON TABLE x TO pg_monitor;", set()),
        ("CREATE POLICY own ON public.orders FOR SELECT TO a, b USING ((n = 1));", {"a", "b"}),
        ("ALTER DEFAULT PRIVILEGES FOR ROLE a IN SCHEMA s GRANT SELECT ON TABLES TO b;", {"a", "b"}),
        ("SET SESSION AUTHORIZATION grantor;", {"grantor"}),
        ("ALTER ROLE x IN DATABASE shop SET work_mem TO DEFAULT;", {"x"}),
        ("COPY public.x (a) FROM stdin;", set()),
        ("    ALTER TABLE x OWNER TO indented;", set()),
    ],
)
def test_roles_are_read_off_the_statements_of_a_dump(tmp_path: Path, line: str, names: set[str]) -> None:
    schema = tmp_path / "schema.sql"
    schema.write_text(f"--\n{line}\n")
    assert {role.name for role in named_in(schema)} == names


def test_the_role_that_a_program_misses_is_read_from_its_words() -> None:
    assert missing_role('pg_restore: error: role "shop_app" does not exist') == "shop_app"
    assert missing_role('ERROR:  role "Odd "Role" does not exist | Command was: …') == 'Odd "Role'
    assert missing_role('relation "x" does not exist') == ""

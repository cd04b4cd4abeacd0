"""The restored database equals its source: rows, sequences, constraints, indexes, owners, grants, comments and all that the catalogue knows.

Asked by questions of the test's own, of a database with something of everything, on three major versions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from integrations.postgres import PostgresConnection
from integrations.postgres.service_files import read_service_file
from runbook.backups import BackupKind, Instance, Manifest, RestoreChecks
from runbook.database_ports import RestoreOrder
from runbook.rules.comparing import CHECKSUMS_GATE, looking_for
from runbook.rules.restores import judge_restored
from runbook.verdicts import Outcome
from sandbox.postgres import USER, LocalPostgres
from tests.integrations.postgres import rich_database as rich
from tests.integrations.postgres.physical import Site, order_for, server_now
from tests.integrations.postgres.servers import end_all, until
from tests.integrations.postgres.test_wal_receiver import KEEP, Receiving

CRITICAL = (
    "public.everything",
    "public.many",
    "public.measured",
    'Größe 1.Odd " Täble . name',
    "public.passing",
    "public.summed",
    "public.no_columns",
)
CHECKS = RestoreChecks(schema_version="SELECT max(name) FROM public.schema_versions", tables=CRITICAL)


@pytest.fixture(scope="module", params=[18, 16, 15])
def source(request: pytest.FixtureRequest) -> Iterator[LocalPostgres]:
    """15 by TLS alone, which the packages of the others are built without."""
    by_tls = request.param == 15
    with LocalPostgres(major=request.param, settings=KEEP, tcp=by_tls, tls=by_tls) as server:
        server.create_database("shop")
        with of_source(server) as session:
            rich.fill(session)
        yield server


@dataclass
class Rich(Site):
    @property
    def connection(self) -> PostgresConnection:
        server = self.server
        if not server.authority.exists():
            return super().connection
        return PostgresConnection(
            "127.0.0.1", "shop", USER, server.password, server.port, "verify-full", str(server.authority)
        )

    async def backed_up(self, kind: BackupKind) -> Manifest:
        order = replace(order_for(kind), checks=CHECKS)
        copy = self.database().base_backup if kind is BackupKind.BASE else self.database().dump
        return await self.published(order, await copy(order, self.told.append))


def of_source(server: LocalPostgres) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(server.url("shop"), autocommit=True)


def of_instance(instance: Instance) -> psycopg.Connection[tuple[object, ...]]:
    words: dict[str, Any] = read_service_file(Path(instance.service_file))
    return psycopg.connect("", **{**words, "dbname": instance.database}, autocommit=True)


def differences(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, tuple[list[Any], list[Any]]]:
    """By question: what is only here, and what only the source has."""
    assert found.keys() == expected.keys()
    return {
        name: ([row for row in here if row not in expected[name]], [row for row in expected[name] if row not in here])
        for name, here in found.items()
        if here != expected[name]
    }


async def test_a_restored_dump_equals_its_source_in_everything(source: LocalPostgres, scratch: Path) -> None:
    site = Rich(source, scratch)
    manifest = await site.backed_up(BackupKind.LOGICAL)
    order, host = RestoreOrder("drill-1", manifest), site.restores()
    try:
        await host.fetch(order, site.told.append)
        instance = await host.provision(order)
        await host.restore(order, instance, site.told.append)
        with of_source(source) as was, of_instance(instance) as now:
            assert differences(rich.catalogue_of(now), rich.catalogue_of(was)) == {}
            assert rich.rows_of(now) == rich.rows_of(was)
            assert now.execute(rich.SEQUENCE_VALUES).fetchall() == was.execute(rich.SEQUENCE_VALUES).fetchall()
            assert now.execute(rich.PUBLICATIONS).fetchall() == [], "it would act"
            logins = "SELECT rolname FROM pg_roles WHERE rolcanlogin"
            assert now.execute(logins).fetchall() == [(USER,)]
        assert manifest.source is not None
        found = await host.check(instance, looking_for(CHECKS, manifest.source))
        verdicts = judge_restored(found, CHECKS, major=manifest.major, source=manifest.source)
        assert [(v.gate, v.reason) for v in verdicts if v.outcome is Outcome.FAIL] == []
        told = next(v for v in verdicts if v.gate == CHECKSUMS_GATE)
        assert told.outcome is Outcome.PASS
        assert "public.summed (it is a materialised view, which a restore computes anew)" in told.reason
        assert {facts.rows for facts in manifest.source.tables.values()} == {2, 100_000, 400, 1, None}
    finally:
        await host.drop("drill-1")
        await end_all(scratch / "scratch")


async def test_a_recovered_database_equals_its_source_in_everything(source: LocalPostgres, scratch: Path) -> None:
    """Of unlogged tables a base backup has the definition alone, and of sequences up to 32 values more: PostgreSQL has them so in its WAL."""
    site = Rich(source, scratch)
    receiving = Receiving(site, "forge_equal")
    async with receiving.running() as receiver:
        await until(lambda: receiver.state().receiving, "it runs")
        manifest = await site.backed_up(BackupKind.BASE)
        with of_source(source) as was:
            was.execute("INSERT INTO nothing_in_it VALUES (1, 'after the base backup')")
            was.execute("COMMENT ON TABLE nothing_in_it IS 'after the base backup'")
        moment = server_now(source)
        await until(lambda: any(s.ended_at >= moment for s in site.segments), "archived")
    with of_source(source) as was:
        was_rows, was_catalogue = rich.rows_of(was, unlogged=False), rich.catalogue_of(was)
        published = was.execute(rich.PUBLICATIONS).fetchall()
        was.execute("DELETE FROM public.nothing_in_it; COMMENT ON TABLE public.nothing_in_it IS NULL")
    order, host = RestoreOrder("drill-2", manifest, moment), site.restores()
    try:
        await host.fetch(order, site.told.append)
        instance = await host.provision(order)
        await host.restore(order, instance, site.told.append)
        with of_instance(instance) as now:
            assert differences(rich.catalogue_of(now), was_catalogue) == {}
            assert rich.rows_of(now, unlogged=False) == was_rows
            assert now.execute(rich.PUBLICATIONS).fetchall() == published
            assert now.execute("SELECT count(*) FROM public.passing").fetchall() == [(0,)]
        assert manifest.source is not None
        assert (manifest.source.exact, manifest.source.schema_version) == (False, "0007")
        found = await host.check(instance, looking_for(CHECKS, manifest.source))
        verdicts = judge_restored(found, CHECKS, major=manifest.major, source=manifest.source)
        assert [(v.gate, v.reason) for v in verdicts if v.outcome is Outcome.FAIL] == []
    finally:
        await host.drop("drill-2")
        await end_all(scratch / "scratch")

"""What tests of restores share: a source with something of everything in it, its backups made and published, and a picture to compare."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from integrations.backups import Repository
from integrations.postgres import PostgresConnection, PostgresDatabase
from integrations.postgres.instances import connect
from integrations.postgres.restore_host import LocalRestores
from runbook.backups import BackupKind, BackupOrder, Instance, Manifest, Progress, WalSegment, manifest_of
from runbook.values import Environment
from sandbox.postgres import USER, LocalPostgres
from tests.integrations.backups.repositories import Keys, new_keys, new_repository
from tests.integrations.postgres.servers import FAST, finder

_numbers = itertools.count(1)

SCHEMA = """
CREATE SCHEMA stock;
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL UNIQUE, felt mood, at timestamptz DEFAULT now());
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int NOT NULL REFERENCES customers, total numeric
                     CHECK (total >= 0));
CREATE TABLE stock."Odd Name" ("a b" int PRIMARY KEY, picture bytea);
CREATE INDEX ON orders (customer);
CREATE VIEW totals AS SELECT customer, sum(total) FROM orders GROUP BY customer;
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT n * 2';
CREATE TABLE schema_versions (name text);
INSERT INTO schema_versions VALUES ('0007');
INSERT INTO customers (name, felt) SELECT 'customer ' || n, CASE n % 2 WHEN 0 THEN 'glad' ELSE 'sad' END::mood FROM generate_series(1, 300) n;
INSERT INTO orders (customer, total) SELECT 1 + n % 300, n * 1.25 FROM generate_series(1, 3000) n;
INSERT INTO stock."Odd Name" SELECT n, decode(md5(n::text), 'hex') FROM generate_series(1, 50) n;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
DO $$ BEGIN IF to_regrole('shop_app') IS NULL THEN CREATE ROLE shop_app; END IF; END $$;
CREATE POLICY own ON orders TO shop_app USING (customer = 1);
GRANT SELECT ON orders TO shop_app;
ALTER TABLE customers OWNER TO shop_app;
"""

GATE = """
CREATE FUNCTION gate_is_open() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN WHILE (pg_stat_file('{file}', true)).size IS NOT NULL LOOP PERFORM pg_sleep(0.02); END LOOP; RETURN true; END $$;
CREATE TABLE gate (n int CHECK (gate_is_open()));
INSERT INTO gate VALUES (1);
"""
"""A table at which a restore stays while there is the file."""

IN_ORDER = """
CREATE TABLE in_order (n int);
INSERT INTO in_order VALUES (1);
CREATE FUNCTION slow(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_sleep(1); RETURN n; END';
CREATE FUNCTION behind(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
  $$BEGIN IF to_regclass('public.a_slow') IS NULL THEN RAISE EXCEPTION 'a_slow is not there yet'; END IF; RETURN n; END$$;
CREATE INDEX a_slow ON in_order (slow(n));
CREATE INDEX behind_it ON in_order (behind(n));
"""
"""Two indexes that can't be made side by side, which no dump tells."""

TABLES = ("public.customers", "public.orders", 'stock."Odd Name"', "public.schema_versions")
_SEQUENCES = "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2"
_CONSTRAINTS = """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint
WHERE connamespace::regnamespace::text IN ('public', 'stock') ORDER BY 1, 2"""
_INDEXES = """SELECT indexrelid::regclass::text, indisvalid, pg_get_indexdef(indexrelid)
FROM pg_index JOIN pg_class ON oid = indexrelid WHERE relnamespace::regnamespace::text IN ('public', 'stock') ORDER BY 1"""


def asks(server: LocalPostgres, statement: str, database: str = "shop") -> list[tuple[object, ...]]:
    """Rows of a statement that has some."""
    with psycopg.connect(server.url(database), autocommit=True) as session:
        answer = session.execute(statement.encode())
        return answer.fetchall() if answer.description else []


def fill(server: LocalPostgres) -> None:
    server.create_database("shop")
    asks(server, SCHEMA)


def fill_with_gate(server: LocalPostgres) -> None:
    """A database whose restore can be held in the middle."""
    fill(server)
    asks(server, GATE.format(file=server.home / "held"))


@contextmanager
def held(source: LocalPostgres) -> Iterator[None]:
    """Restores of dumps of this source, wherever on this machine, stay in the middle."""
    (source.home / "held").touch()
    try:
        yield
    finally:
        (source.home / "held").unlink()


AT_THE_GATE = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%gate%'"


def picture_questions(sequences: bool) -> Sequence[str]:
    sums = [f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t" for table in TABLES]
    values = [_SEQUENCES] if sequences else []
    return (*sums, *values, _CONSTRAINTS, _INDEXES, "SELECT count(*), sum(sum) FROM totals", "SELECT twice(21)")


def picture(server: LocalPostgres, *, sequences: bool = True) -> list[object]:
    """sequences: their values too. WAL has those 32 ahead: after a recovery they may be further on, never behind."""
    return [asks(server, question) for question in picture_questions(sequences)]


async def picture_of(instance: Instance, *, sequences: bool = True) -> list[object]:
    return [await ask(instance, question) for question in picture_questions(sequences)]


async def ask(instance: Instance, question: str) -> list[tuple[object, ...]]:
    async with await connect(Path(instance.service_file), instance.database) as session:
        return await (await session.execute(question.encode())).fetchall()


def order_for(kind: BackupKind) -> BackupOrder:
    return BackupOrder(f"shop-prod-20260302T020000Z-{next(_numbers):04x}", kind, "shop", "prod", "run-1", "forge")


@dataclass
class Site:
    """A source with its repository and a place for restores. segments: what the ledger has."""

    server: LocalPostgres
    folder: Path
    keys: Keys | None = None
    repository: Repository = field(init=False)
    segments: list[WalSegment] = field(default_factory=list)
    told: list[Progress] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keys = self.keys or new_keys(self.folder / "keys")
        self.repository = new_repository(self.folder, self.keys)

    @property
    def connection(self) -> PostgresConnection:
        server = self.server
        return PostgresConnection(
            str(server.home / "run"), "shop", USER, server.password, server.port, sslmode="disable"
        )

    def database(self) -> PostgresDatabase:
        return PostgresDatabase(self.connection, finder(), self.repository, self.folder / "scratch")

    def restores(self) -> LocalRestores:
        async def segments(service: str, environment: Environment) -> tuple[WalSegment, ...]:
            assert (service, environment) == ("shop", Environment.PROD)
            return tuple(self.segments)

        return LocalRestores(self.folder / "scratch", finder(), self.repository, segments, FAST)

    async def logical(self) -> Manifest:
        order = order_for(BackupKind.LOGICAL)
        return await self.published(order, await self.database().dump(order, self.told.append))

    async def base(self) -> Manifest:
        order = order_for(BackupKind.BASE)
        return await self.published(order, await self.database().base_backup(order, self.told.append))

    async def published(self, order: BackupOrder, made: object) -> Manifest:
        manifest = manifest_of(order, "shop", made)  # type: ignore[arg-type]
        await self.repository.publish(manifest)
        found = await self.repository.manifest(order.id)
        assert found is not None
        return found

    def archived(self, segment: WalSegment) -> None:
        self.segments = [each for each in self.segments if each.name != segment.name] + [segment]

    def stored_file(self, key: str) -> Path:
        return next(path for path in (self.folder / "repository").rglob(key))


def server_now(server: LocalPostgres) -> datetime:
    now = asks(server, "SELECT clock_timestamp()")[0][0]
    assert isinstance(now, datetime)
    return now.astimezone(UTC)

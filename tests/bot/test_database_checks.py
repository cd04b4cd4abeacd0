"""The doctor's checks of databases and of the place of their backups, against real servers: all well, then one thing spoilt at a time."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pyrage import x25519

from bot.checks.backups import OnRecord, check_destination, check_keys, check_scratch, judge_destination
from bot.checks.databases import check_database, judge_slot
from bot.checks.findings import Check, Finding, State, carry_out
from bot.checks.restore_servers import check_restore_server, check_template
from bot.configuration.connections import (
    AuditConnection,
    BackupsConnection,
    DatabaseConnection,
    DatabaseReader,
    PostgresConnections,
    RestoreCluster,
    RestoreServer,
    Secret,
)
from bot.databases import DatabaseAdapters
from engine.backup_ledger import LedgerBackups
from engine.clock import SteadyClock
from integrations.postgres.rights import Slot
from runbook.database_ports import Destination
from runbook.policy import BackupsPolicy
from runbook.values import Environment
from sandbox.postgres import USER, LocalPostgres
from state.checkpoints import new_private_key
from tests.fixtures_store import open_quickly

IDENTITY, OTHER = x25519.Identity.generate(), x25519.Identity.generate()
WORDS = {"BACKUP": "backup-word-1", "READER": "reader-word-1", "KEY": new_private_key(), "IDENTITY": str(IDENTITY)}


def secret(name: str) -> Secret:
    return Secret(name, None, WORDS)


@pytest.fixture(scope="module")
def tls_server() -> Iterator[LocalPostgres]:
    """Debian's 15, as production would be set up."""
    with LocalPostgres(major=15, tcp=True, tls=True, settings=("max_slot_wal_keep_size=1GB",)) as server:
        prepare(server)
        yield server


@pytest.fixture(scope="module")
def newest() -> Iterator[LocalPostgres]:
    with LocalPostgres() as server:
        prepare(server)
        yield server


def prepare(server: LocalPostgres) -> None:
    with psycopg.connect(server.url(), autocommit=True) as session:
        for statement in (
            "CREATE ROLE backup LOGIN REPLICATION PASSWORD 'backup-word-1' IN ROLE pg_read_all_data, pg_monitor",
            "CREATE ROLE reader LOGIN PASSWORD 'reader-word-1' IN ROLE pg_monitor",
            "GRANT EXECUTE ON FUNCTION pg_switch_wal() TO backup",
            "CREATE ROLE poor LOGIN PASSWORD 'backup-word-1'",
            "CREATE TABLE orders (id serial PRIMARY KEY)",
            "CREATE DATABASE guarded",
        ):
            session.execute(sql.SQL(statement))
    with psycopg.connect(server.url("guarded"), autocommit=True) as session:
        session.execute("CREATE TABLE own (id int)")
        session.execute("ALTER TABLE own ENABLE ROW LEVEL SECURITY")


def over_tls(server: LocalPostgres) -> DatabaseConnection:
    return DatabaseConnection(
        "shop", Environment.PROD, "127.0.0.1", server.port, "postgres", "backup", secret("BACKUP"), "verify-full", server.authority,
        wal=True, slot="forge_shop", reader=DatabaseReader("reader", secret("READER")),
    )  # fmt: skip


def over_socket(server: LocalPostgres) -> DatabaseConnection:
    return DatabaseConnection(
        "shop", Environment.STAGING, str(server.run), server.port, "postgres", "backup", secret("BACKUP"), "prefer"
    )


def adapters(
    tmp_path: Path, *found: DatabaseConnection, programs: tuple[Path, ...] = (), kept: bool = True
) -> DatabaseAdapters:
    backups = BackupsConnection(str(tmp_path / "kept"), (str(IDENTITY.to_public()),), tmp_path / "scratch")
    databases = {(each.service, each.environment): each for each in found}
    connections = PostgresConnections(databases, programs, backups if kept else None)
    return DatabaseAdapters(connections, AuditConnection(secret("KEY")))


async def findings(check: Check) -> list[Finding]:
    return await carry_out("it", check, 60)


async def bad(found: DatabaseConnection, own: DatabaseAdapters) -> list[Finding]:
    """Without those about programs of this machine, whose age is its own business."""
    every = await findings(lambda: check_database(found, own))
    return [each for each in every if each.state is not State.OK and "CVE-2026" not in each.remedy]


async def test_a_server_for_restores_is_looked_at(
    tls_server: LocalPostgres, newest: LocalPostgres, tmp_path: Path
) -> None:
    words = ("127.0.0.1", tls_server.port, "postgres")
    good = RestoreServer(Environment.PROD, *words, USER, secret("OWNER"), "verify-full", tls_server.authority)
    with_password = replace(secret("OWNER"), environ={"OWNER": tls_server.password})
    own = adapters(tmp_path, over_tls(tls_server))
    found = await findings(lambda: check_restore_server(replace(good, password=with_password), own))
    assert {each.state for each in found} == {State.OK}
    poor = replace(good, user="poor", password=secret("BACKUP"), sslmode="require")
    texts = " ".join(f"{each.text} {each.remedy}" for each in await findings(lambda: check_restore_server(poor, own)))
    for words_told in ("certificate isn't checked", "ALTER ROLE poor CREATEDB", "may not make roles"):
        assert words_told in texts
    older = replace(over_socket(newest), environment=Environment.PROD)
    [wrong] = [
        each
        for each in await findings(lambda: check_restore_server(poor, adapters(tmp_path, older)))
        if each.state is State.FAIL and "shop runs" in each.text
    ]
    assert "Provide a server of PostgreSQL" in wrong.remedy


async def test_a_template_of_servers_for_restores_is_looked_at(tmp_path: Path) -> None:
    template = Path(__file__).parents[2] / "examples" / "restore-server.yaml"
    words = ("$NAME.shop.svc", 5432, "postgres", "postgres", "verify-full", None, 300.0)
    [good] = await findings(lambda: check_template(RestoreCluster(Environment.PROD, template, *words)))
    assert (good.state, good.check) == (State.OK, "prod.restores")
    [away] = await findings(lambda: check_template(RestoreCluster(Environment.PROD, tmp_path / "none.yaml", *words)))
    assert (away.state, "can't be read" in away.text) == (State.FAIL, True)


async def test_a_database_that_is_set_up_well_has_nothing_to_say(tls_server: LocalPostgres, tmp_path: Path) -> None:
    found = over_tls(tls_server)
    assert await bad(found, adapters(tmp_path, found)) == []
    texts = " ".join(each.text for each in await findings(lambda: check_database(found, adapters(tmp_path, found))))
    for words in (
        "PostgreSQL 15.",
        "by TLS",
        "pg_dump is of",
        "may dump all of it",
        "1.07 GB of WAL",
        "no slot forge_shop yet",
        "reader may read",
    ):
        assert words in texts
    assert "backup-word-1" not in texts


async def test_the_newest_version_on_this_machine_needs_no_tls(newest: LocalPostgres, tmp_path: Path) -> None:
    found = over_socket(newest)
    assert await bad(found, adapters(tmp_path, found, programs=(newest.binaries,))) == []


async def test_without_a_place_for_backups_it_is_only_looked_at_as_what_is_measured(
    newest: LocalPostgres, tmp_path: Path
) -> None:
    found = replace(over_socket(newest), user="poor")
    [only] = await bad(found, adapters(tmp_path, found, kept=False))
    assert (only.state, only.remedy) == (State.WARN, "GRANT pg_monitor TO poor")


async def test_a_server_whose_certificate_isnt_checked_is_warned_of(tls_server: LocalPostgres, tmp_path: Path) -> None:
    found = replace(over_tls(tls_server), sslmode="require", sslrootcert=None)
    [only] = await bad(found, adapters(tmp_path, found))
    assert (only.state, "verify-full" in only.remedy) == (State.WARN, True)


async def test_a_certificate_of_another_authority_fails(tls_server: LocalPostgres, tmp_path: Path) -> None:
    with LocalPostgres(major=15, tcp=True, tls=True) as other:
        found = replace(over_tls(tls_server), sslrootcert=other.authority)
        [only] = await bad(found, adapters(tmp_path, found))
    assert only.state is State.FAIL
    assert "sslrootcert" in only.remedy


@pytest.mark.parametrize(
    ("changes", "text", "remedy"),
    [
        ({"password": Secret("NONE", None, {})}, "the variable NONE has no value", "Set NONE"),
        ({"password": Secret("READER", None, WORDS)}, "password authentication failed", "user and password"),
        ({"name": "nowhere"}, "does not exist", "name"),
        ({"host": "127.0.0.1", "port": 1, "sslmode": "prefer"}, "refused", ""),
        ({"user": "poor", "reader": DatabaseReader("reader", secret("READER"))}, "such as public.orders", "GRANT pg_read_all_data TO poor"),
        ({"name": "guarded"}, "row security would hide rows of public.own", "ALTER ROLE backup BYPASSRLS"),
        ({"reader": DatabaseReader("poor", secret("BACKUP"))}, "poor sees no other session", "GRANT pg_monitor TO poor"),
        ({"reader": DatabaseReader("gone", secret("BACKUP"))}, "can't be measured", ""),
        ({"wal": True, "slot": "forge_shop"}, "max_slot_wal_keep_size is unlimited", "max_slot_wal_keep_size"),
        ({"wal": True, "slot": "s", "user": "poor"}, "poor has no REPLICATION", "ALTER ROLE poor REPLICATION"),
    ],
)  # fmt: skip
async def test_what_is_missing_is_named_with_what_to_do(
    newest: LocalPostgres, tmp_path: Path, changes: dict[str, object], text: str, remedy: str
) -> None:
    found = replace(over_socket(newest), **changes)  # type: ignore[arg-type]
    told = await bad(found, adapters(tmp_path, found, programs=(newest.binaries,)))
    [only] = [each for each in told if text in each.text]
    assert remedy in only.remedy
    assert "word-1" not in f"{told}"


async def test_a_superuser_is_more_than_backups_need(newest: LocalPostgres, tmp_path: Path) -> None:
    WORDS["FORGE"] = newest.password
    found = replace(over_socket(newest), user="forge", password=secret("FORGE"))
    [only] = await bad(found, adapters(tmp_path, found, programs=(newest.binaries,)))
    assert (only.state, "superuser" in only.text) == (State.WARN, True)


async def test_no_program_of_its_version_is_a_failure(
    tmp_path: Path, newest: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = over_socket(newest)
    told = await bad(found, adapters(tmp_path, found))
    assert [each.state for each in told] == [State.FAIL, State.FAIL]
    assert "integrations.postgres.programs" in told[0].remedy


@pytest.mark.parametrize(
    ("slot", "state", "words"),
    [
        (None, State.OK, "the running bot makes it"),
        (Slot(True, "reserved", True), State.OK, "in use"),
        (Slot(True, "extended", False), State.OK, "nobody receives it now"),
        (Slot(True, "unreserved", False), State.WARN, "about to lose WAL"),
        (Slot(True, "lost", False), State.FAIL, "there is a gap"),
        (Slot(False, "reserved", False), State.FAIL, "logical"),
    ],
)
def test_a_slot_is_judged_by_what_it_still_keeps(slot: Slot | None, state: State, words: str) -> None:
    found = judge_slot("it", "forge_shop", slot)
    assert found.state is state
    assert words in found.text
    assert found.remedy or state is State.OK


# --- the place of backups -------------------------------------------------------------------------------------------


async def test_a_folder_that_can_be_written_takes_backups(newest: LocalPostgres, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    own = adapters(tmp_path, over_socket(newest))
    assert {each.state for each in await findings(lambda: check_destination(own))} <= {State.OK, State.WARN}
    assert list((tmp_path / "kept").rglob("*.age")) == []


async def test_a_destination_that_cant_be_written_fails(newest: LocalPostgres, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file")
    own = adapters(tmp_path, over_socket(newest))
    told = await findings(lambda: check_destination(own))
    assert [each.state for each in told] == [State.FAIL]


async def test_a_folder_whose_volume_is_not_mounted_fails_and_nothing_is_made_there(
    newest: LocalPostgres, tmp_path: Path
) -> None:
    own = adapters(tmp_path, over_socket(newest))
    own.memory = OnRecord("", tmp_path)
    assert {each.state for each in await findings(lambda: check_destination(own))} <= {State.OK, State.WARN}
    with open_quickly("", data_dir=tmp_path) as store:
        await LedgerBackups(store, SteadyClock()).place_seen(str(tmp_path / "kept"), datetime.now(UTC))
    (tmp_path / "kept").rename(tmp_path / "volume")
    (tmp_path / "kept").mkdir()
    again = adapters(tmp_path, over_socket(newest))
    again.memory = OnRecord("", tmp_path)
    (told,) = await findings(lambda: check_destination(again))
    assert told.state is State.FAIL
    assert "Is its volume mounted?" in told.text
    assert list((tmp_path / "kept").iterdir()) == []


def test_whatever_is_wrong_with_a_destination_is_told() -> None:
    found = list(judge_destination(Destination("s3://b", True, False, False, 5)))
    assert [each.state for each in found] == [State.FAIL, State.FAIL, State.WARN, State.OK]


@pytest.fixture
async def kept(tmp_path: Path) -> BackupsConnection:
    return BackupsConnection("/kept", (str(IDENTITY.to_public()), str(OTHER.to_public())), tmp_path, secret("IDENTITY"))


async def of_keys(kept: BackupsConnection, policy: BackupsPolicy | None = None) -> Finding:
    return (await findings(lambda: check_keys(kept, policy or BackupsPolicy())))[-1]


async def test_the_private_key_of_a_recipient_is_right(kept: BackupsConnection, tmp_path: Path) -> None:
    assert (await of_keys(kept)).state is State.OK
    (tmp_path / "key").write_text(f"# public key: {IDENTITY.to_public()}\n{IDENTITY}\n")
    assert (await of_keys(replace(kept, identity=Secret(file=tmp_path / "key")))).state is State.OK


async def test_keys_that_cant_decrypt_are_told(kept: BackupsConnection) -> None:
    foreign = replace(kept, identity=Secret("I", None, {"I": str(x25519.Identity.generate())}))
    assert "none of the recipients" in (await of_keys(foreign)).text
    broken = await of_keys(replace(kept, identity=Secret("I", None, {"I": "AGE-SECRET-KEY-1NONSENSE"})))
    assert broken.state is State.FAIL
    assert "NONSENSE" not in f"{broken}"


async def test_every_key_on_this_machine_is_warned_of(kept: BackupsConnection) -> None:
    assert (await of_keys(replace(kept, recipients=(str(IDENTITY.to_public()),)))).state is State.WARN


async def test_drills_that_are_due_need_a_private_key(kept: BackupsConnection) -> None:
    without = replace(kept, identity=None)
    assert (await of_keys(without)).state is State.FAIL
    assert (await of_keys(without, BackupsPolicy(drill=""))).state is State.OK


async def scratch(folder: Path, own: DatabaseAdapters) -> list[Finding]:
    return await findings(lambda: check_scratch(folder, own))


@pytest.fixture
def reached() -> Iterator[Path]:
    """A folder that everybody may pass: where forge is root, its servers are nobody's."""
    folder = Path(tempfile.mkdtemp(prefix="forge-s-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


async def test_as_root_servers_have_to_reach_the_scratch_space(
    reached: Path, newest: LocalPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = adapters(reached, over_socket(newest))
    (reached / "closed").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    [told] = await scratch(reached / "closed" / "scratch", own)
    assert told.state is State.FAIL
    assert "user of its own" in told.remedy
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert (await scratch(reached / "closed" / "scratch", own))[0].state is not State.FAIL


async def test_scratch_space_is_private(reached: Path, newest: LocalPostgres) -> None:
    tmp_path = reached
    own = adapters(tmp_path, over_socket(newest))
    [to_be_made] = await scratch(tmp_path / "a" / "b", own)
    assert to_be_made.state in (State.OK, State.WARN)
    (tmp_path / "s").mkdir(mode=0o700)
    assert (await scratch(tmp_path / "s", own))[0].state in (State.OK, State.WARN)
    await asyncio.to_thread((tmp_path / "s").chmod, 0o755)
    [open_to_all] = await scratch(tmp_path / "s", own)
    assert (open_to_all.state, open_to_all.remedy) == (State.FAIL, f"chmod 700 {tmp_path / 's'}")
    (tmp_path / "f").write_text("")
    assert (await scratch(tmp_path / "f", own))[0].state is State.FAIL

"""What a server says of itself, and how it is told that it says nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from integrations.postgres import PostgresConnection
from integrations.postgres.connection import connection_files
from integrations.postgres.look import look
from runbook.errors import ForgeError, Permanent, Temporary
from sandbox.postgres import LocalPostgres
from tests.integrations.postgres.subjects import connection_to


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    with LocalPostgres(tcp=True, settings=("max_slot_wal_keep_size=1GB",)) as started:
        yield started


async def test_a_server_is_described(server: LocalPostgres) -> None:
    facts = await look(connection_to(server, "postgres"))
    assert facts.major == 18
    assert facts.version.startswith("18.")
    assert facts.database == "postgres"
    assert facts.system_identifier.isdigit()
    assert (facts.in_recovery, facts.timeline, facts.wal_level) == (False, 1, "replica")
    assert facts.keep_bytes == 1024**3
    assert facts.database_bytes > 1_000_000
    assert "/" in facts.lsn
    assert not facts.encrypted
    assert abs(facts.at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_role_without_any_right_is_enough_to_look(server: LocalPostgres) -> None:
    with psycopg.connect(server.url(), autocommit=True) as session:
        session.execute("CREATE ROLE looking LOGIN PASSWORD 'x'")
    assert (await look(connection_to(server, "postgres", user="looking", password="x"))).major == 18


@pytest.mark.parametrize("major", [15, 16])
async def test_older_servers_answer_the_same_questions(major: int) -> None:
    with await asyncio.to_thread(LocalPostgres(major=major).start) as own:
        facts = await look(connection_to(own, "postgres"))
    assert facts.major == major
    assert facts.keep_bytes is None


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"password": "wrong"}, "postgres.password"),
        ({"password": ""}, "postgres.password"),
        ({"name": "nowhere"}, "postgres.unknown"),
        ({"sslmode": "require", "host": "127.0.0.1"}, "postgres.tls"),
    ],
)
async def test_what_a_person_must_mend_is_permanent(
    server: LocalPostgres, changed: dict[str, str], code: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # no password file of ours
    with pytest.raises(Permanent) as raised:
        await look(connection_to(server, "postgres", **changed))
    assert raised.value.code == code
    assert raised.value.remedy
    assert server.password not in str(raised.value)


async def test_a_closed_port_may_open_again() -> None:
    with pytest.raises(Temporary) as raised:
        await look(PostgresConnection("127.0.0.1", "shop", "forge", port=1, sslmode="disable"))
    assert raised.value.code == "postgres.unreachable"
    assert "refused" in raised.value.cause


async def test_a_server_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("integrations.postgres.connection.CONNECT_TIMEOUT_S", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = PostgresConnection("127.0.0.1", "shop", "forge", port=silent.getsockname()[1], sslmode="disable")
        with pytest.raises(Temporary):
            await asyncio.wait_for(look(connection), 20)


@pytest.mark.parametrize("sslmode", ["disable", "allow", "prefer"])
@pytest.mark.parametrize(
    "host", ["db.example", "10.0.0.1", "localhost,db.example", "localhost.example", "127.0.0.1.example"]
)
def test_a_connection_that_need_not_be_encrypted_is_refused(host: str, sslmode: str) -> None:
    with pytest.raises(Permanent) as raised:
        PostgresConnection(host, "shop", "forge", sslmode=sslmode)
    assert raised.value.code == "postgres.insecure"


@pytest.mark.parametrize(
    "host", ["", "localhost", "127.0.0.1", "127.8.8.8", "::1", "/var/run/postgresql", "127.0.0.1,::1"]
)
def test_this_very_machine_needs_no_tls(host: str) -> None:
    assert PostgresConnection(host, "shop", "forge", sslmode="disable").local


@pytest.mark.parametrize(
    "changed", [{"host": "a\nhost=b"}, {"user": "x\r"}, {"password": "two\nlines"}, {"sslmode": "off"}, {"name": ""}]
)
def test_settings_that_could_become_others_are_refused(changed: dict[str, str]) -> None:
    with pytest.raises(ForgeError) as raised:
        PostgresConnection(**{"host": "localhost", "name": "shop", "user": "forge", **changed})  # type: ignore[arg-type]
    assert raised.value.code == "postgres.settings"
    assert "two" not in str(raised.value)


@pytest.mark.parametrize("named", ["", "system"])
def test_without_a_file_the_machines_own_authorities_are_asked(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bundle.pem").write_text("certificates")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "bundle.pem"))
    connection = PostgresConnection("db.example", "shop", "forge", sslmode="verify-full", sslrootcert=named)
    assert connection.parameters()["sslrootcert"] == str(tmp_path / "bundle.pem")
    local = PostgresConnection("localhost", "shop", "forge", sslmode="disable")
    assert "sslrootcert" not in local.parameters()


def test_the_password_is_in_no_representation() -> None:
    assert "hunter2" not in repr(PostgresConnection("localhost", "shop", "forge", "hunter2"))


def test_connection_files_are_gone_after_their_block(tmp_path: Path) -> None:
    connection = PostgresConnection("localhost", "shop", "forge", "hunter2")
    with connection_files(connection, tmp_path / "scratch") as files:
        assert (tmp_path / "scratch").stat().st_mode & 0o777 == 0o700
        assert files.service_file.stat().st_mode & 0o777 == 0o600
        assert files.password_file.stat().st_mode & 0o777 == 0o600
        assert "hunter2" not in files.service_file.read_text() + str(files.environment()) + files.target
    assert list((tmp_path / "scratch").iterdir()) == []


def test_files_of_a_connection_that_is_in_use_are_left_to_it(tmp_path: Path) -> None:
    connection = PostgresConnection("localhost", "shop", "forge", "hunter2")
    with connection_files(connection, tmp_path) as first, connection_files(connection, tmp_path) as second:
        assert first.password_file.read_text() == second.password_file.read_text() == "*:*:*:*:hunter2\n"
    assert list(tmp_path.iterdir()) == []

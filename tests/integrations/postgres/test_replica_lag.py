"""How far a real replica is behind, as the primary and as the replica itself tell it; what only receives WAL is no replica."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from integrations.children import ending_with_us
from integrations.postgres.connection import PostgresConnection
from integrations.postgres.look import connect
from integrations.postgres.metrics import OPTIONS, Load, read_load
from sandbox.postgres import USER, LocalPostgres

BEHIND_S = 0.3


@dataclass
class Pair:
    primary: LocalPostgres
    replica: Path

    def to_primary(self) -> PostgresConnection:
        return self._to(self.primary.run)

    def to_replica(self) -> PostgresConnection:
        return self._to(self.replica)

    def _to(self, host: Path) -> PostgresConnection:
        return PostgresConnection(str(host), "postgres", USER, self.primary.password, self.primary.port, "prefer")

    def at_replica(self, statement: str) -> None:
        with psycopg.connect(**self._words(self.replica), autocommit=True) as session:
            session.execute(statement.encode())

    def at_primary(self, statement: str) -> None:
        with psycopg.connect(self.primary.url(), autocommit=True) as session:
            session.execute(statement.encode())

    def _words(self, host: Path) -> dict[str, str | int]:
        return {
            "host": str(host),
            "port": self.primary.port,
            "user": USER,
            "dbname": "postgres",
            "password": self.primary.password,
        }


def as_nobody() -> dict[str, object]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam("nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@pytest.fixture(scope="module", params=[16, 18])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    folder = Path(tempfile.mkdtemp(prefix="forge-r-"))
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
    with LocalPostgres(major=request.param, settings=("max_wal_senders=5",)) as primary:
        copying = [
            str(primary.binaries / "pg_basebackup"),
            "-D",
            str(folder / "data"),
            "-h",
            str(primary.run),
            "-p",
            str(primary.port),
        ]
        options = ["-U", USER, "-R", "-X", "stream", "-c", "fast", "--no-sync"]
        environment = {"PGPASSWORD": primary.password, "PATH": os.environ["PATH"], "LC_ALL": "C"}
        subprocess.run(
            [*copying, *options], check=True, env=environment, cwd=folder, capture_output=True, **as_nobody()
        )  # type: ignore[call-overload]
        server = [
            str(primary.binaries / "postgres"),
            "-D",
            str(folder / "data"),
            "-c",
            f"port={primary.port}",
            "-c",
            "fsync=off",
        ]
        places = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}"]
        with (folder / "log").open("wb") as log:
            command = ending_with_us([*server, *places])
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, **as_nobody())  # type: ignore[call-overload]
        try:
            made = Pair(primary, folder)
            ready(made)
            made.at_primary("CREATE TABLE noted (n int)")
            yield made
        finally:
            process.terminate()
            process.wait(20)
            shutil.rmtree(folder, ignore_errors=True)


def ready(pair: Pair) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            pair.at_replica("SELECT 1")
            return
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise AssertionError((pair.replica / "log").read_text()) from None
            time.sleep(0.05)


async def load_of(connection: PostgresConnection) -> Load:
    async with await connect(connection, OPTIONS) as session:
        return await read_load(session)


async def until_lag(
    connection: PostgresConnection, truth: Callable[[float], bool], beside: Callable[[], None] | None = None
) -> None:
    deadline = time.monotonic() + 60
    while True:
        lag = (await load_of(connection)).replication_lag_s
        assert lag is not None
        if truth(lag):
            return
        assert time.monotonic() < deadline, lag
        if beside is not None:
            await asyncio.to_thread(beside)
        await asyncio.sleep(0.05)


async def test_a_replica_that_stands_still_is_behind_until_it_goes_on(pair: Pair) -> None:
    await until_lag(pair.to_primary(), lambda lag: lag < BEHIND_S)
    await asyncio.to_thread(pair.at_replica, "SELECT pg_wal_replay_pause()")
    try:
        await until_lag(
            pair.to_primary(), lambda lag: lag > BEHIND_S, lambda: pair.at_primary("INSERT INTO noted VALUES (1)")
        )
        await until_lag(
            pair.to_replica(), lambda lag: lag > BEHIND_S, lambda: pair.at_primary("INSERT INTO noted VALUES (1)")
        )
    finally:
        await asyncio.to_thread(pair.at_replica, "SELECT pg_wal_replay_resume()")
    await until_lag(pair.to_replica(), lambda lag: lag < BEHIND_S)
    await until_lag(
        pair.to_primary(), lambda lag: lag < BEHIND_S, lambda: pair.at_primary("INSERT INTO noted VALUES (1)")
    )


async def test_a_replicas_checkpoints_and_log_are_read_like_a_primarys(pair: Pair) -> None:
    load = await load_of(pair.to_replica())
    assert load.wal_bytes is not None
    assert load.max_connections == 100
    assert load.checkpoint_s >= 0


async def test_what_only_receives_wal_is_no_replica(pair: Pair, tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="forge-w-"))
    if os.geteuid() == 0:
        os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
    command = [
        str(pair.primary.binaries / "pg_receivewal"),
        "-D",
        str(folder),
        "-h",
        str(pair.primary.run),
        "-p",
        str(pair.primary.port),
        "-U",
        USER,
    ]
    environment = {"PGPASSWORD": pair.primary.password, "PATH": os.environ["PATH"], "LC_ALL": "C"}
    process = subprocess.Popen(command, env=environment, cwd=folder, stderr=subprocess.DEVNULL, **as_nobody())  # type: ignore[call-overload]
    try:
        deadline = time.monotonic() + 60
        while True:
            with psycopg.connect(pair.primary.url()) as session:
                rows = session.execute(
                    "SELECT application_name, replay_lsn IS NULL FROM pg_stat_replication"
                ).fetchall()
            if ("pg_receivewal", True) in rows:
                break
            assert time.monotonic() < deadline, rows
            await asyncio.sleep(0.05)
        for _ in range(5):
            await asyncio.to_thread(pair.at_primary, "INSERT INTO noted VALUES (1)")
        await until_lag(
            pair.to_primary(), lambda lag: lag < BEHIND_S, lambda: pair.at_primary("INSERT INTO noted VALUES (1)")
        )
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 20)
        shutil.rmtree(folder, ignore_errors=True)

"""The sandbox's PostgreSQL: clusters that are copied pass for nobody else's, and no server outlives who started it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from sandbox.postgres import LocalPostgres
from sandbox.serving import until

IDENTITY = "SELECT system_identifier, (SELECT setting FROM pg_settings WHERE name = 'wal_segment_size') FROM pg_control_system()"
WAITING = """
import signal
from sandbox.postgres import LocalPostgres
server = LocalPostgres().start()
print(server.pid, server.home, flush=True)
signal.pause()
"""
BEGINNING = """
from sandbox.postgres import LocalPostgres
with LocalPostgres() as server:
    pass
"""


def told(server: LocalPostgres, statement: str) -> tuple[object, ...] | None:
    with psycopg.connect(server.url()) as session:
        return session.execute(statement.encode()).fetchone()


@pytest.mark.parametrize("major", [18, 16, 15])
def test_two_servers_of_a_version_are_two_systems_with_segments_as_asked(major: int) -> None:
    with LocalPostgres(major=major) as one, LocalPostgres(major=major, segment_mib=1) as other:
        first, second = told(one, IDENTITY), told(other, IDENTITY)
    assert first is not None
    assert second is not None
    assert first[0] != second[0]
    assert (first[1], second[1]) == (str(16 << 20), str(1 << 20))


def test_a_server_takes_its_own_password_alone() -> None:
    with LocalPostgres() as one, LocalPostgres() as other:
        strangers = one.url().replace(one.password, other.password)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(strangers)


def test_what_was_written_is_there_after_a_crash() -> None:
    with LocalPostgres(tcp=True) as server:
        with psycopg.connect(server.url(), autocommit=True) as session:
            session.execute("CREATE TABLE kept AS SELECT 7 AS n")
            session.execute("CHECKPOINT")
        server.kill(signal.SIGQUIT)
        server.restart()
        assert told(server, "SELECT n FROM kept") == (7,)


@pytest.mark.parametrize("cached", ["two at once", "nowhere"])
async def test_clusters_come_from_one_cache_or_from_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: str
) -> None:
    monkeypatch.setenv("FORGE_CACHE_DIR", str(tmp_path / "cache"))
    if cached == "nowhere":
        (tmp_path / "cache").touch()  # no folder can be made there
    both = [await asyncio.create_subprocess_exec(sys.executable, "-c", BEGINNING) for _ in range(2)]
    assert [await each.wait() for each in both] == [0, 0]
    if cached == "two at once":
        kept = list((tmp_path / "cache" / "postgres").iterdir())
        assert [sorted(path.name for path in each.iterdir()) for each in kept] == [["data", "password"]]


async def test_a_server_ends_with_whoever_started_it_and_was_killed() -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", WAITING, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    pid, home = (await parent.stdout.readline()).decode().split()
    server = psutil.Process(int(pid))
    try:
        parent.kill()
        await parent.wait()

        async def is_gone() -> bool:
            with contextlib.suppress(psutil.NoSuchProcess):
                return server.status() == psutil.STATUS_ZOMBIE
            return True

        await until(is_gone, 60, "the server ended")
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            server.kill()
        shutil.rmtree(home, ignore_errors=True)


class Contested(LocalPostgres):
    """Somebody tries to get its port before it listens there."""

    def _launch(self, binaries: Path) -> None:
        with pytest.raises(OSError, match="in use"), socket.socket() as other:
            other.bind(("127.0.0.1", self.port))
        super()._launch(binaries)


def test_nobody_gets_its_port_before_it_listens_there() -> None:
    with Contested(tcp=True) as server:
        assert told(server, "SELECT 1") == (1,)

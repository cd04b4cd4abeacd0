"""The bad hours: killed, disk full, locked out, connection lost. What was told as kept stays, nothing is half, and it recovers by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import Connection

from engine.records import Entry, Sealed, SeenTag
from runbook.errors import StoreUnavailable
from sandbox.postgres import LocalPostgres
from state.ballast import Ballast
from state.store import SqlStore, open_store
from state.verify import verify
from tests.fixtures_store import NewStore

NOW = datetime(2026, 5, 4, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]


def tag(name: str, padding: str = "") -> SeenTag:
    return SeenTag(service="shop", tag=name, tag_object=padding, commit="c", first_seen_at=NOW)


def until(condition: Callable[[], object], deadline_s: float = 120) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@contextlib.contextmanager
def process(task: str, url: str, data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(Path(__file__).with_name("holder.py")), task, url, str(data_dir)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    ) as child:
        try:
            assert child.stdout is not None
            assert json.loads(child.stdout.readline()) == "open"
            yield child
        finally:
            child.kill()


def test_a_second_process_is_refused_and_told_the_pid_of_the_first(
    database_url: str, new_store: NewStore, tmp_path: Path
) -> None:
    with process("hold", database_url, tmp_path / "data") as child:
        with pytest.raises(StoreUnavailable, match=rf"another forge \(pid {child.pid}\b") as caught:
            new_store()
        assert caught.value.code == "store.in_use"
        assert new_store(read_only=True).read_now(lambda ledger: ledger.count(SeenTag)) == 0
        child.kill()
        child.wait(10)
        until(lambda: _opens(new_store))


def _opens(new_store: NewStore) -> bool:
    """PostgreSQL notices a killed client within moments, not at once."""
    try:
        new_store()
    except StoreUnavailable as fault:
        if fault.code != "store.in_use":
            raise
        return False
    return True


@pytest.mark.parametrize("after_s", [0.02, 0.11, 0.3])
def test_a_writer_that_is_killed_leaves_nothing_half(
    database_url: str, new_store: NewStore, tmp_path: Path, after_s: float
) -> None:
    with process("write", database_url, tmp_path / "data") as child:
        assert child.stdout is not None
        told = [int(child.stdout.readline()) for _ in range(3)]
        time.sleep(after_s * random.uniform(0.8, 1.2))
        child.kill()
        told += [int(line) for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    until(lambda: _opens(new_store))
    store = new_store(read_only=True)
    tags = store.read_now(lambda ledger: ledger.find(SeenTag))
    halves = {side: {int(each.tag) for each in tags if each.service == side} for side in ("left", "right")}
    entries = store.read_now(lambda ledger: ledger.find(Sealed))
    assert halves["left"] == halves["right"] == {int(entry.subject) for entry in entries}
    assert halves["left"] == set(range(1, len(halves["left"]) + 1))
    assert set(told) <= halves["left"]
    assert verify(store, [], []).ok


def test_a_disk_that_is_full_keeps_nothing_of_the_batch_and_recovers(sqlite_url: str, tmp_path: Path) -> None:
    """By a limit on the size of files, which needs no rights."""
    with process("fill", sqlite_url, tmp_path / "data") as child:
        output = child.communicate(timeout=150)[0]
    full, read, after = map(json.loads, output.splitlines())
    assert full["code"] in ("store.io", "store.disk_full")
    assert full["healthy"] is False
    assert full["trouble"]
    assert full["kept"] > 5
    assert read == {"read": full["kept"]}
    assert after == {"number": full["kept"] + 1, "healthy": True}
    with open_store(sqlite_url, data_dir=tmp_path / "data") as store:
        assert store.read_now(lambda ledger: ledger.count(Sealed)) == full["kept"] + 1
        assert verify(store, [], []).ok


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MiB. Mounting takes root: without it the limit on the size of files above is what stands for it."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "forge-test", place], check=False, capture_output=True
    )
    yield place
    if mounted.returncode == 0:
        subprocess.run(["umount", "-l", place], check=True)


def _crowd(place: Path, leave_bytes: int) -> Path:
    """Fills the disk but for so many bytes. Where nothing could be mounted the ballast is all the room that ever counts."""
    crowd = place / "crowd"
    if place.is_mount():
        with crowd.open("ab") as file:
            free = os.statvfs(place)
            file.write(b"x" * max(0, free.f_bavail * free.f_frsize - leave_bytes))
    return crowd


def test_the_ballast_is_given_up_for_a_write_on_a_full_disk(small_disk: Path) -> None:
    if not small_disk.is_mount():
        _ballast_on_any_disk(small_disk)
        return
    with open_store("", data_dir=small_disk, ballast_bytes=1024 * 1024, probe_s=0.05) as store:
        ran: list[int] = []
        crowd = _crowd(small_disk, 40_000)

        def change(ledger: Any) -> Sealed:
            ran.append(1)
            for number in range(20):
                ledger.save(tag(f"t{number}", "x" * 10_000))
            found: Sealed = ledger.audit(Entry(actor="a", action="rollback.started", subject="prod-1"), NOW)
            return found

        with structlog.testing.capture_logs():
            sealed = store.write_now(change)
        assert ran == [1]
        assert sealed.seq == 1
        assert store.read_now(lambda ledger: ledger.count(SeenTag)) == 20
        assert not store.healthy
        assert "ballast" in str(store.trouble)
        assert not (small_disk / "ballast").exists()
        _crowd(small_disk, 0)
        with pytest.raises(StoreUnavailable) as caught, structlog.testing.capture_logs():
            _write_until_refused(store)
        assert caught.value.code == "store.disk_full"
        assert "disk is full" in str(store.trouble)
        assert store.read_now(lambda ledger: ledger.count(SeenTag, tag="t0")) == 1
        crowd.unlink()
        until(lambda: store.healthy)
        assert (small_disk / "ballast").stat().st_size == 1024 * 1024
        assert verify(store, [], []).ok


def _write_until_refused(store: SqlStore) -> None:
    for number in range(100):
        store.write_now(lambda ledger, n=number: ledger.save(tag(f"more{n}", "x" * 50_000)))  # type: ignore[misc]


def _ballast_on_any_disk(place: Path) -> None:
    ballast = Ballast(place, 4096)
    assert ballast.restore()
    assert ballast.held
    assert ballast.give_up()
    assert not ballast.held
    assert not ballast.give_up()


def test_several_changes_of_one_batch_survive_the_full_disk_together(small_disk: Path) -> None:
    """The statements are sent once more, the changes are not run again, and one that raised stays undone."""
    with open_store("", data_dir=small_disk, ballast_bytes=1024 * 1024, probe_s=3600) as store:
        _crowd(small_disk, 60_000)
        ran: list[int] = []

        def change(number: int) -> Callable[[Any], int]:
            def run(ledger: Any) -> int:
                ran.append(number)
                found = int(ledger.next_number("n"))
                ledger.add(tag(f"t{number}", "x" * 9_000))
                ledger.audit(Entry(actor="a", action="x", subject=str(number)), NOW)
                if number % 5 == 4:
                    raise LookupError(number)
                return found

            return run

        async def all_at_once() -> list[Any]:
            return await asyncio.gather(*(store.write(change(n)) for n in range(30)), return_exceptions=True)

        with structlog.testing.capture_logs():
            results = asyncio.run(all_at_once())
        assert ran == list(range(30))
        assert [result for result in results if isinstance(result, int)] == list(range(1, 25))
        assert sum(isinstance(result, LookupError) for result in results) == 6
        assert store.read_now(lambda ledger: ledger.count(SeenTag)) == 24
        assert verify(store, [], []).ok
        if small_disk.is_mount():
            assert "ballast" in str(store.trouble)


def test_a_database_that_another_program_holds_is_locked_and_then_free_again(sqlite_url: str, tmp_path: Path) -> None:
    with open_store(sqlite_url, data_dir=tmp_path / "data", ballast_bytes=0, probe_s=0.05) as store:
        store._database.busy_timeout_s = 0.1  # type: ignore[attr-defined]
        assert store._writer is not None
        store._writer._drop()
        with contextlib.closing(sqlite3.connect(tmp_path / "data" / "forge.db", isolation_level=None)) as other:
            for statements in (
                ("BEGIN IMMEDIATE",),
                ("BEGIN", "SELECT count(*) FROM meta"),
            ):  # at our BEGIN, at our COMMIT
                for statement in statements:
                    other.execute(statement).fetchall()
                with pytest.raises(StoreUnavailable) as caught, structlog.testing.capture_logs():
                    store.write_now(lambda ledger: ledger.add(tag("a")))
                assert caught.value.code == "store.locked"
                assert not store.healthy
                other.execute("ROLLBACK")
                until(lambda: store.healthy)
        assert store.read_now(lambda ledger: ledger.count(SeenTag)) == 0
        store.write_now(lambda ledger: ledger.add(tag("a")))


def test_a_damaged_file_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "forge.db").write_bytes(b"this is no database" * 500)
    with pytest.raises(StoreUnavailable) as caught:
        open_store("", data_dir=tmp_path)
    assert caught.value.code == "store.corrupt"


def test_file_and_folder_are_for_their_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with open_store("", data_dir=tmp_path / "deep" / "data", ballast_bytes=4096) as store:
            store.write_now(lambda ledger: ledger.add(tag("a")))
            modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "deep" / "data").iterdir()}
            assert set(modes.values()) == {0o600}, modes
            assert (tmp_path / "deep" / "data").stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(old)


def test_sqlite_syncs_as_the_audit_log_wants_it(sqlite_url: str, tmp_path: Path) -> None:
    with open_store(sqlite_url, data_dir=tmp_path / "data", ballast_bytes=0) as store:
        assert store._writer is not None
        connection = store._writer._connection
        assert isinstance(connection, Connection)
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 3
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "truncate"


def end_sessions(server: LocalPostgres, name: str, doing: str = "") -> int:
    """Ends the sessions of one database, as an administrator would."""
    import psycopg

    with psycopg.connect(server.url(), autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE datname = %s AND query LIKE %s",
            (name, f"%{doing}%"),
        ).fetchall()
    return len(rows)


def name_of(url: str) -> str:
    return url.rsplit("/", 1)[-1].split("?")[0] if "host=" not in url else url.split("@/")[1].split("?")[0]


def test_an_idle_connection_that_died_is_replaced_unnoticed(
    postgres: LocalPostgres, postgres_url: str, tmp_path: Path
) -> None:
    with open_store(postgres_url, data_dir=tmp_path) as store:
        store.write_now(lambda ledger: ledger.add(tag("a")))
        assert store.read_now(lambda ledger: ledger.count(SeenTag)) == 1
        assert end_sessions(postgres, name_of(postgres_url)) == 2
        store.write_now(lambda ledger: ledger.add(tag("b")))
        assert store.read_now(lambda ledger: ledger.count(SeenTag)) == 2
        assert store.healthy


def test_a_connection_lost_in_mid_batch_fails_the_whole_batch(
    postgres: LocalPostgres, postgres_url: str, tmp_path: Path
) -> None:
    with open_store(postgres_url, data_dir=tmp_path, probe_s=0.05) as store:

        def change(ledger: Any) -> None:
            ledger.add(tag("a"))
            end_sessions(postgres, name_of(postgres_url))
            ledger.add(tag("b"))

        with pytest.raises(StoreUnavailable) as caught, structlog.testing.capture_logs():
            store.write_now(change)
        assert caught.value.code == "store.connection"
        until(lambda: store.healthy)
        assert store.read_now(lambda ledger: ledger.count(SeenTag)) == 0


@pytest.mark.parametrize("kept", [True, False])
def test_a_commit_whose_answer_was_lost_is_looked_up(
    postgres: LocalPostgres, postgres_url: str, tmp_path: Path, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session ends after COMMIT was done, or before it was seen; the batch's mark tells which."""
    with open_store(postgres_url, data_dir=tmp_path, probe_s=0.05) as store:
        _cut_at_commit(monkeypatch, store, lambda: end_sessions(postgres, name_of(postgres_url)), kept)
        if kept:
            assert store.write_now(lambda ledger: ledger.add(tag("a"))) == tag("a")
        else:
            with pytest.raises(StoreUnavailable) as caught, structlog.testing.capture_logs():
                store.write_now(lambda ledger: ledger.add(tag("a")))
            assert caught.value.code == "store.connection"
        until(lambda: store.healthy)
        assert store.read_now(lambda ledger: ledger.count(SeenTag)) == int(kept)


def _cut_at_commit(monkeypatch: pytest.MonkeyPatch, store: SqlStore, cut: Callable[[], object], after: bool) -> None:
    """The next COMMIT loses its connection, after or before the server has done it."""
    assert store._writer is not None
    connection = store._writer._connection
    assert connection is not None
    real = connection.exec_driver_sql

    def sent(statement: str, *arguments: Any) -> Any:
        if statement != "COMMIT":
            return real(statement, *arguments)
        if after:
            real("COMMIT")
        cut()
        return real("SELECT 1")

    monkeypatch.setattr(connection, "exec_driver_sql", sent)


def test_a_commit_that_nobody_can_tell_of_is_doubtful(tmp_path: Path) -> None:
    with (
        LocalPostgres() as server,
        open_store(server.create_database("x"), data_dir=tmp_path, probe_s=0.05, doubt_s=0.2) as store,
    ):
        with pytest.MonkeyPatch.context() as patch, structlog.testing.capture_logs():
            _cut_at_commit(patch, store, server.kill, after=True)
            with pytest.raises(StoreUnavailable) as caught:
                store.write_now(lambda ledger: ledger.add(tag("a")))
        assert caught.value.code == "store.doubtful"
        assert not store.healthy
        with pytest.raises(StoreUnavailable, match="connection to PostgreSQL is lost"):
            store.read_now(lambda ledger: ledger.count(SeenTag))
        server.restart()
        until(lambda: store.healthy)
        store.write_now(lambda ledger: ledger.add(tag("b")))


def test_a_writer_that_lost_its_place_to_another_forge_stops_writing(
    postgres: LocalPostgres, postgres_url: str, tmp_path: Path
) -> None:
    with open_store(postgres_url, data_dir=tmp_path, probe_s=3600) as first:
        end_sessions(postgres, name_of(postgres_url))
        with open_store(postgres_url, data_dir=tmp_path):
            with pytest.raises(StoreUnavailable) as caught, structlog.testing.capture_logs():
                first.write_now(lambda ledger: ledger.add(tag("a")))
            assert caught.value.code == "store.in_use"
        first.write_now(lambda ledger: ledger.add(tag("b")))

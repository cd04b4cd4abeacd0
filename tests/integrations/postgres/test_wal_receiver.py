"""WAL is received without a gap: over switches, idle times, kills, restarts, a lost repository and a lost slot."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from integrations.postgres import PostgresConnection
from integrations.postgres.wal import switch_segment
from integrations.postgres.wal_receiver import WalReceiver
from runbook.backups import WalSegment
from runbook.errors import StoreUnavailable
from runbook.rules.retention import stray_wal
from runbook.rules.wal import is_segment, segment_number
from runbook.values import Environment
from sandbox.postgres import LocalPostgres
from tests.integrations.postgres.physical import Site, asks, server_now
from tests.integrations.postgres.servers import finder, until

KEEP = ("max_slot_wal_keep_size=1GB",)
SWITCH_S = 0.4
SIZE = 1024 * 1024


@pytest.fixture(scope="module")
def server() -> Iterator[LocalPostgres]:
    # Nothing is written but what the tests write.
    with LocalPostgres(major=16, settings=(*KEEP, "autovacuum=off"), segment_mib=1) as running:
        running.create_database("shop")
        asks(running, "CREATE TABLE orders (n serial)")
        yield running


@dataclass
class Receiving:
    """A receiver that can be ended and begun again, with what it put on record. failures: raised by the next calls."""

    site: Site
    slot: str
    settings: dict[str, Any] = field(default_factory=dict)
    connection: PostgresConnection | None = None
    calls: list[WalSegment] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.receiver = self._new()

    def _new(self) -> WalReceiver:
        return WalReceiver(
            self.connection or self.site.connection, finder(), self.site.repository, self.site.folder / "scratch",
            service="shop", environment="prod", slot=self.slot, archived=self._archived,
            **{"switch_s": SWITCH_S, "looked_s": 0.1, **self.settings},
        )  # fmt: skip

    async def _archived(self, segment: WalSegment) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.calls.append(segment)
        self.site.archived(segment)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[WalReceiver]:
        self.receiver = self._new()
        task = asyncio.create_task(self.receiver.run())
        try:
            yield self.receiver
        finally:
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled(), task.exception()

    @property
    def names(self) -> list[str]:
        return sorted(segment.name for segment in self.site.segments if is_segment(segment.name))

    @property
    def folder(self) -> Path:
        return next((self.site.folder / "scratch" / "wal").iterdir())

    @property
    def pid(self) -> int:
        return int((self.folder / "receiver.pid").read_text())

    def unbroken(self) -> bool:
        numbers = [segment_number(name, SIZE) for name in self.names]
        return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


@pytest.fixture
def site(server: LocalPostgres, scratch: Path) -> Site:
    return Site(server, scratch)


@pytest.fixture
def receiving(site: Site, server: LocalPostgres) -> Iterator[Receiving]:
    slot = f"forge_{site.folder.name[-8:]}"
    yield Receiving(site, slot)
    asks(
        server,
        f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{slot}' AND NOT active",
    )


async def written(receiving: Receiving, rows: int = 1) -> None:
    """Something is written, and everything up to then is archived."""
    for _ in range(rows):
        asks(receiving.site.server, "INSERT INTO orders DEFAULT VALUES")
    at = server_now(receiving.site.server)
    try:
        await until(lambda: any(s.ended_at >= at for s in receiving.site.segments), f"archived up to {at}")
    except AssertionError as late:
        raise AssertionError(f"{late}; the receiver says {receiving.receiver.state()}") from None


async def test_segments_are_archived_soon_after_something_was_written(receiving: Receiving) -> None:
    async with receiving.running() as receiver:
        for _ in range(3):
            await written(receiving)
        state = receiver.state()
    assert receiving.unbroken()
    assert len(receiving.names) >= 3
    assert (state.receiving, state.problem, state.lost, state.may_switch) == (True, "", False, True)
    assert state.last_segment == receiving.names[-1]
    assert state.lag_bytes is not None
    assert all(s.file.plain.bytes == SIZE for s in receiving.site.segments)


async def test_what_is_archived_can_be_fetched_and_is_encrypted(receiving: Receiving, tmp_path: Path) -> None:
    async with receiving.running():
        await written(receiving)
    segment = receiving.site.segments[-1]
    place = f"shop/prod/wal/{segment.system_identifier}"
    await receiving.site.repository.fetch(place, segment.file, tmp_path / segment.name)
    assert (tmp_path / segment.name).stat().st_size == SIZE
    assert receiving.site.stored_file(segment.file.key).read_bytes().startswith(b"age-encryption.org/v1")


async def test_an_idle_server_writes_no_segments_and_its_moment_goes_on(receiving: Receiving) -> None:
    async with receiving.running():
        await written(receiving)
        before = server_now(receiving.site.server)
        await until(lambda: receiving.site.segments[-1].ended_at > before, "the moment of the idle server goes on")
        names = receiving.names
        later = server_now(receiving.site.server)
        await until(lambda: receiving.site.segments[-1].ended_at > later, "and on")
        assert receiving.names == names


async def test_what_is_committed_between_a_look_and_its_switch_is_archived_too(
    receiving: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch after that ends nothing: the server stands at the beginning of a segment, and its moment goes on all the same."""
    server, moments = receiving.site.server, list[datetime]()

    async def late(connection: PostgresConnection) -> bool:
        if not moments:
            asks(server, "INSERT INTO orders DEFAULT VALUES")
            moments.append(server_now(server))
        return await switch_segment(connection)

    async with receiving.running() as receiver:
        await written(receiving)
        monkeypatch.setattr("integrations.postgres.wal_receiver.switch_segment", late)
        asks(server, "INSERT INTO orders DEFAULT VALUES")
        await until(lambda: bool(moments), "a segment is ended")
        await until(
            lambda: any(s.ended_at >= moments[0] for s in receiving.site.segments), f"archived: {receiver.state()}"
        )
    assert receiving.unbroken()


async def test_a_checkpoint_alone_begins_no_segment(receiving: Receiving) -> None:
    """It writes WAL, but nothing that anybody would miss."""
    async with receiving.running():
        await written(receiving)
        names = receiving.names
        asks(receiving.site.server, "CHECKPOINT")
        at = server_now(receiving.site.server)
        await until(lambda: receiving.site.segments[-1].ended_at > at, "the moment goes on")
        assert receiving.names == names


async def test_what_is_archived_is_removed_here_but_for_the_newest(receiving: Receiving) -> None:
    async with receiving.running():
        for _ in range(3):
            await written(receiving)
        await until(
            lambda: len([p for p in receiving.folder.iterdir() if is_segment(p.name)]) <= 1, "old segments are removed"
        )


async def test_a_receiver_that_is_killed_is_started_again_without_a_gap(receiving: Receiving) -> None:
    async with receiving.running() as receiver:
        await written(receiving)
        for _ in range(2):
            killed = receiving.pid
            os.kill(killed, signal.SIGKILL)
            await until(lambda killed=killed: receiver.state().receiving and receiving.pid != killed, "it runs again")  # type: ignore[misc]
            await written(receiving)
        assert receiver.state().restarts == 2
    assert receiving.unbroken()


async def test_after_a_restart_nothing_is_lost_and_nothing_archived_twice(receiving: Receiving) -> None:
    async with receiving.running():
        await written(receiving)
    for _ in range(5):
        asks(receiving.site.server, "INSERT INTO orders DEFAULT VALUES; SELECT pg_switch_wal()")
    async with receiving.running():
        await written(receiving)
    assert receiving.unbroken()
    first = [segment.file.key for segment in receiving.calls]
    assert len({key.rsplit("-", 1)[0] for key in first}) == len(set(first))


async def test_segments_that_come_late_promise_no_later_moment_than_they_have(receiving: Receiving) -> None:
    """Received now, but written while forge was away: what was committed since is not in them."""
    async with receiving.running():
        await written(receiving)
    asks(receiving.site.server, "INSERT INTO orders DEFAULT VALUES; SELECT pg_switch_wal()")
    before = server_now(receiving.site.server)
    known = set(receiving.names)
    async with receiving.running():
        await until(lambda: bool(set(receiving.names) - known), "the late segment is archived")
        late = next(s for s in receiving.calls if s.name not in known)
    assert late.ended_at < before


async def test_the_program_of_a_forge_that_died_is_ended_before_another_begins(receiving: Receiving) -> None:
    async with receiving.running():
        await written(receiving)
        words = Path(f"/proc/{receiving.pid}/cmdline").read_bytes().decode().split("\0")[:-1]
        environ = dict(
            pair.split("=", 1) for pair in Path(f"/proc/{receiving.pid}/environ").read_text().split("\0") if "=" in pair
        )
        kept = Path(environ["PGSERVICEFILE"]).read_text()
        passwords = Path(environ["PGPASSFILE"]).read_text()
        home = receiving.site.folder / "orphan"
    home.mkdir()
    for name, text in (("PGSERVICEFILE", kept), ("PGPASSFILE", passwords)):
        environ[name] = str(home / name)
        (home / name).write_text(text)
        (home / name).chmod(0o600)
    taken = f"SELECT active FROM pg_replication_slots WHERE slot_name = '{receiving.slot}'"
    await until(lambda: asks(receiving.site.server, taken) == [(False,)], "nobody reads from the slot")
    orphan = await asyncio.create_subprocess_exec(*words, env=environ, stderr=asyncio.subprocess.DEVNULL)
    await until(lambda: asks(receiving.site.server, taken) == [(True,)], "the orphan does")
    (receiving.folder / "receiver.pid").write_text(str(orphan.pid))
    async with receiving.running() as receiver:
        await orphan.wait()
        assert orphan.returncode == -signal.SIGKILL
        await until(lambda: receiver.state().receiving, "it runs")
        await written(receiving)


async def test_a_stranger_with_the_number_of_the_old_program_is_left_alone(receiving: Receiving) -> None:
    async with receiving.running():
        await written(receiving)
    stranger = await asyncio.create_subprocess_exec("sleep", "60")
    (receiving.folder / "receiver.pid").write_text(str(stranger.pid))
    async with receiving.running():
        await written(receiving)
    assert stranger.returncode is None
    stranger.kill()
    await stranger.wait()


async def test_no_program_is_left_when_it_is_cancelled(receiving: Receiving) -> None:
    async with receiving.running() as receiver:
        await until(lambda: receiver.state().receiving, "it runs")
        pid = receiving.pid
    assert not Path(f"/proc/{pid}").exists()


async def test_while_the_record_cant_be_written_segments_stay_here(receiving: Receiving) -> None:
    async with receiving.running() as receiver:
        await written(receiving)
        receiving.failures = [StoreUnavailable("full", "the disk is full")]
        asks(receiving.site.server, "INSERT INTO orders DEFAULT VALUES")
        await until(lambda: "the disk is full" in receiver.state().problem, "it is told")
        await written(receiving)
        await until(lambda: receiver.state().problem == "", "it is over")
    assert receiving.unbroken()


async def test_a_segment_that_is_stored_and_not_on_record_yet_is_stored_once(receiving: Receiving) -> None:
    """Not once more with each try to put it on record."""
    async with receiving.running() as receiver:
        await written(receiving)
        receiving.failures = [StoreUnavailable("full", "the disk is full") for _ in range(2)]
        asks(receiving.site.server, "INSERT INTO orders DEFAULT VALUES")
        await written(receiving)
        await until(lambda: not receiving.failures and receiver.state().problem == "", "it is over")
        await until(lambda: receiver.state().waiting == 0, "all is on record")
    stored = await receiving.site.repository.wal_files("shop", Environment.PROD)
    assert sorted(file.key for file in stored) == sorted(segment.file.key for segment in receiving.site.segments)


async def test_a_crash_between_storing_and_recording_leaves_a_double_that_the_retention_finds(
    receiving: Receiving,
) -> None:
    async with receiving.running() as receiver:
        await written(receiving)
        receiving.failures = [StoreUnavailable("down", "the database is gone") for _ in range(1000)]
        asks(receiving.site.server, "INSERT INTO orders DEFAULT VALUES")
        await until(lambda: "the database is gone" in receiver.state().problem, "stored, and on no record")
    receiving.failures = []
    async with receiving.running() as receiver:
        await written(receiving)
        await until(lambda: receiver.state().waiting == 0, "all is on record")
    stored = await receiving.site.repository.wal_files("shop", Environment.PROD)
    later = datetime.now(UTC) + timedelta(days=2)
    strays = stray_wal(stored, receiving.site.segments, later, 35 * 86_400.0)
    assert len(strays) == 1
    assert stray_wal(stored, receiving.site.segments, datetime.now(UTC), 35 * 86_400.0) == ()
    await receiving.site.repository.remove_wal_files("shop", Environment.PROD, strays)
    left = await receiving.site.repository.wal_files("shop", Environment.PROD)
    assert sorted(file.key for file in left) == sorted(segment.file.key for segment in receiving.site.segments)


async def test_with_too_much_that_isnt_stored_no_more_is_received(receiving: Receiving) -> None:
    receiving.settings = {"most_waiting": 2}
    async with receiving.running() as receiver:
        await written(receiving)
        receiving.failures = [StoreUnavailable("full", "the disk is full")] * 3
        for _ in range(5):
            asks(receiving.site.server, "INSERT INTO orders DEFAULT VALUES; SELECT pg_switch_wal()")
        await until(lambda: "2 received segments are not stored yet" in receiver.state().problem, "it is told")
        assert not receiver.state().receiving
        await written(receiving)
        await until(lambda: receiver.state().problem == "", "it is over", 60)
    assert receiving.unbroken()


async def test_a_server_that_was_away_is_received_from_again(receiving: Receiving, site: Site) -> None:
    with LocalPostgres(major=16, settings=KEEP, segment_mib=1) as own:
        own.create_database("shop")
        asks(own, "CREATE TABLE orders (n serial)")
        own_site = Site(own, site.folder)
        over = Receiving(own_site, "forge_shop")
        async with over.running() as receiver:
            await written(over)
            own.kill(signal.SIGINT)
            await until(lambda: not receiver.state().receiving and receiver.state().problem != "", "it is told")
            assert own.password not in receiver.state().problem
            own.restart()
            await written(over)
            await until(lambda: receiver.state().problem == "", "it is over")
        assert over.unbroken()


async def test_a_server_whose_slots_keep_without_limit_is_refused(scratch: Path) -> None:
    with LocalPostgres(major=15) as unlimited:
        unlimited.create_database("shop")
        receiving = Receiving(Site(unlimited, scratch), "forge_shop")
        async with receiving.running() as receiver:
            await until(lambda: receiver.state().problem != "", "it is told")
            assert "max_slot_wal_keep_size is unlimited" in receiver.state().problem
            assert "Set max_slot_wal_keep_size" in receiver.state().problem
        assert asks(unlimited, "SELECT count(*) FROM pg_replication_slots") == [(0,)]


async def test_a_user_who_may_not_replicate_is_told_what_to_grant(receiving: Receiving) -> None:
    asks(
        receiving.site.server,
        "DO $$ BEGIN CREATE ROLE plain LOGIN PASSWORD 'x'; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    )
    receiving.connection = PostgresConnection(str(receiving.site.server.run), "shop", "plain", "x", sslmode="disable")
    async with receiving.running() as receiver:
        await until(lambda: receiver.state().problem != "", "it is told")
        assert "ALTER ROLE plain REPLICATION" in receiver.state().problem


async def test_a_user_who_may_not_switch_still_archives_full_segments(receiving: Receiving) -> None:
    asks(
        receiving.site.server,
        "DO $$ BEGIN CREATE ROLE copier LOGIN REPLICATION PASSWORD 'x'; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    )
    receiving.connection = PostgresConnection(str(receiving.site.server.run), "shop", "copier", "x", sslmode="disable")
    async with receiving.running() as receiver:
        await until(lambda: not receiver.state().may_switch, "it is told")
        asks(receiving.site.server, "INSERT INTO orders DEFAULT VALUES; SELECT pg_switch_wal()")
        await until(lambda: bool(receiving.names), "what the server finished is archived")


async def test_a_lost_slot_is_told_and_what_comes_after_is_archived_again(scratch: Path) -> None:
    with LocalPostgres(
        major=16, settings=("max_slot_wal_keep_size=16MB", "max_wal_size=32MB", "min_wal_size=32MB")
    ) as small:
        small.create_database("shop")
        asks(small, "CREATE TABLE orders (n serial)")
        receiving = Receiving(Site(small, scratch), "forge_shop")
        async with receiving.running():
            await written(receiving)
        last = segment_number(receiving.names[-1], SIZE)
        for _ in range(6):
            asks(small, "INSERT INTO orders DEFAULT VALUES; SELECT pg_switch_wal()")
        asks(small, "CHECKPOINT")
        assert asks(small, "SELECT wal_status FROM pg_replication_slots") == [("lost",)]
        async with receiving.running() as receiver:
            await until(lambda: receiver.state().lost, "it is told")
            await written(receiving)
        assert not receiving.unbroken()
        assert segment_number(receiving.names[-1], SIZE) > last + 1


async def test_a_password_is_nowhere_to_be_seen(receiving: Receiving) -> None:
    async with receiving.running() as receiver:
        await until(lambda: receiver.state().receiving, "it runs")
        process = Path(f"/proc/{receiving.pid}")
        seen = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        assert receiving.site.server.password.encode() not in seen

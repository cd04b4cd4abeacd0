"""Receives a server's WAL without a pause: `pg_receivewal` with a replication slot; finished segments go encrypted into the repository.

A segment is removed here only after it is stored and on record. Whatever fails is tried again; the slot keeps the WAL meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog

from integrations.backups import Repository, wal_place
from integrations.postgres.connection import SYSTEM, PostgresConnection, connection_files, made_private
from integrations.postgres.look import look, needs_a_person
from integrations.postgres.programs import Program, ProgramFinder
from integrations.postgres.server_programs import run_tool
from integrations.postgres.wal import LOST, Position, check_archivable, drop_slot, ensure_slot, position, switch_segment
from integrations.postgres.wal_marks import Marks, marks_text, read_marks, write_marks
from runbook.backups import WalSegment
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.rules.wal import history_timeline, is_segment, segment_number

log = structlog.get_logger("forge.postgres")

Archived = Callable[[WalSegment], Awaitable[None]]
"""Puts a segment on record; is called again with the same one, and with a later moment of the newest one while nothing is written."""

_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 60.0
_LOOK_S: Final = 0.5
_HEADER: Final = 40
"""Bytes. Right behind a switch the server's position is not the new segment's beginning but behind its header, where the first record goes.

Source: XLogLongPageHeaderData, https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/access/xlog_internal.h
"""
_PIECE: Final = 1024 * 1024
_REMOVED: Final = "has already been removed"
_PID_FILE: Final = "receiver.pid"
_MARKS: Final = "marks.json"


@dataclass(frozen=True, slots=True)
class WalState:
    """For metrics and doctor. receiving: the program runs. waiting: finished segments that are not stored yet. until: up to which moment
    everything is archived. lag_bytes: what the server has and forge hasn't stored; None: unknown. lost: segments were lost since the start of
    forge, and a new base backup is needed. may_switch: False where forge's user may not begin new segments. problem: empty: there is none.
    """

    slot: str
    receiving: bool
    waiting: int
    restarts: int
    last_segment: str
    until: datetime | None
    lag_bytes: int | None
    lost: bool
    may_switch: bool
    problem: str


class WalReceiver:
    """One server's. scratch: a folder for what is on its way, which must outlive a restart. switch_s: at most so many seconds pass between two
    segments while something is written. looked_s: how often the server is asked how far it is. most_waiting: with more segments here that are
    not stored no more are received.
    """

    def __init__(
        self,
        connection: PostgresConnection,
        programs: ProgramFinder,
        repository: Repository,
        scratch: Path,
        *,
        service: str,
        environment: str,
        slot: str,
        archived: Archived,
        switch_s: float = 300.0,
        looked_s: float = 10.0,
        most_waiting: int = 256,
    ) -> None:
        self._connection = connection
        self._programs = programs
        self._repository = repository
        self._scratch = scratch
        self._service = service
        self._environment = environment
        self._slot = slot
        self._archived = archived
        self._switch_s = switch_s
        self._looked_s = min(looked_s, switch_s)
        self._most_waiting = most_waiting
        self._folder: Path | None = None
        self._marks = Marks()
        self._unrecorded: dict[str, WalSegment] = {}
        self._problems: dict[str, str] = {}
        self._receiving = False
        self._restarts = 0
        self._waiting = 0
        self._lag: int | None = None
        self._lost = False
        self._broken = False  # the program said that the WAL it needs is gone
        self._may_switch = True
        self._switched = 0.0
        self._switched_at: Position | None = None
        self._seen: Position | None = None
        self._archiving = asyncio.Lock()
        self._saving = asyncio.Lock()

    async def run(self) -> None:
        """Until it is cancelled. Raises nothing of the outside world: that is in `state().problem`."""
        parts = (
            self._again("receiving", self._receive, _FIRST_WAIT_S),
            self._again("archiving", self._archive, _LOOK_S),
            self._again("watching", self._watch, self._looked_s),
        )
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)

    def state(self) -> WalState:
        last = self._marks.last
        return WalState(
            slot=self._slot, receiving=self._receiving, waiting=self._waiting, restarts=self._restarts,
            last_segment=last.name if last else "", until=last.ended_at if last else None, lag_bytes=self._lag, lost=self._lost,
            may_switch=self._may_switch, problem="; ".join(self._problems.values()),
        )  # fmt: skip

    async def _again(self, part: str, attempt: Callable[[], Awaitable[None]], pause_s: float) -> None:
        """Over and over: after `pause_s`, and after failures ever later."""
        wait_s = pause_s
        while True:
            try:
                await attempt()
                self._problems.pop(part, None)
                wait_s = pause_s
            except (ForgeError, OSError) as error:
                if self._problems.get(part) != str(error):
                    where = {"service": self._service, "environment": self._environment}
                    log.warning("wal.trouble", **where, part=part, error=str(error))
                self._problems[part] = str(error)
                wait_s = min(_LONGEST_WAIT_S, max(_FIRST_WAIT_S, wait_s * 2))
            await asyncio.sleep(wait_s)

    # --- receiving --------------------------------------------------------------------------------------------------

    async def _receive(self) -> None:
        """Returns when the program ended: the connection was closed, say."""
        facts = await look(self._connection)
        check_archivable(facts, self._slot)
        program = await self._programs.at_least("pg_receivewal", facts.major, tls=self._connection.encrypted)
        await self._open(facts.system_identifier)
        if await ensure_slot(self._connection, self._slot) == LOST or self._broken:
            await self._begin_anew()
        began = time.monotonic()
        try:
            await self._run_program(program)
        finally:
            self._receiving = False
            self._restarts += 1
        if time.monotonic() - began < _FIRST_WAIT_S:
            raise Temporary(SYSTEM, "receiver", "pg_receivewal ended at once")

    async def _open(self, system_identifier: str) -> None:
        """The folder of this very server: another one's segments have the same names."""
        parent = await asyncio.to_thread(made_private, self._scratch)
        folder = parent / "wal" / f"{self._service}-{self._environment}-{system_identifier}"
        if folder != self._folder:
            await asyncio.to_thread(made_private, folder)
            self._marks = await asyncio.to_thread(read_marks, folder / _MARKS)
            self._switched_at = self._seen = None
            self._unrecorded.clear()
            self._folder = folder
        await asyncio.to_thread(_end_orphan, folder)

    async def _run_program(self, program: Program) -> None:
        assert self._folder is not None  # noqa: S101 - it was opened
        folder = self._folder

        def started(pid: int) -> None:
            (folder / _PID_FILE).write_text(str(pid))
            self._receiving = True
            self._problems.pop("receiving", None)

        with connection_files(self._connection, self._scratch) as files:
            arguments = (
                str(program.path), f"--directory={folder}", f"--slot={self._slot}", f"--dbname={files.target}", "--no-loop", "--no-password",
                "--status-interval=5",
            )  # fmt: skip
            receiving = run_tool(arguments, timeout_s=float("inf"), environment=files.environment(), started=started)
            try:
                await self._unless_crowded(receiving, folder)
            except Permanent as error:
                if error.code != f"{SYSTEM}.failed":
                    raise
                self._broken = _REMOVED in error.cause
                raise needs_a_person(error.cause, self._connection) or Temporary(
                    SYSTEM, "receiver", error.cause
                ) from None

    async def _unless_crowded(self, receiving: Coroutine[None, None, None], folder: Path) -> None:
        """Raises Temporary("postgres.backlog"): the slot is bounded, and what else needs the disk should find room there."""

        async def crowded() -> None:
            while len(await asyncio.to_thread(_names, folder)) - len(self._marks.done) <= self._most_waiting:  # noqa: ASYNC110 - files
                await asyncio.sleep(_LOOK_S)

        tasks = [asyncio.create_task(receiving), asyncio.create_task(crowded())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = [task for task in tasks if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        if tasks[0] in ended:
            return tasks[0].result()
        cause = f"{self._most_waiting} received segments are not stored yet: no more are received until they are"
        raise Temporary(SYSTEM, "backlog", cause, "Look why the destination of backups doesn't take them")

    async def _begin_anew(self) -> None:
        """The server threw away what was not received yet. What comes now can be archived, for the base backup that follows."""
        assert self._folder is not None  # noqa: S101 - it was opened
        log.error("wal.lost", service=self._service, environment=self._environment, slot=self._slot)
        await self._archive()
        await drop_slot(self._connection, self._slot)
        for name in await asyncio.to_thread(_names, self._folder):
            (self._folder / name).unlink(missing_ok=True)
        self._marks.done.clear()
        await ensure_slot(self._connection, self._slot)
        self._lost, self._broken = True, False

    # --- archiving --------------------------------------------------------------------------------------------------

    async def _archive(self) -> None:
        async with self._archiving:
            await self._archive_all()

    async def _archive_all(self) -> None:
        """Whatever is finished, in order. The newest file stays: it tells the program where it was."""
        folder, marks = self._folder, self._marks
        if folder is None:
            return
        names = await asyncio.to_thread(_names, folder)
        finished = [name for name in names if is_segment(name) or history_timeline(name)]
        due = [name for name in finished if name not in marks.done]
        self._waiting = len(due)
        for name in due:
            await self._archive_one(folder, name)
            self._waiting -= 1
        segments = [name for name in names if is_segment(name.removesuffix(".partial"))]
        for name in segments[:-1]:
            if name in marks.done:
                (folder / name).unlink(missing_ok=True)
                marks.done.discard(name)

    async def _archive_one(self, folder: Path, name: str) -> None:
        """What is stored and couldn't be put on record is not stored once more: the double would be on no record."""
        segment = self._unrecorded.get(name) or await self._store(folder, name)
        self._unrecorded[name] = segment
        await self._archived(segment)
        del self._unrecorded[name]
        self._marks.done.add(name)
        if is_segment(name):
            self._marks.last = segment
            self._marks.forget(_end(segment))
        await self._save(folder)

    async def _store(self, folder: Path, name: str) -> WalSegment:
        path = folder / name
        size = path.stat().st_size
        place = wal_place(self._service, self._environment, _system(folder))
        stored = await self._repository.store(place, name, _content(path), expected_bytes=size, compressed=True)
        timeline = history_timeline(name) or int(name[:8], 16)
        end = (segment_number(name, size) + 1) * size if is_segment(name) else 0
        moment = self._marks.moment(end) if end else self._marks.newest
        return WalSegment(self._service, self._environment, _system(folder), timeline, name, stored, moment)

    async def _save(self, folder: Path) -> None:
        async with self._saving:
            await asyncio.to_thread(write_marks, folder / _MARKS, marks_text(self._marks))

    # --- watching ---------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """How far the server is; a new segment where it is time for one; and that nothing was written, where nothing was."""
        folder = self._folder
        if folder is None:
            return
        now = await position(self._connection, self._slot)
        self._marks.add(now.at, now.lsn)
        self._lag = None if now.kept is None else max(0, now.lsn - now.kept)
        await self._save(folder)
        idle = self._switched_at is not None and self._switched_at.snapshot == now.snapshot
        if idle:
            await self._note_idle()
        elif time.monotonic() - self._switched >= self._switch_s or self._switched == 0.0:
            await self._switch(now)
        self._seen = now

    async def _switch(self, now: Position) -> None:
        if not self._receiving or not self._may_switch:
            return
        self._may_switch = await switch_segment(self._connection)
        if not self._may_switch:
            remedy = "GRANT EXECUTE ON FUNCTION pg_switch_wal() TO its role: until then only full segments are archived"
            log.warning("wal.switch_denied", service=self._service, environment=self._environment, remedy=remedy)
            return
        self._switched, self._switched_at = time.monotonic(), now

    async def _note_idle(self) -> None:
        """Nothing was written since the last switch, and that is archived: then all is, up to the look before this one."""
        last, switched, seen = self._marks.last, self._switched_at, self._seen
        if last is None or switched is None or seen is None or seen.snapshot != switched.snapshot or self._waiting:
            return
        if _end(last) + _HEADER < switched.lsn:
            return
        if (seen.at - last.ended_at).total_seconds() >= self._switch_s and (moved := self._marks.moved(seen.at)):
            await self._archived(moved)


def _names(folder: Path) -> list[str]:
    """Segments and history files, finished or not, in order."""
    return sorted(
        path.name
        for path in folder.iterdir()
        if is_segment(path.name.removesuffix(".partial")) or history_timeline(path.name)
    )


def _end(segment: WalSegment) -> int:
    """The position behind a whole segment."""
    size = segment.file.plain.bytes
    return (segment_number(segment.name, size) + 1) * size


def _system(folder: Path) -> str:
    return folder.name.rsplit("-", 1)[1]


async def _content(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while piece := await asyncio.to_thread(file.read, _PIECE):
            yield piece


def _end_orphan(folder: Path) -> None:
    """The program of a forge that died writes into the same folder and holds the slot. Nobody else is ended."""
    path = folder / _PID_FILE
    with contextlib.suppress(OSError, ValueError):
        pid = int(path.read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if Path(os.fsdecode(words[0])).name == "pg_receivewal" and os.fsencode(f"--directory={folder}") in words:
            os.kill(pid, signal.SIGKILL)
            log.warning("wal.orphan_ended", pid=pid)
    path.unlink(missing_ok=True)

"""Client programs that read or write a stream: in pieces, never whole. No child outlives its block, or forge."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from integrations.children import ending_with_us
from integrations.postgres.connection import SYSTEM
from integrations.postgres.server_programs import KEPT_BYTES, end_group, last_words
from runbook.errors import Permanent, Temporary

PIECE_BYTES: Final = 256 * 1024
_WAITING: Final = 8  # pieces before each reader
_PIPE_BYTES: Final = 1024 * 1024


class Stream:
    """A running program. name: for people."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self._process = process
        self.name = name
        self._last = b""
        self._listening = asyncio.create_task(self._listen())

    async def read(self) -> bytes:
        """The next piece of its standard output, a full one but for the last; empty at the end."""
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        try:
            return await self._process.stdout.readexactly(PIECE_BYTES)  # pg_dump writes 4 KiB at a time
        except asyncio.IncompleteReadError as error:
            return error.partial

    async def write(self, piece: bytes) -> bool:
        """False: it reads no more."""
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        try:
            self._process.stdin.write(piece)
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def close_input(self) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._process.stdin.close()

    async def ended(self) -> tuple[int, str]:
        """Its exit code (negative: by a signal) and what it said last, redacted."""
        code = await self._process.wait()
        await asyncio.wait({self._listening})
        return code, last_words(self._last)

    async def kill(self) -> None:
        """Ends and awaits it. Nobody may be reading from it any more."""
        # asyncio doesn't take a process for ended while its output, which nobody reads, waits in a full pipe.
        emptying = asyncio.create_task(self._empty())
        await end_group(self._process)
        tasks = {emptying, self._listening}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _empty(self) -> None:
        if self._process.stdout is not None:
            while await self._process.stdout.read(PIECE_BYTES):
                pass

    async def _listen(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - it is a pipe
        while said := await self._process.stderr.read(PIECE_BYTES):
            self._last = (self._last + said)[-KEPT_BYTES:]


@contextlib.asynccontextmanager
async def streaming(
    arguments: Sequence[str], environment: Mapping[str, str], *, reads: bool = False, writes: bool = False
) -> AsyncIterator[Stream]:
    """Runs a program for as long as the block lasts. environment: all of it. Raises Permanent("postgres.no_program")."""
    name = Path(arguments[0]).name
    try:
        process = await asyncio.create_subprocess_exec(
            *ending_with_us(arguments),
            stdin=asyncio.subprocess.PIPE if reads else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if writes else asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
            limit=_PIPE_BYTES,
        )
    except OSError as error:
        cause = f"{name} can't be run: {error.strerror}"
        raise Permanent(SYSTEM, "no_program", cause, "Install PostgreSQL's client programs whole") from None
    stream = Stream(process, name)
    try:
        if writes:
            _widen(process)
        yield stream
    finally:
        await stream.kill()


class Reader:
    """A program beside the stream, which gets all of it. `put` waits while it is behind, and raises once it failed."""

    def __init__(self, stream: Stream, failed: Callable[[str], Exception]) -> None:
        """failed: what to raise, of the program's last words. A program that reads no more and ends well has seen enough."""
        self._stream = stream
        self._failed = failed
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(_WAITING)
        self._failure: Exception | None = None
        self._feeding = asyncio.create_task(self._feed())

    async def put(self, piece: bytes) -> None:
        if self._failure is not None:
            raise self._failure
        await self._queue.put(piece)

    async def end(self) -> None:
        """No more is coming: it must come to a good end."""
        await self._queue.put(b"")
        await asyncio.shield(self._feeding)
        if self._failure is not None:
            raise self._failure

    async def drop(self) -> None:
        self._feeding.cancel()
        await asyncio.wait({self._feeding})

    async def _feed(self) -> None:
        reading = True
        while piece := await self._queue.get():
            if reading and not await self._stream.write(piece):
                reading = False
                await self._judge()
        self._stream.close_input()
        await self._judge()

    async def _judge(self) -> None:
        code, said = await self._stream.ended()
        if code != 0:
            self._failure = self._failed(said)


@contextlib.asynccontextmanager
async def reading(stream: Stream, failed: Callable[[str], Exception]) -> AsyncIterator[Reader]:
    reader = Reader(stream, failed)
    try:
        yield reader
    finally:
        await reader.drop()


@contextlib.asynccontextmanager
async def moving(what: str, idle_s: float) -> AsyncIterator[None]:
    """Raises Temporary("postgres.stalled") where the block takes longer."""
    try:
        async with asyncio.timeout(idle_s):
            yield
    except TimeoutError:
        raise Temporary(SYSTEM, "stalled", f"{what} made no progress for {idle_s:g} s") from None


def _widen(process: asyncio.subprocess.Process) -> None:
    """A larger pipe: fewer changes between the processes. The system may not know or allow it, or the program ended already."""
    transport = process._transport.get_pipe_transport(1)  # type: ignore[attr-defined]  # asyncio shows it nowhere else
    pipe = transport.get_extra_info("pipe") if transport is not None else None
    if pipe is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError, ValueError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

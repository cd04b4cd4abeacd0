"""age encryption of streams, by pyrage in a thread of its own, in bounded memory. Keys are never quoted."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, Final

import pyrage  # type: ignore[import-untyped]

from integrations.backups.address import SYSTEM
from runbook.backups import Digest
from runbook.errors import Permanent

_PIECE: Final = 512 * 1024
_WAITING: Final = 4  # pieces, on either side of the thread


def parsed_recipients(recipients: Sequence[str]) -> list[Any]:
    """Raises Permanent("backups.recipients") where there are none, or one is no age public key."""
    remedy = "Configure age public keys (age1…), as `age-keygen` prints them"
    if not recipients:
        raise Permanent(SYSTEM, "recipients", "nobody is configured whom backups are encrypted to", remedy)
    try:
        return [pyrage.x25519.Recipient.from_str(text.strip()) for text in recipients]
    except pyrage.RecipientError:
        raise Permanent(SYSTEM, "recipients", "one of the backups' recipients is no age public key", remedy) from None


def read_identities(path: Path | None) -> list[Any]:
    """The secret keys of a file as `age-keygen` writes it. Raises Permanent("backups.key"), which never quotes it."""
    remedy = "Configure integrations.postgres.backups.identity where restores and drills run"
    if path is None:
        raise Permanent(SYSTEM, "key", "no key to decrypt backups with is configured here", remedy)
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        identities = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except OSError as error:
        raise Permanent(SYSTEM, "key", f"the backups' identity can't be read: {error.strerror}", remedy) from None
    except (pyrage.IdentityError, ValueError):
        identities = []
    if not identities:
        raise Permanent(SYSTEM, "key", "the backups' identity is no age secret key", remedy)
    return identities


class Tally:
    """Counts and hashes."""

    def __init__(self) -> None:
        self.bytes = 0
        self._hash = hashlib.sha256()

    def add(self, piece: bytes | memoryview | bytearray) -> None:
        self._hash.update(piece)  # without Python's lock
        self.bytes += len(piece)

    def digest(self) -> Digest:
        return Digest(self.bytes, self._hash.hexdigest())


class Aborted(Exception):
    """Nobody wants the result any more."""


class Sealing:
    """One stream on its way through age. `feed` and `pieces` run at once, each of them to its end, or `abort` is called."""

    def __init__(
        self, recipients: Sequence[str], executor: Executor, pack: Callable[[bytes], bytes] | None = None
    ) -> None:
        """pack: changes each piece before it is encrypted (maybe to nothing yet); an empty piece is the end, and gives the rest."""
        self._recipients = parsed_recipients(recipients)
        self._pack = pack or (lambda piece: piece)
        self._ended = False
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self._incoming: asyncio.Queue[bytes] = asyncio.Queue(_WAITING)
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(_WAITING)
        self._aborted = False
        self._job: Future[None] | None = None
        self._work: asyncio.Future[None] | None = None
        self.plain = Tally()
        self.cipher = Tally()

    async def feed(self, chunks: AsyncIterator[bytes]) -> None:
        """Encrypts everything that comes. Raises what `chunks` does."""
        self._job = self._executor.submit(self._encrypt)
        self._work = asyncio.wrap_future(self._job)
        # A thread that failed takes nothing any more: whoever waits to put is let go, and looks.
        self._work.add_done_callback(lambda _: drained(self._incoming))
        async for chunk in chunks:
            for start in range(0, len(chunk), _PIECE):
                await self._incoming.put(chunk[start : start + _PIECE])
                if self._work.done():
                    self._work.result()
        await self._incoming.put(b"")
        await asyncio.shield(self._work)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The encrypted bytes; it just ends after `abort`."""
        while piece := await self._outgoing.get():
            yield piece

    async def abort(self) -> None:
        """Ends the thread, and `pieces`. A second call does nothing."""
        self._aborted = True
        if self._job is not None and self._work is not None:
            self._job.cancel()  # no thread had taken it up yet, maybe
            # Else the thread waits in one of the queues at most once more; both let it go.
            drained(self._incoming)
            self._incoming.put_nowait(b"")
            drained(self._outgoing)
            await over(self._work)
        drained(self._outgoing)
        self._outgoing.put_nowait(b"")

    # --- in the thread ----------------------------------------------------------------------------------------------

    def _encrypt(self) -> None:
        pyrage.encrypt_io(Reader(self._take), writer := Writer(self._give), self._recipients)
        writer.finish()
        self._wait(self._outgoing.put(b""))

    def _take(self) -> bytes:
        packed = b""
        while not packed and not self._ended:
            piece: bytes = self._wait(self._incoming.get())
            self.plain.add(piece)
            self._ended = not piece
            packed = self._pack(piece)
        return packed

    def _give(self, piece: bytes) -> None:
        self.cipher.add(piece)
        self._wait(self._outgoing.put(piece))

    def _wait(self, waiting: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(waiting, self._loop)
        result = future.result()
        if self._aborted:
            raise Aborted
        return result


class Reader:
    """What pyrage reads from: 8 KiB at a time."""

    def __init__(self, take: Callable[[], bytes]) -> None:
        self._take = take
        self._piece = b""
        self._at = 0
        self._ended = False

    def read(self, size: int) -> bytes:
        if self._at >= len(self._piece) and not self._ended:
            self._piece, self._at = self._take(), 0
            self._ended = not self._piece
        start, self._at = self._at, self._at + size
        return self._piece[start : self._at]


class Writer:
    """What pyrage writes to; passes larger pieces on."""

    def __init__(self, give: Callable[[bytes], None]) -> None:
        self._give = give
        self._buffer = bytearray()

    def write(self, piece: bytes) -> int:
        self._buffer += piece
        if len(self._buffer) >= _PIECE:
            self.finish()
        return len(piece)

    def flush(self) -> None:
        """pyrage asks for it; `finish` is what counts."""

    def finish(self) -> None:
        if self._buffer:
            self._give(bytes(self._buffer))
            self._buffer.clear()


def drained(queue: asyncio.Queue[bytes]) -> None:
    while not queue.empty():
        queue.get_nowait()


async def ended(task: asyncio.Task[Any]) -> None:
    """Cancels a task and waits for it; its own error is no matter any more."""
    task.cancel()
    await over(task)


async def over(future: asyncio.Future[Any]) -> None:
    """Waits for it. Its error is no matter any more; asyncio wants it looked at."""
    await asyncio.wait({future})
    if not future.cancelled():
        future.exception()

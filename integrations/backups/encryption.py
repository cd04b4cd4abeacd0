"""age encryption of streams, by pyrage in a thread of its own, in bounded memory.

What is decrypted goes into a file whole; nobody gets a byte of it before the end was reached without an error.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, Future
from functools import partial
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


class _Aborted(Exception):
    """Nobody wants the result any more."""


class Sealing:
    """One stream on its way through age. `feed` and `pieces` run at once, each of them to its end, or `abort` is called."""

    def __init__(self, recipients: Sequence[str], executor: Executor) -> None:
        self._recipients = parsed_recipients(recipients)
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
        self._work.add_done_callback(lambda _: _empty(self._incoming))
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
            _empty(self._incoming)
            self._incoming.put_nowait(b"")
            _empty(self._outgoing)
            await _over(self._work)
        _empty(self._outgoing)
        self._outgoing.put_nowait(b"")

    # --- in the thread ----------------------------------------------------------------------------------------------

    def _encrypt(self) -> None:
        pyrage.encrypt_io(_Reader(self._take), writer := _Writer(self._give), self._recipients)
        writer.finish()
        self._wait(self._outgoing.put(b""))

    def _take(self) -> bytes:
        piece: bytes = self._wait(self._incoming.get())
        self.plain.add(piece)
        return piece

    def _give(self, piece: bytes) -> None:
        self.cipher.add(piece)
        self._wait(self._outgoing.put(piece))

    def _wait(self, waiting: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(waiting, self._loop)
        result = future.result()
        if self._aborted:
            raise _Aborted
        return result


class _Reader:
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


class _Writer:
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


def _empty(queue: asyncio.Queue[bytes]) -> None:
    while not queue.empty():
        queue.get_nowait()


async def unseal(source: Path, target: Path, identities: Sequence[Any], executor: Executor) -> Digest:
    """Decrypts a file into another, which is made (0600), and returns what came out. After an error the caller removes it.

    Raises Permanent("backups.key") where none of the identities fits, Permanent("backups.tampered") and OSError.
    """
    stop = threading.Event()
    job = executor.submit(partial(_unseal, source, target, identities, stop))
    work = asyncio.wrap_future(job)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        job.cancel()
        await _over(work)
        raise


def _unseal(source: Path, target: Path, identities: Sequence[Any], stop: threading.Event) -> Digest:
    tally = Tally()
    failed: list[OSError] = []
    with (
        source.open("rb") as cipher,
        os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as plain,
    ):

        def give(piece: bytes) -> None:
            if stop.is_set():
                raise _Aborted
            tally.add(piece)
            try:
                plain.write(piece)
            except OSError as error:  # pyrage would make its own of it
                failed.append(error)
                raise

        writer = _Writer(give)
        try:
            pyrage.decrypt_io(cipher, writer, identities)
            writer.finish()
        except (pyrage.DecryptError, OSError) as error:
            if failed:
                raise failed[0] from None
            if "No matching keys" in str(error):
                cause = "the backup was encrypted for other keys than the one that is configured here"
                raise Permanent(SYSTEM, "key", cause, "Configure the identity of one of its recipients") from None
            remedy = "Don't use it; restore another backup, and find out who can write to the repository"
            raise Permanent(SYSTEM, "tampered", "what is stored can't be decrypted: it was changed", remedy) from None
    return tally.digest()


async def ended(task: asyncio.Task[Any]) -> None:
    """Cancels a task and waits for it; its own error is no matter any more."""
    task.cancel()
    await _over(task)


async def _over(future: asyncio.Future[Any]) -> None:
    """Waits for it. Its error is no matter any more; asyncio wants it looked at."""
    await asyncio.wait({future})
    if not future.cancelled():
        future.exception()

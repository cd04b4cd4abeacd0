"""zstd of what PostgreSQL leaves uncompressed: WAL segments are mostly zeros, base backups repeat themselves.

Compressed before it is encrypted, so that `age -d | zstd -d` gives it back. Nothing is decompressed before its stored bytes were found right,
and never more than there should be.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Final

from integrations.backups.address import SYSTEM
from integrations.backups.encryption import Aborted, Tally
from runbook.backups import Digest, StoredFile
from runbook.errors import Permanent

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SUFFIX: Final = ".zst"
_LEVEL: Final = 1  # of 22: higher ones make a base backup slower than the disk, and little smaller
_WINDOW_LOG: Final = 23  # 8 MiB at most while decompressing; level 1 takes half a MiB
_PIECE: Final = 256 * 1024


def stored_name(name: str, number: str, *, compressed: bool) -> str:
    """The key of a file within its place. number: random, so that no key is ever used twice."""
    return f"{name}-{number}{SUFFIX if compressed else ''}.age"


def is_compressed(file: StoredFile) -> bool:
    """By its key, which is in the signed manifest or in the ledger: before there was compression no key ended so."""
    return file.key.endswith(f"{SUFFIX}.age")


class Compressor:
    """One stream."""

    def __init__(self) -> None:
        options: dict[int, int] = {
            zstd.CompressionParameter.compression_level: _LEVEL,
            zstd.CompressionParameter.checksum_flag: 1,
        }
        self._work = zstd.ZstdCompressor(options=options)

    def more(self, piece: bytes) -> bytes:
        """Maybe nothing yet. An empty piece is the end, and gives the rest."""
        return self._work.compress(piece) if piece else self._work.flush()


def expand(source: Path, target: Path, expected: Digest, stop: threading.Event) -> Digest:
    """Decompresses a file into another, which is made (0600), and returns what came out. After an error the caller removes it.

    stop: somebody else says that nobody wants it any more: it ends, with an error that is no matter.
    Raises Permanent("backups.tampered") for anything but exactly one whole frame of at most `expected.bytes`, and OSError.
    """
    tally = Tally()
    work = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})
    with (
        source.open("rb") as packed,
        os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as plain,
    ):
        try:
            while not work.eof:
                if stop.is_set():
                    raise Aborted
                given = packed.read(_PIECE) if work.needs_input else b""
                if work.needs_input and not given:
                    raise _broken("it ends too early")
                piece = work.decompress(given, _PIECE)
                tally.add(piece)
                if tally.bytes > expected.bytes:
                    raise _broken("more comes out than there should be")
                plain.write(piece)
        except zstd.ZstdError:
            raise _broken("it is no zstd frame") from None
        if work.unused_data or packed.read(1):
            raise _broken("something follows it")
    return tally.digest()


def _broken(why: str) -> Permanent:
    remedy = "Don't use it; restore another backup, and find out who can write to the repository"
    return Permanent(SYSTEM, "tampered", f"what is stored can't be decompressed: {why}", remedy)

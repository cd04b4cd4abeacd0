"""A folder as a tar stream, in pieces, and back. The folder must not change meanwhile; nothing is ever unpacked outside its target."""

from __future__ import annotations

import asyncio
import os
import tarfile
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Final

PIECE_BYTES: Final = 1024 * 1024


async def packed(folder: Path) -> AsyncGenerator[bytes, None]:
    """POSIX tar (`tar xf`) of all folders and files, in order of their names. Raises OSError, and ValueError for links and the like."""
    pieces = _pieces(folder)
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece


def tree_size(folder: Path) -> tuple[int, int]:
    """(files, their bytes)."""
    sizes = [entry.stat().st_size for entry in _entries(folder) if entry.is_file(follow_symlinks=False)]
    return len(sizes), sum(sizes)


def unpack(archive: Path, into: Path) -> None:
    """Into an empty folder. Raises tarfile.TarError for what would leave it, and OSError."""
    with tarfile.open(archive, "r:") as tar:
        tar.extractall(into, filter="data")


def _pieces(folder: Path) -> Iterator[bytes]:
    """Never an empty one. Small files come together in one piece."""
    waiting = bytearray()
    for entry in _entries(folder):
        status = entry.stat(follow_symlinks=False)
        head = tarfile.TarInfo(os.path.relpath(entry.path, folder))
        head.mode, head.mtime = status.st_mode & 0o777, int(status.st_mtime)
        if entry.is_dir(follow_symlinks=False):
            head.type = tarfile.DIRTYPE
            waiting += head.tobuf(tarfile.PAX_FORMAT)
            continue
        if not entry.is_file(follow_symlinks=False):
            raise ValueError(f"{head.name} is neither a file nor a folder")
        head.size = status.st_size
        waiting += head.tobuf(tarfile.PAX_FORMAT)
        left = head.size
        with Path(entry.path).open("rb") as file:
            while left:
                read = file.read(min(PIECE_BYTES, left))
                if not read:
                    raise OSError(f"{head.name} became shorter")
                left -= len(read)
                waiting += read
                if len(waiting) >= PIECE_BYTES:
                    yield bytes(waiting)
                    waiting.clear()
        waiting += bytes(-head.size % tarfile.BLOCKSIZE)
    yield bytes(waiting) + bytes(2 * tarfile.BLOCKSIZE)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        ordered = sorted(found, key=lambda entry: entry.name)
    for entry in ordered:
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(Path(entry.path))

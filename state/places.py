"""Where checkpoints go: places that the bot can add to and must never be able to rewrite."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from state.checkpoints import Checkpoint

COPIES: Final = 9


class Found(NamedTuple):
    """A checkpoint's text as it lies in a place, not yet believed. source: where, for people."""

    source: str
    text: str


class CheckpointPlace(Protocol):
    """name: for people. `put` raises OSError or ForgeError, and never overwrites; both block."""

    name: str

    def put(self, checkpoint: Checkpoint) -> None: ...

    def found(self) -> Iterator[Found]:
        """What lies there, the highest entry number first."""


class DirectoryPlace:
    """A folder, best one where files can only be made (`chattr +a`, another owner, a write-once mount). It must exist already:
    made here it could hide that the real one is not mounted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = f"folder {path}"

    def put(self, checkpoint: Checkpoint) -> None:
        """One new file, 0400, synced with its folder. The same checkpoint once more is no error; a torn one stays and gets a neighbour."""
        text = checkpoint.line() + "\n"
        stem = f"{checkpoint.instance}-{checkpoint.seq:012d}-{checkpoint.hash[:12]}"
        for copy in range(1, COPIES + 1):
            path = self.path / (f"{stem}.json" if copy == 1 else f"{stem}.{copy}.json")
            try:
                self._create(path, text)
            except FileExistsError:
                if path.read_text(errors="replace") == text:
                    return
                continue
            return
        raise FileExistsError(f"{self.path} has {COPIES} other checkpoints of entry {checkpoint.seq}")

    def _create(self, path: Path, text: str) -> None:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o400)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):  # where nothing can be removed the torn file stays; verification says so
                path.unlink()
            raise
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def found(self) -> Iterator[Found]:
        """Raises OSError when the folder can't be read."""
        for path in sorted((p for p in self.path.iterdir() if p.suffix == ".json"), key=_by_number, reverse=True):
            yield Found(str(path), path.read_text(errors="replace"))


def _by_number(path: Path) -> tuple[str, str]:
    parts = path.name.split("-")
    return (parts[1] if len(parts) > 2 else "", path.name)

"""Room that is kept for a bad hour: a file that is given up when the disk is full, so that a rollback's record still finds its place.

It must never be re-created while that would fill the disk again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

DEFAULT_SIZE_BYTES: Final = 8 * 1024 * 1024
NAME: Final = "ballast"


class Ballast:
    """One file of `size_bytes` in the data directory; a size of 0 keeps none."""

    def __init__(self, directory: Path, size_bytes: int = DEFAULT_SIZE_BYTES) -> None:
        self.path = directory / NAME
        self.size_bytes = size_bytes

    @property
    def held(self) -> bool:
        """Whether the room is there; always true where none is wanted."""
        try:
            return self.size_bytes == 0 or self.path.stat().st_size >= self.size_bytes
        except OSError:
            return False

    def give_up(self) -> bool:
        """Frees the room; False when there was none to free."""
        if self.size_bytes == 0 or not self.path.exists():
            return False
        self.path.unlink(missing_ok=True)
        return True

    def restore(self) -> bool:
        """Takes the room again when at least as much stays free beside it; returns whether it is held now."""
        if self.held:
            return True
        try:
            room = os.statvfs(self.path.parent)
            if room.f_bavail * room.f_frsize < 2 * self.size_bytes:
                return False
            descriptor = os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            try:
                self._fill(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            self.path.unlink(missing_ok=True)  # a file half as large would only take the room that is missing
            return False
        return True

    def _fill(self, descriptor: int) -> None:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, self.size_bytes)
            return
        left = self.size_bytes  # macOS has no such call: real bytes, for a hole would hold no room
        while left > 0:
            left -= os.write(descriptor, b"\0" * min(left, 1024 * 1024))

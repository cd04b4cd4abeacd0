"""The end of a long output, kept in memory that doesn't grow with it."""

from __future__ import annotations

from runbook.ports import JobLog


class Tail:
    """Takes the output piece by piece and keeps its last keep_bytes; refuses more than largest_bytes in all."""

    def __init__(self, keep_bytes: int, largest_bytes: int) -> None:
        self._keep = max(0, keep_bytes)
        self._largest = largest_bytes
        self._kept = bytearray()
        self._size = 0

    def take(self, piece: bytes) -> bool:
        """Whether more may come."""
        self._size += len(piece)
        self._kept += piece
        if len(self._kept) > 2 * self._keep + 65_536:  # not with every piece: each cut moves what is kept
            self._cut()
        return self._size <= self._largest

    def log(self, *, complete: bool) -> JobLog:
        self._cut()
        cut = self._size > len(self._kept)
        kept = bytes(self._kept)
        if cut:  # a character may have lost its beginning: bytes that only continue one are left out
            start = next((at for at, byte in enumerate(kept[:4]) if byte & 0xC0 != 0x80), min(4, len(kept)))
            kept = kept[start:]
        return JobLog(kept.decode("utf-8", errors="replace"), self._size, cut=cut, complete=complete)

    def _cut(self) -> None:
        if len(self._kept) > self._keep:
            del self._kept[: len(self._kept) - self._keep]

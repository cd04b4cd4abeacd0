"""Up to which moment a segment has everything: what the server's clock and position were, remembered over restarts.

A segment that arrives late was written long before. So its moment is the latest at which the server had not come beyond its end, and
never when it arrived.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from runbook.backups import Digest, StoredFile, WalSegment

UNKNOWN: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Of a segment from before anything was remembered: it counts as a link of the chain, and promises no moment."""

_MOST: Final = 5000


@dataclass(slots=True)
class Marks:
    """marks: (moment, position), rising. done: names that are archived and still lie here. last: the newest archived segment."""

    marks: list[tuple[datetime, int]] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    last: WalSegment | None = None

    def add(self, at: datetime, lsn: int) -> None:
        """A position that went back, as after another server took over, makes the older ones worthless."""
        while self.marks and self.marks[-1][1] > lsn:
            self.marks.pop()
        if len(self.marks) > 1 and self.marks[-1][1] == self.marks[-2][1] == lsn:
            self.marks.pop()  # the first and the last of one position are enough
        self.marks.append((at, lsn))
        if len(self.marks) > _MOST:
            del self.marks[1 : _MOST // 2 : 2]  # thinned: moments become less exact, never wrong

    def moment(self, end: int) -> datetime:
        """The latest moment up to which everything was before this position."""
        return max((at for at, lsn in self.marks if lsn <= end), default=UNKNOWN)

    @property
    def newest(self) -> datetime:
        return self.marks[-1][0] if self.marks else UNKNOWN

    def forget(self, end: int) -> None:
        """Marks before the last one that is not beyond this position: a later segment needs none of them."""
        older = [mark for mark in self.marks if mark[1] <= end]
        self.marks = older[-1:] + [mark for mark in self.marks if mark[1] > end]

    def moved(self, at: datetime) -> WalSegment | None:
        """The newest segment with a later moment, where that is one."""
        if self.last is None or at <= self.last.ended_at:
            return None
        self.last = replace(self.last, ended_at=at)
        return self.last


def read_marks(path: Path) -> Marks:
    """Nothing remembered where the file can't be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        marks = [(datetime.fromisoformat(at), int(lsn)) for at, lsn in found["marks"]]
        return Marks(marks, set(found["done"]), _segment(found["last"]) if found["last"] else None)
    except (OSError, ValueError, KeyError, TypeError):
        return Marks()


def marks_text(marks: Marks) -> str:
    """What `write_marks` writes, as of now."""
    last = asdict(marks.last) if marks.last else None
    if last is not None and marks.last is not None:
        last["ended_at"] = marks.last.ended_at.isoformat()
    told = {"marks": [[at.isoformat(), lsn] for at, lsn in marks.marks], "done": sorted(marks.done), "last": last}
    return json.dumps(told)


def write_marks(path: Path, text: str) -> None:
    """Whole or not at all; one at a time. Raises OSError."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _segment(found: Mapping[str, Any]) -> WalSegment:
    file = found["file"]
    stored = StoredFile(file["key"], Digest(**file["plain"]), Digest(**file["cipher"]))
    return WalSegment(**{**found, "file": stored, "ended_at": datetime.fromisoformat(found["ended_at"])})

"""A folder into which scanners drop their reports: `*.json` and `*.sarif`. Only ever reads; a file that can't be read is never a clean scan."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runbook.errors import Permanent, Temporary
from runbook.ports import ScanReport
from runbook.rules.scans import newest_of
from runbook.scan_reports import MAX_REPORT_BYTES, Findings, Unusable, parse_report, report_of
from runbook.wording import listing

SYSTEM = "scans"
MAX_FILES = 1000
"""The newest so many are looked at."""
SETTLED_AFTER_S = 10.0
"""A younger file that can't be read is still being written."""

_SUFFIXES = frozenset({".json", ".sarif"})
_HEX = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Dropped:
    """A file as it was when it was listed. hexes: the digests that its name contains, without `sha256:`."""

    path: Path
    mtime_ns: int
    size: int

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.mtime_ns / 1e9, UTC)

    @property
    def hexes(self) -> frozenset[str]:
        return frozenset(_HEX.findall(self.path.name.lower()))


@dataclass(frozen=True, slots=True)
class Broken:
    """A file that is no usable report, and why. unread: so that whose it is can't be told but by its name."""

    file: Dropped
    cause: str
    unread: bool = True


class ScanFolder:
    """Fulfils `runbook.ports.ScanReports`. Files are read in a thread, each once as long as its time and size stay the same."""

    def __init__(self, folder: Path, now: Callable[[], datetime], *, max_files: int = MAX_FILES) -> None:
        self._folder, self._now, self._max_files = folder, now, max_files
        self._read: dict[Dropped, Findings | Broken] = {}
        self._lock = threading.Lock()

    async def newest(self, digest: str) -> ScanReport | None:
        """By when the scan was taken; a report that doesn't say is as old as its file.

        Raises Permanent where the folder or a file of this digest can't be read (`scans.broken_file`), or where none of this digest is
        found and others can't be read (`scans.unattributed`); Temporary where the disk doesn't answer.
        """
        return await asyncio.to_thread(self._newest, digest)

    async def broken(self) -> tuple[Broken, ...]:
        """All files that can't be read, for the doctor. Raises as `newest` does for the folder."""
        return await asyncio.to_thread(self._all_broken)

    def _all_broken(self) -> tuple[Broken, ...]:
        with self._lock:
            files, _ = self._listed()
            return tuple(found for file in files if isinstance(found := self._found(file), Broken))

    def _newest(self, digest: str) -> ScanReport | None:
        hexes = digest.removeprefix("sha256:")
        reports: list[ScanReport] = []
        of_this: list[Broken] = []
        of_any: list[Broken] = []
        with self._lock:
            files, left_out = self._listed()
            for file in files:
                if file.hexes and hexes not in file.hexes:
                    continue  # named for another image
                found = self._report(file, digest)
                if isinstance(found, ScanReport):
                    reports.append(found)
                elif found is not None:
                    (of_this if file.hexes or not found.unread else of_any).append(found)
        report = newest_of(reports)
        self._complain_of(of_this, report)
        if report is None and (of_any or left_out):
            raise self._unattributed(of_any, left_out)
        return report

    def _report(self, file: Dropped, digest: str) -> ScanReport | Broken | None:
        """None for a report of another image, and for what is being written."""
        found = self._found(file)
        if found is None or isinstance(found, Broken):
            return found
        if digest not in found.digests and not file.hexes:
            return None
        source = f"file {file.path.name}"
        try:
            return report_of(found, digest=digest, taken_at=file.at, received_at=self._now(), source=source)
        except Unusable as error:
            return Broken(file, error.cause, unread=False)

    def _found(self, file: Dropped) -> Findings | Broken | None:
        """None while it is being written."""
        if file not in self._read:
            try:
                self._read[file] = parse_report(_content(file))
            except (OSError, Unusable) as error:
                if abs((self._now() - file.at).total_seconds()) < SETTLED_AFTER_S:
                    return None
                cause = error.cause if isinstance(error, Unusable) else error.strerror or type(error).__name__
                broken = Broken(file, cause)
                if isinstance(error, OSError):  # rights may be given without a change to the file
                    return broken
                self._read[file] = broken
        return self._read[file]

    def _listed(self) -> tuple[list[Dropped], int]:
        """The newest files, and how many more there are. Forgets what was read of files that are gone."""
        try:
            found = [dropped for path in self._folder.iterdir() if (dropped := _dropped(path)) is not None]
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            remedy = f"Mount {self._folder} where forge runs, readable for it, or correct integrations.scans.folder"
            raise Permanent(SYSTEM, "folder", f"the scan folder can't be read: {error.strerror}", remedy) from None
        except OSError as error:
            raise Temporary(SYSTEM, "folder", f"the scan folder doesn't answer: {error.strerror}") from None
        found.sort(key=lambda file: (file.mtime_ns, file.path.name), reverse=True)
        kept = found[: self._max_files]
        self._read = {file: self._read[file] for file in kept if file in self._read}
        return kept, len(found) - len(kept)

    def _complain_of(self, files: list[Broken], report: ScanReport | None) -> None:
        """A broken file of this very digest may be the newest report, unless a whole one was taken after it was written."""
        for broken in files:
            if report is None or broken.file.at >= report.taken_at:
                name = broken.file.path.name
                remedy = f"Take {name} out of {self._folder}, or write it again, whole"
                raise Permanent(SYSTEM, "broken_file", f"{name} can't be used: {broken.cause}", remedy)

    def _unattributed(self, broken: list[Broken], left_out: int) -> Permanent:
        names = [f"{each.file.path.name} ({each.cause})" for each in broken[:_MOST_NAMED]]
        if len(broken) > _MOST_NAMED:
            names.append(f"{len(broken) - _MOST_NAMED} more")
        if left_out:
            names.append(f"{left_out} older files that were not looked at")
        cause = f"the scan folder has no report of this image that can be read, but {listing(names)}"
        return Permanent(SYSTEM, "unattributed", cause, f"Clear {self._folder} up, then put the image's report into it")


def _dropped(path: Path) -> Dropped | None:
    """None for what is no report by its name: hidden, another ending, a folder, or gone meanwhile."""
    if path.suffix.lower() not in _SUFFIXES or path.name.startswith("."):
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return Dropped(path, found.st_mtime_ns, found.st_size) if path.is_file() else None


def _content(file: Dropped) -> bytes:
    """At most one byte more than is taken: `parse_report` refuses it then."""
    with file.path.open("rb") as opened:
        return opened.read(MAX_REPORT_BYTES + 1)

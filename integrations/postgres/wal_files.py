"""Where archived WAL lies in the repository, and which of it a recovery needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from runbook.backups import Manifest, WalSegment
from runbook.errors import Permanent
from runbook.rules.wal import wal_chain

SYSTEM = "backups"
_OTHER = "Choose a moment within the window, or another base backup"


@dataclass(frozen=True, slots=True)
class Needed:
    """Of one recovery. files: segments and history files. timeline: which one to follow."""

    files: tuple[WalSegment, ...]
    timeline: int


def needed_wal(manifest: Manifest, segments: Sequence[WalSegment], until: datetime) -> Needed:
    """Everything up to the moment. segments: of the service and environment.

    Raises Permanent("backups.gap") that names the first missing segment, and Permanent("backups.window") for a moment before the base
    backup's end or after the newest WAL.
    """
    if until < manifest.finished_at:
        cause = f"{_moment(until)} is before {manifest.id} was finished, {_moment(manifest.finished_at)}: it can't be recovered from that backup"
        raise Permanent(SYSTEM, "window", cause, _OTHER)
    own = [segment for segment in segments if segment.system_identifier == manifest.system_identifier]
    chain = wal_chain(manifest.timeline, manifest.lsn_end, own)
    enough = next((i for i, segment in enumerate(chain.segments) if segment.ended_at >= until), None)
    if enough is not None:
        wanted = chain.segments[: enough + 1]
        timeline = wanted[-1].timeline
        history = [file for file in chain.history if file.timeline <= timeline]
        return Needed((*history, *wanted), timeline)
    if chain.gap:
        reached = f", which reaches to {_moment(chain.until)} only" if chain.until else ""
        cause = f"the WAL after {manifest.id} has a gap{reached}: segment {chain.missing} is missing"
        raise Permanent(SYSTEM, "gap", cause, "Choose a moment before the gap, or a base backup behind it")
    last = chain.until or manifest.finished_at
    window = f"from {_moment(manifest.finished_at)} to {_moment(last)}"
    cause = f"{_moment(until)} is after the newest archived WAL: {manifest.id} can be recovered {window}"
    raise Permanent(SYSTEM, "window", cause, _OTHER)


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"

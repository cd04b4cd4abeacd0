"""Which commit of a branch is deployed to dev next. Runbook: Development Deployment, "CI success on main".

Pure: it says what must be asked, and what follows from the answers. It never names a commit that a run was opened for before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

MOST_LOOKED_AT = 20
"""How far down a branch a green commit is looked for."""


class CiState(StrEnum):
    """PENDING: not finished, or nothing is reported yet."""

    GREEN = "green"
    RED = "red"
    PENDING = "pending"


class Place(StrEnum):
    """What stands in dev's queue. FREE: nothing. BUSY: a run that goes on. LEFT_FOR_NEWER: an automatic run that has not begun, or is held."""

    FREE = "free"
    BUSY = "busy"
    LEFT_FOR_NEWER = "left_for_newer"


@dataclass(frozen=True)
class AskCi:
    """Ask for this commit's CI, then decide again."""

    commit: str


@dataclass(frozen=True)
class Deploy:
    """superseded: the commits that are skipped by it, the newest first. is_whole: False where more may have been, out of sight."""

    commit: str
    superseded: tuple[str, ...] = ()
    is_whole: bool = True


@dataclass(frozen=True)
class Supersede:
    """Leave the open run: this commit is newer and green."""

    commit: str


@dataclass(frozen=True)
class AwaitCi:
    """Nothing newer is green yet. commits: those whose CI may still become green, the newest first."""

    commits: tuple[str, ...]


@dataclass(frozen=True)
class Nothing:
    """reason: a stable code: `busy`, `up_to_date`, `none_green`."""

    reason: str


Decision = AskCi | Deploy | Supersede | AwaitCi | Nothing


def next_commit(
    commits: Sequence[str], ci: Mapping[str, CiState], attempted: Collection[str], place: Place = Place.FREE
) -> Decision:
    """The newest green commit that is newer than the newest one that a run was ever opened for.

    commits: on the branch, the newest first. ci: of those that were asked so far. attempted: those that a run was opened for; empty where
    none ever was. Where none of them is on the branch (it was rewritten, or has grown that much) every commit counts as newer.
    """
    if place is Place.BUSY:
        return Nothing("busy")
    known = next((at for at, commit in enumerate(commits) if commit in attempted), None)
    newer = commits[:known]
    if not newer:
        return Nothing("up_to_date")
    for at, commit in enumerate(newer[:MOST_LOOKED_AT]):
        state = ci.get(commit)
        if state is None:
            return AskCi(commit)
        if state is CiState.GREEN:
            if place is Place.LEFT_FOR_NEWER:
                return Supersede(commit)
            return Deploy(commit, tuple(newer[at + 1 :] if attempted else ()), known is not None or not attempted)
    pending = tuple(commit for commit in newer[:MOST_LOOKED_AT] if ci[commit] is CiState.PENDING)
    return AwaitCi(pending) if pending else Nothing("none_green")

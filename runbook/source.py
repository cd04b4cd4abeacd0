"""What stands in a service's repository beyond tags and files: what is on its branch, what lies between two commits, and marks on them.

Names of people are shown and never mentioned: nobody is notified because a commit of theirs is released.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from runbook.ports import CiCheck


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """sha: full. title: the message's first line. author: a name for people, never an address of mail. at: when it was committed."""

    sha: str
    title: str
    author: str
    at: datetime


@dataclass(frozen=True, slots=True)
class PullRequest:
    number: int
    title: str
    author: str
    url: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What head has that base has not. relation: `ahead`, `identical`, `behind` or `diverged`, of head as seen from base.

    commits: the newest first, at most 100. total: how many there are. pull_requests: the merged ones by which they came, as far as that
    is known. pull_requests_whole: whether every commit could be asked for.
    """

    base: str
    head: str
    relation: str
    commits: tuple[CommitInfo, ...]
    total: int
    pull_requests: tuple[PullRequest, ...]
    url: str
    pull_requests_whole: bool = True


@dataclass(frozen=True, slots=True)
class CommitMark:
    """A commit status. state: `success`, `failure`, `pending` or `error`. description: at most 140 characters."""

    context: str
    state: str
    description: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """Release notes that are not published yet. id: GitHub's; 0: not there yet. tag: of the release that they are for."""

    id: int
    tag: str
    title: str
    body: str


class Source(Protocol):
    """GitHub, beyond what verifies a release. repository: `owner/name`. Marks set, never add: the same again changes nothing."""

    async def commits(self, repository: str, branch: str, most: int = 30) -> tuple[CommitInfo, ...]:
        """What is on a branch, the newest first, along first parents as GitHub lists them; empty where there is no such branch."""

    async def commit(self, repository: str, ref: str) -> CommitInfo | None:
        """By a full or abbreviated SHA (at least 7 digits) or a branch's name; None when there is none, or when it is ambiguous."""

    async def contains(self, repository: str, branch: str, commit: str) -> bool:
        """Whether the commit is on the branch."""

    async def changes(self, repository: str, base: str, head: str) -> Changes | None:
        """None where one of the two isn't there. base, head: commits or tags."""

    async def mark(self, repository: str, commit: str, mark: CommitMark) -> None:
        """Sets a commit status where the newest of its context isn't this one already."""

    async def drafts(self, repository: str) -> tuple[Draft, ...]:
        """Drafts of releases, the newest first, at most 100."""

    async def write_draft(self, repository: str, draft: Draft, instead_of: Draft | None = None) -> Draft:
        """Creates (id 0) or rewrites a draft; the same text again writes nothing. Raises Conflict where it was published meanwhile.

        instead_of: as it was read (id 0: not there yet); then Conflict is raised too where somebody has changed it since.
        """


class CiResults(Protocol):
    """What CI systems other than GitHub's have told forge."""

    async def results(self, repository: str, commit: str) -> Sequence[CiCheck]:
        """The newest of each name, for a full SHA."""

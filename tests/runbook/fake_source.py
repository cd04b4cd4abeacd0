"""`runbook.source.Source` in memory: branches that tests push to, marks and drafts as they were written, errors by method."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from runbook.errors import Conflict, ForgeError
from runbook.source import Changes, CommitInfo, CommitMark, Draft, PullRequest
from tests.fakes.clock import NOON

REPOSITORY = "acme/shop"
_LISTED = 100


@dataclass
class FakeSource:
    """branches: by repository and name, the newest first. marks: those that were really set, in order. drafts_kept: by repository, the
    newest first. published: ids of drafts that a person has published. errors: by a method's name, raised by its next calls in turn, or
    by each of them where it is a single one. asked: the names of the methods that were called."""

    branches: dict[tuple[str, str], list[CommitInfo]] = field(default_factory=dict)
    pulls: dict[str, PullRequest] = field(default_factory=dict)
    marks: list[tuple[str, str, CommitMark]] = field(default_factory=list)
    drafts_kept: dict[str, list[Draft]] = field(default_factory=dict)
    published: set[int] = field(default_factory=set)
    errors: dict[str, ForgeError | list[ForgeError]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    # --- what a test does -------------------------------------------------------------------------------------------

    def push(
        self,
        sha: str = "",
        title: str = "A change",
        author: str = "Ada Lovelace",
        at: datetime | None = None,
        *,
        branch: str = "main",
        repository: str = REPOSITORY,
        pull: PullRequest | None = None,
    ) -> CommitInfo:
        """A commit on top of the branch, a minute after the one before. sha: forty digits; made up where empty."""
        history = self.branches.setdefault((repository, branch), [])
        before = history[0].at if history else NOON - timedelta(days=1)
        made_up = hashlib.sha1(f"{repository} {branch} {len(history)}".encode(), usedforsecurity=False).hexdigest()
        made = CommitInfo(sha or made_up, title, author, at or before + timedelta(minutes=1))
        history.insert(0, made)
        if pull is not None:
            self.pulls[made.sha] = pull
        return made

    def newest_mark(self, commit: str, context: str, repository: str = REPOSITORY) -> CommitMark | None:
        found = (mark for at, sha, mark in reversed(self.marks) if (at, sha) == (repository, commit))
        return next((mark for mark in found if mark.context == context), None)

    # --- the port ---------------------------------------------------------------------------------------------------

    async def commits(self, repository: str, branch: str, most: int = 30) -> tuple[CommitInfo, ...]:
        self._called("commits")
        return tuple(self.branches.get((repository, branch), ())[:most])

    async def commit(self, repository: str, ref: str) -> CommitInfo | None:
        self._called("commit")
        history = self.branches.get((repository, ref))
        if history:
            return history[0]
        found = {info.sha: info for info in self._all(repository) if len(ref) >= 7 and info.sha.startswith(ref)}
        return next(iter(found.values())) if len(found) == 1 else None

    async def contains(self, repository: str, branch: str, commit: str) -> bool:
        self._called("contains")
        return any(info.sha == commit for info in self.branches.get((repository, branch), ()))

    async def changes(self, repository: str, base: str, head: str) -> Changes | None:
        """Along the first branch that has both; `ahead` where head is newer."""
        self._called("changes")
        for (name, _), history in self.branches.items():
            at = {info.sha: place for place, info in enumerate(history)}
            if name == repository and base in at and head in at:
                between = tuple(history[at[head] : at[base]])
                relation = "identical" if base == head else "ahead" if between else "behind"
                pulls = {self.pulls[each.sha]: None for each in between if each.sha in self.pulls}
                url = f"https://github.example/{repository}/compare/{base}...{head}"
                return Changes(base, head, relation, between[:_LISTED], len(between), tuple(pulls), url)
        return None

    async def mark(self, repository: str, commit: str, mark: CommitMark) -> None:
        self._called("mark")
        if self.newest_mark(commit, mark.context, repository) != mark:
            self.marks.append((repository, commit, mark))

    async def drafts(self, repository: str) -> tuple[Draft, ...]:
        self._called("drafts")
        return tuple(each for each in self.drafts_kept.get(repository, ()) if each.id not in self.published)

    async def write_draft(self, repository: str, draft: Draft, instead_of: Draft | None = None) -> Draft:
        self._called("write_draft")
        kept = self.drafts_kept.setdefault(repository, [])
        if draft.id in self.published or any(each.id in self.published and each.tag == draft.tag for each in kept):
            raise Conflict("github", "conflict", f"the release {draft.tag} was published meanwhile", "Read it again")
        same = [each for each in kept if draft.id in (0, each.id) and (draft.id or each.tag == draft.tag)]
        if draft.id and not same:
            raise Conflict("github", "conflict", f"the draft of {draft.tag} was deleted meanwhile", "Read it again")
        there = same[-1] if same else None
        if there is not None and there == replace(draft, id=there.id):
            return there
        if instead_of is not None and there != (instead_of if instead_of.id else None):
            raise Conflict("github", "conflict", f"somebody has changed the draft of {draft.tag}", "Read it again")
        if same:
            written = replace(draft, id=same[-1].id)
            kept[kept.index(same[-1])] = written
            return written
        written = replace(draft, id=1 + max((each.id for each in self._every_draft()), default=0))
        kept.insert(0, written)
        return written

    # --- inside -----------------------------------------------------------------------------------------------------

    def _called(self, method: str) -> None:
        self.asked.append(method)
        planned = self.errors.get(method)
        if isinstance(planned, ForgeError):
            raise planned
        if planned:
            raise planned.pop(0)

    def _all(self, repository: str) -> Iterable[CommitInfo]:
        return (info for (name, _), history in self.branches.items() if name == repository for info in history)

    def _every_draft(self) -> Iterable[Draft]:
        return (draft for kept in self.drafts_kept.values() for draft in kept)

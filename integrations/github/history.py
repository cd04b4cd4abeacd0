"""Branches, commits, and what lies between two of them.

A branch is always asked for by its ref, never by a name that a tag may have as well, and its commits by the full SHA that the ref names.
GitHub finds commits of forks by their SHA too: that a commit is there says nothing of a branch.
Source: docs.github.com/rest/commits/commits, docs.github.com/rest/git/refs.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from integrations.github.calls import SYSTEM, GitHubCalls, Shape, checked_ref, checked_sha
from integrations.github.names import first_line, person
from integrations.github.pulls import PATIENCE_S, pull_requests
from integrations.http_calls import garbage
from runbook.errors import Permanent, Temporary
from runbook.source import Changes, CommitInfo

MOST_LISTED = 100
_KEPT_LISTS = 50
_MOST_PAGES = 3
_SHA_ALONE = "application/vnd.github.sha"
_ABBREVIATED = re.compile(r"[0-9a-fA-F]{7,40}")
_FULL = re.compile(r"[0-9a-f]{40}")
_NOT_THERE = ("github.not_found", "github.empty", "github.invalid")
_STRANGERS = "github.no_common_ancestor"
_RELATIONS = ("ahead", "identical", "behind", "diverged")


class History:
    """Questions about a repository's commits. What a full SHA names never changes: the list that ends with it is kept."""

    def __init__(self, calls: GitHubCalls, web_url: str, patience_s: float = PATIENCE_S) -> None:
        """patience_s: for the pull requests of one comparison together."""
        self._calls = calls
        self._web_url = web_url
        self._patience_s = patience_s
        self._kept: OrderedDict[tuple[str, str, int], tuple[CommitInfo, ...]] = OrderedDict()

    async def commits(self, repository: str, branch: str, most: int) -> tuple[CommitInfo, ...]:
        """See the port. An unchanged branch costs one conditional request, which GitHub doesn't count."""
        head = await self._head(repository, branch)
        if head is None:
            await self._calls.require_repository(repository)
            return ()
        key = (repository, head, most)
        if key not in self._kept:
            self._kept[key] = await self._first_parents(repository, head, min(most, MOST_LISTED))
            while len(self._kept) > _KEPT_LISTS:
                self._kept.popitem(last=False)
        return self._kept[key]

    async def commit(self, repository: str, ref: str) -> CommitInfo | None:
        """See the port. A branch whose name could be an abbreviated SHA is ambiguous."""
        sha = await self._sha_of(repository, ref)
        found = None if sha is None else await self._calls.get_or_none(repository, f"git/commits/{sha}")
        if found is None:
            await self._calls.require_repository(repository)
            return None
        with Shape(self._calls.where, "commit"):
            return _info(found["sha"], found)

    async def contains(self, repository: str, branch: str, commit: str) -> bool:
        head = await self._head(repository, branch)
        if head == checked_sha(commit):
            return True
        try:
            found = None if head is None else await self._compared(repository, head, commit, "per_page=1")
        except Permanent as error:
            if error.code == _STRANGERS:
                return False
            raise
        if found is None:
            await self._calls.require_repository(repository)
            return False
        return self._relation(found) in ("behind", "identical")

    async def changes(self, repository: str, base: str, head: str) -> Changes | None:
        """See the port. Raises Permanent("no_common_ancestor") for two commits that share none."""
        before, after = await self._named(repository, base), await self._named(repository, head)
        found = before and after and await self._compared(repository, before, after, f"per_page={MOST_LISTED}")
        if not found or before is None or after is None:
            await self._calls.require_repository(repository)
            return None
        with Shape(self._calls.where, "comparison"):
            relation, total = self._relation(found), int(found["total_commits"])
            listed = await self._newest(repository, before, after, found, total)
            commits = tuple(_info(each["sha"], each["commit"]) for each in listed)
        pulls, whole = await pull_requests(self._calls, repository, _line(after, listed), self._patience_s)
        url = f"{self._web_url}/{repository}/compare/{before}...{after}"
        return Changes(base, head, relation, commits, total, pulls, url, pull_requests_whole=whole)

    # --- names ------------------------------------------------------------------------------------------------------

    async def _head(self, repository: str, branch: str) -> str | None:
        found = await self._calls.get_or_none(repository, f"git/ref/heads/{checked_ref(branch)}")
        if found is None:
            return None
        with Shape(self._calls.where, "branch"):
            return checked_sha(found["object"]["sha"])

    async def _sha_of(self, repository: str, ref: str) -> str | None:
        if _FULL.fullmatch(ref.lower()):
            return ref.lower()
        if not _ABBREVIATED.fullmatch(ref):
            return await self._head(repository, ref)
        sha = await self._alone(repository, ref.lower())
        return sha if sha is not None and sha.startswith(ref.lower()) else None

    async def _named(self, repository: str, name: str) -> str | None:
        """The commit of a full or abbreviated SHA or a tag."""
        if _ABBREVIATED.fullmatch(name) and (sha := await self._sha_of(repository, name)) is not None:
            return sha
        return await self._alone(repository, f"tags/{checked_ref(name)}")

    async def _alone(self, repository: str, ref: str) -> str | None:
        try:
            text = await self._calls.text(repository, f"commits/{ref}", _SHA_ALONE)
        except Permanent as error:
            if error.code in _NOT_THERE:
                return None
            raise
        if not _FULL.fullmatch(text):
            raise garbage(SYSTEM, self._calls.where, "SHA of a commit")
        return text

    # --- lists ------------------------------------------------------------------------------------------------------

    async def _first_parents(self, repository: str, head: str, most: int) -> tuple[CommitInfo, ...]:
        """GitHub lists what came by merges too; what was never the branch's newest is left out."""
        listed: dict[str, Mapping[str, Any]] = {}
        line: list[str] = []
        pages = 0
        async for page in self._calls.pages(repository, f"commits?sha={head}", size=most):
            with Shape(self._calls.where, "list of commits"):
                listed |= {each["sha"]: each for each in page}
                line = _line(head, listed.values())
            pages += 1
            if len(line) >= most or pages == _MOST_PAGES:
                break
        if not line:  # one of GitHub's servers knows of the push, another not yet
            raise Temporary(SYSTEM, "inconsistent", f"GitHub lists the commits of {repository} without {head[:12]}")
        with Shape(self._calls.where, "list of commits"):
            return tuple(_info(sha, listed[sha]["commit"]) for sha in line[:most])

    async def _compared(self, repository: str, base: str, head: str, query: str) -> Any:
        try:
            return await self._calls.get(repository, f"compare/{base}...{head}?{query}")
        except Permanent as error:
            if "No common ancestor" in error.cause:
                cause = f"{base[:12]} and {head[:12]} have no common ancestor in {repository}"
                raise Permanent(SYSTEM, "no_common_ancestor", cause, "Check which history was pushed") from error
            if error.code in _NOT_THERE:
                return None
            raise

    def _relation(self, found: Any) -> str:
        with Shape(self._calls.where, "comparison"):
            relation = found["status"]
            if relation not in _RELATIONS:
                raise ValueError(relation)
            return str(relation)

    async def _newest(
        self, repository: str, base: str, head: str, first: Any, total: int
    ) -> tuple[Mapping[str, Any], ...]:
        """The newest hundred, newest first. GitHub's pages begin with the oldest; the changed files come with the first page alone."""
        last = -(-total // MOST_LISTED)
        oldest_first = list(first["commits"]) if last <= 2 else []
        for number in range(max(2, last - 1), last + 1):
            page = await self._compared(repository, base, head, f"per_page={MOST_LISTED}&page={number}")
            oldest_first += page["commits"]
        return tuple(reversed(oldest_first))[:MOST_LISTED]


def _line(head: str, listed: Any) -> list[str]:
    """From head along first parents, as far as they are listed."""
    parents = {each["sha"]: [parent["sha"] for parent in each["parents"]] for each in listed}
    line: list[str] = []
    at = head
    while at in parents and at not in line:
        line.append(at)
        at = next(iter(parents[at]), "")
    return line


def _info(sha: str, commit: Mapping[str, Any]) -> CommitInfo:
    """commit: as git has it; the author's address stays here."""
    committed = commit.get("committer") or commit["author"]
    return CommitInfo(
        sha=checked_sha(sha),
        title=first_line(commit["message"]),
        author=person((commit.get("author") or {}).get("name") or ""),
        at=datetime.fromisoformat(committed["date"]).astimezone(UTC),
    )

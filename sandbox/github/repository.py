"""One repository as GitHub keeps it: objects, refs, checks, statuses, runs, pull requests, releases.

State and look-ups alone, no HTTP and no JSON.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.github.objects import Commit, GitObject, Person, Tag, commit_object, tag_object, tag_payload, trees
from sandbox.github.scanning import Scanning


class UnknownRef(LookupError):
    """No object has this name."""


@dataclass(frozen=True)
class Verification:
    """GitHub's judgement of a signature, made once when it first sees the object. reason: as its API lists them."""

    verified: bool
    reason: str
    verified_at: datetime | None = None


@dataclass
class CheckRun:
    """conclusion: None until `status` is `completed`. superseded: a newer run of the same name exists."""

    id: int
    name: str
    head_sha: str
    status: str
    conclusion: str | None
    started_at: datetime
    superseded: bool = False
    suite_id: int = 0
    completed_at: datetime | None = None


@dataclass
class CheckSuite:
    """The check runs of one commit that belong together. before: what the branch named until then; empty for its first commit."""

    id: int
    head_sha: str
    head_branch: str
    before: str
    at: datetime


@dataclass
class Status:
    id: int
    sha: str
    context: str
    state: str
    description: str
    target_url: str
    at: datetime


@dataclass
class WorkflowRun:
    id: int
    name: str
    head_sha: str
    branch: str
    event: str
    status: str
    conclusion: str | None
    at: datetime
    workflow_id: int = 7001
    suite_id: int = 0


@dataclass
class PullRequest:
    """shas: the commits that belong to it, the oldest first, its merge commit included."""

    number: int
    title: str
    author: str
    shas: tuple[str, ...]
    merged_at: datetime | None
    approved_by: tuple[str, ...] = ()
    body: str = ""
    base: str = "main"
    head: str = "topic"
    closed_at: datetime | None = None
    merge_sha: str = ""


@dataclass
class Release:
    id: int
    tag_name: str
    target_commitish: str
    name: str
    body: str
    draft: bool
    prerelease: bool
    at: datetime


@dataclass
class Repository:
    full_name: str
    default_branch: str = "main"
    objects: dict[str, GitObject] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    tags: dict[str, Tag] = field(default_factory=dict)
    verifications: dict[str, Verification] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    checks: list[CheckRun] = field(default_factory=list)
    suites: dict[tuple[str, str], CheckSuite] = field(default_factory=dict)
    statuses: list[Status] = field(default_factory=list)
    runs: list[WorkflowRun] = field(default_factory=list)
    pulls: list[PullRequest] = field(default_factory=list)
    releases: list[Release] = field(default_factory=list)
    scanning: Scanning = field(default_factory=Scanning)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1001))

    def add_commit(
        self, message: str, author: Person, at: datetime, files: Mapping[str, bytes], parents: tuple[str, ...]
    ) -> str:
        """files: the whole tree of this commit, path -> content."""
        made = trees(files)
        commit = commit_object(made[-1].sha, parents, author, at, message)
        for each in [*made, commit]:
            self.objects[each.sha] = each
        self.commits[commit.sha] = Commit(commit.sha, made[-1].sha, parents, author, at, message.rstrip("\n"))
        self.files[commit.sha] = dict(files)
        return commit.sha

    def add_tag(self, name: str, target: str, tagger: Person, at: datetime, message: str, sign: Any) -> Tag:
        """sign: payload -> armoured signature or None. The ref is the caller's. Raises UnknownRef."""
        if target not in self.objects:
            raise UnknownRef(target)
        kind = self.objects[target].kind
        payload = tag_payload(name, target, kind, tagger, at, message)
        signature = sign(payload)
        made = tag_object(payload, signature)
        self.objects[made.sha] = made
        tag = Tag(made.sha, name, target, kind, tagger, at, message.rstrip("\n"), payload, signature)
        self.tags[made.sha] = tag
        return tag

    def peel(self, sha: str) -> str:
        """The commit behind a tag object, or the commit itself."""
        while sha in self.tags:
            sha = self.tags[sha].target
        return sha

    def resolve(self, name: str) -> str:
        """The commit of a SHA (from four digits on), branch, tag or full ref. Raises UnknownRef."""
        for ref in (f"refs/heads/{name}", f"refs/tags/{name}", f"refs/{name}", name):
            if ref in self.refs:
                return self.peel(self.refs[ref])
        if len(name) >= 4:
            found = [sha for sha in self.commits if sha.startswith(name)]
            if len(found) == 1:
                return found[0]
        raise UnknownRef(name)

    def history(self, sha: str) -> list[str]:
        """This commit and its ancestors, newest first (a parent never before its child)."""
        seen: set[str] = set()
        waiting = [sha]
        while waiting:
            each = waiting.pop()
            if each not in seen:
                seen.add(each)
                waiting.extend(self.commits[each].parents)
        order = {each: place for place, each in enumerate(self.commits)}
        return sorted(seen, key=lambda each: -order[each])

    def ahead(self, base: str, head: str) -> int:
        """How many commits head has that base has not."""
        known = set(self.history(base))
        return sum(sha not in known for sha in self.history(head))

    def latest_statuses(self, sha: str) -> list[Status]:
        """The newest status of each context, newest first."""
        latest = {status.context: status for status in self.statuses if status.sha == sha}
        return sorted(latest.values(), key=lambda status: -status.id)

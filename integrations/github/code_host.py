"""GitHub as the domain asks it: tags with their signatures, checks, files, release notes, scans, links; branches, commits, marks and drafts.

Never trusts `verified`: that is `Signatures`' work. Source: docs.github.com/rest, version 2022-11-28.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from integrations.github.calls import SYSTEM, GitHubCalls, Shape, checked_sha
from integrations.github.contents import Contents
from integrations.github.drafts import Drafts
from integrations.github.history import History
from integrations.github.marks import Marks
from integrations.github.scanning import CodeScanning
from integrations.http_calls import Limits
from runbook.errors import Permanent
from runbook.ports import CiCheck, ScanReport, Tag
from runbook.source import Changes, CommitInfo, CommitMark, Draft

MOST_TAGS = 1000
_DEEPEST_TAG = 5
_PASSED = frozenset({"success", "skipped", "neutral"})


class GitHub:
    """Fulfils `runbook.ports.CodeHost`, which only reads, and `runbook.source.Source`."""

    def __init__(
        self,
        api_url: str = "https://api.github.com",
        token: Callable[[], str] | None = None,
        *,
        web_url: str = "",
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """token: gives the access token, asked at each call; None asks anonymously. web_url: derived from api_url where empty."""
        self._web_url = (web_url or _web_url(api_url.rstrip("/"))).rstrip("/")
        self._calls = GitHubCalls(api_url, token, limits=limits, clock=clock)
        self._contents = Contents(self._calls)
        self._scanning = CodeScanning(self._calls, self._web_url)
        self._history = History(self._calls, self._web_url)
        self._marks = Marks(self._calls)
        self._drafts = Drafts(self._calls)

    async def aclose(self) -> None:
        await self._calls.aclose()

    # --- what verifies a release ----------------------------------------------------------------------------------------

    async def tag(self, repository: str, name: str) -> Tag | None:
        """See the port. Raises Permanent("not_found") where the repository itself can't be seen."""
        found = await self._calls.get_or_none(repository, f"git/ref/tags/{_quoted(name)}")
        if found is None:
            await self._calls.require_repository(repository)
            return None
        with Shape(self._calls.where, "tag"):
            kind, sha = found["object"]["type"], found["object"]["sha"]
        if kind == "commit":
            return Tag(name=name, commit=sha, tag_object=None)
        outer = await self._calls.get(repository, f"git/tags/{checked_sha(sha)}")
        with Shape(self._calls.where, "tag"):
            tagger, verification = outer.get("tagger") or {}, outer.get("verification") or {}
            return Tag(
                name=name,
                commit=await self._peeled(repository, name, outer),
                tag_object=sha,
                tagger=f"{tagger.get('name', '')} <{tagger.get('email', '')}>" if tagger else "",
                payload=verification.get("payload") or "",
                signature=verification.get("signature") or None,
            )

    async def tag_names(self, repository: str, prefix: str) -> tuple[str, ...]:
        names: list[str] = []
        async for page in self._calls.pages(repository, f"git/matching-refs/tags/{_quoted(prefix)}"):
            with Shape(self._calls.where, "list of refs"):
                names += [entry["ref"].removeprefix("refs/tags/") for entry in page]
        return tuple(names[:MOST_TAGS])

    async def checks(self, repository: str, commit: str) -> tuple[CiCheck, ...]:
        """See the port. Raises Permanent("invalid") for a commit that GitHub doesn't have."""
        sha = checked_sha(commit)
        newest: dict[tuple[Any, str], Mapping[str, Any]] = {}
        async for page in self._calls.pages(repository, f"commits/{sha}/check-runs?filter=latest"):
            with Shape(self._calls.where, "list of check runs"):
                for run in page["check_runs"]:
                    key = ((run.get("app") or {}).get("id"), run["name"])
                    if key not in newest or run["id"] > newest[key]["id"]:
                        newest[key] = run
        statuses: list[Mapping[str, Any]] = []
        async for page in self._calls.pages(repository, f"commits/{sha}/status"):
            with Shape(self._calls.where, "combined status"):
                statuses += page["statuses"]
        with Shape(self._calls.where, "list of checks"):
            return (*map(_of_run, newest.values()), *map(_of_status, statuses))

    def compare_url(self, repository: str, base: str, head: str) -> str:
        return f"{self._web_url}/{repository}/compare/{quote(base)}...{quote(head)}"

    async def file(self, repository: str, path: str, commit: str) -> str | None:
        return await self._contents.file(repository, path, commit)

    async def release_notes(self, repository: str, tag: str) -> str | None:
        """See the port; empty where the release has no text. A draft is not published: GitHub knows it by no tag.

        Raises Permanent("not_found") where the repository itself can't be seen.
        """
        found = await self._calls.get_or_none(repository, f"releases/tags/{_quoted(tag)}")
        if found is None:
            await self._calls.require_repository(repository)
            return None
        with Shape(self._calls.where, "release"):
            if found["tag_name"] != tag or found["draft"]:
                return None
            body = found["body"] or ""
            if not isinstance(body, str):
                raise TypeError(type(body).__name__)
        return body

    async def code_scanning(self, repository: str, commit: str) -> ScanReport | None:
        return await self._scanning.report(repository, commit)

    # --- what is beyond it ------------------------------------------------------------------------------------------

    async def commits(self, repository: str, branch: str, most: int = 30) -> tuple[CommitInfo, ...]:
        return await self._history.commits(repository, branch, most)

    async def commit(self, repository: str, ref: str) -> CommitInfo | None:
        return await self._history.commit(repository, ref)

    async def contains(self, repository: str, branch: str, commit: str) -> bool:
        return await self._history.contains(repository, branch, commit)

    async def changes(self, repository: str, base: str, head: str) -> Changes | None:
        return await self._history.changes(repository, base, head)

    async def mark(self, repository: str, commit: str, mark: CommitMark) -> None:
        await self._marks.mark(repository, commit, mark)

    async def drafts(self, repository: str) -> tuple[Draft, ...]:
        return await self._drafts.drafts(repository)

    async def write_draft(self, repository: str, draft: Draft, instead_of: Draft | None = None) -> Draft:
        return await self._drafts.write(repository, draft, instead_of)

    # --- tags -------------------------------------------------------------------------------------------------------

    async def _peeled(self, repository: str, name: str, tag: Mapping[str, Any]) -> str:
        """The commit at the end of a chain of tag objects."""
        for _ in range(_DEEPEST_TAG):
            kind, sha = tag["object"]["type"], tag["object"]["sha"]
            if kind == "commit":
                return str(sha)
            if kind != "tag":
                remedy = "Tag a commit and push the tag under a new name"
                raise Permanent(SYSTEM, "tag_target", f"the tag {name} names a {kind}, not a commit", remedy)
            tag = await self._calls.get(repository, f"git/tags/{checked_sha(sha)}")
        raise Permanent(
            SYSTEM, "tag_target", f"the tag {name} names tags of tags, deeper than {_DEEPEST_TAG}", "Tag the commit"
        )


def _of_run(run: Mapping[str, Any]) -> CiCheck:
    done = "success" if run.get("conclusion") in _PASSED else "failure"
    return CiCheck(
        run["name"],
        done if run["status"] == "completed" else "pending",
        run.get("html_url") or run.get("details_url") or "",
    )


def _of_status(status: Mapping[str, Any]) -> CiCheck:
    state = status["state"]
    return CiCheck(
        status["context"], state if state in ("success", "pending") else "failure", status.get("target_url") or ""
    )


def _quoted(name: str) -> str:
    """A ref's name in a path. Raises Permanent for what no git ref may be (git-check-ref-format): it could leave the path."""
    if ".." in name or name.startswith("/") or name.endswith("/") or any(ord(sign) < 33 for sign in name):
        raise Permanent(SYSTEM, "bad_name", f"{name[:100]!r} is no name of a tag")
    return quote(name)


def _web_url(api_url: str) -> str:
    """`https://api.github.com` serves `https://github.com`; GitHub Enterprise has its API under `/api/v3` of its own host."""
    parts = urlsplit(api_url)
    if parts.hostname == "api.github.com":
        return "https://github.com"
    if (parts.hostname or "").startswith("api.") and parts.hostname.endswith(".ghe.com"):  # type: ignore[union-attr]
        return f"https://{parts.hostname.removeprefix('api.')}"  # type: ignore[union-attr]
    return api_url.removesuffix("/api/v3")

"""The pull requests by which commits came: asked of GitHub for each commit, because a number in a title may be anything.

It asks a bounded number of times, a few at once. What can't be read is left out and said to be missing: it must never keep commits from
being shown. Source: docs.github.com/rest/commits/commits, "List pull requests associated with a commit".
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from integrations.github.calls import GitHubCalls, Shape
from integrations.github.names import first_line, person
from runbook.errors import ForgeError, Permanent
from runbook.source import PullRequest

MOST_ASKED = 30
_AT_ONCE = 4


async def pull_requests(
    calls: GitHubCalls, repository: str, commits: Sequence[str]
) -> tuple[tuple[PullRequest, ...], bool]:
    """The merged ones, each once, in the order of the commits; and whether all commits could be asked for."""
    asked = commits[:MOST_ASKED]
    turn = asyncio.Semaphore(_AT_ONCE)
    refused = asyncio.Event()

    async def of(commit: str) -> tuple[PullRequest, ...] | None:
        async with turn:
            if (
                refused.is_set()
            ):  # the next one would be refused as well: a right that is missing, a limit that is used up
                return None
            try:
                return await _merged(calls, repository, commit)
            except ForgeError:
                refused.set()
                return None

    answers = await asyncio.gather(*map(of, asked))
    found = {pull.number: pull for answer in answers for pull in answer or ()}
    return tuple(found.values()), len(asked) == len(commits) and None not in answers


async def _merged(calls: GitHubCalls, repository: str, commit: str) -> tuple[PullRequest, ...]:
    try:
        found = await calls.get(repository, f"commits/{commit}/pulls?per_page=10")
    except Permanent as error:
        if error.code == "github.invalid":  # a commit that GitHub doesn't have
            return ()
        raise
    with Shape(calls.where, "list of pull requests"):
        return tuple(_pull(each) for each in found if each["merged_at"])


def _pull(found: Any) -> PullRequest:
    author = (found.get("user") or {}).get("login") or ""  # a deleted account is null
    return PullRequest(int(found["number"]), first_line(found["title"]), person(author), str(found["html_url"]))

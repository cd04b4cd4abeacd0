"""The pull requests by which commits came: asked of GitHub for each commit, because a number in a title may be anything.

It asks a bounded number of times, a few at once, and not for long. What can't be read is left out and said to be missing: it must never
keep commits from being shown. Source: docs.github.com/rest/commits/commits, "List pull requests associated with a commit".
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
PATIENCE_S = 2.5
_AT_ONCE = 4


async def pull_requests(
    calls: GitHubCalls, repository: str, commits: Sequence[str], patience_s: float = PATIENCE_S
) -> tuple[tuple[PullRequest, ...], bool]:
    """The merged ones, each once, in the order of the commits; and whether all commits could be asked for within patience_s."""
    found: dict[str, tuple[PullRequest, ...]] = {}
    waiting = iter(commits[:MOST_ASKED])

    async def ask() -> None:
        """One after the other; the first refusal ends it: a right that is missing or a limit that is used up would refuse the next one."""
        for commit in waiting:
            found[commit] = await _merged(calls, repository, commit)

    try:
        async with asyncio.timeout(patience_s), asyncio.TaskGroup() as asking:
            for _ in range(_AT_ONCE):
                asking.create_task(ask())
    except* (ForgeError, TimeoutError):
        pass
    once = {pull.number: pull for commit in commits for pull in found.get(commit, ())}
    return tuple(once.values()), len(found) == len(set(commits))


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

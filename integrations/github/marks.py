"""Commit statuses. Each is read before it is set: GitHub keeps every one that is sent, a thousand for a commit and context.

Source: docs.github.com/rest/commits/statuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations.github.calls import GitHubCalls, Shape, checked_sha
from runbook.source import CommitMark

RIGHT = "Commit statuses: write"
LONGEST_DESCRIPTION = 140


class Marks:
    def __init__(self, calls: GitHubCalls) -> None:
        self._calls = calls

    async def mark(self, repository: str, commit: str, mark: CommitMark) -> None:
        """See the port; a longer description is cut."""
        sha, wanted = checked_sha(commit), _body(mark)

        async def decide() -> None:  # after a lost answer too: it looks whether the mark arrived
            if await self._newest(repository, sha, mark.context) != wanted:
                await self._calls.write("POST", repository, f"statuses/{sha}", wanted, RIGHT)

        await self._calls.deciding("mark", decide)

    async def _newest(self, repository: str, sha: str, context: str) -> Mapping[str, str] | None:
        """Of each context the combined status has the newest; GitHub takes no notice of a context's case."""
        async for page in self._calls.pages(repository, f"commits/{sha}/status"):
            with Shape(self._calls.where, "combined status"):
                for each in page["statuses"]:
                    if each["context"].casefold() == context.casefold():
                        return _as_sent(each, context)
        return None


def _body(mark: CommitMark) -> dict[str, str]:
    text = " ".join(mark.description.split())
    cut = text if len(text) <= LONGEST_DESCRIPTION else text[: LONGEST_DESCRIPTION - 1].rstrip() + "…"
    body = {"context": mark.context, "state": mark.state, "description": cut}
    return body | ({"target_url": mark.url} if mark.url else {})


def _as_sent(found: Mapping[str, Any], context: str) -> dict[str, str]:
    body = {"context": context, "state": str(found["state"]), "description": str(found["description"] or "")}
    return body | ({"target_url": str(found["target_url"])} if found.get("target_url") else {})

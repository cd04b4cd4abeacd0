"""Draft releases. GitHub keeps any number of drafts for one tag, so each write looks first for the one that is there.

What was published is never rewritten. GitHub shows drafts only to whoever may write; it offers no conditional writes.
Source: docs.github.com/rest/releases/releases.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from integrations.github.calls import SYSTEM, GitHubCalls, Shape, checked_ref
from runbook.errors import Conflict, Permanent
from runbook.source import Draft

RIGHT = "Contents: write"
MOST_DRAFTS = 100


class Drafts:
    def __init__(self, calls: GitHubCalls) -> None:
        self._calls = calls
        self._writing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def drafts(self, repository: str) -> tuple[Draft, ...]:
        """See the port. A token that may not write sees none."""
        found: list[Draft] = []
        async for page in self._calls.pages(repository, "releases"):
            with Shape(self._calls.where, "list of releases"):
                found += [_draft(each) for each in page if each["draft"]]
        return tuple(sorted(found, key=lambda draft: -draft.id)[:MOST_DRAFTS])

    async def write(self, repository: str, draft: Draft, instead_of: Draft | None = None) -> Draft:
        """See the port. Of several drafts for one tag the oldest is taken, so that two writers come to the same one."""
        checked_ref(draft.tag)

        async def decide() -> Draft:
            there = await self._there(repository, draft)
            if there is not None and _said(there) == _said(draft):  # also what a lost answer was about
                return there
            if instead_of is not None and not _unchanged(instead_of, there):
                raise _conflict(f"somebody has changed the draft of {draft.tag} in {repository} meanwhile")
            if there is None:
                return await self._create(repository, draft)
            return await self._rewrite(repository, there.id, draft)

        async with self._writing.setdefault(repository, asyncio.Lock()):
            return await self._calls.deciding("draft", decide)

    async def _there(self, repository: str, wanted: Draft) -> Draft | None:
        if not wanted.id:
            return min(
                (each for each in await self.drafts(repository) if each.tag == wanted.tag),
                key=lambda draft: draft.id,
                default=None,
            )
        found = await self._calls.get_or_none(repository, f"releases/{wanted.id}")
        if found is None:
            raise _conflict(f"the draft of {wanted.tag} is gone from {repository}")
        return self._unpublished(found, repository)

    async def _create(self, repository: str, wanted: Draft) -> Draft:
        published = await self._calls.get_or_none(repository, f"releases/tags/{checked_ref(wanted.tag)}")
        if published is not None:
            raise _published(repository, wanted.tag)
        try:
            made = await self._calls.write("POST", repository, "releases", _body(wanted) | {"draft": True}, RIGHT)
        except Permanent as error:
            if error.code == "github.invalid" and "already_exists" in error.cause:
                raise _published(repository, wanted.tag) from error
            raise
        return self._unpublished(made, repository)

    async def _rewrite(self, repository: str, number: int, wanted: Draft) -> Draft:
        """Says nothing of `draft`: true would take back what a person published in this very moment."""
        return self._unpublished(
            await self._calls.write("PATCH", repository, f"releases/{number}", _body(wanted), RIGHT), repository
        )

    def _unpublished(self, found: Any, repository: str) -> Draft:
        with Shape(self._calls.where, "release"):
            draft = _draft(found)
            if found["draft"]:
                return draft
        raise _published(repository, draft.tag)


def _body(draft: Draft) -> dict[str, Any]:
    return {"tag_name": draft.tag, "name": draft.title, "body": draft.body}


def _draft(found: Mapping[str, Any]) -> Draft:
    return Draft(int(found["id"]), str(found["tag_name"]), str(found["name"] or ""), str(found["body"] or ""))


def _said(draft: Draft) -> tuple[str, str, str]:
    """What people type into GitHub's page comes with CRLF: that alone is no other text."""
    return draft.tag, draft.title, draft.body.replace("\r\n", "\n")


def _unchanged(read: Draft, there: Draft | None) -> bool:
    if there is None or not read.id:
        return there is None and not read.id
    return read.id == there.id and _said(read) == _said(there)


def _published(repository: str, tag: str) -> Conflict:
    return _conflict(f"the release {tag} of {repository} was published meanwhile")


def _conflict(cause: str) -> Conflict:
    return Conflict(SYSTEM, "conflict", cause, "Read the release again")

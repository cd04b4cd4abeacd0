"""The fake of `Source` that the domain is tested with answers as GitHub does: the same questions to both."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import pytest

from integrations.github import GitHub
from runbook.errors import Conflict
from runbook.source import CommitMark, Draft, Source
from sandbox.github import LocalGitHub
from tests.runbook.fake_source import FakeSource

REPO = "acme/shop"
MARK = CommitMark("forge/dev-validated", "success", "Validated in dev")
NEW = Draft(0, "v1.5.0", "v1.5.0", "Notes")


class Twin(Protocol):
    """A source, and what happens in its world."""

    source: Source

    def push(self, title: str, branch: str = "main") -> str: ...

    def publish(self, draft: Draft) -> None: ...

    def marks(self) -> int: ...


class Real:
    def __init__(self, host: LocalGitHub, github: GitHub) -> None:
        self._host, self.source = host, github

    def push(self, title: str, branch: str = "main") -> str:
        return self._host.commit(REPO, title, branch=branch)

    def publish(self, draft: Draft) -> None:
        self._host.publish_release(REPO, draft.tag)

    def marks(self) -> int:
        return len(self._host.repository(REPO).statuses)


class Fake:
    def __init__(self) -> None:
        self.source = FakeSource()

    def push(self, title: str, branch: str = "main") -> str:
        return self.source.push(title=title, branch=branch).sha

    def publish(self, draft: Draft) -> None:
        self.source.published.add(draft.id)

    def marks(self) -> int:
        return len(self.source.marks)


@pytest.fixture(params=["github", "fake"])
def twin(request: pytest.FixtureRequest, host: LocalGitHub, github: GitHub) -> Twin:
    return Real(host, github) if request.param == "github" else Fake()


async def test_the_newest_commits_come_first(twin: Twin) -> None:
    shas = [twin.push(f"Change {number}") for number in range(4)][::-1]
    found = await twin.source.commits(REPO, "main", most=3)
    assert [(info.sha, info.title) for info in found] == [(shas[n], f"Change {3 - n}") for n in range(3)]
    assert await twin.source.commits(REPO, "nowhere") == ()


async def test_a_commit_is_found_or_none(twin: Twin) -> None:
    twin.push("Old")
    sha = twin.push("New")
    for ref in (sha, sha[:39], "main"):
        found = await twin.source.commit(REPO, ref)
        assert found is not None
        assert (found.sha, found.title, found.author) == (sha, "New", "Ada Lovelace")
    for ref in ("f" * 40, sha[:6], "nowhere"):
        assert await twin.source.commit(REPO, ref) is None


async def test_a_commit_is_on_its_branch_alone(twin: Twin) -> None:
    sha = twin.push("One")
    assert await twin.source.contains(REPO, "main", sha)
    assert not await twin.source.contains(REPO, "main", "f" * 40)
    assert not await twin.source.contains(REPO, "nowhere", sha)


async def test_changes_are_told_in_githubs_words(twin: Twin) -> None:
    one, two, three = (twin.push(title) for title in ("One", "Two", "Three"))
    found = await twin.source.changes(REPO, one, three)
    assert found is not None
    assert (found.relation, found.total, [info.sha for info in found.commits]) == ("ahead", 2, [three, two])
    back, same = await twin.source.changes(REPO, three, one), await twin.source.changes(REPO, one, one)
    assert back is not None
    assert same is not None
    assert (back.relation, back.commits) == ("behind", ())
    assert (same.relation, same.commits) == ("identical", ())
    assert await twin.source.changes(REPO, one, "f" * 40) is None


async def test_a_mark_is_set_once(twin: Twin) -> None:
    sha = twin.push("One")
    for mark in (MARK, MARK, replace(MARK, state="failure"), MARK):
        await twin.source.mark(REPO, sha, mark)
    assert twin.marks() == 3


async def test_a_tag_has_one_draft_until_it_is_published(twin: Twin) -> None:
    twin.push("One")
    written = await twin.source.write_draft(REPO, NEW)
    assert written == replace(NEW, id=written.id)
    assert await twin.source.write_draft(REPO, replace(NEW, body="More")) == replace(written, body="More")
    other = await twin.source.write_draft(REPO, replace(NEW, tag="v1.6.0"))
    assert [draft.id for draft in await twin.source.drafts(REPO)] == [other.id, written.id]
    twin.publish(written)
    assert [draft.id for draft in await twin.source.drafts(REPO)] == [other.id]
    for draft in (written, NEW, replace(NEW, id=987_654)):
        with pytest.raises(Conflict):
            await twin.source.write_draft(REPO, draft)


async def test_what_somebody_has_changed_since_it_was_read_is_not_written_over(twin: Twin) -> None:
    twin.push("One")
    read = await twin.source.write_draft(REPO, NEW, instead_of=NEW)
    assert await twin.source.write_draft(REPO, NEW, instead_of=NEW) == read  # the answer to the first was lost
    edited = await twin.source.write_draft(REPO, replace(read, body="By Ada"), instead_of=read)
    for draft, before in ((replace(read, body="By forge"), read), (replace(NEW, body="By forge"), NEW)):
        with pytest.raises(Conflict):
            await twin.source.write_draft(REPO, draft, instead_of=before)
    assert await twin.source.drafts(REPO) == (edited,)
    done = replace(edited, body="By both")
    assert await twin.source.write_draft(REPO, done, instead_of=edited) == done

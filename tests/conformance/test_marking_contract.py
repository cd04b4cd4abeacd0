"""What forge writes at GitHub: commit statuses and draft releases. In a repository that is there for it; the drafts are deleted again."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest

from integrations.github import GitHub
from runbook.errors import Conflict, Permanent
from runbook.source import CommitMark, Draft
from tests.conformance.addresses import Addresses

pytestmark = pytest.mark.conformance
GITHUB = "https://api.github.com"


@pytest.fixture
async def github(addresses: Addresses) -> AsyncIterator[GitHub]:
    made = GitHub(addresses.get("CONFORMANCE_GITHUB_URL", GITHUB), lambda: addresses["CONFORMANCE_GITHUB_TOKEN"])
    yield made
    await made.aclose()


@pytest.fixture
def repository(addresses: Addresses) -> str:
    return addresses["CONFORMANCE_GITHUB_SCRATCH"]


@pytest.fixture
async def commit(github: GitHub, repository: str, addresses: Addresses) -> str:
    found = await github.commit(repository, addresses.get("CONFORMANCE_GITHUB_BRANCH", "main"))
    assert found is not None, "CONFORMANCE_GITHUB_SCRATCH needs a commit on CONFORMANCE_GITHUB_BRANCH"
    return found.sha


@pytest.fixture
async def new(addresses: Addresses, github: GitHub, repository: str) -> AsyncIterator[Draft]:
    """A draft for a tag that nobody has; whatever there is for it is deleted after the test."""
    tag = f"v0.0.0-forge-conformance.{uuid.uuid4().hex}"
    yield Draft(0, tag, tag, "## Changes\n\n- Größer 🍵\n")
    base = addresses.get("CONFORMANCE_GITHUB_URL", GITHUB).rstrip("/")
    headers = {"Authorization": f"Bearer {addresses['CONFORMANCE_GITHUB_TOKEN']}"}
    async with aiohttp.ClientSession(headers=headers, trust_env=not base.startswith("http://127.")) as session:
        for draft in await github.drafts(repository):
            if draft.tag == tag:
                async with session.delete(f"{base}/repos/{repository}/releases/{draft.id}") as gone:
                    assert gone.status == 204


async def statuses(addresses: Addresses, repository: str, commit: str, context: str) -> int:
    base = addresses.get("CONFORMANCE_GITHUB_URL", GITHUB).rstrip("/")
    headers = {"Authorization": f"Bearer {addresses['CONFORMANCE_GITHUB_TOKEN']}"}
    async with (
        aiohttp.ClientSession(headers=headers, trust_env=not base.startswith("http://127.")) as session,
        session.get(f"{base}/repos/{repository}/commits/{commit}/statuses?per_page=100") as answer,
    ):
        assert answer.status == 200
        return sum(each["context"] == context for each in await answer.json())


async def test_a_commit_status_is_set_once_however_often_it_is_asked_for(
    addresses: Addresses, github: GitHub, repository: str, commit: str
) -> None:
    mark = CommitMark("forge/conformance", "success", f"Set by a test {uuid.uuid4()} " + "wörter " * 30)
    before = await statuses(addresses, repository, commit, mark.context)
    for _ in range(3):
        await github.mark(repository, commit, mark)
    assert await statuses(addresses, repository, commit, mark.context) == min(before + 1, 100)
    assert "success" in {check.state for check in await github.checks(repository, commit) if check.name == mark.context}


async def test_a_commit_that_isnt_there_takes_no_status(github: GitHub, repository: str) -> None:
    with pytest.raises(Permanent):
        await github.mark(repository, "0" * 40, CommitMark("forge/conformance", "success", ""))


async def test_a_draft_is_made_once_found_by_its_tag_and_rewritten_in_place(
    github: GitHub, repository: str, new: Draft
) -> None:
    made = await github.write_draft(repository, new, instead_of=new)
    assert made == replace(new, id=made.id)
    assert await github.write_draft(repository, new) == made
    assert [draft for draft in await github.drafts(repository) if draft.tag == new.tag] == [made]
    wanted = replace(made, body="By hand\r\n\r\n" + made.body, title="Another")
    assert await github.write_draft(repository, wanted, instead_of=made) == wanted
    assert [draft for draft in await github.drafts(repository) if draft.tag == new.tag] == [wanted]
    assert await github.release_notes(repository, new.tag) is None  # nobody sees it by its tag


async def test_what_somebody_has_changed_meanwhile_is_not_written_over(
    github: GitHub, repository: str, new: Draft
) -> None:
    read = await github.write_draft(repository, new)
    edited = await github.write_draft(repository, replace(read, body="By somebody"))
    with pytest.raises(Conflict):
        await github.write_draft(repository, replace(read, body="By forge"), instead_of=read)
    assert edited in await github.drafts(repository)


async def test_a_draft_that_isnt_there_is_a_conflict(github: GitHub, repository: str, new: Draft) -> None:
    made = await github.write_draft(repository, new)
    with pytest.raises(Conflict):
        await github.write_draft(repository, replace(made, id=made.id + 1_000_000_000_000))

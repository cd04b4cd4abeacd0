"""What forge relies on in GitHub: tag objects as git signed them, checks, branches, comparisons, conditional requests. Reads only."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from integrations.github import GitHub
from runbook.errors import Permanent
from runbook.ports import Tag
from runbook.source import CommitInfo
from tests.conformance.addresses import Addresses

pytestmark = pytest.mark.conformance
GITHUB = "https://api.github.com"


@pytest.fixture
async def github(addresses: Addresses) -> AsyncIterator[GitHub]:
    token = addresses.get("CONFORMANCE_GITHUB_TOKEN", "")
    made = GitHub(addresses.get("CONFORMANCE_GITHUB_URL", GITHUB), (lambda: token) if token else None)
    yield made
    await made.aclose()


@pytest.fixture
def repository(addresses: Addresses) -> str:
    return addresses["CONFORMANCE_GITHUB_REPOSITORY"]


@pytest.fixture
async def tag(github: GitHub, repository: str, addresses: Addresses) -> Tag:
    found = await github.tag(repository, addresses["CONFORMANCE_GITHUB_TAG"])
    assert found is not None
    return found


@pytest.fixture
def branch(addresses: Addresses) -> str:
    return addresses.get("CONFORMANCE_GITHUB_BRANCH", "main")


@pytest.fixture
async def newest(github: GitHub, repository: str, branch: str) -> tuple[CommitInfo, ...]:
    """The first one is the branch's newest."""
    found = await github.commits(repository, branch, most=5)
    assert len(found) > 1, "CONFORMANCE_GITHUB_BRANCH must have at least two commits"
    return found


async def asked_twice(addresses: Addresses, path: str) -> tuple[int, int]:
    """The statuses of a question and of the same with the first answer's ETag."""
    token, base = addresses.get("CONFORMANCE_GITHUB_TOKEN", ""), addresses.get("CONFORMANCE_GITHUB_URL", GITHUB)
    headers = {"Accept": "application/vnd.github+json", **({"Authorization": f"Bearer {token}"} if token else {})}
    url = f"{base.rstrip('/')}/repos/{path}"

    async def ask(session: aiohttp.ClientSession, more: dict[str, str]) -> tuple[int, Any]:
        async with session.get(url, headers={**headers, **more}) as answer:
            return answer.status, answer.headers.get("ETag", "")

    async with aiohttp.ClientSession(trust_env=not base.startswith("http://127.")) as session:
        status, etag = await ask(session, {})
        assert etag
        return status, (await ask(session, {"If-None-Match": etag}))[0]


async def test_a_signed_tags_payload_and_signature_are_the_very_object_that_git_made(tag: Tag) -> None:
    assert tag.tag_object is not None, "CONFORMANCE_GITHUB_TAG must be an annotated tag"
    assert tag.signature is not None, "CONFORMANCE_GITHUB_TAG must be signed"
    assert tag.payload.startswith(f"object {tag.commit}\ntype commit\ntag {tag.name}\n")
    whole = (tag.payload + tag.signature.rstrip("\n") + "\n").encode()
    assert hashlib.sha1(b"tag %d\0%b" % (len(whole), whole), usedforsecurity=False).hexdigest() == tag.tag_object


async def test_a_tag_that_isnt_there_is_none(github: GitHub, repository: str) -> None:
    assert await github.tag(repository, "forge-conformance-no-such-tag") is None


async def test_the_tag_is_among_the_names_with_its_prefix(github: GitHub, repository: str, tag: Tag) -> None:
    names = await github.tag_names(repository, tag.name[:2])
    assert tag.name in names
    assert all(name.startswith(tag.name[:2]) for name in names)


async def test_the_checks_of_the_tagged_commit_have_states_that_forge_knows(
    github: GitHub, repository: str, tag: Tag
) -> None:
    checks = await github.checks(repository, tag.commit)
    assert checks, "the tagged commit must have at least one check run or status"
    assert {check.state for check in checks} <= {"success", "failure", "pending"}


async def test_a_commit_that_isnt_there_is_refused(github: GitHub, repository: str) -> None:
    with pytest.raises(Permanent):
        await github.checks(repository, "0" * 40)


async def test_what_hasnt_changed_is_answered_with_304(addresses: Addresses, repository: str, tag: Tag) -> None:
    """Conditional requests that answer 304 don't count against the primary rate limit."""
    assert await asked_twice(addresses, f"{repository}/git/ref/tags/{tag.name}") == (200, 304)


async def test_a_file_is_read_at_a_commit(github: GitHub, repository: str, tag: Tag) -> None:
    text = await github.file(repository, "README.md", tag.commit)
    assert text, "the tagged commit must have a README.md that is text"
    assert await github.file(repository, "forge/conformance/no-such-file.yaml", tag.commit) is None


async def test_a_folder_is_told_apart_from_a_file(
    github: GitHub, repository: str, tag: Tag, addresses: Addresses
) -> None:
    folder = addresses.get("CONFORMANCE_GITHUB_FOLDER", "docs")
    with pytest.raises(Permanent, match="a folder"):
        await github.file(repository, folder, tag.commit)


async def test_a_file_of_a_commit_that_isnt_there_is_refused(github: GitHub, repository: str) -> None:
    with pytest.raises(Permanent):
        await github.file(repository, "README.md", "0" * 40)


async def test_a_release_is_found_by_its_tag_or_not_at_all(github: GitHub, repository: str, tag: Tag) -> None:
    notes = await github.release_notes(repository, tag.name)
    assert notes is None or isinstance(notes, str)
    assert await github.release_notes(repository, "forge-conformance-no-such-tag") is None


async def test_code_scanning_speaks_of_the_very_commit_or_not_at_all(github: GitHub, repository: str, tag: Tag) -> None:
    report = await github.code_scanning(repository, tag.commit)
    if report is not None:
        assert report.subject == tag.commit
        assert report.tool
        assert report.taken_at <= report.received_at
        assert set(report.counts) == {"critical", "high", "medium", "low", "unknown"}
        assert len(report.critical) == min(report.counts["critical"], 20)


async def test_a_commit_that_isnt_there_was_never_scanned(github: GitHub, repository: str) -> None:
    assert await github.code_scanning(repository, "0" * 40) is None


async def test_a_branch_is_listed_from_its_newest_commit_along_first_parents(
    github: GitHub, repository: str, newest: tuple[CommitInfo, ...]
) -> None:
    assert [info.sha for info in await github.commits(repository, newest[0].sha, most=2)] == []  # no branch's name
    for info in newest:
        assert len(info.sha) == 40
        assert len(info.title) <= 200
        assert "@" not in info.author
    for child, parent in pairwise(newest):
        found = await github.changes(repository, parent.sha, child.sha)
        assert found is not None
        assert found.relation == "ahead"


async def test_an_unchanged_branch_is_answered_with_304(addresses: Addresses, repository: str, branch: str) -> None:
    assert await asked_twice(addresses, f"{repository}/git/ref/heads/{branch}") == (200, 304)


async def test_a_branch_that_isnt_there_has_no_commits(github: GitHub, repository: str) -> None:
    assert await github.commits(repository, "forge-conformance-no-such-branch") == ()


async def test_a_commit_is_found_by_sha_by_a_part_of_it_and_by_branch(
    github: GitHub, repository: str, branch: str, newest: tuple[CommitInfo, ...]
) -> None:
    head = newest[0]
    for ref in (head.sha, head.sha[:12], branch):
        assert await github.commit(repository, ref) == head
    assert await github.commit(repository, "0" * 40) is None
    assert await github.commit(repository, "0000000") is None


async def test_a_branch_contains_its_own_commits_alone(
    github: GitHub, repository: str, branch: str, newest: tuple[CommitInfo, ...]
) -> None:
    assert await github.contains(repository, branch, newest[0].sha)
    assert await github.contains(repository, branch, newest[-1].sha)
    assert not await github.contains(repository, branch, "0" * 40)


async def test_what_lies_between_two_commits_begins_with_the_newest(
    github: GitHub, repository: str, newest: tuple[CommitInfo, ...]
) -> None:
    found = await github.changes(repository, newest[-1].sha, newest[0].sha)
    assert found is not None
    assert found.commits[0] == newest[0]
    assert len(found.commits) == min(found.total, 100)
    assert {info.sha for info in newest[:-1]} <= {info.sha for info in found.commits} or found.total > 100
    assert len({pull.number for pull in found.pull_requests}) == len(found.pull_requests)
    same = await github.changes(repository, newest[0].sha, newest[0].sha)
    assert same is not None
    assert (same.relation, same.total, same.commits) == ("identical", 0, ())


async def test_a_tag_may_stand_for_its_commit_in_a_comparison(github: GitHub, repository: str, tag: Tag) -> None:
    found = await github.changes(repository, tag.name, tag.commit)
    assert found is not None
    assert found.relation == "identical"
    assert await github.changes(repository, "forge-conformance-no-such-tag", tag.commit) is None


async def test_drafts_are_listed_or_there_are_none(github: GitHub, repository: str) -> None:
    for draft in await github.drafts(repository):
        assert draft.id
        assert isinstance(draft.body, str)

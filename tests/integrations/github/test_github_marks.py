"""Commit statuses: set once however often they are asked for, and however the answer is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from integrations.github import GitHub
from integrations.http_calls import Limits
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.source import CommitMark
from sandbox.faults import Fault
from sandbox.github import LocalGitHub
from tests.integrations.github.conftest import QUICK, SECRET

REPO = "acme/shop"
VALIDATED = CommitMark("forge/dev-validated", "success", "Validated in dev by dev-7", "https://forge.acme.example/7")
IMPATIENT = Limits(timeout_s=0.2, attempts=2, deadline_s=2.0, first_wait_s=0.01)


@pytest.fixture
async def reader(host: LocalGitHub) -> AsyncIterator[GitHub]:
    """Its token may not write."""
    client = GitHub(host.url, lambda: host.read_only_token, limits=QUICK)
    yield client
    await client.aclose()


async def refusal(call: Any) -> ForgeError:
    with pytest.raises(ForgeError) as caught:
        await call
    return caught.value


def kept(host: LocalGitHub) -> list[tuple[str, str, str, str]]:
    return [(each.context, each.state, each.description, each.target_url) for each in host.repository(REPO).statuses]


def posts(host: LocalGitHub) -> int:
    return sum(request.method == "POST" for request in host.requests)


async def test_a_mark_is_seen_among_the_checks_of_its_commit(host: LocalGitHub, github: GitHub) -> None:
    sha = host.commit(REPO)
    await github.mark(REPO, sha, VALIDATED)
    (check,) = await github.checks(REPO, sha)
    assert (check.name, check.state, check.url) == (VALIDATED.context, "success", VALIDATED.url)
    assert kept(host) == [("forge/dev-validated", "success", VALIDATED.description, VALIDATED.url)]


async def test_the_same_mark_again_writes_nothing(host: LocalGitHub, github: GitHub) -> None:
    sha = host.commit(REPO)
    for _ in range(3):
        await github.mark(REPO, sha, VALIDATED)
    assert posts(host) == 1


async def test_a_mark_that_another_one_has_replaced_is_set_again(host: LocalGitHub, github: GitHub) -> None:
    sha = host.commit(REPO)
    await github.mark(REPO, sha, VALIDATED)
    host.set_status(REPO, sha, VALIDATED.context, "pending")
    await github.mark(REPO, sha, VALIDATED)
    assert [state for _, state, _, _ in kept(host)] == ["success", "pending", "success"]


@pytest.mark.parametrize(
    "other",
    [
        CommitMark(VALIDATED.context, "failure", VALIDATED.description, VALIDATED.url),
        CommitMark(VALIDATED.context, "success", "Other words", VALIDATED.url),
        CommitMark(VALIDATED.context, "success", VALIDATED.description, "https://forge.acme.example/8"),
        CommitMark(VALIDATED.context, "success", VALIDATED.description),
        CommitMark("forge/other", "success", VALIDATED.description, VALIDATED.url),
    ],
)
async def test_a_mark_that_differs_in_anything_is_set(host: LocalGitHub, github: GitHub, other: CommitMark) -> None:
    sha = host.commit(REPO)
    await github.mark(REPO, sha, VALIDATED)
    await github.mark(REPO, sha, other)
    assert kept(host)[-1] == (other.context, other.state, other.description, other.url)
    assert posts(host) == 2


async def test_other_contexts_and_commits_are_left_alone(host: LocalGitHub, github: GitHub) -> None:
    old, sha = host.commit(REPO, "Old"), host.commit(REPO, "New")
    host.set_status(REPO, sha, "ci/build", "failure")
    await github.mark(REPO, old, VALIDATED)
    await github.mark(REPO, sha, VALIDATED)
    assert [(each.sha, each.context) for each in host.repository(REPO).statuses] == [
        (sha, "ci/build"),
        (old, VALIDATED.context),
        (sha, VALIDATED.context),
    ]


async def test_a_mark_is_found_behind_a_page_of_other_contexts(host: LocalGitHub, github: GitHub) -> None:
    sha = host.commit(REPO)
    await github.mark(REPO, sha, VALIDATED)
    for number in range(130):
        host.set_status(REPO, sha, f"ci/{number}", "success")
    await github.mark(REPO, sha, VALIDATED)
    assert posts(host) == 1


async def test_a_long_description_is_cut_to_what_github_takes_and_still_set_once(
    host: LocalGitHub, github: GitHub
) -> None:
    sha = host.commit(REPO)
    long = CommitMark(VALIDATED.context, "success", "word " * 60)
    for _ in range(2):
        await github.mark(REPO, sha, long)
    ((_, _, description, _),) = kept(host)
    assert len(description) <= 140
    assert description.endswith("word…")
    assert posts(host) == 1


@pytest.mark.parametrize("kind", ["after", "reset"])
async def test_a_lost_answer_leads_to_one_mark(host: LocalGitHub, github: GitHub, kind: Any) -> None:
    sha = host.commit(REPO)
    host.faults.add(Fault(kind=kind, method="POST"))
    await github.mark(REPO, sha, VALIDATED)
    assert kept(host) == [("forge/dev-validated", "success", VALIDATED.description, VALIDATED.url)]
    assert posts(host) == (1 if kind == "after" else 2)


async def test_a_lost_answer_that_cannot_be_looked_up_at_once_leads_to_one_mark(
    host: LocalGitHub, github: GitHub
) -> None:
    sha = host.commit(REPO)
    host.faults.add(Fault(kind="delay", method="GET", path="/status$"))
    host.faults.add(Fault(kind="after", method="POST"))
    host.faults.add(Fault(status=500, method="GET", path="/status$"))  # the look after the lost answer
    await github.mark(REPO, sha, VALIDATED)
    assert len(kept(host)) == 1
    assert host.faults.pending == []


async def test_two_who_mark_at_once_leave_the_mark(host: LocalGitHub, github: GitHub) -> None:
    sha = host.commit(REPO)
    second = GitHub(host.url, lambda: SECRET, limits=QUICK)
    await asyncio.gather(github.mark(REPO, sha, VALIDATED), second.mark(REPO, sha, VALIDATED))
    await second.aclose()
    assert {each[:2] for each in kept(host)} == {(VALIDATED.context, "success")}


async def test_a_token_that_may_only_read_is_told_which_right_it_needs(host: LocalGitHub, reader: GitHub) -> None:
    sha = host.commit(REPO)
    error = await refusal(reader.mark(REPO, sha, VALIDATED))
    assert (type(error), error.code) == (Permanent, "github.forbidden")
    assert "Commit statuses: write" in error.remedy
    assert REPO in error.remedy
    assert posts(host) == 1
    assert host.read_only_token not in f"{error!r} {error} {vars(error)}"


async def test_a_commit_that_github_lacks_cannot_be_marked(host: LocalGitHub, github: GitHub) -> None:
    host.commit(REPO)
    error = await refusal(github.mark(REPO, "0" * 40, VALIDATED))
    assert (type(error), error.code) == (Permanent, "github.invalid")
    assert (await refusal(github.mark(REPO, "main", VALIDATED))).code == "github.bad_name"


async def test_a_state_that_github_doesnt_know_is_refused_with_its_words(host: LocalGitHub, github: GitHub) -> None:
    sha = host.commit(REPO)
    error = await refusal(github.mark(REPO, sha, CommitMark("forge/x", "green", "")))
    assert error.code == "github.invalid"
    assert "state: invalid" in error.cause


@pytest.mark.parametrize(
    ("status", "kind", "code", "asked"),
    [
        (401, Permanent, "github.unauthorized", 1),
        (404, Permanent, "github.not_found", 1),
        (422, Permanent, "github.invalid", 1),
        (500, Temporary, "github.server_error", 3),
        (503, Temporary, "github.unavailable", 3),
    ],
)
async def test_a_refused_write_is_its_own_error(
    host: LocalGitHub, github: GitHub, status: int, kind: type[ForgeError], code: str, asked: int
) -> None:
    sha = host.commit(REPO)
    host.faults.add(Fault(status=status, method="POST", times=-1))
    error = await refusal(github.mark(REPO, sha, VALIDATED))
    assert (type(error), error.code) == (kind, code)
    assert posts(host) == asked


async def test_a_pause_that_github_asks_for_before_a_write_is_passed_on(host: LocalGitHub, github: GitHub) -> None:
    sha = host.commit(REPO)
    host.faults.add(Fault(status=403, method="POST", headers={"Retry-After": "60"}, body={"message": "secondary"}))
    error = await refusal(github.mark(REPO, sha, VALIDATED))
    assert isinstance(error, Temporary)
    assert (error.code, error.retry_after_s) == ("github.rate_limited", 60.0)
    assert posts(host) == 1


async def test_a_short_pause_before_a_write_is_kept(host: LocalGitHub, github: GitHub) -> None:
    sha = host.commit(REPO)
    host.faults.add(Fault(status=429, method="POST", headers={"Retry-After": "0.1"}, body={"message": "slow down"}))
    await github.mark(REPO, sha, VALIDATED)
    assert len(kept(host)) == 1


async def test_a_hanging_write_is_temporary(host: LocalGitHub) -> None:
    sha = host.commit(REPO)
    client = GitHub(host.url, lambda: SECRET, limits=IMPATIENT)
    host.faults.add(Fault(kind="hang", method="POST", times=-1))
    error = await refusal(client.mark(REPO, sha, VALIDATED))
    await client.aclose()
    assert (type(error), error.code) == (Temporary, "github.timeout")
    assert SECRET not in f"{error!r} {error} {vars(error)}"


@pytest.mark.parametrize("body", ["<html>", '{"id": 1, "state', ""])
async def test_garbage_after_a_write_is_told(host: LocalGitHub, github: GitHub, body: str) -> None:
    sha = host.commit(REPO)
    host.faults.add(Fault(status=201, method="POST", body=body or "\n"))
    error = await refusal(github.mark(REPO, sha, VALIDATED))
    assert (type(error), error.code) == (Permanent, "github.garbage")


async def test_a_renamed_repository_is_not_marked(host: LocalGitHub, github: GitHub) -> None:
    sha = host.commit("acme/old")
    host.rename("acme/old", REPO)
    assert (await refusal(github.mark("acme/old", sha, VALIDATED))).code == "github.moved"
    assert kept(host) == []

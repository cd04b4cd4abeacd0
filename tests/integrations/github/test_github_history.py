"""Branches, commits and what lies between them, asked of the GitHub stand-in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.github import GitHub
from integrations.github.calls import GitHubCalls
from integrations.github.history import History
from integrations.http_calls import Limits
from runbook.errors import ForgeError, Permanent, Temporary
from sandbox.faults import Fault
from sandbox.github import LocalGitHub, Person
from tests.integrations.github.conftest import QUICK, SECRET

REPO = "acme/shop"
IMPATIENT = Limits(timeout_s=0.2, attempts=2, deadline_s=2.0, first_wait_s=0.01)


async def refusal(call: Any) -> ForgeError:
    with pytest.raises(ForgeError) as caught:
        await call
    return caught.value


def history(host: LocalGitHub, number: int, branch: str = "main") -> list[str]:
    """The newest first."""
    return [host.commit(REPO, f"Change {count}", branch=branch) for count in range(number)][::-1]


def merged(host: LocalGitHub, title: str, *, author: str = "bob", squash: bool = False) -> tuple[str, str]:
    """A topic branch's commit and what came onto main by its pull request."""
    main = host.repository(REPO).refs["refs/heads/main"]
    branch = f"topic-{len(host.repository(REPO).pulls)}"
    topic = host.commit(REPO, f"Work on {title}", parent=main, branch=branch, files={f"{branch}.txt": title})
    pull = host.pull_request(REPO, title, [topic], author=author, merged=False, head=branch)
    return topic, host.merge(REPO, pull.number, squash=squash)


# --- branches -------------------------------------------------------------------------------------------------------


async def test_the_newest_commit_of_a_branch_comes_first(host: LocalGitHub, github: GitHub) -> None:
    at = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    first = host.commit(REPO, "First", author="Ada Lovelace <ada@acme.example>", at=at)
    second = host.commit(REPO, "Second\n\nWith a body")
    newest, oldest = await github.commits(REPO, "main")
    assert (newest.sha, newest.title) == (second, "Second")
    assert (oldest.sha, oldest.author, oldest.at) == (first, "Ada Lovelace", at)


async def test_no_more_commits_come_than_were_asked_for(host: LocalGitHub, github: GitHub) -> None:
    shas = history(host, 5)
    assert [info.sha for info in await github.commits(REPO, "main", most=3)] == shas[:3]


async def test_commits_that_were_never_a_branchs_newest_are_left_out(host: LocalGitHub, github: GitHub) -> None:
    first = host.commit(REPO, "First", files={"a": "1"})
    _, one = merged(host, "One")
    _, two = merged(host, "Two", squash=True)
    _, three = merged(host, "Three")
    assert [info.sha for info in await github.commits(REPO, "main")] == [three, two, one, first]
    assert [info.sha for info in await github.commits(REPO, "main", most=2)] == [three, two]


async def test_a_branch_that_is_not_there_has_no_commits(host: LocalGitHub, github: GitHub) -> None:
    host.commit(REPO)
    assert await github.commits(REPO, "release/2") == ()


async def test_an_empty_repository_has_no_commits(host: LocalGitHub, github: GitHub) -> None:
    host.repository(REPO)
    assert await github.commits(REPO, "main") == ()


async def test_a_repository_that_is_not_seen_is_no_empty_branch(github: GitHub) -> None:
    error = await refusal(github.commits("acme/nothing", "main"))
    assert (type(error), error.code) == (Permanent, "github.not_found")


async def test_a_tag_with_the_branchs_name_does_not_stand_in_for_it(host: LocalGitHub, github: GitHub) -> None:
    old, new = host.commit(REPO, "Old"), host.commit(REPO, "New")
    host.tag(REPO, "main", old, annotated=False)
    assert (await github.commits(REPO, "main"))[0].sha == new
    assert await github.contains(REPO, "main", new)
    found = await github.commit(REPO, "main")
    assert found is not None
    assert found.sha == new


async def test_asking_an_unchanged_branch_again_costs_nothing_of_the_rate_limit(
    host: LocalGitHub, github: GitHub
) -> None:
    history(host, 40)
    first = await github.commits(REPO, "main")
    used, asked = host.rate.used, len(host.requests)
    for _ in range(20):
        assert await github.commits(REPO, "main") == first
    assert host.rate.used == used
    assert {request.status for request in host.requests[asked:]} == {304}
    assert len(host.requests) == asked + 20


async def test_watching_a_quiet_branch_and_its_checks_costs_nothing_of_the_rate_limit(
    host: LocalGitHub, github: GitHub
) -> None:
    for sha in history(host, 6):
        host.set_checks(REPO, sha, {"build": "success", "test": "pending"})
        host.set_status(REPO, sha, "ci/deploy", "success")

    async def look() -> list[Any]:
        return [(info, await github.checks(REPO, info.sha)) for info in await github.commits(REPO, "main")]

    first = await look()
    used = host.rate.used
    assert [await look() for _ in range(5)] == [first] * 5
    assert host.rate.used == used


async def test_a_push_is_seen_at_the_next_question(host: LocalGitHub, github: GitHub) -> None:
    history(host, 2)
    before = await github.commits(REPO, "main")
    pushed = host.commit(REPO, "Pushed")
    assert [info.sha for info in await github.commits(REPO, "main")] == [pushed, *(info.sha for info in before)]


async def test_a_branch_that_was_set_back_ends_where_it_ends_now(host: LocalGitHub, github: GitHub) -> None:
    new, old = history(host, 2)
    assert (await github.commits(REPO, "main"))[0].sha == new
    host.push(REPO, "main", old)
    assert [info.sha for info in await github.commits(REPO, "main")] == [old]
    assert not await github.contains(REPO, "main", new)


async def test_a_list_without_the_branchs_newest_commit_is_no_empty_branch(host: LocalGitHub, github: GitHub) -> None:
    sha = host.commit(REPO, "First")
    host.faults.add(Fault(status=200, path="/commits$", body="[]"))
    error = await refusal(github.commits(REPO, "main"))
    assert (type(error), error.code) == (Temporary, "github.inconsistent")
    assert [info.sha for info in await github.commits(REPO, "main")] == [sha]


# --- one commit -----------------------------------------------------------------------------------------------------


async def test_a_commit_is_found_by_its_sha_a_part_of_it_or_its_branch(host: LocalGitHub, github: GitHub) -> None:
    host.commit(REPO, "Old")
    sha = host.commit(REPO, "New")
    for ref in (sha, sha.upper(), sha[:12], sha[:7], "main"):
        found = await github.commit(REPO, ref)
        assert found is not None
        assert (found.sha, found.title) == (sha, "New")


@pytest.mark.parametrize("ref", ["0" * 40, "0123456789ab", "no-such-branch"])
async def test_a_commit_that_is_not_there_is_none(host: LocalGitHub, github: GitHub, ref: str) -> None:
    host.commit(REPO)
    assert await github.commit(REPO, ref) is None


async def test_no_commit_is_found_in_an_empty_repository(host: LocalGitHub, github: GitHub) -> None:
    host.repository(REPO)
    assert await github.commit(REPO, "main") is None
    assert await github.commit(REPO, "0123456") is None


async def test_a_branch_named_as_an_abbreviated_sha_is_ambiguous(host: LocalGitHub, github: GitHub) -> None:
    old, new = host.commit(REPO, "Old"), host.commit(REPO, "New")
    host.push(REPO, old[:7], new)
    assert await github.commit(REPO, old[:7]) is None


@pytest.mark.parametrize("ref", ["../../user", "a b", "", "v1/../../x", ".git/config"])
async def test_a_ref_that_could_leave_its_path_is_never_sent(host: LocalGitHub, github: GitHub, ref: str) -> None:
    for call in (github.commit(REPO, ref), github.commits(REPO, ref), github.changes(REPO, ref, "v1")):
        assert (await refusal(call)).code == "github.bad_name"
    assert host.requests == []


async def test_a_commit_is_on_the_branches_that_have_it(host: LocalGitHub, github: GitHub) -> None:
    first = host.commit(REPO, "First", files={"a": "1"})
    topic, merge = merged(host, "One")
    loose = host.commit(REPO, "Loose", parent=first, branch="loose")
    assert await github.contains(REPO, "main", first)
    assert await github.contains(REPO, "main", topic)
    assert await github.contains(REPO, "main", merge)
    assert not await github.contains(REPO, "main", loose)
    assert not await github.contains(REPO, "loose", merge)
    assert not await github.contains(REPO, "main", "0" * 40)
    assert not await github.contains(REPO, "nowhere", first)


async def test_a_commit_with_a_history_of_its_own_is_on_no_branch_of_the_others(
    host: LocalGitHub, github: GitHub
) -> None:
    host.commit(REPO, "First")
    stranger = host.repository(REPO).add_commit("Stranger", Person.of("Eve"), host.now(), {"e": b"1"}, ())
    assert not await github.contains(REPO, "main", stranger)


# --- changes --------------------------------------------------------------------------------------------------------


async def test_what_lies_between_two_commits_comes_with_its_pull_requests(host: LocalGitHub, github: GitHub) -> None:
    base = host.commit(REPO, "First", files={"a": "1"})
    topic, one = merged(host, "Sell tea")
    _, two = merged(host, "Sell coffee", author="carol", squash=True)
    direct = host.commit(REPO, "Mend a typo")
    found = await github.changes(REPO, base, direct)
    assert found is not None
    assert (found.relation, found.total) == ("ahead", 4)
    assert {info.sha for info in found.commits} == {topic, one, two, direct}
    assert found.commits[0].sha == direct
    assert [(pull.number, pull.title, pull.author) for pull in found.pull_requests] == [
        (2, "Sell coffee", "carol"),
        (1, "Sell tea", "bob"),
    ]
    assert found.pull_requests[0].url == f"{host.url}/{REPO}/pull/2"
    assert found.pull_requests_whole
    assert found.url == f"{host.url}/{REPO}/compare/{base}...{direct}"


async def test_changes_are_asked_by_tags_and_short_shas_too(host: LocalGitHub, github: GitHub) -> None:
    base = host.commit(REPO, "First")
    host.tag(REPO, "v1.0.0", base)
    head = host.commit(REPO, "Second")
    found = await github.changes(REPO, "v1.0.0", head[:12])
    assert found is not None
    assert (found.base, found.head) == ("v1.0.0", head[:12])
    assert [info.sha for info in found.commits] == [head]


async def test_the_relation_of_two_commits_is_githubs(host: LocalGitHub, github: GitHub) -> None:
    base = host.commit(REPO, "First")
    one = host.commit(REPO, "One", parent=base, branch="one")
    two = host.commit(REPO, "Two", parent=base, branch="two")
    asked = {pair: await github.changes(REPO, *pair) for pair in ((base, one), (one, base), (one, two), (one, one))}
    assert [found and found.relation for found in asked.values()] == ["ahead", "behind", "diverged", "identical"]
    diverged = asked[one, two]
    assert diverged is not None
    assert [info.sha for info in diverged.commits] == [two]


@pytest.mark.parametrize("number", [1, 99, 100, 101, 200, 201, 260])
async def test_of_many_commits_the_newest_hundred_come(host: LocalGitHub, github: GitHub, number: int) -> None:
    base = host.commit(REPO, "First")
    shas = history(host, number)
    found = await github.changes(REPO, base, shas[0])
    assert found is not None
    assert found.total == number
    assert [info.sha for info in found.commits] == shas[:100]


async def test_pull_requests_are_looked_up_a_bounded_number_of_times(host: LocalGitHub, github: GitHub) -> None:
    base = host.commit(REPO, "First")
    shas = history(host, 60)
    for sha in shas:
        host.pull_request(REPO, f"For {sha[:7]}", [sha])
    found = await github.changes(REPO, base, shas[0])
    assert found is not None
    assert [pull.title for pull in found.pull_requests] == [f"For {sha[:7]}" for sha in shas[:30]]
    assert not found.pull_requests_whole
    assert sum(request.path.endswith("/pulls") for request in host.requests) == 30


async def test_a_pull_request_of_several_commits_is_named_once_and_an_open_one_never(
    host: LocalGitHub, github: GitHub
) -> None:
    base = host.commit(REPO, "First")
    shas = history(host, 3)
    host.pull_request(REPO, "Rebased", shas[::-1])
    host.pull_request(REPO, "Still open", shas, merged=False)
    found = await github.changes(REPO, base, shas[0])
    assert found is not None
    assert [pull.title for pull in found.pull_requests] == ["Rebased"]


async def test_pull_requests_that_cannot_be_read_do_not_hide_the_commits(host: LocalGitHub, github: GitHub) -> None:
    base = host.commit(REPO, "First")
    shas = history(host, 12)
    host.faults.add(Fault(status=403, path="/pulls$", times=-1))
    found = await github.changes(REPO, base, shas[0])
    assert found is not None
    assert len(found.commits) == 12
    assert (found.pull_requests, found.pull_requests_whole) == ((), False)
    assert sum(request.path.endswith("/pulls") for request in host.requests) <= 4


async def test_pull_requests_that_take_too_long_are_not_waited_for(host: LocalGitHub) -> None:
    base = host.commit(REPO, "First")
    shas = history(host, 6)
    for sha in shas:
        host.pull_request(REPO, f"For {sha[:7]}", [sha])
    calls = GitHubCalls(host.url, lambda: SECRET)
    host.faults.add(Fault(kind="hang", path=f"{shas[3]}/pulls$", times=-1))
    found = await History(calls, host.url, patience_s=0.5).changes(REPO, base, shas[0])
    await calls.aclose()
    assert found is not None
    assert [info.sha for info in found.commits] == shas
    assert f"For {shas[3][:7]}" not in {pull.title for pull in found.pull_requests}
    assert not found.pull_requests_whole


async def test_changes_from_or_to_what_is_not_there_are_none(host: LocalGitHub, github: GitHub) -> None:
    sha = host.commit(REPO, "First")
    assert await github.changes(REPO, "v9.9.9", sha) is None
    assert await github.changes(REPO, sha, "0" * 40) is None
    assert (await refusal(github.changes("acme/nothing", sha, sha))).code == "github.not_found"


async def test_two_commits_without_a_common_ancestor_are_an_error(host: LocalGitHub, github: GitHub) -> None:
    sha = host.commit(REPO, "First")
    stranger = host.repository(REPO).add_commit("Stranger", Person.of("Eve"), host.now(), {"e": b"1"}, ())
    assert (await refusal(github.changes(REPO, sha, stranger))).code == "github.no_common_ancestor"


# --- words of strangers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("@ada", "ada"),
        ("ada@acme.example", "ada"),
        ("Ada @ Acme", "Ada"),
        ("Ada\u202eecalevoL", "Ada ecalevoL"),
        ("A" * 500, "A" * 79 + "…"),
        ("", "unknown"),
        ("@", "unknown"),
    ],
)
async def test_an_author_is_a_name_that_calls_nobody(host: LocalGitHub, github: GitHub, name: str, shown: str) -> None:
    sha = host.commit(REPO, "A change", author=Person(name, "ada@acme.example"))
    found = await github.commit(REPO, sha)
    assert found is not None
    assert found.author == shown


@pytest.mark.parametrize(
    ("message", "title"),
    [
        ("One\nTwo", "One"),
        ("\n\n  Late  \nrest", "Late"),
        ("tabs\tand\x07bells", "tabs and bells"),
        ("x" * 5000, "x" * 199 + "…"),
        ("", ""),
    ],
)
async def test_a_title_is_one_line_of_sane_length(host: LocalGitHub, github: GitHub, message: str, title: str) -> None:
    sha = host.commit(REPO, message)
    (found,) = await github.commits(REPO, "main")
    assert (found.sha, found.title) == (sha, title)


async def test_a_pull_request_of_a_deleted_account_has_an_author_all_the_same(
    host: LocalGitHub, github: GitHub
) -> None:
    base, head = host.commit(REPO, "First"), host.commit(REPO, "Second")
    ghost = {"number": 7, "title": "Gone", "user": None, "merged_at": "2026-01-01T00:00:00Z", "html_url": "https://x"}
    host.faults.add(Fault(status=200, path="/pulls$", body=[ghost]))
    found = await github.changes(REPO, base, head)
    assert found is not None
    assert [(pull.number, pull.author) for pull in found.pull_requests] == [(7, "unknown")]


# --- refusals -------------------------------------------------------------------------------------------------------


def questions(github: GitHub, sha: str) -> list[Any]:
    return [
        github.commits(REPO, "main"),
        github.commit(REPO, sha),
        github.commit(REPO, sha[:8]),
        github.contains(REPO, "main", "1" * 40),
        github.changes(REPO, sha, "1" * 40),
        github.drafts(REPO),
    ]


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, Permanent, "github.unauthorized"),
        (403, Permanent, "github.forbidden"),
        (500, Temporary, "github.server_error"),
        (502, Temporary, "github.unavailable"),
        (503, Temporary, "github.unavailable"),
    ],
)
async def test_what_could_not_be_asked_is_an_error_and_never_nothing(
    host: LocalGitHub, github: GitHub, status: int, kind: type[ForgeError], code: str
) -> None:
    sha = host.commit(REPO)
    host.faults.add(Fault(status=status, times=-1))
    for question in questions(github, sha):
        error = await refusal(question)
        assert (type(error), error.code) == (kind, code)


async def test_the_rate_limit_says_when_it_ends_to_whoever_asks_for_a_branch(host: LocalGitHub, github: GitHub) -> None:
    sha = host.commit(REPO)
    host.rate.exhaust(900)
    for question in questions(github, sha):
        error = await refusal(question)
        assert isinstance(error, Temporary)
        assert error.code == "github.rate_limited"
        assert error.retry_after_s == pytest.approx(900, abs=5)


async def test_the_secondary_limits_pause_is_passed_on(host: LocalGitHub, github: GitHub) -> None:
    sha = host.commit(REPO)
    host.secondary_limit(retry_after_s=47, times=-1)
    for question in questions(github, sha):
        error = await refusal(question)
        assert isinstance(error, Temporary)
        assert (error.code, error.retry_after_s) == ("github.rate_limited", 47.0)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(kind="garbage", times=-1), "github.garbage"),
        (Fault(status=200, body='{"sha": "0123', times=-1), "github.garbage"),
        (Fault(status=200, body="<html>Sign in</html>", times=-1), "github.garbage"),
        (Fault(status=200, body={"object": {"sha": "../../user"}}, times=-1), "github."),
        (Fault(status=200, body=[{"sha": 7}], times=-1), "github.garbage"),
    ],
)
async def test_an_answer_of_another_shape_is_permanent(
    host: LocalGitHub, github: GitHub, fault: Fault, code: str
) -> None:
    sha = host.commit(REPO)
    host.faults.add(fault)
    for question in questions(github, sha):
        error = await refusal(question)
        assert isinstance(error, Permanent)
        assert error.code.startswith(code)


@pytest.mark.parametrize(
    "body",
    [
        {"status": "sideways", "total_commits": 0, "commits": []},
        {"status": "ahead", "total_commits": "many", "commits": []},
        {"status": "ahead", "total_commits": 1, "commits": [{"sha": "1"}]},
        {"total_commits": 1},
    ],
)
async def test_a_comparison_of_another_shape_is_no_answer(host: LocalGitHub, github: GitHub, body: Any) -> None:
    base, head = host.commit(REPO, "One"), host.commit(REPO, "Two")
    host.faults.add(Fault(status=200, path="/compare/", body=body, times=-1))
    assert (await refusal(github.changes(REPO, base, head))).code in ("github.garbage", "github.bad_name")
    if body.get("status") != "ahead":
        assert (await refusal(github.contains(REPO, "main", base))).code == "github.garbage"


@pytest.mark.parametrize(("kind", "code"), [("hang", "github.timeout"), ("reset", "github.connection_lost")])
async def test_silence_is_temporary_whatever_is_asked(host: LocalGitHub, kind: Any, code: str) -> None:
    sha = host.commit(REPO)
    client = GitHub(host.url, lambda: SECRET, limits=IMPATIENT if kind == "hang" else QUICK)
    host.faults.add(Fault(kind=kind, times=-1))
    for question in (client.commits(REPO, "main"), client.changes(REPO, sha, "v1")):
        error = await refusal(question)
        assert isinstance(error, Temporary)
        assert error.code == code
        assert SECRET not in f"{error!r} {error} {vars(error)} {client!r}"
    await client.aclose()


async def test_a_renamed_repository_is_told_to_whoever_asks_for_a_branch(host: LocalGitHub, github: GitHub) -> None:
    host.commit("acme/old")
    host.rename("acme/old", REPO)
    error = await refusal(github.commits("acme/old", "main"))
    assert error.code == "github.moved"

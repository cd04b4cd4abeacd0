"""Pull requests that are merged on the GitHub stand-in, comparisons page by page, and drafts."""

from __future__ import annotations

import aiohttp
import pytest

from sandbox.github import LocalGitHub
from sandbox.github.merging import Unmergeable
from tests.sandbox.github.conftest import REPO, read


def opened(github: LocalGitHub, files: dict[str, str | None], title: str = "Sell tea") -> tuple[int, str]:
    main = github.repository(REPO).refs["refs/heads/main"]
    branch = f"topic-{len(github.repository(REPO).pulls)}"
    sha = github.commit(REPO, f"Work on {title}", parent=main, branch=branch, files=files)
    return github.pull_request(REPO, title, [sha], author="bob", merged=False, head=branch).number, sha


async def test_a_merge_makes_a_commit_with_two_parents_and_closes_the_pull_request(
    github: LocalGitHub, client: aiohttp.ClientSession
) -> None:
    github.commit(REPO, "First", files={"a": "1", "gone": "1"})
    number, topic = opened(github, {"b": "1", "gone": None})
    second = github.commit(REPO, "Second", files={"a": "2"})
    (listed,) = await read(client, f"/repos/{REPO}/pulls")
    assert (listed["state"], listed["merged_at"], listed["head"]["sha"]) == ("open", None, topic)
    sha = github.merge(REPO, number)
    assert (await read(client, f"/repos/{REPO}/branches/main"))["commit"]["sha"] == sha
    commit = await read(client, f"/repos/{REPO}/commits/{sha}")
    assert [parent["sha"] for parent in commit["parents"]] == [second, topic]
    assert commit["commit"]["message"] == "Merge pull request #1 from acme/topic-0\n\nSell tea"
    assert github.repository(REPO).files[sha] == {"a": b"2", "b": b"1"}
    pull = await read(client, f"/repos/{REPO}/pulls/{number}")
    assert (pull["state"], pull["merge_commit_sha"], pull["head"]["sha"]) == ("closed", sha, topic)
    assert pull["merged_at"]
    for each in (sha, topic):
        assert [found["number"] for found in await read(client, f"/repos/{REPO}/commits/{each}/pulls")] == [number]
    assert await read(client, f"/repos/{REPO}/pulls") == []


async def test_a_squashed_merge_is_one_commit_on_the_base(github: LocalGitHub, client: aiohttp.ClientSession) -> None:
    first = github.commit(REPO, "First", files={"a": "1"})
    number, topic = opened(github, {"b": "1"})
    sha = github.merge(REPO, number, squash=True)
    commit = await read(client, f"/repos/{REPO}/commits/{sha}")
    assert [parent["sha"] for parent in commit["parents"]] == [first]
    assert commit["commit"]["message"] == "Sell tea (#1)"
    listed = await read(client, f"/repos/{REPO}/commits")
    assert [each["sha"] for each in listed] == [sha, first]
    assert topic not in {each["sha"] for each in listed}


async def test_what_cannot_be_merged_is_refused_and_changes_nothing(github: LocalGitHub) -> None:
    github.commit(REPO, "First", files={"a": "1"})
    number, _ = opened(github, {"a": "theirs"})
    done, _ = opened(github, {"b": "1"})
    github.merge(REPO, done)
    tip = github.commit(REPO, "Second", files={"a": "ours"})
    with pytest.raises(Unmergeable, match="conflict: a"):
        github.merge(REPO, number)
    with pytest.raises(Unmergeable, match="closed"):
        github.merge(REPO, done)
    with pytest.raises(KeyError):
        github.merge(REPO, 99)
    assert github.repository(REPO).refs["refs/heads/main"] == tip


async def test_checks_that_begin_are_seen_in_progress_until_they_conclude(
    github: LocalGitHub, client: aiohttp.ClientSession
) -> None:
    sha = github.commit(REPO)

    async def seen() -> dict[str, tuple[str, str | None]]:
        listed = await read(client, f"/repos/{REPO}/commits/{sha}/check-runs")
        return {run["name"]: (run["status"], run["conclusion"]) for run in listed["check_runs"]}

    run = github.begin_ci(REPO, sha, ("build", "test"))
    assert await seen() == {"build": ("in_progress", None), "test": ("in_progress", None)}
    github.conclude_ci(REPO, run, {"test": "failure"})
    assert await seen() == {"build": ("in_progress", None), "test": ("completed", "failure")}
    github.conclude_ci(REPO, run, {"build": "success"})
    (ended,) = (await read(client, f"/repos/{REPO}/actions/runs?head_sha={sha}"))["workflow_runs"]
    assert (ended["status"], ended["conclusion"], ended["head_branch"]) == ("completed", "failure", "main")
    again = github.begin_ci(REPO, sha, ("test",))
    assert (await seen())["test"] == ("in_progress", None)
    github.conclude_ci(REPO, again)
    assert await seen() == {"build": ("completed", "success"), "test": ("completed", "success")}


async def test_a_comparison_comes_page_by_page_the_oldest_first_and_its_files_once(
    github: LocalGitHub, client: aiohttp.ClientSession
) -> None:
    base = github.commit(REPO, "First")
    shas = [github.commit(REPO, f"Change {number}", files={"a": str(number)}) for number in range(7)]
    seen: list[str] = []
    files: list[bool] = []
    url = f"/repos/{REPO}/compare/{base}...main?per_page=3"
    while url:
        async with client.get(url) as response:
            body = await response.json()
            assert (body["total_commits"], body["ahead_by"], body["status"]) == (7, 7, "ahead")
            seen += [commit["sha"] for commit in body["commits"]]
            files.append("files" in body)
            url = str(response.links["next"]["url"]) if "next" in response.links else ""
    assert seen == shas
    assert files == [True, False, False]


async def test_commits_of_a_ref_that_is_not_there_are_not_found(
    github: LocalGitHub, client: aiohttp.ClientSession
) -> None:
    github.commit(REPO)
    await read(client, f"/repos/{REPO}/commits?sha=nowhere", 404)


async def test_drafts_are_shown_to_writers_alone(github: LocalGitHub, client: aiohttp.ClientSession) -> None:
    github.commit(REPO)
    github.release(REPO, "v1.0.0")
    draft = github.release(REPO, "v1.1.0", draft=True)
    assert [each["draft"] for each in await read(client, f"/repos/{REPO}/releases")] == [True, False]
    reader = {"Authorization": f"Bearer {github.read_only_token}"}
    async with aiohttp.ClientSession(github.url, headers=reader) as stranger:
        assert [each["draft"] for each in await read(stranger, f"/repos/{REPO}/releases")] == [False]
        await read(stranger, f"/repos/{REPO}/releases/{draft.id}", 404)
    async with client.delete(f"/repos/{REPO}/releases/{draft.id}") as gone:
        assert gone.status == 204
    await read(client, f"/repos/{REPO}/releases/{draft.id}", 404)


async def test_a_context_takes_a_thousand_statuses(github: LocalGitHub, client: aiohttp.ClientSession) -> None:
    sha = github.commit(REPO)
    for _ in range(1000):
        github.set_status(REPO, sha, "ci", "pending")
    path = f"/repos/{REPO}/statuses/{sha}"
    async with client.post(path, json={"state": "success", "context": "ci"}) as refused:
        assert refused.status == 422
    async with client.post(path, json={"state": "success", "context": "other"}) as taken:
        assert taken.status == 201

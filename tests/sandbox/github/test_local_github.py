"""What a client sees of the GitHub stand-in over HTTP."""

import asyncio
import base64

import aiohttp
import pytest

from sandbox.faults import Fault
from sandbox.github import LocalGitHub
from sandbox.signing import SshSigner
from tests.sandbox.github.conftest import REPO, read


async def test_an_annotated_tag_is_followed_from_ref_to_tag_to_commit(
    github: LocalGitHub, client: aiohttp.ClientSession
) -> None:
    signer = SshSigner.generate("ada@example.test")
    github.trust(signer)
    sha = github.commit(REPO, "First", files={"a": "1"})
    made = github.tag(REPO, "v1.0.0-rc.1", sha, signer=signer)
    ref = await read(client, f"/repos/{REPO}/git/ref/tags/v1.0.0-rc.1")
    assert ref["object"] | {"url": ""} == {"sha": made, "type": "tag", "url": ""}
    tag = await read(client, f"/repos/{REPO}/git/tags/{made}")
    assert tag["object"]["sha"] == sha
    assert tag["object"]["type"] == "commit"
    verification = tag["verification"]
    assert (verification["verified"], verification["reason"]) == (True, "valid")
    assert verification["payload"].startswith(f"object {sha}\ntype commit\ntag v1.0.0-rc.1\ntagger ada@example.test <")
    assert verification["signature"].startswith("-----BEGIN SSH SIGNATURE-----")
    assert (await read(client, f"/repos/{REPO}/git/commits/{sha}"))["message"] == "First"
    assert (await read(client, f"/repos/{REPO}/commits/v1.0.0-rc.1"))["sha"] == sha


async def test_a_lightweight_tag_points_at_the_commit_and_has_no_tag_object(
    github: LocalGitHub, client: aiohttp.ClientSession
) -> None:
    sha = github.commit(REPO, files={"a": "1"})
    github.tag(REPO, "v1.0.0-rc.1", sha, annotated=False)
    ref = await read(client, f"/repos/{REPO}/git/ref/tags/v1.0.0-rc.1")
    assert (ref["object"]["sha"], ref["object"]["type"]) == (sha, "commit")
    assert (await read(client, f"/repos/{REPO}/git/tags/{sha}", 404))["message"] == "Not Found"


async def test_unsigned_unknown_and_forged_tags_are_told_apart(
    github: LocalGitHub, client: aiohttp.ClientSession
) -> None:
    ada, eve = SshSigner.generate("ada@example.test"), SshSigner.generate("eve@example.test")
    github.trust(ada)
    sha = github.commit(REPO, files={"a": "1"})
    found = {}
    for name, more in {
        "unsigned": {},
        "unknown_key": {"signer": eve},
        "invalid": {"signature": ada.sign(b"something else")},
        "malformed_signature": {"signature": "-----BEGIN SSH SIGNATURE-----\n!!\n-----END SSH SIGNATURE-----\n"},
    }.items():
        tag = github.tag(REPO, name, sha, **more)  # type: ignore[arg-type]
        found[name] = (await read(client, f"/repos/{REPO}/git/tags/{tag}"))["verification"]["reason"]
    assert found == {name: name for name in found}


async def test_a_moved_tag_points_elsewhere(github: LocalGitHub, client: aiohttp.ClientSession) -> None:
    first = github.commit(REPO, files={"a": "1"})
    github.tag(REPO, "v1.0.0-rc.1", first)
    before = await read(client, f"/repos/{REPO}/git/ref/tags/v1.0.0-rc.1")
    second = github.commit(REPO, files={"a": "2"})
    with pytest.raises(ValueError, match="already"):
        github.tag(REPO, "v1.0.0-rc.1", second)
    github.move_tag(REPO, "v1.0.0-rc.1", second)
    after = await read(client, f"/repos/{REPO}/git/ref/tags/v1.0.0-rc.1")
    assert before["object"]["sha"] != after["object"]["sha"]
    assert (await read(client, f"/repos/{REPO}/commits/v1.0.0-rc.1"))["sha"] == second


async def test_matching_refs_and_tags_are_listed(github: LocalGitHub, client: aiohttp.ClientSession) -> None:
    sha = github.commit(REPO, files={"a": "1"})
    for name in ("v1.0.0-rc.1", "v1.0.0-rc.2", "v2.0.0"):
        github.tag(REPO, name, sha)
    refs = await read(client, f"/repos/{REPO}/git/matching-refs/tags/v1.0.0-rc.")
    assert [each["ref"] for each in refs] == ["refs/tags/v1.0.0-rc.1", "refs/tags/v1.0.0-rc.2"]
    assert await read(client, f"/repos/{REPO}/git/matching-refs/tags/v9") == []
    tags = await read(client, f"/repos/{REPO}/tags")
    assert {each["name"]: each["commit"]["sha"] for each in tags}["v2.0.0"] == sha


async def test_check_runs_come_in_pages_and_a_rerun_replaces_the_older_one(
    github: LocalGitHub, client: aiohttp.ClientSession
) -> None:
    sha = github.commit(REPO, files={"a": "1"})
    github.set_checks(REPO, sha, {"build": "failure", "lint": "success", "e2e": "pending"})
    github.set_checks(REPO, sha, {"build": "success"})
    seen: dict[str, tuple[str, str | None]] = {}
    url = f"/repos/{REPO}/commits/{sha}/check-runs?per_page=2"
    while url:
        async with client.get(url) as response:
            body = await response.json()
            assert body["total_count"] == 3
            seen |= {run["name"]: (run["status"], run["conclusion"]) for run in body["check_runs"]}
            url = str(response.links["next"]["url"]) if "next" in response.links else ""
    assert seen == {"build": ("completed", "success"), "lint": ("completed", "success"), "e2e": ("in_progress", None)}
    every = await read(client, f"/repos/{REPO}/commits/{sha}/check-runs?filter=all&check_name=build")
    assert [run["conclusion"] for run in every["check_runs"]] == ["failure", "success"]


async def test_the_combined_status_takes_the_newest_of_each_context(
    github: LocalGitHub, client: aiohttp.ClientSession
) -> None:
    sha = github.commit(REPO, files={"a": "1"})
    path = f"/repos/{REPO}/commits/{sha}/status"
    assert (await read(client, path))["state"] == "pending"
    github.set_status(REPO, sha, "ci/build", "failure")
    assert (await read(client, path))["state"] == "failure"
    async with client.post(f"/repos/{REPO}/statuses/{sha}", json={"state": "success", "context": "ci/build"}) as made:
        assert made.status == 201
    combined = await read(client, path)
    assert (combined["state"], combined["total_count"]) == ("success", 1)
    async with client.post(f"/repos/{REPO}/statuses/{sha}", json={"state": "green"}) as refused:
        assert refused.status == 422
        assert (await refused.json())["errors"][0]["field"] == "state"


async def test_compare_tells_what_is_between_two_versions(github: LocalGitHub, client: aiohttp.ClientSession) -> None:
    base = github.commit(REPO, "First", files={"a": "1", "b": "1"})
    one = github.commit(REPO, "Second", files={"a": "2"})
    two = github.commit(REPO, "Third", files={"b": None, "c/d": "1"})
    github.tag(REPO, "v1.0.0", base)
    view = await read(client, f"/repos/{REPO}/compare/v1.0.0...main")
    assert (view["status"], view["ahead_by"], view["behind_by"]) == ("ahead", 2, 0)
    assert [commit["sha"] for commit in view["commits"]] == [one, two]
    changed = {each["filename"]: each["status"] for each in view["files"]}
    assert changed == {"a": "modified", "b": "removed", "c/d": "added"}
    side = github.commit(REPO, "Side", files={"s": "1"}, parent=base, branch="side")
    view = await read(client, f"/repos/{REPO}/compare/main...{side}")
    assert (view["status"], view["merge_base_commit"]["sha"]) == ("diverged", base)
    await read(client, f"/repos/{REPO}/compare/main...nowhere", 404)


async def test_contents_pulls_runs_branches_and_releases_are_read(
    github: LocalGitHub, client: aiohttp.ClientSession
) -> None:
    sha = github.commit(REPO, files={"deploy/web.yaml": "kind: Deployment\n", "README.md": "hi"})
    github.pull_request(REPO, "Add the shop", [sha], author="bob", approved_by=("carol",))
    github.workflow_run(REPO, "ci", sha, "failure")
    github.tag(REPO, "v1.0.0", sha)
    view = await read(client, f"/repos/{REPO}/contents/deploy/web.yaml?ref=v1.0.0")
    assert base64.b64decode(view["content"]) == b"kind: Deployment\n"
    listed = await read(client, f"/repos/{REPO}/contents/")
    assert {each["path"]: each["type"] for each in listed} == {"deploy": "dir", "README.md": "file"}
    await read(client, f"/repos/{REPO}/contents/none", 404)
    (pull,) = await read(client, f"/repos/{REPO}/commits/{sha}/pulls")
    assert (pull["number"], pull["user"]["login"]) == (1, "bob")
    (review,) = await read(client, f"/repos/{REPO}/pulls/1/reviews")
    assert (review["user"]["login"], review["state"]) == ("carol", "APPROVED")
    runs = await read(client, f"/repos/{REPO}/actions/runs?head_sha={sha}&status=failure")
    assert runs["total_count"] == 1
    assert (await read(client, f"/repos/{REPO}/branches/main"))["commit"]["sha"] == sha
    async with client.post(f"/repos/{REPO}/releases", json={"tag_name": "v1.0.0", "draft": True}) as made:
        release = await made.json()
    await read(client, f"/repos/{REPO}/releases/tags/v1.0.0", 404)
    async with client.patch(f"/repos/{REPO}/releases/{release['id']}", json={"draft": False, "body": "Notes"}) as done:
        assert (await done.json())["body"] == "Notes"
    assert (await read(client, f"/repos/{REPO}/releases/latest"))["id"] == release["id"]


async def test_an_etag_saves_the_rate_limit(github: LocalGitHub, client: aiohttp.ClientSession) -> None:
    github.commit(REPO, files={"a": "1"})
    async with client.get(f"/repos/{REPO}/branches/main") as first:
        tag = first.headers["ETag"]
        left = first.headers["X-RateLimit-Remaining"]
    async with client.get(f"/repos/{REPO}/branches/main", headers={"If-None-Match": tag}) as again:
        assert (again.status, await again.read()) == (304, b"")
        assert again.headers["X-RateLimit-Remaining"] == left
    github.commit(REPO, files={"a": "2"})
    async with client.get(f"/repos/{REPO}/branches/main", headers={"If-None-Match": tag}) as changed:
        assert changed.status == 200
        assert int(changed.headers["X-RateLimit-Remaining"]) == int(left) - 1


async def test_the_rate_limit_refuses_until_its_reset(github: LocalGitHub, client: aiohttp.ClientSession) -> None:
    now = 1_000.0
    github.rate.now = lambda: now
    github.commit(REPO, files={"a": "1"})
    github.rate.exhaust(reset_in_s=30)
    async with client.get(f"/repos/{REPO}") as refused:
        assert (refused.status, refused.headers["X-RateLimit-Remaining"]) == (403, "0")
        assert refused.headers["X-RateLimit-Reset"] == "1030"
        assert "rate limit exceeded" in (await refused.json())["message"]
    assert (await read(client, "/rate_limit"))["rate"]["remaining"] == 0
    now = 1_031.0
    await read(client, f"/repos/{REPO}")


async def test_the_secondary_limit_says_when_to_come_again(github: LocalGitHub, client: aiohttp.ClientSession) -> None:
    github.commit(REPO, files={"a": "1"})
    github.secondary_limit(retry_after_s=7)
    async with client.get(f"/repos/{REPO}") as refused:
        assert (refused.status, refused.headers["Retry-After"]) == (403, "7")
        assert "secondary rate limit" in (await refused.json())["message"]
    await read(client, f"/repos/{REPO}")


async def test_tokens_open_what_they_may(github: LocalGitHub) -> None:
    sha = github.commit(REPO, files={"a": "1"})
    async with aiohttp.ClientSession(github.url) as stranger:
        assert (await read(stranger, f"/repos/{REPO}", 404))["message"] == "Not Found"
        assert (await read(stranger, "/user", 401))["message"] == "Requires authentication"
        bad = {"Authorization": "token wrong"}
        assert (await read(stranger, f"/repos/{REPO}", 401, headers=bad))["message"] == "Bad credentials"
        reader = {"Authorization": f"Bearer {github.read_only_token}"}
        await read(stranger, f"/repos/{REPO}", headers=reader)
        wanted = {"state": "success"}
        async with stranger.post(f"/repos/{REPO}/statuses/{sha}", json=wanted, headers=reader) as refused:
            assert refused.status == 403
            assert (await refused.json())["message"].startswith("Resource not accessible")


async def test_a_renamed_repository_answers_301_to_its_new_name(
    github: LocalGitHub, client: aiohttp.ClientSession
) -> None:
    github.commit("acme/old", files={"a": "1"})
    github.rename("acme/old", REPO)
    async with client.get("/repos/acme/old/tags?page=1", allow_redirects=False) as moved:
        assert (moved.status, moved.headers["Location"]) == (301, f"{github.url}/repos/{REPO}/tags?page=1")
        assert (await moved.json())["message"] == "Moved Permanently"
    assert await read(client, "/repos/acme/old/tags") == []


async def test_an_empty_repository_and_an_unknown_commit_have_githubs_answers(
    github: LocalGitHub, client: aiohttp.ClientSession
) -> None:
    github.repository("acme/empty")
    assert (await read(client, "/repos/acme/empty/git/ref/heads/main", 409))["message"] == "Git Repository is empty."
    github.commit(REPO, files={"a": "1"})
    answer = await read(client, f"/repos/{REPO}/commits/{'0' * 40}", 422)
    assert answer["message"].startswith("No commit found for SHA")
    assert (await read(client, "/nowhere", 404))["documentation_url"]
    async with client.post(f"/repos/{REPO}/releases", data=b"{") as broken:
        assert (broken.status, (await broken.json())["message"]) == (400, "Problems parsing JSON")


@pytest.mark.parametrize("status", [401, 403, 404, 409, 422, 429, 500, 503])
async def test_a_bare_fault_has_githubs_body(github: LocalGitHub, client: aiohttp.ClientSession, status: int) -> None:
    github.faults.add(Fault(status=status, headers={"X-Reason": "test"}))
    async with client.get(f"/repos/{REPO}") as answer:
        assert (answer.status, answer.headers["X-Reason"]) == (status, "test")
        body = await answer.json()
        assert body["message"]
        assert body["status"] == str(status)


async def test_a_broken_front_answers_with_a_page(github: LocalGitHub, client: aiohttp.ClientSession) -> None:
    github.faults.add(Fault(status=502))
    async with client.get("/user") as answer:
        assert (answer.status, answer.content_type) == (502, "text/html")
        assert "Unicorn" in await answer.text()


async def test_faults_come_by_http_and_requests_are_recorded(
    github: LocalGitHub, client: aiohttp.ClientSession
) -> None:
    async with client.post("/_control/faults", json={"kind": "hang", "path": "/user"}) as planned:
        assert planned.status == 200
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(read(client, "/user"), 0.1)
    await read(client, "/user")
    # a client tries a GET once more when a kept connection breaks
    github.faults.add(Fault(kind="reset", times=-1))
    with pytest.raises(aiohttp.ClientError):
        await read(client, "/user")
    github.faults.clear()
    assert [(seen.method, seen.path, seen.status) for seen in github.requests[:2]] == [
        ("GET", "/user", 0),
        ("GET", "/user", 200),
    ]
    assert {seen.status for seen in github.requests[2:]} == {0}

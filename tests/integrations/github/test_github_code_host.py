"""The GitHub integration against the GitHub stand-in: tags, checks, and every refusal."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.github import GitHub
from integrations.http_calls import Limits
from runbook.errors import ForgeError, Permanent, Temporary
from sandbox.faults import Fault
from sandbox.github import LocalGitHub
from sandbox.signing import SshSigner
from tests.integrations.github.conftest import QUICK, SECRET

REPO = "acme/shop"
IMPATIENT = Limits(timeout_s=0.2, attempts=2, deadline_s=2.0, first_wait_s=0.01)


async def refusal(call: Any) -> ForgeError:
    with pytest.raises(ForgeError) as caught:
        await call
    return caught.value


async def test_a_signed_tag_comes_with_payload_and_signature(host: LocalGitHub, github: GitHub) -> None:
    ada = SshSigner.generate("ada@acme.example")
    commit = host.commit(REPO)
    tag_object = host.tag(REPO, "v1.4.0-rc.2", commit, signer=ada)
    tag = await github.tag(REPO, "v1.4.0-rc.2")
    assert tag is not None
    assert (tag.commit, tag.tag_object) == (commit, tag_object)
    assert tag.tagger == "ada@acme.example <ada@acme.example>"
    assert tag.signature is not None
    assert tag.signature.strip() == ada.sign(tag.payload.encode()).strip()
    assert f"object {commit}\n" in tag.payload


async def test_an_unsigned_tag_has_no_signature(host: LocalGitHub, github: GitHub) -> None:
    host.tag(REPO, "v1.0.0", host.commit(REPO))
    tag = await github.tag(REPO, "v1.0.0")
    assert tag is not None
    assert tag.signature is None


async def test_a_lightweight_tag_has_no_tag_object(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    host.tag(REPO, "v1.0.0", commit, annotated=False)
    tag = await github.tag(REPO, "v1.0.0")
    assert tag is not None
    assert (tag.commit, tag.tag_object) == (commit, None)


async def test_a_tag_of_a_tag_is_peeled_to_its_commit(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    inner = host.tag(REPO, "inner", commit)
    outer = host.tag(REPO, "v1.0.0", inner)
    tag = await github.tag(REPO, "v1.0.0")
    assert tag is not None
    assert (tag.commit, tag.tag_object) == (commit, outer)


async def test_a_chain_of_tags_without_end_is_refused(host: LocalGitHub, github: GitHub) -> None:
    target = host.commit(REPO)
    for number in range(8):
        target = host.tag(REPO, f"v{number}.0.0", target)
    assert (await refusal(github.tag(REPO, "v7.0.0"))).code == "github.tag_target"


async def test_a_moved_tag_is_seen_though_the_answer_before_is_remembered(host: LocalGitHub, github: GitHub) -> None:
    host.tag(REPO, "v1.0.0", host.commit(REPO, "one"))
    before = await github.tag(REPO, "v1.0.0")
    second = host.commit(REPO, "two")
    host.move_tag(REPO, "v1.0.0", second)
    after = await github.tag(REPO, "v1.0.0")
    assert before is not None
    assert after is not None
    assert after.commit == second != before.commit


async def test_an_unchanged_answer_costs_nothing_of_the_rate_limit(host: LocalGitHub, github: GitHub) -> None:
    host.tag(REPO, "v1.0.0", host.commit(REPO))
    first = await github.tag(REPO, "v1.0.0")
    used = host.rate.used
    assert await github.tag(REPO, "v1.0.0") == first
    assert host.rate.used == used
    assert host.requests[-1].status == 304


async def test_a_tag_that_is_not_there_is_none(host: LocalGitHub, github: GitHub) -> None:
    host.commit(REPO)
    assert await github.tag(REPO, "v9.9.9") is None


async def test_an_empty_repository_has_no_tag(host: LocalGitHub, github: GitHub) -> None:
    host.repository(REPO)
    assert await github.tag(REPO, "v1.0.0") is None


async def test_a_tag_is_not_mistaken_for_one_that_begins_alike(host: LocalGitHub, github: GitHub) -> None:
    host.tag(REPO, "v1.0.0-rc.1", host.commit(REPO))
    assert await github.tag(REPO, "v1.0.0") is None


async def test_a_repository_that_is_not_there_is_no_missing_tag(github: GitHub) -> None:
    error = await refusal(github.tag("acme/nothing", "v1.0.0"))
    assert isinstance(error, Permanent)
    assert error.code == "github.not_found"
    assert "acme/nothing" in error.remedy


async def test_names_of_tags_are_found_by_prefix_over_several_pages(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    wanted = {f"v1.4.0-rc.{number}" for number in range(1, 251)}
    for name in [*wanted, "v2.0.0"]:
        host.tag(REPO, name, commit, annotated=False)
    assert set(await github.tag_names(REPO, "v1.4.0-")) == wanted
    assert len(await github.tag_names(REPO, "v")) == 251


async def test_at_most_a_thousand_names_of_tags_are_read(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    for number in range(1100):
        host.tag(REPO, f"v{number}.0.0", commit, annotated=False)
    assert len(await github.tag_names(REPO, "v")) == 1000


async def test_check_runs_and_statuses_come_together(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    outcomes = {"build": "success", "docs": "skipped", "lint": "neutral", "test": "failure", "slow": "in_progress"}
    host.set_checks(REPO, commit, outcomes)
    host.set_status(REPO, commit, "legacy/ci", "error")
    host.set_status(REPO, commit, "legacy/deploy", "pending", url="https://ci.acme.example/7")
    checks = {check.name: check for check in await github.checks(REPO, commit)}
    assert {name: check.state for name, check in checks.items()} == {
        "build": "success",
        "docs": "success",
        "lint": "success",
        "test": "failure",
        "slow": "pending",
        "legacy/ci": "failure",
        "legacy/deploy": "pending",
    }
    assert checks["legacy/deploy"].url == "https://ci.acme.example/7"


async def test_only_the_latest_run_of_a_check_counts(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    host.set_checks(REPO, commit, {"test": "failure"})
    host.set_checks(REPO, commit, {"test": "success"})
    assert [(c.name, c.state) for c in await github.checks(REPO, commit)] == [("test", "success")]


async def test_more_checks_than_one_page_holds_are_all_read(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    host.set_checks(REPO, commit, {f"check-{number}": "success" for number in range(130)})
    assert len(await github.checks(REPO, commit)) == 130


async def test_a_commit_without_checks_has_none(host: LocalGitHub, github: GitHub) -> None:
    assert await github.checks(REPO, host.commit(REPO)) == ()


async def test_a_commit_that_github_lacks_is_an_error_and_not_green(host: LocalGitHub, github: GitHub) -> None:
    host.commit(REPO)
    error = await refusal(github.checks(REPO, "0" * 40))
    assert isinstance(error, Permanent)
    assert error.code in ("github.invalid", "github.not_found")


@pytest.mark.parametrize("name", ["../../../user", "v1/../../x", "a b", ""])
async def test_a_name_that_could_leave_its_path_is_never_sent(host: LocalGitHub, github: GitHub, name: str) -> None:
    host.commit(REPO)
    if name:
        assert (await refusal(github.tag(REPO, name))).code == "github.bad_name"
    assert (await refusal(github.tag(f"acme/shop/{name}", "v1.0.0"))).code == "github.bad_name"
    assert host.requests == []


@pytest.mark.parametrize(
    ("api", "page"),
    [
        ("https://api.github.com", "https://github.com/acme/shop/compare/v1...v2"),
        ("https://git.acme.example/api/v3", "https://git.acme.example/acme/shop/compare/v1...v2"),
        ("https://api.acme.ghe.com", "https://acme.ghe.com/acme/shop/compare/v1...v2"),
    ],
)
def test_the_comparison_is_a_page_for_people(api: str, page: str) -> None:
    assert GitHub(api).compare_url(REPO, "v1", "v2") == page


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "code", "remedy"),
    [
        (401, Permanent, "github.unauthorized", "GITHUB_TOKEN"),
        (403, Permanent, "github.forbidden", "read access"),
        (409, Permanent, "github.empty", "Push"),
        (410, Temporary, "github.gone", ""),
        (422, Permanent, "github.invalid", "pushed"),
        (500, Temporary, "github.server_error", ""),
        (502, Temporary, "github.unavailable", ""),
        (503, Temporary, "github.unavailable", ""),
    ],
)
async def test_each_status_is_its_own_error(
    host: LocalGitHub, github: GitHub, status: int, kind: type[ForgeError], code: str, remedy: str
) -> None:
    commit = host.commit(REPO)
    host.faults.add(Fault(status=status, times=-1))
    error = await refusal(github.checks(REPO, commit))
    assert type(error) is kind
    assert error.code == code
    assert remedy in error.remedy
    assert len(host.requests) == (QUICK.attempts if kind is Temporary else 1)


async def test_a_wrong_token_is_told_without_showing_it(host: LocalGitHub) -> None:
    client = GitHub(host.url, lambda: "ghp_wrong", limits=QUICK)
    error = await refusal(client.tag(REPO, "v1.0.0"))
    await client.aclose()
    assert error.code == "github.unauthorized"
    assert "ghp_wrong" not in f"{error!r} {error} {client!r} {vars(error)}"


async def test_a_short_pause_that_github_asks_for_is_kept(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    host.faults.add(Fault(status=429, headers={"Retry-After": "0.1"}, body={"message": "slow down"}))
    assert await github.checks(REPO, commit) == ()


async def test_a_long_pause_is_reported_and_not_waited_for(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    host.secondary_limit(retry_after_s=47)
    error = await refusal(github.checks(REPO, commit))
    assert isinstance(error, Temporary)
    assert (error.code, error.retry_after_s) == ("github.rate_limited", 47.0)
    assert len(host.requests) == 1


async def test_the_primary_rate_limit_tells_when_it_ends(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    await github.checks(REPO, commit)
    host.rate.exhaust(1800)
    error = await refusal(github.tag_names(REPO, "v"))
    assert isinstance(error, Temporary)
    assert error.code == "github.rate_limited"
    assert error.retry_after_s == pytest.approx(1800, abs=5)


async def test_one_failure_is_asked_again(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    host.faults.add(Fault(status=500))
    host.faults.add(Fault(kind="reset"))
    assert await github.checks(REPO, commit) == ()


@pytest.mark.parametrize(
    ("kind", "code"),
    [("hang", "github.timeout"), ("reset", "github.connection_lost"), ("after", "github.connection_lost")],
)
async def test_no_answer_is_temporary(host: LocalGitHub, kind: Any, code: str) -> None:
    github = GitHub(host.url, lambda: SECRET, limits=IMPATIENT if kind == "hang" else QUICK)
    host.faults.add(Fault(kind=kind, times=-1))
    error = await refusal(github.tag(REPO, "v1.0.0"))
    await github.aclose()
    assert isinstance(error, Temporary)
    assert error.code == code


async def test_garbage_is_permanent(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    host.faults.add(Fault(kind="garbage", times=-1))
    error = await refusal(github.checks(REPO, commit))
    assert isinstance(error, Permanent)
    assert error.code == "github.garbage"


@pytest.mark.parametrize("body", [[], {"object": None}, {"object": {"type": "tag"}}, {"total_count": 3}])
async def test_json_of_another_shape_is_garbage(host: LocalGitHub, github: GitHub, body: Any) -> None:
    host.faults.add(Fault(status=200, body=body or [1], times=-1))
    assert (await refusal(github.tag(REPO, "v1.0.0"))).code == "github.garbage"


async def test_a_next_page_elsewhere_is_not_followed(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    link = {"Link": '<http://127.0.0.2:1/steal>; rel="next"'}
    host.faults.add(Fault(status=200, headers=link, body={"check_runs": []}))
    assert (await refusal(github.checks(REPO, commit))).code == "github.garbage"


async def test_a_renamed_repository_is_refused_with_the_remedy(host: LocalGitHub, github: GitHub) -> None:
    host.commit(REPO)
    host.faults.add(Fault(status=301, headers={"Location": f"{host.url}/repositories/7"}, body={"message": "Moved"}))
    error = await refusal(github.tag(REPO, "v1.0.0"))
    assert error.code == "github.moved"
    assert "present name" in error.remedy


async def test_nobody_at_the_address_is_temporary(host: LocalGitHub, github: GitHub) -> None:
    await host.stop()
    error = await refusal(github.tag(REPO, "v1.0.0"))
    assert isinstance(error, Temporary)
    assert error.code == "github.unreachable"

"""Code scanning of one commit: what counts, what a later push changes nothing about, and what is no word at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.github import GitHub
from integrations.github.calls import GitHubCalls
from runbook.errors import ForgeError, Permanent
from runbook.ports import ScanReport
from sandbox.faults import Fault
from sandbox.github import LocalGitHub
from tests.integrations.github.conftest import QUICK, SECRET

REPO = "acme/shop"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


async def refusal(call: Any) -> ForgeError:
    with pytest.raises(ForgeError) as caught:
        await call
    return caught.value


async def report(github: GitHub, commit: str) -> ScanReport:
    found = await github.code_scanning(REPO, commit)
    assert found is not None
    return found


async def test_open_alerts_are_counted_by_their_security_severity(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    findings = {"py/sql-injection": "critical", "py/xss": "high", "py/log": "low", "py/unused": None}
    host.set_code_scanning(REPO, commit, findings, at=NOON)
    found = await report(github, commit)
    assert found.subject == commit
    assert found.tool == "CodeQL 2.20.1"
    assert found.taken_at == NOON
    assert found.counts == {"critical": 1, "high": 1, "medium": 0, "low": 1, "unknown": 1}
    assert found.critical == ("py/sql-injection (alert 1)",)
    assert (found.format, found.source) == ("code scanning", "code scanning")
    assert found.url == f"{host.url}/{REPO}/security/code-scanning"


async def test_a_commit_without_findings_has_none(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    host.set_code_scanning(REPO, commit)
    assert set((await report(github, commit)).counts.values()) == {0}


async def test_a_commit_that_was_never_analysed_has_no_report(host: LocalGitHub, github: GitHub) -> None:
    first, second = host.commit(REPO), host.commit(REPO)
    assert await github.code_scanning(REPO, second) is None
    host.set_code_scanning(REPO, first)
    assert await github.code_scanning(REPO, second) is None


async def test_what_a_later_push_mends_is_still_in_this_commit(host: LocalGitHub, github: GitHub) -> None:
    first = host.commit(REPO)
    host.set_code_scanning(REPO, first, {"py/sql-injection": "critical"}, at=NOON)
    second = host.commit(REPO)
    host.set_code_scanning(REPO, second, at=NOON + timedelta(hours=1))
    assert (await report(github, first)).counts["critical"] == 1
    assert (await report(github, second)).counts["critical"] == 0


async def test_what_a_later_push_brings_is_not_in_this_commit(host: LocalGitHub, github: GitHub) -> None:
    first = host.commit(REPO)
    host.set_code_scanning(REPO, first, {"py/log": "low"}, at=NOON)
    host.set_code_scanning(REPO, host.commit(REPO), {"py/xss": "critical"}, at=NOON + timedelta(hours=1))
    assert (await report(github, first)).counts["critical"] == 0


async def test_the_newest_analysis_of_a_commit_counts(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    host.set_code_scanning(REPO, commit, {"py/sql-injection": "critical"}, at=NOON)
    host.set_code_scanning(REPO, commit, at=NOON + timedelta(hours=1))
    found = await report(github, commit)
    assert found.counts["critical"] == 0
    assert found.taken_at == NOON + timedelta(hours=1)


async def test_every_tool_and_category_counts_and_the_oldest_tells_the_age(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    host.set_code_scanning(REPO, commit, {"py/a": "critical"}, category="/language:python", at=NOON)
    later = NOON + timedelta(hours=1)
    host.set_code_scanning(REPO, commit, {"js/b": "critical"}, category="/language:js", at=later)
    host.set_code_scanning(REPO, commit, {"c": "high"}, tool="Semgrep OSS", version="1.9", at=later)
    found = await report(github, commit)
    assert (found.counts["critical"], found.counts["high"]) == (2, 1)
    assert found.tool == "CodeQL 2.20.1, Semgrep OSS 1.9"
    assert found.taken_at == NOON


async def test_a_dismissed_alert_is_not_open(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    host.set_code_scanning(REPO, commit, {"py/a": "critical", "py/b": "critical"})
    host.dismiss_alert(REPO, "py/a")
    found = await report(github, commit)
    assert found.counts["critical"] == 1
    assert found.critical == ("py/b (alert 2)",)


async def test_an_analysis_of_another_branch_counts_for_its_commit(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO, branch="release/1.4")
    host.set_code_scanning(REPO, commit, {"py/a": "critical"}, ref="refs/heads/release/1.4")
    assert (await report(github, commit)).counts["critical"] == 1


async def test_an_analysis_that_could_not_be_processed_is_no_word(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    host.set_code_scanning(REPO, commit, category="a")
    host.set_code_scanning(REPO, commit, category="b", error="the SARIF file is no SARIF")
    assert await github.code_scanning(REPO, commit) is None


async def test_an_old_analysis_counts_though_another_tool_looked_again_much_later(
    host: LocalGitHub, github: GitHub
) -> None:
    commit = host.commit(REPO)
    host.set_code_scanning(REPO, commit, {"py/a": "critical"}, at=NOON)
    other = host.commit(REPO, "Another change", branch="topic")
    for hour in range(210):
        host.set_code_scanning(REPO, other, ref="refs/heads/topic", at=NOON + timedelta(hours=hour + 1))
    host.set_code_scanning(REPO, commit, tool="Semgrep OSS", at=NOON + timedelta(days=30))
    assert (await report(github, commit)).counts["critical"] == 1


async def test_many_analyses_and_alerts_are_read_over_several_pages(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    host.set_code_scanning(REPO, commit, {f"py/{n}": "critical" for n in range(250)}, at=NOON)
    later = host.commit(REPO)
    for hour in range(150):
        host.set_code_scanning(REPO, later, at=NOON + timedelta(hours=hour + 1))
    found = await report(github, commit)
    assert found.counts["critical"] == 250
    assert len(found.critical) == 20


async def test_alerts_behind_the_last_page_are_asked_one_by_one(
    host: LocalGitHub, github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrations.github.calls.MOST_PAGES", 1)
    commit = host.commit(REPO)
    host.set_code_scanning(REPO, commit, {f"py/{n}": "critical" for n in range(130)})
    assert (await report(github, commit)).counts["critical"] == 130


async def test_more_alerts_than_can_be_read_are_no_clean_report(
    host: LocalGitHub, github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrations.github.calls.MOST_PAGES", 1)
    commit = host.commit(REPO)
    host.set_code_scanning(REPO, commit, {f"py/{n}": "low" for n in range(200)})
    assert (await refusal(github.code_scanning(REPO, commit))).code == "github.many_alerts"


async def test_where_code_scanning_is_off_there_is_no_report(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    host.disable_code_scanning(REPO)
    assert await github.code_scanning(REPO, commit) is None


async def test_a_token_that_may_not_read_it_is_told_with_the_remedy(host: LocalGitHub) -> None:
    commit = host.commit(REPO)
    host.set_code_scanning(REPO, commit)
    client = GitHub(host.url, lambda: host.contents_token, limits=QUICK)
    error = await refusal(client.code_scanning(REPO, commit))
    await client.aclose()
    assert isinstance(error, Permanent)
    assert error.code == "github.scanning_forbidden"
    assert "security_events" in error.remedy
    assert host.contents_token not in str(error)


async def test_a_repository_that_is_not_there_is_not_a_missing_report(github: GitHub) -> None:
    assert (await refusal(github.code_scanning("acme/other", "0" * 40))).code == "github.not_found"


async def test_a_wrong_token_is_no_missing_report(host: LocalGitHub) -> None:
    client = GitHub(host.url, lambda: "ghp_wrong", limits=QUICK)
    error = await refusal(client.code_scanning(REPO, host.commit(REPO)))
    await client.aclose()
    assert error.code == "github.unauthorized"


async def test_the_secondary_rate_limit_is_no_missing_report(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    host.secondary_limit(retry_after_s=60, times=3)
    assert (await refusal(github.code_scanning(REPO, commit))).code == "github.rate_limited"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/analyses$", {}),
        ("/analyses$", [{}]),
        ("/analyses$", [{"commit_sha": "SHA", "tool": {"name": "x"}, "created_at": "noon"}]),
        ("/analyses/", {"runs": 1}),
        ("/analyses/", {"runs": []}),
        ("/analyses/", {"runs": [{"results": [1]}]}),
        ("/alerts", [{}]),
        ("/alerts", [{"number": 1}]),
    ],
)
async def test_an_answer_of_another_shape_is_garbage(host: LocalGitHub, github: GitHub, path: str, body: Any) -> None:
    commit = host.commit(REPO)
    host.set_code_scanning(REPO, commit, {"py/a": "critical"})
    text = (
        [{**each, "commit_sha": commit} if each.get("commit_sha") else each for each in body]
        if isinstance(body, list)
        else body
    )
    host.faults.add(Fault(status=200, path=path, body=text, times=-1))
    assert (await refusal(github.code_scanning(REPO, commit))).code == "github.garbage"


async def test_a_result_without_an_alert_is_of_unknown_severity(host: LocalGitHub, github: GitHub) -> None:
    commit = host.commit(REPO)
    host.set_code_scanning(REPO, commit, {"py/a": "critical"})
    results = [{"ruleId": "py/b"}, {"ruleId": "py/c", "suppressions": [{"kind": "inSource"}]}]
    host.faults.add(Fault(status=200, path="/analyses/", body={"runs": [{"results": results}, {}]}))
    found = await report(github, commit)
    assert (found.counts["critical"], found.counts["unknown"]) == (0, 1)


async def test_the_report_tells_when_it_was_asked_for(host: LocalGitHub) -> None:
    client = GitHub(host.url, lambda: SECRET, limits=QUICK, clock=NOON.timestamp)
    commit = host.commit(REPO)
    host.set_code_scanning(REPO, commit)
    found = await report(client, commit)
    await client.aclose()
    assert found.received_at == NOON
    assert isinstance(client._calls, GitHubCalls)

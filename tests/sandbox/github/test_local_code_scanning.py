"""Code scanning in the GitHub stand-in, as a client sees it."""

import aiohttp

from sandbox.github import LocalGitHub
from tests.sandbox.github.conftest import REPO, read


async def test_code_scanning_lists_analyses_and_alerts(github: LocalGitHub, client: aiohttp.ClientSession) -> None:
    sha = github.commit(REPO)
    at = f"/repos/{REPO}/code-scanning"
    assert (await read(client, f"{at}/analyses", 404))["message"] == "no analysis found"
    assert (await read(client, f"{at}/alerts", 404))["message"] == "no analysis found"
    number = github.set_code_scanning(REPO, sha, {"py/a": "critical", "py/b": None})
    (analysis,) = await read(client, f"{at}/analyses")
    assert (analysis["id"], analysis["commit_sha"], analysis["results_count"]) == (number, sha, 2)
    sarif = await read(client, f"{at}/analyses/{number}", headers={"Accept": "application/sarif+json"})
    assert [r["properties"]["github/alertNumber"] for r in sarif["runs"][0]["results"]] == [1, 2]
    alerts = {alert["number"]: alert for alert in await read(client, f"{at}/alerts?ref=main")}
    assert alerts[1]["rule"]["security_severity_level"] == "critical"
    assert alerts[2]["rule"]["security_severity_level"] is None


async def test_an_alert_is_open_fixed_or_dismissed(github: LocalGitHub, client: aiohttp.ClientSession) -> None:
    at = f"/repos/{REPO}/code-scanning/alerts"
    github.set_code_scanning(REPO, github.commit(REPO), {"py/a": "high", "py/b": "high", "py/c": "low"})
    github.set_code_scanning(REPO, github.commit(REPO), {"py/b": "high", "py/c": "low"})
    github.dismiss_alert(REPO, "py/c")
    assert {alert["number"]: alert["state"] for alert in await read(client, at)} == {
        1: "fixed",
        2: "open",
        3: "dismissed",
    }
    assert [alert["number"] for alert in await read(client, f"{at}?state=open")] == [2]
    assert [alert["number"] for alert in await read(client, f"{at}?state=closed")] == [3, 1]
    assert (await read(client, f"{at}/2"))["state"] == "open"
    await read(client, f"{at}/9", 404)


async def test_code_scanning_needs_its_right_and_to_be_on(github: LocalGitHub, client: aiohttp.ClientSession) -> None:
    github.set_code_scanning(REPO, github.commit(REPO))
    at, other = f"/repos/{REPO}/code-scanning/alerts", {"Authorization": f"Bearer {github.contents_token}"}
    assert "not accessible" in (await read(client, at, 403, headers=other))["message"]
    await read(client, f"/repos/{REPO}/contents/?ref=main", 404, headers=other)
    github.disable_code_scanning(REPO)
    assert "must be enabled" in (await read(client, at, 403))["message"]

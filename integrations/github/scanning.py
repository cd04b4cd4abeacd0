"""GitHub code scanning's word on one commit. An analysis that failed, or none, is no word at all.

The alerts of a branch tell how its newest commit stands, which is another one as soon as somebody pushed; so the findings come from the
analysis of the very commit (SARIF), and from the alerts only their severity and whether a person dismissed them.
Source: docs.github.com/rest/code-scanning/code-scanning.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from integrations.github.calls import SYSTEM, GitHubCalls, Shape, checked_sha
from integrations.http_calls import garbage
from runbook.errors import Permanent
from runbook.ports import ScanReport

SARIF = "application/sarif+json"
SEVERITIES = ("critical", "high", "medium", "low")
_MOST_NAMED = 20
_MOST_SINGLE = 50

_OFF = re.compile(r"(must be|not) enabled", re.IGNORECASE)  # "Advanced Security must be …", "Code scanning is not …"
_NO_ANALYSIS = "no analysis found"


@dataclass(frozen=True, slots=True)
class _Analysis:
    """results: their number. failed: what was uploaded could not be processed."""

    id: int
    ref: str
    tool: str
    version: str
    category: str
    at: datetime
    results: int
    failed: bool


@dataclass(frozen=True, slots=True)
class _Alert:
    """rule: with the alert's number, so that no two are equal. dismissed: a person said that it needn't be mended."""

    rule: str
    severity: str
    dismissed: bool


class CodeScanning:
    """Analyses and alerts of a repository."""

    def __init__(self, calls: GitHubCalls, web_url: str) -> None:
        self._calls = calls
        self._web_url = web_url

    async def report(self, repository: str, commit: str) -> ScanReport | None:
        """See `CodeHost.code_scanning`. Raises Permanent("scanning_forbidden") where the token may not read code scanning."""
        try:
            return await self._report(repository, checked_sha(commit))
        except Permanent as error:
            if error.code not in ("github.forbidden", "github.not_found"):
                raise
            if _OFF.search(error.cause) or _NO_ANALYSIS in error.cause.lower():
                return None
            await self._calls.require_repository(repository)
            remedy = f"Give the token read access to code scanning alerts (security_events) of {repository}"
            cause = f"the token may not read the code scanning of {repository}"
            raise Permanent(SYSTEM, "scanning_forbidden", cause, remedy) from error

    async def _report(self, repository: str, commit: str) -> ScanReport | None:
        newest = await self._newest(repository, commit)
        if not newest or any(analysis.failed for analysis in newest):
            return None
        found = list({alert: None for each in newest for alert in await self._open_alerts(repository, each)})
        counts = Counter(alert.severity for alert in found)
        return ScanReport(
            subject=commit,
            tool=", ".join(sorted({f"{each.tool} {each.version}".strip() for each in newest})),
            format="code scanning",
            taken_at=min(analysis.at for analysis in newest),
            received_at=self._calls.now(),
            counts={severity: counts[severity] for severity in (*SEVERITIES, "unknown")},
            critical=tuple(alert.rule for alert in found if alert.severity == "critical")[:_MOST_NAMED],
            source="code scanning",
            url=f"{self._web_url}/{repository}/security/code-scanning",
        )

    async def _newest(self, repository: str, commit: str) -> list[_Analysis]:
        """Of each tool and category the newest analysis of the commit. The API lists by time alone, the newest first, so that every
        page is read: a weekly scan of one tool may lie far from the push that another one analysed."""
        newest: dict[tuple[str, str], _Analysis] = {}
        async for page in self._calls.pages(repository, "code-scanning/analyses?sort=created&direction=desc"):
            with Shape(self._calls.where, "list of analyses"):
                found = [_analysis_of(each) for each in self._listed(page) if each["commit_sha"] == commit]
            for analysis in found:
                newest.setdefault((analysis.tool, analysis.category), analysis)
        return list(newest.values())

    async def _open_alerts(self, repository: str, analysis: _Analysis) -> list[_Alert]:
        if not analysis.results:
            return []
        sarif = await self._calls.get(repository, f"code-scanning/analyses/{analysis.id}", SARIF)
        with Shape(self._calls.where, "SARIF document"):
            results = [result for run in sarif["runs"] for result in run.get("results") or ()]
            if not results:  # the list of analyses said that there are some
                raise garbage(SYSTEM, self._calls.where, "SARIF document with results")
            numbers = [_number_of(result) for result in results if not result.get("suppressions")]
        alerts = await self._alerts(repository, analysis, {number for number in numbers if number is not None})
        unnumbered = [_Alert(f"{analysis.id}/{n}", "unknown", False) for n in range(numbers.count(None))]
        return [alert for alert in alerts if not alert.dismissed] + unnumbered

    async def _alerts(self, repository: str, analysis: _Analysis, wanted: set[int]) -> list[_Alert]:
        """One for each number; several results may share one."""
        found: dict[int, _Alert] = {}
        query = f"tool_name={quote(analysis.tool, safe='')}&ref={quote(analysis.ref, safe='')}"
        # In any state: a finding of this commit that is mended by a later one is still in this one.
        async for page in self._calls.pages(repository, f"code-scanning/alerts?{query}"):
            with Shape(self._calls.where, "list of alerts"):
                found |= {
                    alert["number"]: _alert_of(alert) for alert in self._listed(page) if alert["number"] in wanted
                }
            if len(found) == len(wanted):
                break
        missing = sorted(wanted - found.keys())
        if len(missing) > _MOST_SINGLE:
            cause = f"code scanning of {repository} has more alerts than forge reads"
            raise Permanent(SYSTEM, "many_alerts", cause, "Mend or dismiss alerts, or use a scan of the image instead")
        for number in missing:
            alert = await self._calls.get(repository, f"code-scanning/alerts/{number}")
            with Shape(self._calls.where, "alert"):
                found[number] = _alert_of(alert)
        return [found[number] for number in sorted(found)]

    def _listed(self, page: Any) -> list[Mapping[str, Any]]:
        if not isinstance(page, list):  # else what is no list would be an empty one
            raise garbage(SYSTEM, self._calls.where, "list")
        return page


def _analysis_of(analysis: Mapping[str, Any]) -> _Analysis:
    return _Analysis(
        id=int(analysis["id"]),
        ref=str(analysis["ref"]),
        tool=str(analysis["tool"]["name"]),
        version=str(analysis["tool"].get("version") or ""),
        category=str(analysis.get("category") or ""),
        at=datetime.fromisoformat(analysis["created_at"]).astimezone(UTC),
        results=int(analysis["results_count"]),
        failed=bool(analysis.get("error")),
    )


def _alert_of(alert: Mapping[str, Any]) -> _Alert:
    rule = alert["rule"]
    level = rule.get("security_severity_level")
    name = f"{rule.get('id') or rule.get('name')} (alert {alert['number']})"
    return _Alert(name, level if level in SEVERITIES else "unknown", alert["state"] == "dismissed")


def _number_of(result: Mapping[str, Any]) -> int | None:
    number = (result.get("properties") or {}).get("github/alertNumber")
    return number if isinstance(number, int) else None

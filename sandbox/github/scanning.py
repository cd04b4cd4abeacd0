"""GitHub code scanning: analyses of commits, the alerts they raise, and the endpoints that list them.

An alert is open on a branch as long as the branch's newest analysis of its tool still finds it. Shapes: docs.github.com/rest/code-scanning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from sandbox.github import limits
from sandbox.github.paging import page_of

Json = dict[str, Any]
SARIF = "application/sarif+json"
NOT_ENABLED = "Advanced Security must be enabled for this repository to use code scanning."
NO_ANALYSIS = "no analysis found"
NOT_ACCESSIBLE = "Resource not accessible by personal access token"


@dataclass(frozen=True)
class Analysis:
    """findings: alert numbers. error: GitHub could not process what was uploaded."""

    id: int
    ref: str
    commit_sha: str
    tool: str
    version: str
    category: str
    at: datetime
    findings: tuple[int, ...]
    error: str = ""


@dataclass
class Alert:
    """severity: `critical`, `high`, `medium`, `low`, or None for a rule that is about no security."""

    number: int
    tool: str
    rule: str
    severity: str | None
    at: datetime
    dismissed_at: datetime | None = None


@dataclass
class Scanning:
    """What one repository knows of code scanning."""

    enabled: bool = True
    analyses: list[Analysis] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    def analyse(
        self,
        sha: str,
        findings: Mapping[str, str | None],
        *,
        tool: str,
        version: str,
        category: str,
        ref: str,
        error: str,
        at: datetime,
    ) -> Analysis:
        """findings: rule -> severity; a rule that was found before keeps its alert."""
        numbers = tuple(self._alert(tool, rule, severity, at).number for rule, severity in findings.items())
        made = Analysis(len(self.analyses) + 201, ref, sha, tool, version, category, at, numbers, error)
        self.analyses.append(made)
        return made

    def _alert(self, tool: str, rule: str, severity: str | None, at: datetime) -> Alert:
        for alert in self.alerts:
            if (alert.tool, alert.rule) == (tool, rule):
                return alert
        alert = Alert(len(self.alerts) + 1, tool, rule, severity, at)
        self.alerts.append(alert)
        return alert

    def newest(self, ref: str, tool: str) -> Analysis | None:
        return next((each for each in reversed(self.analyses) if (each.ref, each.tool) == (ref, tool)), None)

    def state(self, alert: Alert, ref: str) -> str:
        if alert.dismissed_at:
            return "dismissed"
        newest = self.newest(ref, alert.tool)
        return "open" if newest and alert.number in newest.findings else "fixed"

    def on(self, alert: Alert, ref: str) -> bool:
        """Whether any analysis of this branch ever found it."""
        return any(each.ref == ref and alert.number in each.findings for each in self.analyses)


Seen = Callable[[web.Request, Scanning, str, str], web.Response]


def endpoints() -> list[tuple[str, Seen]]:
    """Path behind the repository -> endpoint(request, scanning, address of the repository, default branch)."""
    return [
        ("/code-scanning/analyses", _analyses),
        ("/code-scanning/analyses/{id:\\d+}", _analysis),
        ("/code-scanning/alerts", _alerts),
        ("/code-scanning/alerts/{number:\\d+}", _alert),
    ]


def _ref(request: web.Request, default: str = "") -> str:
    ref = request.query.get("ref", default)
    return ref if not ref or ref.startswith("refs/") else f"refs/heads/{ref}"


def _analyses(request: web.Request, scanning: Scanning, base: str, _: str) -> web.Response:
    query, ref = request.query, _ref(request)
    found = [each for each in scanning.analyses if not ref or each.ref == ref]
    if "tool_name" in query:
        found = [each for each in found if each.tool == query["tool_name"]]
    if not found:
        return limits.error(404, NO_ANALYSIS)
    found.sort(key=lambda each: (each.at, each.id), reverse=query.get("direction", "desc") == "desc")
    page, headers = page_of(request, found)
    return web.json_response([_analysis_view(each, base) for each in page], headers=headers)


def _analysis(request: web.Request, scanning: Scanning, base: str, _: str) -> web.Response:
    wanted = int(request.match_info["id"])
    found = next((each for each in scanning.analyses if each.id == wanted), None)
    if found is None:
        return limits.error(404, "No analysis found for this analysis ID")
    if request.headers.get("Accept", "") == SARIF:
        return web.json_response(_sarif(found, scanning, base), content_type=SARIF)
    return web.json_response(_analysis_view(found, base))


def _alerts(request: web.Request, scanning: Scanning, base: str, default_branch: str) -> web.Response:
    query, ref = request.query, _ref(request, default_branch)
    if not scanning.analyses:
        return limits.error(404, NO_ANALYSIS)
    found = [alert for alert in reversed(scanning.alerts) if scanning.on(alert, ref)]
    if "tool_name" in query:
        found = [alert for alert in found if alert.tool == query["tool_name"]]
    if "state" in query:
        wanted = ("dismissed", "fixed") if query["state"] == "closed" else (query["state"],)
        found = [alert for alert in found if scanning.state(alert, ref) in wanted]
    if "severity" in query:
        found = [alert for alert in found if alert.severity == query["severity"]]
    page, headers = page_of(request, found)
    return web.json_response([_alert_view(alert, scanning, ref, base) for alert in page], headers=headers)


def _alert(request: web.Request, scanning: Scanning, base: str, default_branch: str) -> web.Response:
    number = int(request.match_info["number"])
    found = next((alert for alert in scanning.alerts if alert.number == number), None)
    if found is None:
        return limits.error(404, "No alert found for this alert number")
    return web.json_response(_alert_view(found, scanning, _ref(request, default_branch), base))


def _stamp(at: datetime | None) -> str | None:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def _analysis_view(analysis: Analysis, base: str) -> Json:
    return {
        "ref": analysis.ref,
        "commit_sha": analysis.commit_sha,
        "analysis_key": f".github/workflows/{analysis.tool.lower()}.yml:analyze",
        "environment": "{}",
        "category": analysis.category,
        "error": analysis.error,
        "created_at": _stamp(analysis.at),
        "results_count": len(analysis.findings),
        "rules_count": 67,
        "id": analysis.id,
        "url": f"{base}/code-scanning/analyses/{analysis.id}",
        "sarif_id": f"6c81cd8e-b078-4ac3-a3be-{analysis.id:012d}",
        "tool": {"name": analysis.tool, "guid": None, "version": analysis.version},
        "deletable": True,
        "warning": "",
    }


def _sarif(analysis: Analysis, scanning: Scanning, base: str) -> Json:
    alerts = [alert for alert in scanning.alerts if alert.number in analysis.findings]
    results = [
        {
            "guid": f"326aa09d-9af8-13cf-9851-{alert.number:012d}",
            "message": {"text": f"{alert.rule} was found."},
            "properties": {
                "github/alertNumber": alert.number,
                "github/alertUrl": f"{base}/code-scanning/alerts/{alert.number}",
            },
            "rule": {"id": alert.rule},
            "ruleId": alert.rule,
        }
        for alert in alerts
    ]
    driver = {"name": analysis.tool, "semanticVersion": analysis.version, "rules": [{"id": a.rule} for a in alerts]}
    run = {"tool": {"driver": driver}, "results": results, "automationDetails": {"id": f"{analysis.category}/"}}
    return {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}


def _alert_view(alert: Alert, scanning: Scanning, ref: str, base: str) -> Json:
    seen = [each for each in scanning.analyses if each.ref == ref and alert.number in each.findings]
    state = scanning.state(alert, ref)
    instance: Json = {
        "ref": ref,
        "analysis_key": f".github/workflows/{alert.tool.lower()}.yml:analyze",
        "category": seen[-1].category if seen else "",
        "environment": "{}",
        "state": state,
        "commit_sha": seen[-1].commit_sha if seen else None,
        "message": {"text": f"{alert.rule} was found."},
        "location": {"path": "web/pay.py", "start_line": 12, "end_line": 12, "start_column": 1, "end_column": 9},
        "classifications": [],
    }
    return {
        "number": alert.number,
        "created_at": _stamp(alert.at),
        "url": f"{base}/code-scanning/alerts/{alert.number}",
        "instances_url": f"{base}/code-scanning/alerts/{alert.number}/instances",
        "state": state,
        "fixed_at": _stamp(alert.at) if state == "fixed" else None,
        "dismissed_by": {"login": "ada", "id": 1} if alert.dismissed_at else None,
        "dismissed_at": _stamp(alert.dismissed_at),
        "dismissed_reason": "false positive" if alert.dismissed_at else None,
        "dismissed_comment": None,
        "rule": {
            "id": alert.rule,
            "severity": "error",
            "description": f"The rule {alert.rule}",
            "name": alert.rule,
            "security_severity_level": alert.severity,
            "tags": ["security"] if alert.severity else [],
        },
        "tool": {"name": alert.tool, "guid": None, "version": "2.20.1"},
        "most_recent_instance": instance,
    }

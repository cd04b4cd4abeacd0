"""SARIF 2.1.0, as far as security scanners of images write it.

Source: OASIS SARIF 2.1.0 (results 3.27, suppressions 3.35, `results` absent 3.14.23); the scores are GitHub's reading of
`security-severity`: 9.0 and more critical, 7.0 high, 4.0 medium, what is above 0 low.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import datetime

from pydantic import Field

from runbook.scan_formats.findings import (
    SEVERITIES,
    Finding,
    Findings,
    Foreign,
    Unusable,
    digests_in,
    moment,
    severity_of,
    summed,
)

_ALL_SUPPRESSED = "Anchore Container Vulnerability Report"
"""Early Grype and its GitHub action called themselves so, and marked every result as suppressed."""
_NOT_OPEN_KINDS = frozenset({"pass", "notApplicable", "informational"})


class SarifProperties(Foreign):
    score: float | str | None = Field(None, alias="security-severity")
    tags: list[str] | None = None
    repo_digests: list[str] | None = Field(None, alias="repoDigests")
    image_name: str | None = Field(None, alias="imageName")


class SarifRule(Foreign):
    id: str = ""
    properties: SarifProperties | None = None


class SarifComponent(Foreign):
    name: str = ""
    version: str | None = None
    semantic_version: str | None = Field(None, alias="semanticVersion")
    rules: list[SarifRule] | None = None


class SarifTool(Foreign):
    driver: SarifComponent
    extensions: list[SarifComponent] | None = None


class SarifRuleReference(Foreign):
    id: str | None = None


class SarifSuppression(Foreign):
    status: str | None = None


class SarifResult(Foreign):
    rule_id: str | None = Field(None, alias="ruleId")
    rule_index: int | None = Field(None, alias="ruleIndex")
    rule: SarifRuleReference | None = None
    kind: str | None = None
    baseline_state: str | None = Field(None, alias="baselineState")
    suppressions: list[SarifSuppression] | None = None
    properties: SarifProperties | None = None

    @property
    def id(self) -> str:
        return self.rule_id or (self.rule.id if self.rule else None) or ""

    @property
    def is_open(self) -> bool:
        """Not suppressed (a suppression under review or rejected suppresses nothing), not a pass, not gone since the baseline."""
        accepted = bool(self.suppressions) and all(s.status in (None, "accepted") for s in self.suppressions or ())
        return not accepted and self.kind not in _NOT_OPEN_KINDS and self.baseline_state != "absent"


class SarifInvocation(Foreign):
    successful: bool | None = Field(None, alias="executionSuccessful")
    end: str | None = Field(None, alias="endTimeUtc")


class SarifRun(Foreign):
    tool: SarifTool
    results: list[SarifResult] | None = None
    invocations: list[SarifInvocation] | None = None
    properties: SarifProperties | None = None


class SarifPart(Foreign):
    """The fields of a SARIF log, beside those of other formats."""

    version: str | None = None
    runs: list[SarifRun] | None = None


def read_sarif(log: SarifPart) -> Findings:
    """Several runs are one report: their findings together, as old as the oldest.

    Raises Unusable for another version, no runs, runs that failed, and severities that can't be told.
    """
    if log.version != "2.1.0":
        cause = f"the SARIF log has version {(log.version or 'none')[:20]}, and only 2.1.0 is understood"
        raise Unusable(cause, "Let the scanner write SARIF 2.1.0")
    if not log.runs:
        raise Unusable("the SARIF log has no runs: nothing was scanned", "Scan the image, then send the scanner's log")
    for run in log.runs:
        _check_finished(run)
        _check_severities(run)
    found = (finding for run in log.runs for finding in _found(run))
    properties = [run.properties for run in log.runs if run.properties]
    references = [ref for each in properties for ref in (*(each.repo_digests or ()), each.image_name)]
    return summed("sarif", _tool(log.runs), digests_in(references), _oldest(log.runs), found)


def _check_finished(run: SarifRun) -> None:
    if run.tool.driver.name.startswith(_ALL_SUPPRESSED):
        raise Unusable("this Grype marks every finding as suppressed", "Scan with a current Grype, or send its JSON")
    if run.results is None:
        raise Unusable(
            "a SARIF run has no results: the scan didn't take place", "Scan again, and look at the scanner's errors"
        )
    if any(invocation.successful is False for invocation in run.invocations or ()):
        raise Unusable("a SARIF run says that its scan failed", "Scan again, and look at the scanner's errors")


def _check_severities(run: SarifRun) -> None:
    """A log without any severity can't say that nothing is critical; where others have one, a finding without is about no vulnerability."""
    found = list(_found(run))
    if found and all(finding.severity == "unknown" for finding in found):
        cause = f"none of the {len(found)} findings in the SARIF log has a security-severity: whether they are critical can't be told"
        raise Unusable(cause, "Send the scanner's own JSON, or a log whose rules have properties.security-severity")


def _found(run: SarifRun) -> Iterator[Finding]:
    rules = _rules(run.tool)
    by_index = run.tool.driver.rules or []
    for result in run.results or ():
        if result.is_open:
            index = result.rule_index if result.rule_index is not None else -1
            rule = _rule_of(result.id, rules) or (
                by_index[index] if not result.id and 0 <= index < len(by_index) else None
            )
            told = (result.properties, rule.properties if rule else None)
            yield Finding(result.id or (rule.id if rule else ""), _worst(told))


def _rules(tool: SarifTool) -> dict[str, SarifRule]:
    components = (tool.driver, *(tool.extensions or ()))
    return {rule.id: rule for component in components for rule in component.rules or ()}


def _rule_of(rule_id: str, rules: dict[str, SarifRule]) -> SarifRule | None:
    """A hierarchical id, `CA1000/1`, means its rule `CA1000` (3.27.5). By id first: some scanners write wrong indexes."""
    while rule_id and rule_id not in rules:
        rule_id, _, _ = rule_id.rpartition("/")
    return rules.get(rule_id)


def _worst(told: Iterable[SarifProperties | None]) -> str:
    """Of scores and of words among the tags: a vendor may call critical what has a lower score."""
    found = {"unknown"}
    for properties in told:
        if properties is not None:
            found.add(_of_score(properties.score))
            found.update(severity_of(tag) for tag in properties.tags or () if tag.lower() in SEVERITIES)
    return next(severity for severity in SEVERITIES if severity in found)


def _of_score(score: float | str | None) -> str:
    try:
        value = float(score) if score is not None else math.nan
    except ValueError:
        return severity_of(str(score))
    if value >= 9.0:
        return "critical"
    if value >= 7.0:
        return "high"
    if value >= 4.0:
        return "medium"
    return "low" if value > 0 else "unknown"


def _tool(runs: list[SarifRun]) -> str:
    names = []
    for run in runs:
        driver = run.tool.driver
        version = driver.semantic_version or driver.version
        names.append(f"{driver.name} {version}" if version else driver.name)
    return (" and ".join(dict.fromkeys(names)) or "an unnamed tool")[:60]


def _oldest(runs: list[SarifRun]) -> datetime | None:
    """None unless every run says when it ended."""
    ends = [max(filter(None, (moment(i.end) for i in run.invocations or ())), default=None) for run in runs]
    known = [end for end in ends if end is not None]
    return min(known) if len(known) == len(runs) else None

"""Grype's JSON, `grype --output json`. Source: grype/presenter/models of anchore/grype. `ignoredMatches` are not open."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from runbook.scan_formats.findings import Finding, Findings, Foreign, Unusable, digests_in, moment, severity_of, summed


class GrypeVulnerability(Foreign):
    id: str = ""
    severity: str | None = None


class GrypeMatch(Foreign):
    vulnerability: GrypeVulnerability


class GrypeTarget(Foreign):
    user_input: str | None = Field(None, alias="userInput")
    manifest_digest: str | None = Field(None, alias="manifestDigest")
    repo_digests: list[str] | None = Field(None, alias="repoDigests")


class GrypeSource(Foreign):
    """target: an object for an image; for what is no image a path or another text."""

    type: str | None = None
    target: GrypeTarget | Any = Field(None, union_mode="left_to_right")


class GrypeDescriptor(Foreign):
    name: str | None = None
    version: str | None = None
    timestamp: str | None = None


class GrypePart(Foreign):
    """The fields of a Grype report, beside those of other formats."""

    matches: list[GrypeMatch] | None = None
    source: GrypeSource | None = None
    descriptor: GrypeDescriptor | None = None


def read_grype(report: GrypePart) -> Findings:
    """Raises Unusable for another program's matches and for what is no image."""
    descriptor, source = report.descriptor, report.source
    if descriptor is None or descriptor.name != "grype" or report.matches is None:
        raise Unusable(
            "the report is not as Grype writes it", "Write it with: grype <repository>@<digest> --output json"
        )
    if source is None or source.type != "image" or not isinstance(source.target, GrypeTarget):
        kind = (source and source.type) or "nameless thing"
        cause = f"the Grype report is about a {kind[:40]}, not about an image"
        raise Unusable(cause, "Scan the image itself: grype <repository>@<digest> --output json")
    target = source.target
    references = (*(target.repo_digests or ()), target.user_input, target.manifest_digest)
    found = (Finding(m.vulnerability.id, severity_of(m.vulnerability.severity)) for m in report.matches)
    tool = f"grype {descriptor.version}" if descriptor.version else "grype"
    return summed("grype", tool[:60], digests_in(references), moment(descriptor.timestamp), found)

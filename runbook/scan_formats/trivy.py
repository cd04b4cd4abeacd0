"""Trivy's JSON, `trivy image --format json`, schema 2 (since 0.20).

Source: pkg/types/report.go of aquasecurity/trivy. `Status: fixed` says that a fixed version exists: the finding is open all the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from runbook.scan_formats.findings import Finding, Findings, Foreign, Unusable, digests_in, moment, severity_of, summed

_NOT_OPEN = frozenset({"not_affected"})


class TrivyVulnerability(Foreign):
    id: str = Field("", alias="VulnerabilityID")
    severity: str | None = Field(None, alias="Severity")
    status: str | None = Field(None, alias="Status")


class TrivyMisconfiguration(Foreign):
    id: str = Field("", alias="ID")
    severity: str | None = Field(None, alias="Severity")
    status: str | None = Field(None, alias="Status")


class TrivySecret(Foreign):
    id: str = Field("", alias="RuleID")
    severity: str | None = Field(None, alias="Severity")


class TrivyResult(Foreign):
    vulnerabilities: list[TrivyVulnerability] | None = Field(None, alias="Vulnerabilities")
    misconfigurations: list[TrivyMisconfiguration] | None = Field(None, alias="Misconfigurations")
    secrets: list[TrivySecret] | None = Field(None, alias="Secrets")


class TrivyMetadata(Foreign):
    repo_digests: list[str] | None = Field(None, alias="RepoDigests")


class TrivyProgram(Foreign):
    version: str = Field("", alias="Version")


class TrivyPart(Foreign):
    """The fields of a Trivy report, beside those of other formats."""

    schema_version: int | None = Field(None, alias="SchemaVersion")
    artifact_name: str | None = Field(None, alias="ArtifactName")
    artifact_type: str | None = Field(None, alias="ArtifactType")
    created_at: str | None = Field(None, alias="CreatedAt")
    trivy: TrivyProgram | None = Field(None, alias="Trivy")
    metadata: TrivyMetadata | None = Field(None, alias="Metadata")
    results: list[TrivyResult] | None = Field(None, alias="Results")


def read_trivy(report: TrivyPart) -> Findings:
    """Raises Unusable for another schema, for what is no image, and where nothing was scanned."""
    if report.schema_version != 2:
        cause = f"the Trivy report has schema {report.schema_version or 'none'}, and only schema 2 is understood"
        raise Unusable(cause, "Scan with a current Trivy (0.20 or later)")
    if report.artifact_type != "container_image":
        cause = f"the Trivy report is about a {(report.artifact_type or 'nameless thing')[:40]}, not about an image"
        raise Unusable(cause, "Scan the image itself: trivy image --format json <repository>@<digest>")
    if not report.results:
        cause = "the Trivy report has no results: nothing in the image was looked at"
        raise Unusable(cause, "Scan with --list-all-pkgs, so that the report shows what was looked at")
    tool = f"trivy {report.trivy.version}" if report.trivy and report.trivy.version else "trivy"
    references = (*((report.metadata and report.metadata.repo_digests) or ()), report.artifact_name)
    return summed("trivy", tool[:60], digests_in(references), moment(report.created_at), _found(report.results))


def _found(results: list[TrivyResult]) -> Iterator[Finding]:
    for result in results:
        for vulnerability in result.vulnerabilities or ():
            if vulnerability.status not in _NOT_OPEN:
                yield Finding(vulnerability.id, severity_of(vulnerability.severity))
        for wrong in result.misconfigurations or ():
            if wrong.status not in ("PASS", "EXCEPTION"):
                yield Finding(wrong.id, severity_of(wrong.severity))
        for secret in result.secrets or ():
            yield Finding(secret.id, severity_of(secret.severity))

"""Reports as scanners write them, as small as they may be; each function takes what a test wants to be different."""

from __future__ import annotations

import json
from typing import Any

DIGEST = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64
IMAGE = f"registry.example/acme/web@{DIGEST}"
TAKEN = "2026-05-04T11:00:00.123456789+00:00"


def text(report: Any) -> bytes:
    return json.dumps(report).encode()


def trivy_vulnerability(name: str, severity: str, **changes: Any) -> dict[str, Any]:
    return {
        "VulnerabilityID": name,
        "PkgName": "openssl",
        "InstalledVersion": "3.0.1",
        "Status": "fixed",
        "Severity": severity,
        "CVSS": {"nvd": {"V3Score": 9.8}},
        **changes,
    }


def trivy(*vulnerabilities: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "SchemaVersion": 2,
        "Trivy": {"Version": "0.69.1"},
        "CreatedAt": TAKEN,
        "ArtifactName": IMAGE,
        "ArtifactType": "container_image",
        "Metadata": {"OS": {"Family": "alpine"}, "RepoDigests": [IMAGE], "ImageID": "sha256:" + "9" * 64},
        "Results": [
            {"Target": "web (alpine 3.20)", "Class": "os-pkgs", "Vulnerabilities": list(vulnerabilities) or None},
            {"Target": "app/poetry.lock", "Class": "lang-pkgs"},
        ],
        **changes,
    }


def grype_match(name: str, severity: str) -> dict[str, Any]:
    return {
        "vulnerability": {"id": name, "severity": severity, "fix": {"state": "fixed"}},
        "artifact": {"name": "openssl"},
    }


def grype(*matches: dict[str, Any], **changes: Any) -> dict[str, Any]:
    target = {"userInput": IMAGE, "manifestDigest": OTHER, "repoDigests": [IMAGE], "layers": []}
    return {
        "matches": list(matches),
        "ignoredMatches": [{**grype_match("CVE-2026-9", "Critical"), "appliedIgnoreRules": []}],
        "source": {"type": "image", "target": target},
        "distro": {"name": "alpine"},
        "descriptor": {"name": "grype", "version": "0.104.0", "timestamp": TAKEN},
        **changes,
    }


def sarif_rule(name: str, score: str | float | None = None, *tags: str) -> dict[str, Any]:
    properties: dict[str, Any] = {"tags": ["vulnerability", "security", *tags]}
    if score is not None:
        properties["security-severity"] = score
    return {"id": name, "name": "OsPackageVulnerability", "properties": properties}


def sarif_result(rule: str, **changes: Any) -> dict[str, Any]:
    return {"ruleId": rule, "ruleIndex": 0, "level": "error", "message": {"text": "Package: openssl"}, **changes}


def sarif_run(rules: list[dict[str, Any]], *results: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "tool": {"driver": {"name": "Trivy", "version": "0.69.1", "rules": rules}},
        "results": list(results),
        "properties": {"imageName": "registry.example/acme/web:v1", "repoDigests": [IMAGE]},
        **changes,
    }


def sarif(*runs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return {"$schema": schema, "version": "2.1.0", "runs": list(runs), **changes}

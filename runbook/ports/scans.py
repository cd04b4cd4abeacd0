"""The linter of migrations, and reports of security scans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from runbook.errors import Permanent


@dataclass(frozen=True, slots=True)
class LintFinding:
    """One rule of the linter that a file breaks. rule: the linter's own name, such as `ban-drop-column`. line: from 1."""

    path: str
    line: int
    rule: str
    message: str
    help: str = ""


class SqlLinter(Protocol):
    """A linter for PostgreSQL migrations."""

    async def lint(self, files: Mapping[str, str]) -> tuple[LintFinding, ...]:
        """files: path -> SQL. What can't be parsed is a finding of the rule `syntax-error`. Raises `Permanent` when the linter can't run."""


class NoLinter:
    """Where no linter is wired: what SQL says stays unknown, and unknown is not yes."""

    async def lint(self, files: Mapping[str, str]) -> tuple[LintFinding, ...]:
        raise Permanent(
            "linter", "missing", "no linter for migrations is wired", "Install the linter that forge is released with"
        )


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What a security scan says of one image (or, from code scanning, of one commit).

    subject: `sha256:…` of the image, or the commit's SHA. tool: `trivy 0.62`, `grype`, `CodeQL`. taken_at: when it was scanned.
    counts: open findings by severity: `critical`, `high`, `medium`, `low`, `unknown`. critical: ids of the critical ones, at most 20.
    source: where the report came from: `webhook`, a file's path, `code scanning`.
    """

    subject: str
    tool: str
    format: str
    taken_at: datetime
    received_at: datetime
    counts: Mapping[str, int]
    critical: tuple[str, ...] = ()
    source: str = ""
    url: str = ""


class ScanReports(Protocol):
    """Reports by image digest, from wherever they are kept."""

    async def newest(self, digest: str) -> ScanReport | None: ...

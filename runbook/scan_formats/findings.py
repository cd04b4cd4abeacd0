"""What every format is read into: severities, findings, the digests that a report speaks of, and why a report can't be used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from runbook.values import is_digest

SEVERITIES = ("critical", "high", "medium", "low", "unknown")
_WORDS = {"negligible": "low", "none": "low", "info": "low", "informational": "low", "moderate": "medium"}
_MOST_IDS = 20
_LONGEST_ID = 100


class Unusable(ValueError):
    """A report that can't be used: why, and what to do. Neither quotes the report: a secret scanner's findings are secrets."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}. {remedy}")
        self.cause = cause
        self.remedy = remedy


class Foreign(BaseModel):
    """A part of a scanner's report: other fields than those named are not looked at."""

    model_config = ConfigDict(extra="ignore", frozen=True)


@dataclass(frozen=True, slots=True)
class Finding:
    """id: the scanner's own, such as `CVE-2026-1234`. severity: one of SEVERITIES."""

    id: str
    severity: str


@dataclass(frozen=True, slots=True)
class Findings:
    """A report as read. format: `sarif`, `trivy` or `grype`. digests: of the image, as the report says itself; may be empty.

    taken_at: aware, as the report says; None where it doesn't. counts: open findings by severity, every severity named.
    """

    format: str
    tool: str
    digests: tuple[str, ...]
    taken_at: datetime | None
    counts: Mapping[str, int]
    critical: tuple[str, ...]


def severity_of(word: str | None) -> str:
    """A scanner's word as one of SEVERITIES; `unknown` for what none of them stands for."""
    known = _WORDS.get((word or "").lower(), (word or "").lower())
    return known if known in SEVERITIES else "unknown"


def summed(
    format_name: str, tool: str, digests: Iterable[str], taken_at: datetime | None, found: Iterable[Finding]
) -> Findings:
    """Counts every finding; keeps the first ids of the critical ones, each once."""
    counts = dict.fromkeys(SEVERITIES, 0)
    ids: dict[str, None] = {}
    for finding in found:
        counts[finding.severity] += 1
        if finding.severity == "critical" and len(ids) < _MOST_IDS:
            ids[(finding.id or "unnamed")[:_LONGEST_ID]] = None
    return Findings(format_name, tool, tuple(dict.fromkeys(digests)), taken_at, counts, tuple(ids))


def digest_in(reference: str | None) -> str:
    """The digest of `repository@sha256:…` or a bare digest; empty where there is none."""
    _, _, last = (reference or "").rpartition("@")
    return last if is_digest(last) else ""


def digests_in(references: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(digest for reference in references if (digest := digest_in(reference)))


def moment(text: str | None) -> datetime | None:
    """An RFC 3339 time; None where there is none or nothing is said of its zone. Go writes `0001-01-01T00:00:00Z` for none."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if found.tzinfo is None or found.year < 2000 else found.astimezone(UTC)

"""Scanners' reports, text in, `ScanReport` out: SARIF 2.1.0, Trivy's and Grype's JSON. What can't be read is refused, never taken for clean."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import TypeAdapter, ValidationError

from runbook.ports import ScanReport
from runbook.rules.scans import FUTURE_TOLERATED
from runbook.scan_formats.findings import Findings, Unusable
from runbook.scan_formats.grype import GrypePart, read_grype
from runbook.scan_formats.sarif import SarifPart, read_sarif
from runbook.scan_formats.trivy import TrivyPart, read_trivy
from runbook.values import is_digest

__all__ = [
    "MAX_REPORT_BYTES",
    "AnyReport",
    "Findings",
    "Format",
    "Unusable",
    "parse_report",
    "read_report",
    "report_of",
]

MAX_REPORT_BYTES = 32 * 1024 * 1024
"""A report of a very large image has a few MB; what is larger is refused."""
MAX_OBJECTS, MAX_COMMAS = 250_000, 2_000_000
"""Few bytes of JSON can take a thousand times their room in memory: what can be counted before it is parsed is bounded too."""


class Format(StrEnum):
    AUTO = "auto"
    SARIF = "sarif"
    TRIVY = "trivy"
    GRYPE = "grype"


class AnyReport(SarifPart, TrivyPart, GrypePart):
    """The fields of all formats, so that one pass over the text finds out which it is and reads it."""


_ADAPTER = TypeAdapter(AnyReport)


def parse_report(text: bytes, wanted: Format = Format.AUTO) -> Findings:
    """Raises Unusable for what is too large, no JSON, of no known format, or doesn't speak of a finished scan of an image."""
    check_bounds(text)
    try:
        report = _ADAPTER.validate_json(text)
    except ValidationError as error:
        raise unreadable(error) from None
    return read_report(report, wanted)


def check_bounds(text: bytes) -> None:
    """Raises Unusable for what takes too much room to be parsed."""
    if len(text) > MAX_REPORT_BYTES:
        cause = f"the report has {len(text) / 1024**2:.0f} MiB; at most {MAX_REPORT_BYTES / 1024**2:.0f} MiB are read"
        raise Unusable(cause, "Leave out what the report says beside the findings, such as the list of packages")
    if text.count(b"{") + text.count(b"[") > MAX_OBJECTS or text.count(b",") > MAX_COMMAS:
        cause = f"the report has more parts than can be read: at most {MAX_OBJECTS} objects and lists"
        raise Unusable(cause, "Leave out what the report says beside the findings, such as the list of packages")


def read_report(report: AnyReport, wanted: Format = Format.AUTO) -> Findings:
    """Raises Unusable. wanted: reads it as this format; AUTO: as the one whose mark it bears."""
    marks = {
        Format.SARIF: report.runs is not None,
        Format.TRIVY: report.schema_version is not None or report.results is not None,
        Format.GRYPE: report.matches is not None or report.descriptor is not None,
    }
    found = [each for each, is_there in marks.items() if is_there]
    if wanted is not Format.AUTO and wanted not in found:
        seems = f"; it seems to be {found[0]}" if found else ""
        raise Unusable(f"the report is not {wanted}{seems}", "Name its format, or let it be found out: auto")
    if wanted is Format.AUTO and len(found) != 1:
        cause = "the report bears the marks of several formats" if found else "the report is of no known format"
        raise Unusable(cause, "Send SARIF 2.1.0, or what trivy or grype writes as JSON")
    return _read(wanted if wanted is not Format.AUTO else found[0], report)


def _read(found: Format, report: AnyReport) -> Findings:
    if found is Format.SARIF:
        return read_sarif(report)
    return read_trivy(report) if found is Format.TRIVY else read_grype(report)


def report_of(
    findings: Findings,
    *,
    digest: str,
    taken_at: datetime | None,
    received_at: datetime,
    source: str,
    url: str = "",
) -> ScanReport:
    """digest: of the image that the report is said to be about; empty: as the report says. taken_at: for a report that doesn't say when.

    Raises Unusable where both say different digests, neither says one, or the time is missing or in the future.
    """
    taken = findings.taken_at or taken_at
    if taken is None:
        raise Unusable(
            "neither the report nor its sender says when the scan was taken", 'Add "taken_at", an RFC 3339 time'
        )
    if taken > received_at + FUTURE_TOLERATED:
        cause = f"the report is dated {taken:%Y-%m-%d %H:%M:%S} UTC, which is in the future"
        raise Unusable(cause, "Set the scanning machine's clock right, then scan again")
    subject = subject_of(findings, digest)
    return ScanReport(
        subject, findings.tool, findings.format, taken, received_at, findings.counts, findings.critical, source, url
    )


def subject_of(findings: Findings, digest: str) -> str:
    """The one digest that a report is about. Raises Unusable."""
    if digest and not is_digest(digest):
        raise Unusable(
            "the image is not named by a digest", "Name it as repository@sha256:… with 64 hexadecimal digits"
        )
    if digest and findings.digests and digest not in findings.digests:
        cause = f"the report is about {findings.digests[0]}, not about {digest}"
        raise Unusable(cause, "Scan the very digest that is to be deployed, and name that one")
    if not digest and not findings.digests:
        cause = "neither the report nor its sender says which digest was scanned"
        raise Unusable(cause, "Name the image as repository@sha256:…")
    if not digest and len(findings.digests) > 1:
        raise Unusable("the report speaks of several digests", "Name the image as repository@sha256:…")
    return digest or findings.digests[0]


def unreadable(error: ValidationError) -> Unusable:
    """The first thing that is wrong, by its place. Never its value: what was found may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"][:8])[:120]
    if first["type"] == "json_invalid":
        cause = f"the report is no complete JSON: {str(first.get('ctx', {}).get('error', first['msg']))[:120]}"
        return Unusable(cause, "Send the whole report, as the scanner wrote it")
    if not place:
        cause = "the report is no JSON object (Trivy before 0.20 wrote a list)"
        return Unusable(cause, "Scan with a current scanner, and send its report as it is")
    return Unusable(
        f"the report is not as its scanner writes it, at {place}: {first['msg']}"[:300], "Send it unchanged"
    )

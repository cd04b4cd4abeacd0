"""The kind `scan` of `/webhooks/ci`: a scanner's report with the image that it is about."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from handlers.bodies import Refused
from handlers.ci_webhook import Taken, Taker
from runbook.ports import ScanReport
from runbook.redaction import redacted
from runbook.rules.scans import open_critical
from runbook.scan_formats.findings import digest_in
from runbook.scan_reports import AnyReport, Format, read_report, report_of, unreadable

Keep = Callable[[ScanReport, str], Awaitable[bool]]
"""Keeps a report under the hex SHA-256 of what was received; False when that is known already. Raises StoreUnavailable."""


class ScanBody(BaseModel):
    """image: `repository@sha256:…`, or digest alone; neither is needed where the report says its digest itself.

    taken_at: for a report that doesn't say when.
    """

    model_config = ConfigDict(extra="forbid")
    kind: Literal["scan"]
    report: AnyReport
    image: str = Field(default="", max_length=500)
    digest: str = Field(default="", max_length=100)
    format: Format = Format.AUTO
    url: str = Field(default="", max_length=500, pattern=r"^(https?://\S+)?$")
    taken_at: AwareDatetime | None = None


_BODY = TypeAdapter(ScanBody)


def scan_taker(keep: Keep, now: Callable[[], datetime]) -> Taker:
    """Parses beside the event loop: a report of many megabytes keeps nobody waiting."""

    async def take(body: bytes) -> Taken:
        report, content = await asyncio.to_thread(_understood, body, now())
        new = await keep(report, content)
        told = {
            "image": report.subject,
            "tool": report.tool,
            "taken_at": report.taken_at.isoformat(),
            "critical": open_critical(report),
        }
        return Taken(new, told)

    return take


def _understood(body: bytes, now: datetime) -> tuple[ScanReport, str]:
    """Raises Refused and Unusable."""
    try:
        said = _BODY.validate_json(body)
    except ValidationError as error:
        raise _refusal(error) from None
    report = report_of(
        read_report(said.report, said.format),
        digest=_digest(said),
        taken_at=said.taken_at,
        received_at=now,
        source="webhook",
        url=redacted(said.url),
    )
    return report, hashlib.sha256(body).hexdigest()


def _digest(said: ScanBody) -> str:
    """Empty where the sender leaves it to the report."""
    named = digest_in(said.image)
    if said.image and not named:
        raise Refused(400, "the image is not named by a digest", "Name it as repository@sha256:…, not by its tag")
    if named and said.digest and named != said.digest:
        raise Refused(400, "image and digest speak of different images", "Send one of them")
    return said.digest or named


def _refusal(error: ValidationError) -> Exception:
    first = error.errors(include_input=False, include_url=False)[0]
    place = [str(part) for part in first["loc"]]
    if len(place) > 1 and place[0] == "report":
        return unreadable(error)
    where = ".".join(place)[:80] or "the body"
    return Refused(400, f"{where}: {first['msg']}"[:300], "docs/scans.md has the fields with an example")

"""What comes in and goes out: the inbox, the outbox, what stands in Slack, and what others have told by webhook."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from engine.records.json_values import Json


@dataclass(frozen=True, kw_only=True)
class Received:
    """One payload from outside, committed before it was acknowledged. dedup: what a redelivery keeps.

    kind: `command`, `click`, `view`, `local`. done_at: set in the transaction of the change that it caused.
    """

    key: ClassVar[tuple[str, ...]] = ("id",)
    id: int | None = None
    dedup: str
    kind: str
    payload: Json
    received_at: datetime
    done_at: datetime | None = None
    result: str = ""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One delivery of a GitHub webhook that was authentic. guid: `X-GitHub-Delivery`. sha256: of the body, hex; the body itself is not kept.

    repository: as the configuration writes it; empty where no service is of it.
    """

    key: ClassVar[tuple[str, ...]] = ("guid",)
    guid: str
    event: str
    repository: str
    sha256: str
    received_at: datetime


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """One message to be shown. subject: what it shows, `headline:staging-12`, `approval:staging-12:3`, `note:staging-12:7:…`.

    kind: `view` (rendered from stored rows when sent; coalesced by subject, edited in place), `note` (once, in the run's thread; `broadcast`
    shows it in the channel too), `picture` (a chart, once, as a file in the run's thread; payload: `chart`), `private_picture` (the same in
    the direct messages of payload's `user`, at most once), `incident` and `incident_note` (a view and a note of an incident, in the channel of
    incidents, the note in its card's thread), `answer` (to the caller alone, at most once; payload has `received`, the inbox row
    whose response address it uses). state: `pending`, `sending` (committed before the call: a crash leaves it doubtful), `sent`, `dropped`.
    """

    key: ClassVar[tuple[str, ...]] = ("id",)
    id: int | None = None
    subject: str
    kind: str
    run: str = ""
    payload: Json = None
    broadcast: bool = False
    state: str = "pending"
    attempts: int = 0
    not_before: datetime | None = None
    error: str = ""
    created_at: datetime
    sent_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Posted:
    """Where a subject stands in Slack. rendered: hash of what is shown, so that an equal edit is not sent."""

    key: ClassVar[tuple[str, ...]] = ("subject",)
    subject: str
    run: str = ""
    channel: str
    ts: str
    thread_ts: str = ""
    permalink: str = ""
    rendered: str = ""
    posted_at: datetime


@dataclass(frozen=True, kw_only=True)
class ScanRow:
    """One security scan that was handed in. subject: the image's digest. content: hex SHA-256 of what was received, each kept once.

    counts: open findings by severity. critical: the first ids of the critical ones. source: how it came, such as `webhook`.
    """

    key: ClassVar[tuple[str, ...]] = ("id",)
    id: int | None = None
    subject: str
    tool: str
    format: str
    taken_at: datetime
    received_at: datetime
    counts: Json
    critical: Json
    source: str
    url: str
    content: str


@dataclass(frozen=True, kw_only=True)
class CiResult:
    """What a CI system other than GitHub's said of a commit last. state: `success`, `failure` or `pending`. at: as told, else when received."""

    key: ClassVar[tuple[str, ...]] = ("repository", "commit", "name")
    repository: str
    commit: str
    name: str
    state: str
    url: str
    at: datetime
    received_at: datetime

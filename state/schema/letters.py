"""What comes in and goes out."""

from __future__ import annotations

from sqlalchemy import Index, Table

from state.schema.fields import flag, json, metadata, numbered, text, time, whole

received = Table(
    "received",
    metadata,
    numbered(),
    text("dedup", unique=True),
    text("kind"),
    json("payload"),
    time("received_at"),
    time("done_at", null=True),
    text("result"),
    Index("received_by_done_at", "done_at"),
    sqlite_autoincrement=True,
)

deliveries = Table(
    "deliveries",
    metadata,
    text("guid", key=True),
    text("event"),
    text("repository"),
    text("sha256"),
    time("received_at"),
    Index("deliveries_by_content", "sha256"),
    Index("deliveries_by_time", "received_at"),
)

outgoing = Table(
    "outgoing",
    metadata,
    numbered(),
    text("subject"),
    text("kind"),
    text("run"),
    json("payload"),
    flag("broadcast"),
    text("state"),
    whole("attempts"),
    time("not_before", null=True),
    text("error"),
    time("created_at"),
    time("sent_at", null=True),
    Index("outgoing_by_state", "state", "id"),
    Index("outgoing_by_subject", "subject", "state"),
    Index("outgoing_by_run", "run"),
    sqlite_autoincrement=True,
)

posted = Table(
    "posted",
    metadata,
    text("subject", key=True),
    text("run"),
    text("channel"),
    text("ts"),
    text("thread_ts"),
    text("permalink"),
    text("rendered"),
    time("posted_at"),
    Index("posted_by_run", "run"),
    Index("posted_by_place", "channel", "ts"),
)

scan_reports = Table(
    "scan_reports",
    metadata,
    numbered(),
    text("subject"),
    text("tool"),
    text("format"),
    time("taken_at"),
    time("received_at"),
    json("counts"),
    json("critical"),
    text("source"),
    text("url"),
    text("content", unique=True),
    Index("scan_reports_by_subject", "subject", "taken_at"),
    sqlite_autoincrement=True,
)

ci_results = Table(
    "ci_results",
    metadata,
    text("repository", key=True),
    text("commit", key=True),
    text("name", key=True),
    text("state"),
    text("url"),
    time("at"),
    time("received_at"),
)

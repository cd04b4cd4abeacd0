"""Backups, drills and archived WAL."""

from __future__ import annotations

from sqlalchemy import Index, Table

from state.schema.fields import flag, json, metadata, text, time, whole

backups = Table(
    "backups",
    metadata,
    text("id", key=True),
    text("kind"),
    text("service"),
    text("environment"),
    text("state"),
    text("run"),
    text("operator"),
    time("started_at"),
    time("finished_at", null=True),
    time("proven_at", null=True),
    whole("plain_bytes"),
    whole("stored_bytes"),
    text("sha256"),
    whole("server_version_num"),
    text("system_identifier"),
    whole("timeline"),
    text("lsn_start"),
    text("lsn_end"),
    text("manifest"),
    text("held_by"),
    text("held_by_name"),
    text("held_reason"),
    text("busy"),
    text("failure"),
    time("deleted_at", null=True),
    Index("backups_by_place", "service", "environment", "started_at"),
)

drills = Table(
    "drills",
    metadata,
    text("run", key=True),
    text("service"),
    text("environment"),
    text("backup"),
    text("kind"),
    time("started_at"),
    time("finished_at"),
    flag("passed"),
    whole("milliseconds"),
    whole("major"),
    text("reason"),
    time("until", null=True),
    text("signed_off_by"),
    time("signed_off_at", null=True),
    text("compared"),
    Index("drills_by_place", "service", "environment", "finished_at"),
)

wal_segments = Table(
    "wal_segments",
    metadata,
    text("service", key=True),
    text("environment", key=True),
    text("system_identifier", key=True),
    text("name", key=True),
    whole("timeline"),
    json("file"),
    time("ended_at"),
)

"""What stands beside the runs."""

from __future__ import annotations

from sqlalchemy import Index, Table

from state.schema.fields import json, metadata, text, time, whole

locks = Table(
    "locks",
    metadata,
    text("environment", key=True),
    text("service", key=True),
    text("owner"),
    text("owner_name"),
    text("reason"),
    text("run"),
    time("at"),
)

freezes = Table(
    "freezes",
    metadata,
    text("environment", key=True),
    text("service", key=True),
    text("owner"),
    text("owner_name"),
    text("reason"),
    time("at"),
    time("until", null=True),
)

incidents = Table(
    "incidents",
    metadata,
    text("id", key=True),
    whole("number"),
    text("service"),
    text("environment"),
    whole("severity"),
    text("title"),
    text("opened_by"),
    text("opened_by_name"),
    time("opened_at"),
    text("run"),
    json("updates"),
    time("resolved_at", null=True),
    text("resolved_by"),
    Index("incidents_open", "environment", "resolved_at"),
)

seen_tags = Table(
    "seen_tags",
    metadata,
    text("service", key=True),
    text("tag", key=True),
    text("tag_object"),
    text("commit"),
    time("first_seen_at"),
)

marks = Table("marks", metadata, text("name", key=True), time("at"))

"""The audit log with its checkpoints, and what the store knows of itself."""

from __future__ import annotations

from sqlalchemy import Index, Table

from state.schema.fields import json, metadata, text, time, whole

audit = Table(
    "audit",
    metadata,
    whole("seq", key=True),
    time("at"),
    text("actor"),
    text("role"),
    text("action"),
    text("subject"),
    text("what"),
    text("why"),
    json("evidence"),
    text("previous"),
    text("hash"),
    Index("audit_by_subject", "subject"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    whole("seq", key=True),
    text("instance"),
    text("hash"),
    time("at"),
    text("key_id"),
    text("signature"),
    text("reason"),
    json("places"),
    time("stored_at"),
)

counters = Table("counters", metadata, text("series", key=True), whole("value"))

meta = Table("meta", metadata, text("name", key=True), text("value"))

schema_versions = Table("schema_versions", metadata, whole("number", key=True), text("name"), time("applied_at"))

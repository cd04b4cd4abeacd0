"""What people are asked and answer."""

from __future__ import annotations

from sqlalchemy import Index, Table

from state.schema.fields import json, metadata, numbered, text, time, whole

clicks = Table(
    "clicks",
    metadata,
    numbered(),
    text("run"),
    whole("index"),
    text("actor"),
    text("actor_name"),
    json("roles"),
    text("decision"),
    text("plan_hash"),
    text("reason"),
    time("at"),
    time("withdrawn_at", null=True),
    time("void_at", null=True),
    Index("clicks_by_step", "run", "index"),
    sqlite_autoincrement=True,
)

buttons = Table(
    "buttons",
    metadata,
    text("id", key=True),
    text("action"),
    text("run"),
    whole("index", null=True),
    text("plan_hash"),
    json("argument"),
    time("created_at"),
    Index("buttons_by_run", "run", "index"),
)

prompts = Table(
    "prompts",
    metadata,
    text("id", key=True),
    text("run"),
    whole("number"),
    text("kind"),
    text("subject"),
    text("trigger"),
    whole("segment"),
    text("state"),
    text("reason"),
    json("verdicts"),
    time("opened_at"),
    time("deadline"),
    time("reminded_at", null=True),
    whole("extended"),
    text("answered_by"),
    text("answered_by_name"),
    text("answer_reason"),
    time("answered_at", null=True),
    Index("prompts_by_run", "run", "state"),
)

ticks = Table(
    "ticks",
    metadata,
    text("run", key=True),
    text("checklist", key=True),
    text("item", key=True),
    text("by"),
    text("by_name"),
    text("role"),
    text("evidence"),
    time("at"),
)

overrides = Table(
    "overrides",
    metadata,
    text("id", key=True),
    text("run"),
    whole("index"),
    text("gate"),
    text("code"),
    text("verdict_reason"),
    text("state"),
    text("asked_by"),
    text("asked_by_name"),
    text("reason"),
    time("asked_at"),
    text("decided_by"),
    text("decided_by_name"),
    time("decided_at", null=True),
    text("follow_up"),
    time("done_at", null=True),
    Index("overrides_by_run", "run", "state"),
)

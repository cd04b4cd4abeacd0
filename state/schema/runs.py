"""Runs, their segments and steps, what was decided, and what they bring."""

from __future__ import annotations

from sqlalchemy import Index, Table

from state.schema.fields import json, metadata, text, time, whole

runs = Table(
    "runs",
    metadata,
    text("id", key=True),
    whole("number"),
    text("service"),
    text("environment"),
    text("procedure"),
    text("version"),
    json("arguments"),
    text("requester"),
    text("requester_name"),
    text("reason"),
    text("state"),
    text("ending", null=True),
    text("ending_code"),
    text("ending_reason"),
    whole("position"),
    whole("segment"),
    text("plan_hash"),
    text("setting_hash"),
    json("facts"),
    json("interrupt"),
    time("first_effect_at", null=True),
    time("paused_at", null=True),
    time("created_at"),
    time("ended_at", null=True),
    Index("runs_by_state", "state"),
    Index("runs_by_environment", "environment", "service", "number"),
)

segments = Table(
    "segments",
    metadata,
    text("run", key=True),
    whole("number", key=True),
    text("procedure"),
    text("plan"),
    text("hash"),
    whole("first_index"),
    time("created_at"),
    time("replaced_at", null=True),
)

steps = Table(
    "steps",
    metadata,
    text("run", key=True),
    whole("index", key=True),
    whole("segment"),
    text("kind"),
    text("title"),
    text("state"),
    whole("attempt"),
    time("started_at", null=True),
    time("deadline", null=True),
    time("finished_at", null=True),
    text("outcome", null=True),
    text("code"),
    text("reason"),
    json("verdicts"),
    json("progress"),
    whole("escalation"),
    whole("tries"),
    Index("steps_by_state", "state"),
)

decisions = Table(
    "decisions",
    metadata,
    text("run", key=True),
    text("service"),
    text("environment"),
    text("version"),
    text("result"),
    json("release"),
    json("approvers"),
    time("at"),
    Index("decisions_by_version", "service", "environment", "version"),
)

run_changes = Table("run_changes", metadata, text("run", key=True), json("found"), time("at"))

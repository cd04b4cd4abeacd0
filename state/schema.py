"""The tables, defined once for SQLite and PostgreSQL.

A record of `engine.records` is a row of its table, its fields the columns. What a new table or column means for databases that exist
already is told in `state.migrations`; a test compares the two.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, Table
from sqlalchemy.types import TypeEngine

from engine import records
from state.columns import JSON_COLUMN, CleanText, UtcTime

metadata: Final = MetaData()
Whole: TypeEngine[Any] = BigInteger().with_variant(Integer(), "sqlite")


def _text(name: str, *, null: bool = False, key: bool = False, unique: bool = False) -> Column[Any]:
    return Column(name, CleanText(), nullable=null, primary_key=key, unique=unique)


def _whole(name: str, *, null: bool = False, key: bool = False) -> Column[Any]:
    return Column(name, Whole, nullable=null, primary_key=key, autoincrement=False)


def _numbered() -> Column[Any]:
    """A number that the database gives and never gives again."""
    return Column("id", Whole, primary_key=True, autoincrement=True)


def _json(name: str) -> Column[Any]:
    return Column(name, JSON_COLUMN, nullable=True)


def _flag(name: str) -> Column[Any]:
    return Column(name, Boolean(create_constraint=False), nullable=False)


def _time(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, UtcTime(), nullable=null)


runs = Table(
    "runs",
    metadata,
    _text("id", key=True),
    _whole("number"),
    _text("service"),
    _text("environment"),
    _text("procedure"),
    _text("version"),
    _json("arguments"),
    _text("requester"),
    _text("requester_name"),
    _text("reason"),
    _text("state"),
    _text("ending", null=True),
    _text("ending_code"),
    _text("ending_reason"),
    _whole("position"),
    _whole("segment"),
    _text("plan_hash"),
    _text("setting_hash"),
    _json("facts"),
    _json("interrupt"),
    _time("first_effect_at", null=True),
    _time("paused_at", null=True),
    _time("created_at"),
    _time("ended_at", null=True),
    Index("runs_by_state", "state"),
    Index("runs_by_environment", "environment", "service", "number"),
)

segments = Table(
    "segments",
    metadata,
    _text("run", key=True),
    _whole("number", key=True),
    _text("procedure"),
    _text("plan"),
    _text("hash"),
    _whole("first_index"),
    _time("created_at"),
    _time("replaced_at", null=True),
)

steps = Table(
    "steps",
    metadata,
    _text("run", key=True),
    _whole("index", key=True),
    _whole("segment"),
    _text("kind"),
    _text("title"),
    _text("state"),
    _whole("attempt"),
    _time("started_at", null=True),
    _time("deadline", null=True),
    _time("finished_at", null=True),
    _text("outcome", null=True),
    _text("code"),
    _text("reason"),
    _json("verdicts"),
    _json("progress"),
    _whole("escalation"),
    _whole("tries"),
    Index("steps_by_state", "state"),
)

clicks = Table(
    "clicks",
    metadata,
    _numbered(),
    _text("run"),
    _whole("index"),
    _text("actor"),
    _text("actor_name"),
    _json("roles"),
    _text("decision"),
    _text("plan_hash"),
    _text("reason"),
    _time("at"),
    _time("withdrawn_at", null=True),
    _time("void_at", null=True),
    Index("clicks_by_step", "run", "index"),
    sqlite_autoincrement=True,
)

buttons = Table(
    "buttons",
    metadata,
    _text("id", key=True),
    _text("action"),
    _text("run"),
    _whole("index", null=True),
    _text("plan_hash"),
    _json("argument"),
    _time("created_at"),
    Index("buttons_by_run", "run", "index"),
)

received = Table(
    "received",
    metadata,
    _numbered(),
    _text("dedup", unique=True),
    _text("kind"),
    _json("payload"),
    _time("received_at"),
    _time("done_at", null=True),
    _text("result"),
    Index("received_by_done_at", "done_at"),
    sqlite_autoincrement=True,
)

outgoing = Table(
    "outgoing",
    metadata,
    _numbered(),
    _text("subject"),
    _text("kind"),
    _text("run"),
    _json("payload"),
    _flag("broadcast"),
    _text("state"),
    _whole("attempts"),
    _time("not_before", null=True),
    _text("error"),
    _time("created_at"),
    _time("sent_at", null=True),
    Index("outgoing_by_state", "state", "id"),
    Index("outgoing_by_subject", "subject", "state"),
    Index("outgoing_by_run", "run"),
    sqlite_autoincrement=True,
)

posted = Table(
    "posted",
    metadata,
    _text("subject", key=True),
    _text("run"),
    _text("channel"),
    _text("ts"),
    _text("thread_ts"),
    _text("permalink"),
    _text("rendered"),
    _time("posted_at"),
    Index("posted_by_run", "run"),
    Index("posted_by_place", "channel", "ts"),
)

locks = Table(
    "locks",
    metadata,
    _text("environment", key=True),
    _text("service", key=True),
    _text("owner"),
    _text("owner_name"),
    _text("reason"),
    _text("run"),
    _time("at"),
)

seen_tags = Table(
    "seen_tags",
    metadata,
    _text("service", key=True),
    _text("tag", key=True),
    _text("tag_object"),
    _text("commit"),
    _time("first_seen_at"),
)

marks = Table("marks", metadata, _text("name", key=True), _time("at"))

decisions = Table(
    "decisions",
    metadata,
    _text("run", key=True),
    _text("service"),
    _text("environment"),
    _text("version"),
    _text("result"),
    _json("release"),
    _json("approvers"),
    _time("at"),
    Index("decisions_by_version", "service", "environment", "version"),
)

scan_reports = Table(
    "scan_reports",
    metadata,
    _numbered(),
    _text("subject"),
    _text("tool"),
    _text("format"),
    _time("taken_at"),
    _time("received_at"),
    _json("counts"),
    _json("critical"),
    _text("source"),
    _text("url"),
    _text("content", unique=True),
    Index("scan_reports_by_subject", "subject", "taken_at"),
    sqlite_autoincrement=True,
)

incidents = Table(
    "incidents",
    metadata,
    _text("id", key=True),
    _whole("number"),
    _text("service"),
    _text("environment"),
    _whole("severity"),
    _text("title"),
    _text("opened_by"),
    _text("opened_by_name"),
    _time("opened_at"),
    _text("run"),
    _json("updates"),
    _time("resolved_at", null=True),
    _text("resolved_by"),
    Index("incidents_open", "environment", "resolved_at"),
)

freezes = Table(
    "freezes",
    metadata,
    _text("environment", key=True),
    _text("service", key=True),
    _text("owner"),
    _text("owner_name"),
    _text("reason"),
    _time("at"),
    _time("until", null=True),
)

prompts = Table(
    "prompts",
    metadata,
    _text("id", key=True),
    _text("run"),
    _whole("number"),
    _text("kind"),
    _text("subject"),
    _text("trigger"),
    _whole("segment"),
    _text("state"),
    _text("reason"),
    _json("verdicts"),
    _time("opened_at"),
    _time("deadline"),
    _time("reminded_at", null=True),
    _whole("extended"),
    _text("answered_by"),
    _text("answered_by_name"),
    _text("answer_reason"),
    _time("answered_at", null=True),
    Index("prompts_by_run", "run", "state"),
)

ticks = Table(
    "ticks",
    metadata,
    _text("run", key=True),
    _text("checklist", key=True),
    _text("item", key=True),
    _text("by"),
    _text("by_name"),
    _text("role"),
    _text("evidence"),
    _time("at"),
)

overrides = Table(
    "overrides",
    metadata,
    _text("id", key=True),
    _text("run"),
    _whole("index"),
    _text("gate"),
    _text("code"),
    _text("verdict_reason"),
    _text("state"),
    _text("asked_by"),
    _text("asked_by_name"),
    _text("reason"),
    _time("asked_at"),
    _text("decided_by"),
    _text("decided_by_name"),
    _time("decided_at", null=True),
    _text("follow_up"),
    _time("done_at", null=True),
    Index("overrides_by_run", "run", "state"),
)

backups = Table(
    "backups",
    metadata,
    _text("id", key=True),
    _text("kind"),
    _text("service"),
    _text("environment"),
    _text("state"),
    _text("run"),
    _text("operator"),
    _time("started_at"),
    _time("finished_at", null=True),
    _time("proven_at", null=True),
    _whole("plain_bytes"),
    _whole("stored_bytes"),
    _text("sha256"),
    _whole("server_version_num"),
    _text("system_identifier"),
    _whole("timeline"),
    _text("lsn_start"),
    _text("lsn_end"),
    _text("manifest"),
    _text("held_by"),
    _text("held_by_name"),
    _text("held_reason"),
    _text("busy"),
    _text("failure"),
    _time("deleted_at", null=True),
    Index("backups_by_place", "service", "environment", "started_at"),
)

drills = Table(
    "drills",
    metadata,
    _text("run", key=True),
    _text("service"),
    _text("environment"),
    _text("backup"),
    _text("kind"),
    _time("started_at"),
    _time("finished_at"),
    _flag("passed"),
    _whole("milliseconds"),
    _whole("major"),
    _text("reason"),
    _time("until", null=True),
    _text("signed_off_by"),
    _time("signed_off_at", null=True),
    _text("compared"),
    Index("drills_by_place", "service", "environment", "finished_at"),
)

wal_segments = Table(
    "wal_segments",
    metadata,
    _text("service", key=True),
    _text("environment", key=True),
    _text("system_identifier", key=True),
    _text("name", key=True),
    _whole("timeline"),
    _json("file"),
    _time("ended_at"),
)

deliveries = Table(
    "deliveries",
    metadata,
    _text("guid", key=True),
    _text("event"),
    _text("repository"),
    _text("sha256"),
    _time("received_at"),
    Index("deliveries_by_content", "sha256"),
    Index("deliveries_by_time", "received_at"),
)

ci_results = Table(
    "ci_results",
    metadata,
    _text("repository", key=True),
    _text("commit", key=True),
    _text("name", key=True),
    _text("state"),
    _text("url"),
    _time("at"),
    _time("received_at"),
)

run_changes = Table("run_changes", metadata, _text("run", key=True), _json("found"), _time("at"))

audit = Table(
    "audit",
    metadata,
    _whole("seq", key=True),
    _time("at"),
    _text("actor"),
    _text("role"),
    _text("action"),
    _text("subject"),
    _text("what"),
    _text("why"),
    _json("evidence"),
    _text("previous"),
    _text("hash"),
    Index("audit_by_subject", "subject"),
)

counters = Table("counters", metadata, _text("series", key=True), _whole("value"))

meta = Table("meta", metadata, _text("name", key=True), _text("value"))

checkpoints = Table(
    "checkpoints",
    metadata,
    _whole("seq", key=True),
    _text("instance"),
    _text("hash"),
    _time("at"),
    _text("key_id"),
    _text("signature"),
    _text("reason"),
    _json("places"),
    _time("stored_at"),
)

schema_versions = Table("schema_versions", metadata, _whole("number", key=True), _text("name"), _time("applied_at"))

TABLES: Final[dict[type[Any], Table]] = {
    records.Run: runs,
    records.Segment: segments,
    records.StepRow: steps,
    records.Click: clicks,
    records.Button: buttons,
    records.Received: received,
    records.Outgoing: outgoing,
    records.Posted: posted,
    records.Lock: locks,
    records.SeenTag: seen_tags,
    records.Mark: marks,
    records.Decision: decisions,
    records.ScanRow: scan_reports,
    records.IncidentRow: incidents,
    records.FreezeRow: freezes,
    records.Prompt: prompts,
    records.Tick: ticks,
    records.Override: overrides,
    records.BackupRow: backups,
    records.DrillRow: drills,
    records.WalRow: wal_segments,
    records.Delivery: deliveries,
    records.CiResult: ci_results,
    records.RunChanges: run_changes,
    records.Sealed: audit,
}
"""Which table holds which record."""

"""What may be restored, whether it is what it says, and whether what came back is whole. Runbook: Restore Procedure. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from runbook.backups import (
    BackupKind,
    BackupRecord,
    Manifest,
    RecoveryWindow,
    RestoreChecks,
    RestoredFacts,
    WalSegment,
    manifest_text,
)
from runbook.moments import told
from runbook.rules.comparing import (
    judge_checksums,
    judge_objects,
    new_invalid,
    rows_of_source,
    schema_of_source,
    sequences_back,
    some,
)
from runbook.rules.wal import base_for
from runbook.source_facts import SourceFacts
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import listing, size

RECOVERABLE_GATE = "recoverable"
AUTHENTIC_GATE = "backup authentic"

VERSION_GATE = "server version"
SCHEMA_GATE = "schema version"
ROWS_GATE = "row counts on critical tables"
INTEGRITY_GATE = "integrity constraints"
SEQUENCES_GATE = "sequences"
SMOKE_GATE = "application smoke test"
"""The runbook's post-restore checks, in its words; version and sequences are ours, and so is what `runbook.rules.comparing` adds."""

_LIST = "`/forge backup list <env>` shows what can be restored, and to which moments"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is restored. until: to which moment it is recovered; None: all that the backup has."""

    record: BackupRecord
    until: datetime | None = None


def choose_backup(
    records: Sequence[BackupRecord],
    segments: Sequence[WalSegment],
    window: RecoveryWindow | None,
    now: datetime,
    *,
    wanted: str = "",
    at: datetime | None = None,
) -> Chosen | Verdict:
    """The backup that is named, the base backup from which `at` is reached with the least WAL, or the newest restorable one.

    records, segments, window: of one service and environment. A Verdict is the refusal, with what would be possible.
    """
    if at is not None and at > now:
        reason = f"{told(at)} is still to come: it is {told(now)}"
        return Verdict.failed(RECOVERABLE_GATE, "restore.future", reason, remedy="Name a moment that is over")
    if wanted:
        return _named(records, window, wanted, at)
    if at is not None:
        return _reaching(records, segments, window, at)
    usable = [record for record in records if record.restorable and record.finished_at is not None]
    over = [record for record in usable if record.finished_at is not None and record.finished_at <= now]
    newest = max(over or usable, key=lambda record: (record.finished_at or record.started_at, record.id), default=None)
    if newest is None:
        reason = "no backup on record was ever read back whole: there is nothing that can be restored"
        return Verdict.failed(RECOVERABLE_GATE, "restore.nothing", reason, remedy="Make one: `/forge backup run <env>`")
    return Chosen(newest)


def _named(
    records: Sequence[BackupRecord], window: RecoveryWindow | None, wanted: str, at: datetime | None
) -> Chosen | Verdict:
    record = next((each for each in records if each.id == wanted), None)
    if record is None:
        reason = f"no backup {wanted} is on record here"
        return Verdict.failed(RECOVERABLE_GATE, "restore.unknown", reason, remedy=_LIST)
    state = Evidence(name="state", value=record.state.value, source=record.id, at=record.finished_at)
    if not record.restorable:
        what = f"is {record.state.value}" if record.manifest else "was never published"
        reason = f"{record.id} {what}: nothing says that it can be restored"
        return Verdict.failed(RECOVERABLE_GATE, "restore.not_restorable", reason, state, remedy=_LIST)
    if at is None:
        return Chosen(record)
    if record.kind is not BackupKind.BASE:
        reason = f"{record.id} is a logical backup: it has one moment, and WAL can't be replayed onto it"
        remedy = "Leave --at out, or leave --backup out so that the right base backup is taken"
        return Verdict.failed(RECOVERABLE_GATE, "restore.no_point_in_time", reason, state, remedy=remedy)
    if record.finished_at is not None and at < record.finished_at:
        reason = (
            f"{record.id} was finished {told(record.finished_at)}: it can't be recovered to {told(at)}, before that"
        )
        return Verdict.failed(RECOVERABLE_GATE, "restore.too_early", reason, state, remedy="Take an older base backup")
    if window is not None and at > window.until:
        return _beyond(window, at)
    return Chosen(record, at)


def _reaching(
    records: Sequence[BackupRecord], segments: Sequence[WalSegment], window: RecoveryWindow | None, at: datetime
) -> Chosen | Verdict:
    base = base_for(records, segments, at)
    if (
        base is None and window is not None and window.since <= at <= window.until
    ):  # nothing was written since the last segment
        base = _last_base(records, at)
    if base is not None:
        return Chosen(base, at)
    if window is None:
        reason = "there is no base backup with unbroken WAL after it: no moment can be recovered to"
        older = [r for r in records if r.restorable and r.finished_at is not None and r.finished_at <= at]
        nearest = max(older, key=lambda r: (r.finished_at or r.started_at, r.id), default=None)
        remedy = f"The newest backup before that moment is {nearest.id}: name it with --backup" if nearest else _LIST
        return Verdict.failed(RECOVERABLE_GATE, "restore.no_window", reason, remedy=remedy)
    if at > window.until:
        return _beyond(window, at)
    reason = f"{told(at)} can't be recovered to: the WAL is whole from {told(window.since)} to {told(window.until)}"
    return Verdict.failed(RECOVERABLE_GATE, "restore.outside", reason, *_window(window), remedy=_LIST)


def _last_base(records: Sequence[BackupRecord], at: datetime) -> BackupRecord | None:
    bases = [
        record
        for record in records
        if record.kind is BackupKind.BASE and record.restorable and record.finished_at and record.finished_at <= at
    ]
    return max(bases, key=lambda record: (record.finished_at or record.started_at, record.id), default=None)


def _beyond(window: RecoveryWindow, at: datetime) -> Verdict:
    missing = f", where the segment {window.gap} is missing" if window.gap else ""
    reason = f"{told(at)} can't be recovered to: the archived WAL ends {told(window.until)}{missing}"
    remedy = "Wait for the next WAL segment, or name a moment before that"
    return Verdict.failed(RECOVERABLE_GATE, "restore.beyond", reason, *_window(window), remedy=remedy)


def _window(window: RecoveryWindow) -> tuple[Evidence, ...]:
    return (
        Evidence(name="recoverable from", value=window.since.isoformat(), source=window.base, at=window.since),
        Evidence(name="recoverable until", value=window.until.isoformat(), source=window.base, at=window.until),
    )


def recoverable(chosen: Chosen) -> Verdict:
    """The PASS of what was chosen, with its evidence."""
    record = chosen.record
    evidence = Evidence(name="state", value=record.state.value, source=record.id, at=record.finished_at)
    to = "" if chosen.until is None else f", recovered to {told(chosen.until)}"
    reason = f"{record.id} ({record.kind.value}, {size(record.plain_bytes)}, {record.state.value}){to}"
    return Verdict.passed(RECOVERABLE_GATE, reason, evidence)


# --- is it what it says ---------------------------------------------------------------------------------------------


def judge_manifest(manifest: Manifest | None, record: BackupRecord) -> tuple[Verdict, ...]:
    """The manifest that lies there is the one that was published, of this very backup. Its signature was checked when it was read."""
    if manifest is None:
        reason = f"{record.id} has no manifest where it is kept"
        return (Verdict.failed(AUTHENTIC_GATE, "backups.no_manifest", reason, remedy=_LIST),)
    found = tuple(
        Verdict.failed(
            AUTHENTIC_GATE,
            "backups.wrong_manifest",
            f"the manifest of {record.id} names another {name}",
            Evidence(name=name, value=str(value), limit=str(expected), source=record.id),
            remedy="Somebody has exchanged it: restore another backup, and find out who can write there",
        )
        for name, value, expected in (
            ("id", manifest.id, record.id),
            ("service", manifest.service, record.service),
            ("environment", manifest.environment, record.environment),
            ("kind", manifest.kind.value, record.kind.value),
            ("server", manifest.system_identifier, record.system_identifier or manifest.system_identifier),
        )
        if value != expected
    )
    if not found and manifest_text(manifest) != record.manifest:
        reason = f"the manifest of {record.id} is signed, and isn't the one that was published"
        remedy = "Somebody has exchanged it: restore another backup, and find out who can write there"
        found = (Verdict.failed(AUTHENTIC_GATE, "backups.swapped", reason, remedy=remedy),)
    if found:
        return found
    reason = f"the manifest of {record.id} is the one that forge signed and published"
    return (Verdict.passed(AUTHENTIC_GATE, reason, Evidence(name="bytes", value=manifest.stored_bytes, unit="bytes")),)


# --- post-restore checks --------------------------------------------------------------------------------------------


def judge_restored(
    found: RestoredFacts,
    checks: RestoreChecks,
    *,
    major: int,
    expected_schema: str = "",
    source: SourceFacts | None = None,
) -> tuple[Verdict, ...]:
    """Every check speaks. Runbook: Restore Procedure 5. major: the server's that was backed up. expected_schema: empty where nobody knows it.
    source: what the backup says that its source had; None: it doesn't say.

    What isn't configured or recorded is shown as missing and binds nobody: constraints and sequences are always looked at.
    """
    return (
        _version(found, major),
        _schema(found, checks, expected_schema, source),
        _rows(found, checks, source),
        judge_checksums(found, source),
        judge_objects(found, source),
        _integrity(found, source),
        _sequences(found, source),
        _smoke(found, checks),
    )


def _version(found: RestoredFacts, major: int) -> Verdict:
    evidence = Evidence(name="server_version_num", value=found.version_num, limit=major)
    if found.version_num // 10_000 != major:
        reason = f"the restored server is PostgreSQL {found.version_num // 10_000}; the backup comes from {major}"
        return Verdict.failed(VERSION_GATE, "restore.wrong_major", reason, evidence)
    return Verdict.passed(VERSION_GATE, f"PostgreSQL {major}, as the server that was backed up", evidence)


def _schema(found: RestoredFacts, checks: RestoreChecks, expected: str, source: SourceFacts | None) -> Verdict:
    if not checks.schema_version:
        return _not_configured(SCHEMA_GATE, "schema_version")
    had = schema_of_source(source)
    wanted = expected or had
    evidence = Evidence(
        name="schema version", value=found.schema_version, limit=wanted or None, source=checks.schema_version
    )
    if not found.schema_version:
        reason = "the restored database names no schema version"
        return Verdict.failed(SCHEMA_GATE, "restore.no_schema_version", reason, evidence)
    if wanted and found.schema_version != wanted:
        who = f"{expected} is expected" if expected else f"its source had {had}"
        reason = f"the restored database has the schema version {found.schema_version}; {who}"
        return Verdict.failed(SCHEMA_GATE, "restore.other_schema_version", reason, evidence)
    told = ", as its source had" if had == found.schema_version else _schema_then(source)
    return Verdict.passed(SCHEMA_GATE, f"the schema version is {found.schema_version}{told}", evidence)


def _schema_then(source: SourceFacts | None) -> str:
    if source is None or source.exact or not source.schema_version:
        return ""
    return f"; it was {source.schema_version} when the base backup was made"


def _rows(found: RestoredFacts, checks: RestoreChecks, source: SourceFacts | None) -> Verdict:
    critical = tuple(dict.fromkeys((*checks.critical, *(source.tables if source is not None else ()))))
    if not critical:
        return _not_configured(ROWS_GATE, "tables")
    had = {table: rows_of_source(source, table) for table in critical}
    evidence = tuple(
        Evidence(name=table, value=found.rows.get(table), limit=_wanted(had[table], checks, table), unit="count")
        for table in critical
    )
    bad = tuple(_bad_rows(found, checks, had))
    if bad:
        return Verdict.failed(ROWS_GATE, "restore.rows", listing(bad), *evidence)
    equal = all(rows is not None for rows in had.values())
    how = "is there, with as many rows as its source had" if equal else "is there"
    counts = listing(f"{table} has {found.rows[table]:,}" for table in critical)
    why = {
        table: facts.why
        for table, facts in (source.tables.items() if source is not None else ())
        if facts.rows is None and facts.why
    }
    not_held = f"; the source was not counted: {listing(f'{t} ({w})' for t, w in why.items())}" if why else ""
    return Verdict.passed(ROWS_GATE, f"every critical table {how}: {counts}{not_held}", *evidence)


def _wanted(had: int | None, checks: RestoreChecks, table: str) -> int:
    return had if had is not None else checks.minimum_rows.get(table, 0)


def _bad_rows(found: RestoredFacts, checks: RestoreChecks, had: Mapping[str, int | None]) -> Iterator[str]:
    for table, expected in had.items():
        rows, least = found.rows.get(table), checks.minimum_rows.get(table, 0)
        if rows is None:
            yield f"{table} is not there"
        elif expected is not None and rows != expected:
            yield f"{table} has {rows:,} rows; its source had {expected:,}"
        elif rows < least:
            yield f"{table} has {rows:,} rows; at least {least:,} are expected"


def _integrity(found: RestoredFacts, source: SourceFacts | None) -> Verdict:
    invalid = new_invalid(found, source)
    evidence = Evidence(name=INTEGRITY_GATE, value=len(invalid), limit=0, unit="count")
    if invalid:
        return Verdict.failed(INTEGRITY_GATE, "restore.invalid", f"not valid: {some(invalid)}", evidence)
    as_before = f"; as at the source not valid: {some(found.invalid)}" if found.invalid else ""
    which = "every other" if found.invalid else "every"
    return Verdict.passed(INTEGRITY_GATE, f"{which} constraint and index is valid{as_before}", evidence)


def _sequences(found: RestoredFacts, source: SourceFacts | None) -> Verdict:
    back = sequences_back(found, source)
    evidence = Evidence(name=SEQUENCES_GATE, value=len(found.behind) + len(back), limit=0, unit="count")
    if found.behind:
        reason = f"behind its table: {some(found.behind)}"
        return Verdict.failed(SEQUENCES_GATE, "restore.behind", reason, evidence)
    if back:
        return Verdict.failed(SEQUENCES_GATE, "restore.sequences_back", some(back), evidence)
    nor = ", nor behind the source's" if source is not None and source.exact and source.sequences else ""
    return Verdict.passed(SEQUENCES_GATE, f"no sequence is behind its table{nor}", evidence)


def _smoke(found: RestoredFacts, checks: RestoreChecks) -> Verdict:
    if not checks.smoke:
        return _not_configured(SMOKE_GATE, "smoke")
    evidence = tuple(Evidence(name=statement, value=found.smoke.get(statement), limit=1) for statement in checks.smoke)
    bad = [statement for statement in checks.smoke if found.smoke.get(statement) is not True]
    if bad:
        why = listing(f"“{statement}” gave {_given(found.smoke.get(statement))}" for statement in bad[:3])
        return Verdict.failed(SMOKE_GATE, "restore.smoke", why, *evidence)
    return Verdict.passed(SMOKE_GATE, f"all {len(checks.smoke)} statements gave true", *evidence)


def _given(value: bool | str | None) -> str:
    return "no answer" if value is None else ("false" if value is False else str(value))


def _not_configured(gate: str, name: str) -> Verdict:
    reason = f"not looked at: `restore_checks.{name}` is not configured for this service"
    return Verdict(gate, Outcome.NO_DATA, "restore.not_configured", reason, binding=False)

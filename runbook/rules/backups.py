"""Whether there is a backup to go back to (Production Deployment 3, Pre-Deployment "backup recency and restore test status"), and whether
one may be made and was (Backup Procedure 1 and 4). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from runbook.backups import BackupKind, BackupRecord, Made, ServerFacts
from runbook.database_ports import Destination
from runbook.ports import Backup
from runbook.rules.drills import check_drill, drill_age, drill_warnings
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration, listing, size

BACKUP_GATE = "backup"
RESTORABLE = ("decoded", "restored", "verified")
"""States in which a backup was read back whole, at least; `created` and `stored` prove nothing."""

_MAKE = "Make a backup and have it read back; where backups are recorded elsewhere, override this gate with that reason"
_VERIFY = "Verify it by reading it back, or make another"


def check_backup(backup: Backup | None, now: datetime, max_age_s: float, drill_max_age_s: float) -> Verdict:
    """The newest backup is restorable and young enough, and a restore was drilled lately.

    backup: the newest on record. max_age_s, drill_max_age_s: in seconds, since it was finished and since the last drill that succeeded. A
    drill may be once more as old, as `backup_warnings` says.
    """
    if backup is None:
        return Verdict.no_data(BACKUP_GATE, "backup.none", "no backup is on record for this service", remedy=_MAKE)
    age_s = max(0.0, (now - backup.finished_at).total_seconds())
    age = Evidence(name="age", value=age_s, limit=max_age_s, unit="s", source=backup.id, at=backup.finished_at)
    state = Evidence(name="state", value=backup.state, limit=RESTORABLE[0], source=backup.id)
    if backup.state not in RESTORABLE:
        reason = f"the newest backup, {backup.id}, is {backup.state}: nobody has read it back, so nothing says that it can be restored"
        return Verdict.failed(BACKUP_GATE, "backup.not_restorable", reason, state, age, remedy=_VERIFY)
    if age_s > max_age_s:
        reason = f"the newest backup, {backup.id}, is {duration(age_s)} old; {duration(max_age_s)} are allowed"
        return Verdict.failed(BACKUP_GATE, "backup.old", reason, age, state, remedy=_MAKE)
    bad = check_drill(BACKUP_GATE, backup, now, drill_max_age_s, age, state)
    if bad is not None:
        return bad
    drill_s, drill = drill_age(backup, now, drill_max_age_s)
    reason = f"{backup.id} is {duration(age_s)} old and {backup.state}; a restore was drilled {duration(drill_s)} ago"
    return Verdict.passed(BACKUP_GATE, reason, age, state, drill)


def backup_warnings(backup: Backup | None, now: datetime, drill_max_age_s: float) -> tuple[Verdict, ...]:
    """What is shown beside a gate that passes: a drill that was missed or has failed, and that has its grace still."""
    return drill_warnings(BACKUP_GATE, backup, now, drill_max_age_s)


def no_database(service: str) -> Verdict:
    """By configuration (`services.<name>.database: false`) there is nothing to back up."""
    reason = f"{service} has no database, by configuration: there is nothing to back up"
    return Verdict.passed(BACKUP_GATE, reason, Evidence(name="database", value=False), code="backup.no_database")


def recoverable_minutes(backup: Backup | None, now: datetime) -> float | None:
    """How many minutes of data a restore to the newest recoverable moment would lose; None without a restorable base."""
    if backup is None or backup.state not in RESTORABLE or backup.recoverable_until is None:
        return None
    return max(0.0, (now - backup.recoverable_until).total_seconds()) / 60


# --- making one -----------------------------------------------------------------------------------------------------

DESTINATION_GATE = "backup destination"
MADE_GATE = "backup integrity"
SOURCE_GATE = "what the source has"

ROOM = 1.2
"""How many times the newest backup of its kind must have room."""

SHRUNK = 0.5
"""A backup of less than this part of the one before is told: databases rarely halve overnight."""


def judge_destination(destination: Destination, needed_bytes: int | None) -> tuple[Verdict, ...]:
    """Writable, encrypted at rest and in transit, and with room. Runbook: Backup Procedure 1, "available and encrypted".

    needed_bytes: see `needed_room`; None: nobody knows.
    """
    where = Evidence(name="destination", value=destination.where)
    if not destination.writable:
        why = destination.problem or "writing a small object failed"
        remedy = "Once that is mended `forge doctor` tries it again"
        reason = f"{destination.where} can't be written to: {why}"
        return (Verdict.failed(DESTINATION_GATE, "backups.not_writable", reason, where, remedy=remedy),)
    found = []
    if not destination.encrypted:
        reason = "no recipient is configured, so that a backup would lie there in the clear"
        remedy = "Name age recipients in integrations.postgres.backups.recipients"
        found.append(Verdict.failed(DESTINATION_GATE, "backups.not_encrypted", reason, where, remedy=remedy))
    if not destination.in_transit:
        reason = f"the way to {destination.where} is not encrypted"
        remedy = "Use an address with TLS"
        found.append(Verdict.failed(DESTINATION_GATE, "backups.not_encrypted_in_transit", reason, where, remedy=remedy))
    room = Evidence(name="room", value=destination.free_bytes, limit=needed_bytes, unit="bytes")
    if destination.free_bytes is not None and needed_bytes is not None and destination.free_bytes < needed_bytes:
        reason = (
            f"{destination.where} has room for {size(destination.free_bytes)}; about {size(needed_bytes)} are needed"
        )
        remedy = "Make room there, or name another destination"
        found.append(Verdict.failed(DESTINATION_GATE, "backups.no_room", reason, where, room, remedy=remedy))
    if found:
        return tuple(found)
    reason = f"{destination.where} is writable, and what goes there is encrypted on its way and at rest"
    return (Verdict.passed(DESTINATION_GATE, reason, where, room),)


def needed_room(records: Sequence[BackupRecord], kind: BackupKind, server: ServerFacts) -> int:
    """About how many bytes the next backup takes, with something to spare: as the one before, else as the database itself."""
    before = previous_of(records, kind)
    return int(ROOM * before.stored_bytes) if before is not None else server.database_bytes


def previous_of(records: Sequence[BackupRecord], kind: BackupKind) -> BackupRecord | None:
    """The newest published one of this kind. records: the newest first."""
    return next((each for each in records if each.kind is kind and each.manifest and each.stored_bytes), None)


def judge_made(made: Made, kind: BackupKind, previous: BackupRecord | None) -> tuple[Verdict, ...]:
    """What was made was read back whole, and holds something. Runbook: Backup Procedure 4.

    A dump of nothing restores without an error; so it is never called a backup. That it has halved, or comes from another server than the
    one before, is shown and binds nobody.
    """
    entries = Evidence(name="entries", value=made.entries, limit=1, unit="count", source=made.client)
    if made.entries < 1:
        what = "lists no entry at all" if kind is BackupKind.LOGICAL else "has no files"
        reason = f"the backup {what}: it would restore nothing"
        remedy = "Look at which database is configured, and at what its user may read"
        return (Verdict.failed(MADE_GATE, "backups.empty", reason, entries, remedy=remedy),)
    if not made.decoded:
        reason = "no PostgreSQL program has read all of the backup without an error"
        return (Verdict.failed(MADE_GATE, "backups.not_decoded", reason, entries, remedy="Make another"),)
    plain = sum(file.plain.bytes for file in made.files)
    stored = sum(file.cipher.bytes for file in made.files)
    took_s = max(0.0, (made.finished_at - made.started_at).total_seconds())
    reason = (
        f"{size(plain)} in {made.entries} entries, read back whole; {size(stored)} are stored, in {duration(took_s)}"
    )
    passed = Verdict.passed(MADE_GATE, reason, entries, Evidence(name="size", value=plain, unit="bytes"))
    return (passed, *_changes(made, plain, previous))


def _changes(made: Made, plain: int, previous: BackupRecord | None) -> tuple[Verdict, ...]:
    if previous is None:
        return ()
    found = []
    if plain < SHRUNK * previous.plain_bytes:
        reason = f"it holds {size(plain)}, and {previous.id} held {size(previous.plain_bytes)}: is something missing?"
        evidence = Evidence(name="size", value=plain, limit=previous.plain_bytes, unit="bytes", source=previous.id)
        found.append(Verdict(MADE_GATE, Outcome.FAIL, "backups.shrunk", reason, (evidence,), binding=False))
    other = previous.system_identifier and previous.system_identifier != made.server.system_identifier
    if other:
        reason = f"it comes from another server than {previous.id}: point-in-time recovery begins anew with the next base backup"
        evidence = Evidence(name="server", value=made.server.system_identifier, limit=previous.system_identifier)
        found.append(Verdict(MADE_GATE, Outcome.FAIL, "backups.other_server", reason, (evidence,), binding=False))
    return tuple(found)


def judge_source(made: Made) -> tuple[Verdict, ...]:
    """What a restored one can be held against. It is shown and binds nobody: a backup is no worse for what couldn't be counted."""
    source = made.source
    if source is None:
        return ()
    counted = {table: facts.rows for table, facts in source.tables.items() if facts.rows is not None}
    evidence = tuple(
        Evidence(name=table, value=facts.rows, unit="count", source=facts.checksum)
        for table, facts in source.tables.items()
    )
    left = [f"{table}: {facts.why}" for table, facts in source.tables.items() if facts.why]
    missing = "; ".join((*source.problems, *left))
    if not source.exact:
        version = f"the schema version is {source.schema_version}; " if source.schema_version else ""
        reason = f"{version}rows are not counted, since a base backup is recovered to a moment of its own"
        return (Verdict.passed(SOURCE_GATE, reason + (f". {missing}" if missing else ""), *evidence),)
    if source.catalogue is None:
        return (Verdict(SOURCE_GATE, Outcome.NO_DATA, "backups.no_source", missing, evidence, binding=False),)
    rows = f", {listing(f'{count:,} rows in {table}' for table, count in counted.items())}" if counted else ""
    reason = f"in the dump's own snapshot there are {source.catalogue.tables:,} tables{rows}"
    return (Verdict.passed(SOURCE_GATE, reason + (f". Not known: {missing}" if missing else ""), *evidence),)

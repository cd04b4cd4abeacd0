"""Whether a restored database has what its source had when it was backed up. Runbook: Restore Procedure 5. Pure.

Held against the source is only what was read in the dump's own snapshot; what is missing there is shown and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from runbook.backups import Manifest, RestoreChecks, RestoredFacts
from runbook.moments import told
from runbook.source_facts import SequenceFacts, SourceFacts
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration, listing

CHECKSUMS_GATE = "checksums on critical tables"
OBJECTS_GATE = "tables, constraints and indexes"

LOSS_GATE = "what is not in it"

_OBJECTS = ("tables", "constraints", "indexes")
_MOST_TOLD = 5
_OLDER = "this backup does not say what its source had: it was made before forge recorded that"
_RECOVERED = "a base backup is recovered to a moment of its own: nothing was recorded of its source that this could be held against"


def looking_for(checks: RestoreChecks, source: SourceFacts | None) -> RestoreChecks:
    """What to look at in the restored database: also the tables that the backup tells of, and checksums where it has some."""
    tables_told = source.tables if source is not None else {}
    summed = [facts.rows or 0 for facts in tables_told.values() if facts.checksum] if is_exact(source) else []
    tables = tuple(dict.fromkeys((*checks.critical, *tables_told)))
    most = max(summed) if summed else -1
    return RestoreChecks(checks.schema_version, tables, checks.smoke, checks.minimum_rows, most)


def is_exact(source: SourceFacts | None) -> bool:
    """Something can be held against it."""
    return source is not None and source.exact


def rows_of_source(source: SourceFacts | None, table: str) -> int | None:
    """How many the table must have; None: nobody knows."""
    facts = source.tables.get(table) if source is not None and source.exact else None
    return facts.rows if facts is not None else None


def schema_of_source(source: SourceFacts | None) -> str:
    """The version that it must have; empty: nobody knows."""
    return source.schema_version if source is not None and source.exact else ""


def judge_checksums(found: RestoredFacts, source: SourceFacts | None) -> Verdict:
    """FAIL where one differs. A table without one is told with why."""
    if source is None or not source.exact:
        return _nothing_recorded(CHECKSUMS_GATE, source)
    wanted = {table: facts.checksum for table, facts in source.tables.items() if facts.checksum}
    held = {table: text for table in wanted if (text := found.checksums.get(table))}
    evidence = tuple(Evidence(name=table, value=held.get(table), limit=text) for table, text in wanted.items())
    differ = [table for table, text in held.items() if text != wanted[table]]
    if differ:
        reason = f"the rows of {listing(differ)} are not those that the source had"
        return Verdict.failed(CHECKSUMS_GATE, "restore.checksums", reason, *evidence)
    why = {table: facts.why for table, facts in source.tables.items() if not facts.checksum}
    why |= {table: "none could be taken of what was restored" for table in wanted if table not in held}
    without = listing(f"{table} ({reason})" for table, reason in why.items())
    if not held:
        words = f"no table has one: {without}" if without else "no critical tables are configured for this service"
        return _shown(CHECKSUMS_GATE, "restore.no_checksums", words, *evidence)
    words = f"every row of {listing(held)} is as the source had it" + (f"; not compared: {without}" if without else "")
    return Verdict.passed(CHECKSUMS_GATE, words, *evidence)


def judge_objects(found: RestoredFacts, source: SourceFacts | None) -> Verdict:
    """As many as the source had, exactly."""
    if source is None or not source.exact:
        return _nothing_recorded(OBJECTS_GATE, source)
    if source.catalogue is None or found.catalogue is None:
        why = listing(source.problems) or "the restored database was not asked"
        return _shown(OBJECTS_GATE, "restore.no_catalogue", f"nobody knows how many there should be: {why}")
    counts = [(name, getattr(found.catalogue, name), getattr(source.catalogue, name)) for name in _OBJECTS]
    evidence = tuple(Evidence(name=name, value=here, limit=there, unit="count") for name, here, there in counts)
    differ = [f"{here:,} {name} where the source had {there:,}" for name, here, there in counts if here != there]
    if differ:
        return Verdict.failed(OBJECTS_GATE, "restore.objects", f"there are {listing(differ)}", *evidence)
    words = listing(f"{here:,} {name}" for name, here, _ in counts)
    return Verdict.passed(OBJECTS_GATE, f"{words}, as many as the source had", *evidence)


def sequences_back(found: RestoredFacts, source: SourceFacts | None) -> tuple[str, ...]:
    """Those that would give again what the source has given already, or are not there, in words."""
    if source is None or not source.exact:
        return ()
    return tuple(_back(found.sequences, source.sequences))


def _back(found: Mapping[str, SequenceFacts], wanted: Mapping[str, SequenceFacts]) -> Iterator[str]:
    for name, had in wanted.items():
        here = found.get(name)
        if here is None:
            yield f"{name} is not there"
        elif had.last is None or had.cycles:
            continue
        elif here.last is None or (here.last < had.last if had.rising else here.last > had.last):
            stands = "has given nothing yet" if here.last is None else f"stands at {here.last}"
            yield f"{name} {stands}; the source's had given {had.last}"


def new_invalid(found: RestoredFacts, source: SourceFacts | None) -> tuple[str, ...]:
    """What isn't valid and was so, or wasn't there, at the source."""
    had = source.catalogue.unchecked if source is not None and source.catalogue is not None else ()
    return tuple(name for name in found.invalid if name not in had)


def some(names: tuple[str, ...]) -> str:
    """The first few, and how many more."""
    more = len(names) - _MOST_TOLD
    return listing([*names[:_MOST_TOLD], *([f"{more} more"] if more > 0 else [])])


def compared_words(found: RestoredFacts, source: SourceFacts | None) -> str:
    """What was held against the source, for a record and a card; empty: nothing."""
    if source is None or not source.exact:
        return ""
    rows = sum(facts.rows is not None for facts in source.tables.values())
    sums = sum(bool(facts.checksum) and table in found.checksums for table, facts in source.tables.items())
    known = source.catalogue if found.catalogue is not None else None
    parts = [
        f"schema version {source.schema_version}" if source.schema_version else "",
        f"row counts of {_many(rows, 'critical table')}" if rows else "",
        f"checksums of {_many(sums, 'critical table')}" if sums else "",
        _many(len(source.sequences), "sequence") if source.sequences else "",
        f"{_many(known.tables, 'table')}, {_many(known.constraints, 'constraint')} and {_many(known.indexes, 'index', 'indexes')}" if known else "",
    ]  # fmt: skip
    return "; ".join(part for part in parts if part)


def _many(number: int, one: str, more: str = "") -> str:
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def _nothing_recorded(gate: str, source: SourceFacts | None) -> Verdict:
    reason = _OLDER if source is None else _RECOVERED
    return _shown(gate, "restore.no_source", reason)


def _shown(gate: str, code: str, reason: str, *evidence: Evidence) -> Verdict:
    return Verdict(gate, Outcome.NO_DATA, code, reason, evidence, binding=False)


def not_in_it(manifest: Manifest, reached: datetime | None, until: datetime | None, now: datetime) -> Verdict:
    """Up to when everything is there, and how long ago that was: what the traffic would lose. It decides nothing.

    reached: the last transaction of a recovery; None: of a dump, which has the state of its snapshot. until: the moment that was asked for.
    """
    source = manifest.source
    begun = source.at if source is not None and source.exact else manifest.started_at
    moment = reached or begun
    lost_s = max(0.0, (now - (until or moment)).total_seconds())
    evidence = Evidence(name="data loss", value=lost_s, unit="s", source=manifest.id, at=moment)
    newest = f"; its newest commit is of {told(reached)}" if reached is not None else ""
    reason = f"whatever was committed after {told(until or moment)}, {duration(lost_s)} ago, is not in it{newest}"
    return Verdict.passed(LOSS_GATE, reason, evidence)

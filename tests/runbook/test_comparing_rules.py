"""What a restored database is held against: what its source had in the dump's own snapshot, and nothing where nobody recorded that."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from runbook.backups import (
    BackupKind,
    BackupOrder,
    RestoreChecks,
    RestoredFacts,
    manifest_from,
    manifest_of,
    manifest_text,
)
from runbook.moments import told
from runbook.plan import step_from_json, step_to_json
from runbook.rules.backups import SOURCE_GATE, judge_source
from runbook.rules.comparing import CHECKSUMS_GATE, OBJECTS_GATE, compared_words, looking_for, not_in_it
from runbook.rules.restores import INTEGRITY_GATE, ROWS_GATE, SCHEMA_GATE, SEQUENCES_GATE, judge_restored
from runbook.source_facts import CHECKSUM_ROWS, Catalogue, SequenceFacts, SourceFacts, TableFacts
from runbook.steps import MakeBackup, PostRestoreChecks
from runbook.verdicts import Outcome, Verdict, decided
from tests.fakes.clock import NOON
from tests.runbook.database_stories import CHECKS
from tests.runbook.fake_databases import facts_found, made

ORDERS, EVENTS = "public.orders", "public.events"
SEQUENCE = "public.orders_id_seq"
HAD = Catalogue(12, 30, 17)


def source(**changes: Any) -> SourceFacts:
    facts = SourceFacts(
        exact=True, at=NOON, schema_version="0008", tables={ORDERS: TableFacts(1200, "77")}, sequences={SEQUENCE: SequenceFacts(1200)},
        catalogue=HAD,
    )  # fmt: skip
    return replace(facts, **changes)


def found(**changes: Any) -> RestoredFacts:
    """As the source had it."""
    good = {
        "smoke": {CHECKS.smoke[0]: True},
        "checksums": {ORDERS: "77"},
        "sequences": {SEQUENCE: SequenceFacts(1200)},
        "catalogue": HAD,
    }
    return facts_found(**{**good, **changes})


def judged(facts: RestoredFacts, had: SourceFacts | None, checks: RestoreChecks = CHECKS) -> dict[str, Verdict]:
    return {verdict.gate: verdict for verdict in judge_restored(facts, checks, major=16, source=had)}


def test_what_equals_its_source_passes_and_says_so() -> None:
    verdicts = judged(found(), source())
    assert all(verdict.outcome is Outcome.PASS for verdict in verdicts.values())
    assert verdicts[SCHEMA_GATE].reason == "the schema version is 0008, as its source had"
    assert (
        verdicts[ROWS_GATE].reason
        == "every critical table is there, with as many rows as its source had: public.orders has 1,200"
    )
    assert verdicts[CHECKSUMS_GATE].reason == "every row of public.orders is as the source had it"
    assert verdicts[OBJECTS_GATE].reason == "12 tables, 30 constraints and 17 indexes, as many as the source had"
    assert verdicts[SEQUENCES_GATE].reason == "no sequence is behind its table, nor behind the source's"


@pytest.mark.parametrize(
    ("changes", "gate", "code", "value", "limit"),
    [
        ({"schema_version": "0007"}, SCHEMA_GATE, "restore.other_schema_version", "0007", "0008"),
        ({"rows": {ORDERS: 1199}}, ROWS_GATE, "restore.rows", 1199, 1200),
        ({"rows": {ORDERS: 1201}}, ROWS_GATE, "restore.rows", 1201, 1200),
        ({"rows": {ORDERS: None}}, ROWS_GATE, "restore.rows", None, 1200),
        ({"checksums": {ORDERS: "78"}}, CHECKSUMS_GATE, "restore.checksums", "78", "77"),
        ({"catalogue": Catalogue(11, 30, 17)}, OBJECTS_GATE, "restore.objects", 11, 12),
        ({"catalogue": Catalogue(12, 29, 17)}, OBJECTS_GATE, "restore.objects", 12, 12),
        ({"catalogue": Catalogue(12, 30, 18)}, OBJECTS_GATE, "restore.objects", 12, 12),
        ({"sequences": {SEQUENCE: SequenceFacts(1199)}}, SEQUENCES_GATE, "restore.sequences_back", 1, 0),
        ({"sequences": {SEQUENCE: SequenceFacts(None)}}, SEQUENCES_GATE, "restore.sequences_back", 1, 0),
        ({"sequences": {}}, SEQUENCES_GATE, "restore.sequences_back", 1, 0),
        ({"invalid": ("constraint new of orders",)}, INTEGRITY_GATE, "restore.invalid", 1, 0),
    ],
)
def test_each_difference_fails_its_own_check_with_what_is_and_what_was(
    changes: Any, gate: str, code: str, value: object, limit: object
) -> None:
    verdicts = judged(found(**changes), source())
    assert [v.code for v in verdicts.values() if v.outcome is Outcome.FAIL] == [code]
    assert (verdicts[gate].evidence[0].value, verdicts[gate].evidence[0].limit) == (value, limit)


@pytest.mark.parametrize(
    ("had", "here", "passes"),
    [
        (SequenceFacts(5), SequenceFacts(6), True),
        (SequenceFacts(None), SequenceFacts(None), True),
        (SequenceFacts(-5, rising=False), SequenceFacts(-5, rising=False), True),
        (SequenceFacts(-5, rising=False), SequenceFacts(-6, rising=False), True),
        (SequenceFacts(-5, rising=False), SequenceFacts(-4, rising=False), False),
        (SequenceFacts(5, cycles=True), SequenceFacts(1, cycles=True), True),
        (SequenceFacts(5), SequenceFacts(4), False),
    ],
)
def test_a_sequence_is_behind_in_its_own_direction_alone(had: SequenceFacts, here: SequenceFacts, passes: bool) -> None:
    verdict = judged(found(sequences={SEQUENCE: here}), source(sequences={SEQUENCE: had}))[SEQUENCES_GATE]
    assert (verdict.outcome is Outcome.PASS) is passes


def test_a_manifest_from_before_that_is_shown_as_such_and_decides_nothing() -> None:
    verdicts = judged(found(), None)
    assert decided(verdicts.values()) is Outcome.PASS
    for gate in (CHECKSUMS_GATE, OBJECTS_GATE):
        verdict = verdicts[gate]
        assert (verdict.outcome, verdict.binding) == (Outcome.NO_DATA, False)
        assert "made before forge recorded that" in verdict.reason


def test_what_was_recovered_to_a_later_moment_is_shown_and_held_against_nothing() -> None:
    had = source(exact=False, schema_version="0007", tables={}, sequences={}, catalogue=Catalogue(1, 1, 1))
    verdicts = judged(found(), had)
    assert decided(verdicts.values()) is Outcome.PASS
    assert verdicts[SCHEMA_GATE].reason == "the schema version is 0008; it was 0007 when the base backup was made"
    assert not verdicts[CHECKSUMS_GATE].binding
    assert compared_words(found(), had) == ""


def test_constraints_that_were_never_validated_at_the_source_are_no_fault_of_the_restore() -> None:
    name = "constraint small of orders"
    verdict = judged(found(invalid=(name,)), source(catalogue=replace(HAD, unchecked=(name,))))[INTEGRITY_GATE]
    assert verdict.outcome is Outcome.PASS
    assert verdict.reason == f"every other constraint and index is valid; as at the source not valid: {name}"


def test_a_table_that_was_not_counted_is_told_with_why_and_held_against_nothing() -> None:
    had = source(tables={ORDERS: TableFacts(1200, "77"), EVENTS: TableFacts(why="it took too long")})
    verdicts = judged(found(rows={ORDERS: 1200, EVENTS: 5}), had)
    assert decided(verdicts.values()) is Outcome.PASS
    assert "public.events (it took too long)" in verdicts[ROWS_GATE].reason
    assert "not compared: public.events (it took too long)" in verdicts[CHECKSUMS_GATE].reason


def test_tables_without_any_checksum_are_no_failure() -> None:
    had = source(tables={ORDERS: TableFacts(1200, why="more than 9 rows are counted alone")})
    verdict = judged(found(checksums={}), had)[CHECKSUMS_GATE]
    assert (verdict.outcome, verdict.binding) == (Outcome.NO_DATA, False)
    assert "more than 9 rows are counted alone" in verdict.reason


def test_a_checksum_that_could_not_be_taken_here_is_told() -> None:
    verdict = judged(found(checksums={}), source())[CHECKSUMS_GATE]
    assert (verdict.outcome, verdict.binding) == (Outcome.NO_DATA, False)
    assert "none could be taken of what was restored" in verdict.reason


def test_no_catalogue_says_why() -> None:
    had = source(catalogue=None, problems=("its catalogue was not read: it took too long",))
    verdict = judged(found(), had)[OBJECTS_GATE]
    assert (verdict.outcome, verdict.binding) == (Outcome.NO_DATA, False)
    assert "it took too long" in verdict.reason


def test_a_table_that_is_configured_no_more_is_still_held_against_its_source() -> None:
    had = source(tables={ORDERS: TableFacts(1200, "77"), EVENTS: TableFacts(9, "5")})
    looked = looking_for(CHECKS, had)
    assert (looked.tables, looked.checksum_rows) == ((ORDERS, EVENTS), 1200)
    failed = judged(found(rows={ORDERS: 1200, EVENTS: 8}), had)[ROWS_GATE]
    assert failed.reason == "public.events has 8 rows; its source had 9"


def test_without_checksums_at_the_source_none_is_taken_of_what_was_restored() -> None:
    assert looking_for(CHECKS, None).checksum_rows == -1
    assert looking_for(CHECKS, source(exact=False)).checksum_rows == -1


def test_the_record_says_what_was_compared() -> None:
    assert compared_words(found(), source()) == (
        "schema version 0008; row counts of 1 critical table; checksums of 1 critical table; 1 sequence; 12 tables, 30 constraints and 17 indexes"
    )


def test_what_the_traffic_would_lose_is_told_in_minutes() -> None:
    logical = manifest_of(ORDER, "shop", made(source=source()))
    (now, moment) = (NOON + timedelta(minutes=90), NOON + timedelta(minutes=60))
    verdict = not_in_it(logical, None, None, now)
    assert (verdict.outcome, verdict.evidence[0].value) == (Outcome.PASS, 5400.0)
    assert verdict.reason == f"whatever was committed after {told(NOON)}, 1 h 30 min ago, is not in it"
    recovered = not_in_it(logical, moment - timedelta(minutes=5), moment, now)
    assert recovered.reason == (
        f"whatever was committed after {told(moment)}, 30 min ago, is not in it; its newest commit is of {told(moment - timedelta(minutes=5))}"
    )


# --- the manifest -----------------------------------------------------------------------------------------------------

ORDER = BackupOrder("shop-prod-1", BackupKind.LOGICAL, "shop", "prod", "prod-1", "forge")


def test_a_manifest_carries_what_the_source_had() -> None:
    text = manifest_text(manifest_of(ORDER, "shop", made(source=source())))
    assert manifest_from(text).source == source()
    assert manifest_text(manifest_from(text)) == text


def test_an_older_manifest_is_read_and_keeps_its_text() -> None:
    text = manifest_text(manifest_of(ORDER, "shop", made()))
    assert "source" not in json.loads(text)
    assert manifest_from(text).source is None
    assert manifest_text(manifest_from(text)) == text


# --- the backup says it -----------------------------------------------------------------------------------------------


def test_a_backup_tells_what_it_recorded_and_what_it_could_not() -> None:
    had = source(
        tables={ORDERS: TableFacts(1200, "77"), EVENTS: TableFacts(why="it is not permitted")},
        problems=("no sequences",),
    )
    (verdict,) = judge_source(made(source=had))
    assert (verdict.gate, verdict.outcome) == (SOURCE_GATE, Outcome.PASS)
    assert verdict.reason == (
        "in the dump's own snapshot there are 12 tables, 1,200 rows in public.orders. Not known: no sequences; public.events: it is not permitted"
    )


def test_a_backup_without_any_of_it_is_as_good_a_backup() -> None:
    (verdict,) = judge_source(made(source=SourceFacts(exact=True, at=NOON, problems=("too many connections",))))
    assert (verdict.outcome, verdict.binding, verdict.reason) == (Outcome.NO_DATA, False, "too many connections")
    assert judge_source(made()) == ()


def test_a_base_backup_says_that_its_rows_are_not_counted() -> None:
    (verdict,) = judge_source(made(source=SourceFacts(exact=False, at=NOON, schema_version="0008")))
    assert verdict.reason.startswith("the schema version is 0008; rows are not counted")


# --- plans from before ------------------------------------------------------------------------------------------------


def test_steps_without_the_new_fields_have_their_old_text() -> None:
    step = MakeBackup(title="Make", service="shop", backup=BackupKind.LOGICAL)
    assert "checks" not in step_to_json(step)
    looking = PostRestoreChecks(title="Look", service="shop", checks=CHECKS)
    assert "checksum_rows" not in step_to_json(looking)["checks"]
    assert step_from_json(step_to_json(looking)) == looking
    told = MakeBackup(title="Make", service="shop", backup=BackupKind.LOGICAL, checks=replace(CHECKS, checksum_rows=9))
    assert step_from_json(step_to_json(told)) == told
    assert CHECKS.checksum_rows == CHECKSUM_ROWS

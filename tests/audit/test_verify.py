"""Tampering: one byte changed, the tail cut, an older copy put back, the whole chain rewritten. Scenario 29, on both databases.

Whoever owns the database can drop its guards and recompute every hash; these tests do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection

from engine.records import Entry, Sealed
from state.audit import COLUMNS, entry_hash, raw
from state.checkpointer import Checkpointer
from state.checkpoints import load_private_key, load_public_keys, new_private_key, parse_checkpoint, public_pem, sign
from state.database import database_of
from state.places import DirectoryPlace, Found
from state.store import SqlStore
from state.verify import Verification, verify, verify_since_last_checkpoint
from tests.fixtures_store import NewStore

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
GUARDS = ("audit_keeps_entries", "audit_keeps_wording", "audit_has_no_gaps", "audit_keeps_table")


class Log:
    """A log of 30 entries with outside checkpoints of entries 10 and 20, and the means to tamper with it."""

    def __init__(self, new_store: NewStore, url: str, place: Path) -> None:
        place.mkdir()
        self.url = url
        self.new_store = new_store
        self.key = load_private_key(new_private_key())
        self.place = DirectoryPlace(place)
        self.now = NOW
        self.store: SqlStore = new_store()
        for _ in range(2):
            self.add(10)
            assert not self.checkpoint().failures
        self.add(10)

    def add(self, count: int) -> None:
        def change(ledger: Any) -> None:
            for number in range(count):
                entry = Entry(
                    actor="slack:T/U1",
                    role="on_call",
                    action="step.done",
                    subject="prod-1",
                    why="ä",
                    evidence={"n": number},
                )
                ledger.audit(entry, self.now)

        self.store.write_now(change)

    def checkpoint(self) -> Any:
        self.checkpointer = Checkpointer(self.store, self.key, [self.place], now=lambda: self.now)
        return asyncio.run(self.checkpointer.make("decision"))

    def verify(self, *more: Found, outside: bool = True, key: Ed25519PrivateKey | None = None) -> Verification:
        found = [*(self.place.found() if outside else ()), *more]
        return verify(self.store, [(key or self.key).public_key()], found)

    def verify_since(self) -> Verification:
        return asyncio.run(verify_since_last_checkpoint(self.store, [self.key.public_key()], [self.place]))

    def connection(self) -> tuple[Any, Connection]:
        self.store.close()
        database = database_of(self.url, Path())
        database.claim()
        return database, database.connect()

    def tamper(self, *statements: str) -> None:
        """Closes the store, drops the guards, does it, opens again."""
        database, connection = self.connection()
        for guard in GUARDS:
            where = " ON audit" if connection.dialect.name == "postgresql" else ""
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {guard}{where}")
        for statement in statements:
            connection.exec_driver_sql(statement)
        connection.close()
        database.release()
        self.store = self.new_store()

    def rewrite(self, start: int) -> None:
        """Changes an entry and recomputes the whole chain from there on."""
        entries = self.store.read_now(lambda ledger: ledger.find(Sealed))
        statements, previous = [], entries[start - 2].hash if start > 1 else "0" * 64
        for entry in entries[start - 1 :]:
            changed = replace(entry, previous=previous, why="forged" if entry.seq == start else entry.why)
            previous = entry_hash(raw(changed))
            statements.append(
                f"UPDATE audit SET why = '{changed.why}', previous = '{changed.previous}', hash = '{previous}' WHERE seq = {entry.seq}"
            )
        self.tamper(*statements)


@pytest.fixture
def log(new_store: NewStore, database_url: str, tmp_path: Path) -> Log:
    return Log(new_store, database_url, tmp_path / "outside")


def bad(verification: Verification) -> tuple[int, str]:
    assert not verification.ok
    assert verification.first_bad is not None
    assert verification.first_bad.reason in verification.sentence
    return verification.first_bad.seq, verification.first_bad.code


def test_an_untouched_log_is_proven_up_to_its_last_outside_checkpoint(log: Log) -> None:
    result = log.verify()
    assert result.ok
    assert (result.entries, result.last, result.proven_to, result.checkpoints) == (30, 30, 20, 2)
    assert result.notes == ("entries 21 to 30 came after the last outside checkpoint: a rewrite of them can't be seen",)
    since = log.verify_since()
    assert since.ok
    assert (since.entries, since.proven_to) == (11, 20)


COLUMNS_OF_TEXT = ["at", "actor", "role", "action", "subject", "what", "why", "evidence", "hash"]


@pytest.mark.parametrize(
    ("seq", "column"), [*((25, column) for column in COLUMNS_OF_TEXT), *((seq, "why") for seq in (1, 10, 11, 20, 30))]
)
def test_one_changed_byte_is_named(log: Log, seq: int, column: str) -> None:
    statements = {
        "at": f"UPDATE audit SET at = '2026-05-04T03:02:01.000001+00:00' WHERE seq = {seq}",
        "evidence": f"UPDATE audit SET evidence = '{{\"n\":7.0}}' WHERE seq = {seq}",
        "hash": f"UPDATE audit SET hash = '{'a' * 64}' WHERE seq = {seq}",
    }
    log.tamper(statements.get(column, f"UPDATE audit SET {column} = {column} || ' ' WHERE seq = {seq}"))
    assert bad(log.verify()) == (seq, "changed")
    if seq >= 20:
        assert bad(log.verify_since()) == (seq, "changed")


def test_white_space_in_the_evidence_counts_as_a_change(log: Log) -> None:
    log.tamper("UPDATE audit SET evidence = '{\"n\": 6}' WHERE seq = 7")
    assert bad(log.verify()) == (7, "changed")


@pytest.mark.parametrize("seq", [1, 10, 12, 29])
def test_a_missing_entry_is_named(log: Log, seq: int) -> None:
    log.tamper(f"DELETE FROM audit WHERE seq = {seq}")
    assert bad(log.verify()) == (seq, "gap")


def test_a_changed_entry_with_its_own_hash_recomputed_breaks_the_chain_after_it(log: Log) -> None:
    entry = log.store.read_now(lambda ledger: ledger.get(Sealed, 24))
    assert entry is not None
    forged = entry_hash(raw(replace(entry, why="forged")))
    log.tamper(f"UPDATE audit SET why = 'forged', hash = '{forged}' WHERE seq = 24")
    assert bad(log.verify()) == (25, "broken")
    assert bad(log.verify_since()) == (25, "broken")


@pytest.mark.parametrize("keep", [0, 5, 10, 19])
def test_a_tail_cut_before_the_last_outside_checkpoint_is_named(log: Log, keep: int) -> None:
    log.tamper(f"DELETE FROM audit WHERE seq > {keep}")
    assert bad(log.verify()) == (keep + 1, "cut")
    assert bad(log.verify_since()) == (keep + 1, "cut")


def test_an_older_copy_put_back_is_seen_even_after_new_entries(log: Log) -> None:
    log.tamper("DELETE FROM audit WHERE seq > 15")
    assert bad(log.verify()) == (16, "cut")
    log.now = NOW + timedelta(hours=1)
    log.add(20)
    assert bad(log.verify()) == (11, "rewritten")
    assert bad(log.verify_since())[1] == "rewritten"
    with structlog.testing.capture_logs():
        assert log.checkpoint().checkpoint.seq == 35
    assert bad(log.verify()) == (11, "rewritten")


@pytest.mark.parametrize(("start", "first"), [(1, 1), (7, 1), (10, 1), (11, 11), (20, 11)])
def test_a_rewritten_chain_is_seen_up_to_the_last_outside_checkpoint(log: Log, start: int, first: int) -> None:
    log.rewrite(start)
    assert log.verify(outside=False).ok
    result = log.verify()
    assert bad(result) == (first, "rewritten")
    assert f"entries {first} to {10 if start <= 10 else 20}" in result.sentence
    assert bad(log.verify_since())[1] == "rewritten"


def test_a_chain_rewritten_after_the_last_outside_checkpoint_is_what_can_not_be_seen(log: Log) -> None:
    log.rewrite(21)
    result = log.verify()
    assert result.ok
    assert "entries 21 to 30 came after the last outside checkpoint" in result.notes[0]


def test_without_outside_checkpoints_the_verdict_says_what_it_can_not_see(log: Log) -> None:
    log.tamper("DELETE FROM audit WHERE seq > 5")
    result = log.verify(outside=False)
    assert result.ok
    assert "no outside checkpoint" in result.sentence
    assert "cut tail" in result.notes[0]


def test_a_number_given_twice_is_seen(log: Log) -> None:
    log.tamper(
        "CREATE TABLE copy AS SELECT * FROM audit",
        "DROP TABLE audit",
        "ALTER TABLE copy RENAME TO audit",
        "INSERT INTO audit SELECT * FROM audit WHERE seq = 12",
    )
    assert bad(log.verify()) == (12, "duplicate")


@pytest.mark.parametrize("seq", [-3, 0])
def test_an_impossible_number_is_seen(log: Log, seq: int) -> None:
    names = ", ".join(COLUMNS[1:])
    log.tamper(f"INSERT INTO audit (seq, {names}) SELECT {seq}, {names} FROM audit WHERE seq = 1")
    assert bad(log.verify()) == (seq, "duplicate")


def test_a_forged_checkpoint_is_seen(log: Log) -> None:
    newest = next(log.place.found())
    forged = replace(parse_checkpoint(newest.text), seq=25)
    assert bad(log.verify(Found("forged.json", forged.line()))) == (25, "checkpoint.signature")


def test_a_checkpoint_of_an_unknown_key_is_seen(log: Log) -> None:
    other = load_private_key(new_private_key())
    assert bad(log.verify(key=other)) == (10, "checkpoint.unknown_key")
    mine = load_public_keys(public_pem(other) + public_pem(log.key))
    assert verify(log.store, mine, log.place.found()).ok


def test_a_checkpoint_of_another_database_is_seen(log: Log) -> None:
    foreign = sign(log.key, "feedfeedfeedfeed", 3, "0" * 64, NOW)
    assert bad(log.verify(Found("foreign.json", foreign.line()))) == (3, "checkpoint.instance")


def test_two_signed_checkpoints_that_disagree_are_seen(log: Log) -> None:
    right = parse_checkpoint(next(log.place.found()).text)
    other = sign(log.key, right.instance, 20, "ab" * 32, NOW)
    assert bad(log.verify(Found("other.json", other.line()))) == (11, "rewritten")


@pytest.mark.parametrize("torn", ["", "{", '{"v":1}', "[]", "null", '{"v":1,"at":"2026-05-04"}', "[" * 5000])
def test_a_torn_checkpoint_is_noted_and_proves_nothing(log: Log, torn: str) -> None:
    result = log.verify(Found("torn.json", torn), outside=False)
    assert result.ok
    assert result.proven_to == 0
    assert "torn.json can't be read as a checkpoint" in result.notes[0]


def test_an_entry_problem_is_named_before_a_checkpoint_problem(log: Log) -> None:
    log.tamper("UPDATE audit SET why = 'x' WHERE seq = 28")
    foreign = sign(log.key, "feedfeedfeedfeed", 3, "0" * 64, NOW)
    result = log.verify(Found("foreign.json", foreign.line()))
    assert [problem.code for problem in result.problems] == ["changed", "checkpoint.instance"]


def test_a_field_that_is_no_text_is_a_change_not_a_crash(log: Log) -> None:
    if log.url.startswith("sqlite"):
        log.tamper("UPDATE audit SET why = x'ff00' WHERE seq = 4")
    else:
        log.tamper("ALTER TABLE audit ALTER why DROP NOT NULL", "UPDATE audit SET why = NULL WHERE seq = 4")
    assert bad(log.verify()) == (4, "changed")


def test_an_empty_log_is_intact(store: SqlStore) -> None:
    result = verify(store, [], [])
    assert result.ok
    assert (result.entries, result.last, result.proven_to) == (0, 0, 0)

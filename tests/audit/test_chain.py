"""The chain: what is hashed, and that it holds on both databases."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from engine.records import Entry, Sealed
from state.audit import GENESIS, canonical_entry, entry_hash, raw, seal
from state.columns import iso_time
from state.entries import raw_rows
from state.store import SqlStore
from state.verify import verify

NOW = datetime(2026, 5, 4, 3, 2, 1, 7, tzinfo=UTC)
words = st.text(max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
entries = st.builds(Entry, actor=words, action=words, subject=words, role=words, what=words, why=words, evidence=values)


def by_the_book(sealed: Sealed) -> str:
    """The documented rule, written as anybody would who checks a log without this program."""
    fields = {**vars(sealed), "at": iso_time(sealed.at)}
    del fields["hash"]
    text_ = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text_.encode()).hexdigest()


@given(entry=entries, at=st.datetimes(timezones=st.just(UTC)))
def test_the_hash_is_that_of_the_canonical_json_of_all_other_fields(entry: Entry, at: datetime) -> None:
    sealed = seal(entry, at, 5, GENESIS)
    assert sealed.hash == by_the_book(sealed) == entry_hash(raw(sealed))
    assert json.loads(canonical_entry(raw(sealed)))["seq"] == 5


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(batch=st.lists(entries, min_size=1, max_size=4))
def test_any_entries_make_a_chain_that_verifies(store: SqlStore, batch: list[Entry]) -> None:
    before = store.read_now(lambda ledger: ledger.count(Sealed))
    sealed = store.write_now(lambda ledger: [ledger.audit(entry, NOW) for entry in batch])
    stored = store.read_now(lambda ledger: ledger.find(Sealed))
    assert stored[before:] == sealed
    assert [entry.seq for entry in stored] == list(range(1, len(stored) + 1))
    assert [entry.previous for entry in stored] == [GENESIS, *(entry.hash for entry in stored[:-1])]
    assert all(entry.hash == by_the_book(entry) for entry in stored)
    rows = store.read_now(lambda ledger: raw_rows(ledger, before))
    assert [tuple(row) for row in rows] == [tuple(raw(entry)) for entry in sealed]
    assert verify(store, [], []).ok


def test_evidence_that_is_no_json_is_refused(store: SqlStore) -> None:
    for evidence in (float("nan"), {1, 2}, object()):
        with pytest.raises((ValueError, TypeError)):
            store.write_now(
                lambda ledger, evidence=evidence: ledger.audit(
                    Entry(actor="a", action="x", subject="s", evidence=evidence), NOW
                )
            )
    assert store.read_now(lambda ledger: ledger.count(Sealed)) == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET why = 'another'",
        "DELETE FROM audit WHERE seq = 2",
        "DELETE FROM audit",
        "INSERT INTO audit SELECT 9, at, actor, role, action, subject, what, why, evidence, previous, hash FROM audit WHERE seq = 1",
    ],
)
def test_the_database_itself_refuses_to_change_the_log(store: SqlStore, statement: str) -> None:
    store.write_now(lambda ledger: [ledger.audit(Entry(actor="a", action="x", subject="s"), NOW) for _ in range(3)])

    def change(ledger: Any) -> None:
        ledger.session.change(text(statement))

    with pytest.raises(DBAPIError, match="append-only"):
        store.write_now(change)
    assert verify(store, [], []).ok
    assert store.read_now(lambda ledger: ledger.count(Sealed)) == 3


def test_the_table_is_not_truncated(store: SqlStore) -> None:
    store.write_now(lambda ledger: ledger.audit(Entry(actor="a", action="x", subject="s"), NOW))
    with pytest.raises(DBAPIError):  # SQLite has no such statement
        store.write_now(lambda ledger: ledger.session.change(text("TRUNCATE audit")))  # type: ignore[attr-defined]
    assert store.read_now(lambda ledger: ledger.count(Sealed)) == 1

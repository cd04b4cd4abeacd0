"""The ledger's contract, on both databases."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.ports import Exists
from engine.records import (
    BackupRow,
    Button,
    Click,
    Decision,
    DrillRow,
    Entry,
    Lock,
    Outgoing,
    Posted,
    Received,
    Run,
    RunState,
    Sealed,
    SeenTag,
    Segment,
    StepRow,
    WalRow,
)
from state.schema import TABLES
from state.store import SqlStore

NOW = datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=UTC)
JSON = {"a": [1, 2.5, None, True, {"ü": "“quoted”"}], "b": '\u0000 \\ " \n', "c": {}}

RECORDS: list[Any] = [
    Run(
        id="staging-1", number=1, service="shop", environment="staging", procedure="staging", version="v1.0.0-rc.1", arguments=JSON,
        requester="slack:T/U", requester_name="Ümit", state=RunState.RUNNING, facts=JSON, interrupt={"kind": "abort"},
        first_effect_at=NOW, paused_at=NOW, created_at=NOW, ended_at=NOW, ending="completed", reason="why not",
    ),
    Segment(run="staging-1", number=1, procedure="staging", plan="{}", hash="ab", first_index=0, created_at=NOW),
    StepRow(run="staging-1", index=3, segment=1, kind="gate", title="CI green", verdicts=[JSON], progress=JSON, deadline=NOW),
    Click(run="staging-1", index=3, actor="a", actor_name="A", roles=["x", "y"], decision="approve", plan_hash="h", at=NOW),
    Button(id="b1", action="approve", run="staging-1", index=3, plan_hash="h", argument=JSON, created_at=NOW),
    Received(dedup="d1", kind="command", payload=JSON, received_at=NOW),
    Outgoing(subject="headline:staging-1", kind="view", run="staging-1", payload=JSON, broadcast=True, created_at=NOW),
    Posted(subject="headline:staging-1", channel="C", ts="1.2", posted_at=NOW),
    Lock(environment="staging", service="*", owner="o", owner_name="O", reason="migration", at=NOW),
    SeenTag(service="shop", tag="v1.0.0", tag_object="aa", commit="bb", first_seen_at=NOW),
    Decision(run="staging-1", service="shop", environment="staging", version="v1", result="go", release=JSON, approvers=[JSON], at=NOW),
    BackupRow(
        id="shop-prod-1", kind="base", service="shop", environment="prod", state="verified", run="prod-1", operator="T1:U1", started_at=NOW,
        finished_at=NOW, proven_at=NOW, plain_bytes=3_000_000_000_000, stored_bytes=1, sha256="ab", server_version_num=160004, timeline=3,
        system_identifier="7412345678901234567", lsn_start="16/B374D848", lsn_end="16/B374D900", manifest="{}", held_by="T1:U2",
        held_by_name="Ü", held_reason="audit", busy="prod-9", failure="none", deleted_at=NOW,
    ),
    DrillRow(
        run="prod-2", service="shop", environment="prod", backup="shop-prod-1", kind="base", started_at=NOW, finished_at=NOW, passed=False,
        milliseconds=180_250, major=16, reason="12 rows are missing", until=NOW, signed_off_by="T1:U2", signed_off_at=NOW,
    ),
    WalRow(
        service="shop", environment="prod", system_identifier="7412345678901234567", name="00000001000000000000000A", timeline=1, file=JSON,
        ended_at=NOW,
    ),
]  # fmt: skip


def step(index: int, **more: Any) -> StepRow:
    return StepRow(**{"run": "prod-1", "index": index, "segment": 1, "kind": "gate", "title": "t", **more})


def received(dedup: str) -> Received:
    return Received(dedup=dedup, kind="command", payload={}, received_at=NOW)


def test_every_field_of_every_record_is_a_column() -> None:
    for kind, table in TABLES.items():
        assert [column.name for column in table.columns] == [field.name for field in fields(kind)], kind
        assert tuple(column.name for column in table.primary_key.columns) == kind.key


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_comes_back_as_it_was_stored(store: SqlStore, record: Any) -> None:
    added = store.write_now(lambda ledger: ledger.add(record))
    key = [getattr(added, name) for name in record.key]
    assert None not in key
    assert store.read_now(lambda ledger: ledger.get(type(record), *key)) == added
    assert replace(added, **{name: getattr(record, name) for name in record.key}) == record


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_saving_twice_leaves_one_row_with_the_newer_values(store: SqlStore, record: Any) -> None:
    added = store.write_now(lambda ledger: ledger.add(record))
    names = [field.name for field in fields(record) if field.type == "str" and field.name not in record.key]
    newer = replace(added, **({names[0]: "newer"} if names else {}))

    def twice(ledger: Any) -> int:
        ledger.save(newer)
        ledger.save(newer)
        return int(ledger.count(type(record)))

    assert store.write_now(twice) == 1
    assert store.read_now(lambda ledger: ledger.find(type(record))) == [newer]


def test_adding_a_key_twice_raises_exists_and_the_change_goes_on(store: SqlStore) -> None:
    def change(ledger: Any) -> str:
        ledger.add(step(1))
        with pytest.raises(Exists):
            ledger.add(step(1, title="other"))
        ledger.add(step(2))
        return str(ledger.get(StepRow, "prod-1", 1).title)

    assert store.write_now(change) == "t"
    assert store.read_now(lambda ledger: ledger.count(StepRow)) == 2


def test_a_redelivery_raises_exists(store: SqlStore) -> None:
    first = store.write_now(lambda ledger: ledger.add(received("same")))
    with pytest.raises(Exists):
        store.write_now(lambda ledger: ledger.add(received("same")))
    second = store.write_now(lambda ledger: ledger.add(received("other")))
    assert second.id > first.id  # type: ignore[operator]
    with pytest.raises(Exists):
        store.write_now(lambda ledger: ledger.save(replace(second, dedup="same")))
    assert store.read_now(lambda ledger: ledger.get(Received, second.id)) == second


def test_numbers_of_removed_rows_are_not_given_again(store: SqlStore) -> None:
    first = store.write_now(lambda ledger: ledger.add(received("a")))
    assert store.write_now(lambda ledger: ledger.remove(Received, id=first.id)) == 1
    assert store.write_now(lambda ledger: ledger.add(received("a"))).id > first.id  # type: ignore[operator]


def test_conditions_are_equalities_lists_and_null(store: SqlStore) -> None:
    def fill(ledger: Any) -> None:
        for index, state in enumerate(["pending", "running", "held", "done"]):
            ledger.add(step(index, state=state, deadline=NOW if index % 2 else None))
        ledger.add(step(0, run="prod-2"))

    store.write_now(fill)

    def found(**equals: Any) -> list[int]:
        return [row.index for row in store.read_now(lambda ledger: ledger.find(StepRow, **equals))]

    assert found(run="prod-1") == [0, 1, 2, 3]
    assert found(run="prod-1", state=["running", "held"]) == [1, 2]
    assert found(run="prod-1", state=("held",)) == [2]
    assert found(state=[]) == []
    assert found(run="prod-1", deadline=None) == [0, 2]
    assert found(run="prod-1", deadline=NOW.astimezone(timezone(timedelta(hours=5)))) == [1, 3]
    assert found(run="prod-1", kind="gate", order="-index", limit=2) == [3, 2]
    assert found(order="-state", limit=1) == [1]
    assert store.read_now(lambda ledger: ledger.count(StepRow, run="prod-1", state="done")) == 1
    assert store.write_now(lambda ledger: ledger.remove(StepRow, run="prod-1", state=["done", "held"])) == 2
    assert found() == [0, 1, 0]


def test_texts_sort_alike_on_both_databases(store: SqlStore) -> None:
    tags = ["v1.10", "V1", "v1.9", "_", "é", "v1"]
    store.write_now(
        lambda ledger: [ledger.add(RECORDS[9].__class__(**{**vars(RECORDS[9]), "tag": tag})) for tag in tags]
    )
    assert [each.tag for each in store.read_now(lambda ledger: ledger.find(SeenTag, order="tag"))] == sorted(tags)


def test_an_unknown_column_or_record_is_named(store: SqlStore) -> None:
    with pytest.raises(ValueError, match="steps has no column 'stat'"):
        store.read_now(lambda ledger: ledger.find(StepRow, stat="x"))
    with pytest.raises(TypeError, match="str is no record"):
        store.read_now(lambda ledger: ledger.find(str))
    with pytest.raises(TypeError, match="run, index"):
        store.read_now(lambda ledger: ledger.get(StepRow, "prod-1"))


def test_nothing_is_removed_without_a_condition(store: SqlStore) -> None:
    with pytest.raises(ValueError, match="condition"):
        store.write_now(lambda ledger: ledger.remove(StepRow))


def test_the_audit_log_is_written_by_audit_alone(store: SqlStore) -> None:
    entry = store.write_now(lambda ledger: ledger.audit(Entry(actor="a", action="x", subject="s"), NOW))
    for attempt in ("add", "save"):
        with pytest.raises(TypeError, match="audit"):
            store.write_now(lambda ledger, attempt=attempt: getattr(ledger, attempt)(entry))
    with pytest.raises(TypeError, match="audit"):
        store.write_now(lambda ledger: ledger.remove(Sealed, seq=1))


def test_numbers_of_a_series_have_no_gaps_even_after_a_failed_change(store: SqlStore) -> None:
    def fails(ledger: Any) -> None:
        ledger.next_number("prod")
        raise RuntimeError("no")

    assert store.write_now(lambda ledger: ledger.next_number("prod")) == 1
    with pytest.raises(RuntimeError):
        store.write_now(fails)
    assert store.write_now(lambda ledger: [ledger.next_number("prod"), ledger.next_number("prod")]) == [2, 3]
    assert store.write_now(lambda ledger: ledger.next_number("staging")) == 1


def test_a_time_without_a_zone_is_refused(store: SqlStore) -> None:
    with pytest.raises(Exception, match="zone"):
        store.write_now(lambda ledger: ledger.add(step(1, deadline=datetime(2026, 1, 1))))  # noqa: DTZ001


def test_nul_and_half_surrogates_are_replaced_not_refused(store: SqlStore) -> None:
    store.write_now(lambda ledger: ledger.add(step(1, reason="a\x00b\ud800c", title="\ud83d\ude00")))
    row = store.read_now(lambda ledger: ledger.get(StepRow, "prod-1", 1))
    assert row is not None
    assert (row.reason, row.title) == ("a\ufffdb\ufffdc", "😀")


texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
times = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(value=values, at=times)
def test_any_json_and_any_time_come_back_unchanged(store: SqlStore, value: Any, at: datetime) -> None:
    row = step(1, progress=value, deadline=at)
    store.write_now(lambda ledger: ledger.save(row))
    assert store.read_now(lambda ledger: ledger.get(StepRow, "prod-1", 1)) == row


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(moments=st.lists(times, min_size=2, max_size=5, unique=True))
def test_times_sort_as_times(store: SqlStore, moments: list[datetime]) -> None:
    def fill(ledger: Any) -> list[Any]:
        ledger.remove(StepRow, run="prod-1")
        for index, at in enumerate(moments):
            ledger.add(step(index, deadline=at))
        return [row.deadline for row in ledger.find(StepRow, order="deadline")]

    assert store.write_now(fill) == sorted(moments)

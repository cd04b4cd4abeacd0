"""Checkpoints: made when they should be, never overwritten, and a place that fails holds up nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from engine.records import Entry
from state.checkpointer import Checkpointer
from state.checkpoints import (
    Checkpoint,
    NoCheckpoint,
    check_signature,
    load_private_key,
    load_public_keys,
    new_private_key,
    parse_checkpoint,
    public_pem,
    sign,
)
from state.places import CheckpointPlace, DirectoryPlace, Found
from state.store import SqlStore

NOW = datetime(2026, 5, 4, 3, 2, 1, 5, tzinfo=UTC)
KEY = load_private_key(new_private_key())


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class DeadPlace:
    """Fails, or never answers, until it is told otherwise."""

    name = "dead place"

    def __init__(self, hangs: bool = False) -> None:
        self.answer = threading.Event() if hangs else None
        self.broken = True
        self.held: list[Checkpoint] = []

    def put(self, checkpoint: Checkpoint) -> None:
        if self.answer is not None:
            self.answer.wait(30)
        if self.broken:
            raise PermissionError(13, "Permission denied")
        self.held.append(checkpoint)

    def found(self) -> Iterator[Found]:
        return iter(())


@pytest.fixture
def place(tmp_path: Path) -> DirectoryPlace:
    (tmp_path / "outside").mkdir()
    return DirectoryPlace(tmp_path / "outside")


def add(store: SqlStore) -> None:
    store.write_now(lambda ledger: ledger.audit(Entry(actor="a", action="x", subject="s"), NOW))


def files(place: DirectoryPlace) -> list[str]:
    return sorted(path.name for path in place.path.iterdir())


def test_a_checkpoint_survives_its_line_and_only_its_own_key_fits() -> None:
    checkpoint = sign(KEY, "ab" * 8, 7, "cd" * 32, NOW)
    assert parse_checkpoint(checkpoint.line()) == checkpoint
    assert check_signature(checkpoint, [KEY.public_key()]) == ""
    assert check_signature(checkpoint, [load_private_key(new_private_key()).public_key()]) == "unknown_key"
    for line in (checkpoint.line().replace('"seq":7', '"seq":7.0'), checkpoint.line().replace("{", '{"x":1,', 1)):
        with pytest.raises(NoCheckpoint):
            parse_checkpoint(line)


def test_every_part_of_a_checkpoint_is_signed() -> None:
    line = sign(KEY, "ab" * 8, 7, "cd" * 32, NOW).line()
    for old, new in (('"seq":7', '"seq":8'), ("cdcd", "cdce"), ("abab", "abac"), ("03:02:01", "03:02:02")):
        assert check_signature(parse_checkpoint(line.replace(old, new, 1)), [KEY.public_key()]) == "signature"


@pytest.mark.parametrize(
    "pem", ["", "secret-token", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----"]
)
def test_a_bad_key_is_refused_without_being_quoted(pem: str) -> None:
    with pytest.raises(ValueError, match="no Ed25519 private key") as caught:
        load_private_key(pem)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(ValueError, match="public key"):
        load_public_keys(pem)


def test_a_key_may_come_with_escaped_line_ends() -> None:
    pem = new_private_key()
    assert public_pem(load_private_key(pem.strip().replace("\n", "\\n"))) == public_pem(load_private_key(pem))


def test_a_folder_keeps_each_checkpoint_in_a_file_that_is_never_overwritten(place: DirectoryPlace) -> None:
    checkpoint = sign(KEY, "ab" * 8, 7, "cd" * 32, NOW)
    place.put(checkpoint)
    place.put(checkpoint)
    assert files(place) == ["abababababababab-000000000007-cdcdcdcdcdcd.json"]
    path = place.path / files(place)[0]
    assert path.stat().st_mode & 0o777 == 0o400
    other = sign(KEY, "ab" * 8, 7, "ee" * 32, NOW)
    place.put(other)
    later = sign(KEY, "ab" * 8, 12, "ff" * 32, NOW)
    place.put(later)
    assert path.read_text() == checkpoint.line() + "\n"
    assert [parse_checkpoint(found.text).seq for found in place.found()] == [12, 7, 7]


def test_a_torn_file_stays_and_the_checkpoint_gets_a_neighbour(place: DirectoryPlace) -> None:
    checkpoint = sign(KEY, "ab" * 8, 7, "cd" * 32, NOW)
    torn = place.path / "abababababababab-000000000007-cdcdcdcdcdcd.json"
    torn.write_text("{")
    place.put(checkpoint)
    assert torn.read_text() == "{"
    assert parse_checkpoint((place.path / f"{torn.stem}.2.json").read_text()) == checkpoint


def test_a_folder_that_is_missing_is_told_of_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        DirectoryPlace(tmp_path / "not mounted").put(sign(KEY, "ab" * 8, 7, "cd" * 32, NOW))
    assert not (tmp_path / "not mounted").exists()


async def test_an_unchanged_log_gets_no_second_checkpoint(store: SqlStore, place: DirectoryPlace) -> None:
    checkpointer = Checkpointer(store, KEY, [place], now=Clock())
    assert (await checkpointer.make("start")).checkpoint is None
    add(store)
    made = await checkpointer.make("decision")
    assert made.stored == (place.name,)
    assert made.checkpoint is not None
    assert made.checkpoint.seq == 1
    assert await checkpointer.make("end") == made
    assert len(files(place)) == 1


async def test_hourly_only_when_something_was_added(store: SqlStore, place: DirectoryPlace) -> None:
    clock = Clock()
    checkpointer = Checkpointer(store, KEY, [place], now=clock)
    assert await checkpointer.make_if_due() is None
    add(store)
    assert await checkpointer.make_if_due() is not None
    add(store)
    clock.now += timedelta(minutes=59)
    assert await checkpointer.make_if_due() is None
    clock.now += timedelta(minutes=1)
    assert await checkpointer.make_if_due() is not None
    clock.now += timedelta(days=1)
    assert await checkpointer.make_if_due() is None
    assert await Checkpointer(store, KEY, [place], now=clock).make_if_due() is None, "a restart remembers"
    assert len(files(place)) == 2


async def test_a_place_that_fails_is_told_of_and_gets_it_later(store: SqlStore, place: DirectoryPlace) -> None:
    dead = DeadPlace()
    places: list[CheckpointPlace] = [dead, place]
    checkpointer = Checkpointer(store, KEY, places, now=Clock())
    add(store)
    with structlog.testing.capture_logs() as logs:
        made = await checkpointer.make("decision")
    assert made.stored == (place.name,)
    assert made.failures == (("dead place", "[Errno 13] Permission denied"),)
    assert logs[0]["event"] == "audit.checkpoint_not_stored"
    dead.broken = False
    again = await checkpointer.make_if_due()
    assert again is not None
    assert again.failures == ()
    assert dead.held == [made.checkpoint]
    assert len(files(place)) == 1


async def test_a_place_that_hangs_holds_up_nothing(store: SqlStore, place: DirectoryPlace) -> None:
    dead = DeadPlace(hangs=True)
    checkpointer = Checkpointer(store, KEY, [dead, place], now=Clock(), place_s=5.0)
    add(store)
    with structlog.testing.capture_logs():
        made = await asyncio.wait_for(checkpointer.make("decision"), 60)
    assert made.failures == (("dead place", "no answer within 5 s"),)
    assert len(files(place)) == 1
    assert dead.answer is not None
    dead.answer.set()


async def test_a_database_that_is_gone_is_told_of_too(store: SqlStore, place: DirectoryPlace) -> None:
    checkpointer = Checkpointer(store, KEY, [place], now=Clock())
    store.close()
    made = await checkpointer.make("end")
    assert made.checkpoint is None
    assert made.failures[0][0] == "database"

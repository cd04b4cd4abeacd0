"""Scenario 29 on the log of a whole release; `tests/audit` has every other way to tamper, on both databases."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from engine.records import Sealed
from state.audit import entry_hash, raw
from state.checkpointer import Checkpointer
from state.checkpoints import load_private_key, new_private_key
from state.places import DirectoryPlace
from state.store import open_store
from state.verify import Verification, verify
from tests.engine.harness import KeepingChat
from tests.runbook.fakes import World
from tests.scenarios.stage import Stage, stage

KEY = load_private_key(new_private_key())


@dataclass
class Past:
    """A release's data, a copy of it from before its go, and the checkpoints outside."""

    data: Path
    older: Path
    place: DirectoryPlace
    entries: list[Sealed]
    checkpoint: int

    def verify(self, folder: Path | None = None) -> Verification:
        with open_store("", data_dir=folder or self.data, read_only=True) as store:
            return verify(store, [KEY.public_key()], self.place.found())

    def tamper(self, *statements: tuple[str, Iterable[object]]) -> None:
        """Whoever owns the file can drop its guards."""
        with sqlite3.connect(self.data / "forge.db") as database:
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                database.execute(f'DROP TRIGGER "{name}"')
            for statement, values in statements:
                database.execute(statement, tuple(values))
        database.close()


async def checkpoint(s: Stage, place: DirectoryPlace) -> int:
    made = await Checkpointer(s.store, KEY, [place], now=s.clock.now).make("decision")
    assert made.checkpoint is not None
    assert not made.failures
    return made.checkpoint.seq


@pytest.fixture
async def past(tmp_path: Path) -> Past:
    (tmp_path / "outside").mkdir()
    place, data, older = DirectoryPlace(tmp_path / "outside"), tmp_path / "data", tmp_path / "older"
    world, chat = World(), KeepingChat()
    async with stage(data, world=world, chat=chat) as s:
        await s.waits_for_approval()
        await checkpoint(s, place)
        await s.says("sam", "approve staging-1")
        await s.until_at("Go or no-go")
        await s.shown_all()
    shutil.copytree(data, older)
    async with stage(data, world=world, chat=chat) as s:
        await s.says("pia", "approve staging-1")
        await s.says("sam", "approve staging-1")
        await s.until_state("ended")
        newest = await checkpoint(s, place)
        await s.says("ada", "lock staging")
        entries = s.rows(Sealed, order="seq")
    return Past(data, older, place, entries, newest)


def first_bad(result: Verification) -> tuple[int, str]:
    assert not result.ok
    assert result.first_bad is not None
    assert f"entr{'y' if result.first_bad.seq else 'ies'}" in result.sentence
    return result.first_bad.seq, result.first_bad.code


async def test_an_untouched_log_is_intact_and_proven_up_to_the_last_outside_checkpoint(past: Past) -> None:
    result = past.verify()
    assert result.ok
    assert result.proven_to == past.checkpoint
    assert f"proven up to entry {past.checkpoint}" in result.sentence


async def test_one_byte_of_the_audit_log_changes_anywhere_and_verify_says_so_and_names_the_first_bad_entry(
    past: Past,
) -> None:
    for entry in past.entries[: past.checkpoint]:
        flipped = chr(ord(entry.action[0]) ^ 1) + entry.action[1:]
        past.tamper(("UPDATE audit SET action = ? WHERE seq = ?", (flipped, entry.seq)))
        assert first_bad(past.verify()) == (entry.seq, "changed")
        past.tamper(("UPDATE audit SET action = ? WHERE seq = ?", (entry.action, entry.seq)))
    assert past.verify().ok


@pytest.mark.parametrize(
    "field", ["at", "actor", "role", "action", "subject", "what", "why", "evidence", "previous", "hash"]
)
async def test_one_byte_of_any_field_changes_and_verify_names_the_entry(past: Past, field: str) -> None:
    entry = next(e for e in past.entries if e.action == "run.created")
    past.tamper((f"UPDATE audit SET {field} = {field} || ' ' WHERE seq = ?", (entry.seq,)))
    assert first_bad(past.verify()) == (entry.seq, "changed")


async def test_one_bit_flipped_in_the_file_itself_is_seen(past: Past) -> None:
    path = past.data / "forge.db"
    entry = next(e for e in past.entries if e.what == "deploy v1.4.0-rc.2 of shop to staging")
    content = bytearray(path.read_bytes())
    content[content.index(entry.what.encode())] ^= 1
    path.write_bytes(content)
    assert first_bad(past.verify()) == (entry.seq, "changed")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
async def test_its_tail_is_cut_and_verify_says_so_and_names_the_first_missing_entry(past: Past, share: float) -> None:
    last = int(past.checkpoint * share)
    past.tamper(("DELETE FROM audit WHERE seq > ?", (last,)))
    assert first_bad(past.verify()) == (last + 1, "cut")


async def test_an_entry_is_taken_out_and_verify_names_it(past: Past) -> None:
    past.tamper(("DELETE FROM audit WHERE seq = 5", ()))
    assert first_bad(past.verify()) == (5, "gap")


async def test_an_older_copy_is_put_back_and_verify_says_so_and_names_the_first_missing_entry(past: Past) -> None:
    with open_store("", data_dir=past.older, read_only=True) as store:
        last = store.read_now(lambda ledger: ledger.count(Sealed))
    assert last < past.checkpoint
    assert first_bad(past.verify(past.older)) == (last + 1, "cut")


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
async def test_the_whole_chain_is_rewritten_and_verify_says_so(past: Past, share: float) -> None:
    start = max(1, int(past.checkpoint * share))
    statements, previous = [], past.entries[start - 2].hash if start > 1 else "0" * 64
    for entry in past.entries[start - 1 :]:
        changed = replace(entry, previous=previous, why="forged" if entry.seq == start else entry.why)
        previous = entry_hash(raw(changed))
        statements.append(
            ("UPDATE audit SET why = ?, previous = ?, hash = ? WHERE seq = ?",
             (changed.why, changed.previous, previous, entry.seq))
        )  # fmt: skip
    past.tamper(*statements)
    seq, code = first_bad(past.verify())
    assert code == "rewritten"
    assert seq <= start

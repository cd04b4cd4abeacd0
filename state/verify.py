"""Whether the audit log is still what was written: the chain of hashes, held against signed checkpoints from outside.

A verdict names the first bad entry and why. It must never call proven what no outside checkpoint speaks of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from runbook.errors import ForgeError
from state.audit import GENESIS, entry_hash
from state.checkpointer import instance_of
from state.checkpoints import Checkpoint, NoCheckpoint, check_signature, parse_checkpoint
from state.entries import BEFORE_ALL, raw_rows, size
from state.places import CheckpointPlace, Found
from state.store import SqlStore


@dataclass(frozen=True)
class Problem:
    """seq: the first bad entry, or the entry that a bad checkpoint speaks of. code: `changed`, `broken`, `gap`, `duplicate`, `cut`,
    `rewritten`; `checkpoint.signature`, `checkpoint.unknown_key`, `checkpoint.instance`."""

    seq: int
    code: str
    reason: str


@dataclass(frozen=True)
class Verification:
    """entries: how many were looked at. last: the number of the newest. proven_to: the newest entry that an outside checkpoint vouches for.

    problems: entries first, in their order, then checkpoints. notes: what can't be seen from here, as sentences.
    """

    entries: int
    last: int
    proven_to: int
    checkpoints: int
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def first_bad(self) -> Problem | None:
        """The first bad entry; a bad checkpoint where no entry is bad."""
        return self.problems[0] if self.problems else None

    @property
    def sentence(self) -> str:
        if self.first_bad is not None:
            return f"the audit log is NOT intact: {self.first_bad.reason}"
        if self.proven_to:
            return f"the audit log is intact: {self.entries} entries verified, proven up to entry {self.proven_to}"
        return f"the chain of {self.entries} entries holds, but no outside checkpoint proves it"


def verify(store: SqlStore, keys: Sequence[Ed25519PublicKey], found: Iterable[Found]) -> Verification:
    """Verifies the whole log. found: the checkpoints from outside places. Blocks; about a second for 100,000 entries.

    Raises StoreUnavailable when the database can't be read.
    """
    witness = _hear(store.read_now(instance_of), keys, found)
    return _judge(store, witness, _Walk(witness.hashes))


async def verify_since_last_checkpoint(
    store: SqlStore, keys: Sequence[Ed25519PublicKey], places: Sequence[CheckpointPlace]
) -> Verification:
    """Verifies from the newest outside checkpoint on, for the start; whole where there is none. Raises StoreUnavailable.

    A place that can't be read becomes a note.
    """
    return await asyncio.to_thread(_verify_since, store, keys, places)


def _verify_since(store: SqlStore, keys: Sequence[Ed25519PublicKey], places: Sequence[CheckpointPlace]) -> Verification:
    instance = store.read_now(instance_of)
    witness = _Witness()
    for place in places:
        try:
            for each in place.found():
                heard = _hear(instance, keys, (each,))
                witness.add(heard)
                if heard.hashes:
                    break  # the place's newest good one
        except (OSError, ForgeError) as error:
            witness.notes.append(f"{place.name} can't be read: {error}")
    newest = max(witness.hashes, default=0)
    if newest == 0:
        return _judge(store, witness, _Walk(witness.hashes))
    # The entry of the checkpoint itself is looked at too, its own predecessor taken on trust.
    return _judge(store, witness, _Walk(witness.hashes, after=newest - 1, previous=None))


@dataclass
class _Witness:
    """What the checkpoints say, once their signatures were checked. hashes: of entries, with the checkpoint that says so."""

    hashes: dict[int, list[Checkpoint]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, other: _Witness) -> None:
        for seq, those in other.hashes.items():
            self.hashes.setdefault(seq, []).extend(those)
        self.problems += other.problems
        self.notes += other.notes


def _hear(instance: str, keys: Sequence[Ed25519PublicKey], found: Iterable[Found]) -> _Witness:
    witness = _Witness()
    for source, line in found:
        try:
            checkpoint = parse_checkpoint(line)
        except NoCheckpoint as error:
            witness.notes.append(f"{source} can't be read as a checkpoint ({error}): it was torn, or damaged since")
            continue
        code, reason = _doubt(instance, keys, checkpoint)
        if code:
            witness.problems.append(Problem(checkpoint.seq, f"checkpoint.{code}", f"{source} {reason}"))
        else:
            witness.hashes.setdefault(checkpoint.seq, []).append(checkpoint)
    return witness


def _doubt(instance: str, keys: Sequence[Ed25519PublicKey], checkpoint: Checkpoint) -> tuple[str, str]:
    wrong = check_signature(checkpoint, keys)
    if wrong == "unknown_key":
        return wrong, f"is signed with key {checkpoint.key_id}, which is none of the given public keys"
    if wrong:
        return wrong, f"(entry {checkpoint.seq}) has a signature that doesn't fit: it was changed or forged"
    if checkpoint.instance != instance:
        return "instance", f"speaks of another database ({checkpoint.instance}), not of this one ({instance})"
    return "", ""


class _Walk:
    """Goes through the entries in order and stops at the first bad one. previous: the hash before, None to take it on trust."""

    def __init__(self, hashes: dict[int, list[Checkpoint]], after: int = 0, previous: str | None = GENESIS) -> None:
        self.hashes = hashes
        self.start = after
        self.seq = after
        self.previous = previous
        self.proven_to = 0
        self.entries = 0
        self.problem: Problem | None = None

    def over(self, rows: Sequence[Any]) -> bool:
        """False once a bad entry was found."""
        for row in rows:
            self.problem = self._look(row) if row[0] == self.seq + 1 else self._misplaced(row[0])
            if self.problem is not None:
                return False
            self.seq += 1
            self.entries += 1
        return True

    def _look(self, row: Any) -> Problem | None:
        seq, stored = row[0], row[10]
        try:
            right = entry_hash(row)
        except (TypeError, UnicodeEncodeError):
            return Problem(seq, "changed", f"entry {seq} was changed: a field holds no text")
        if right != stored:
            return Problem(
                seq, "changed", f"entry {seq} was changed: its content has another hash than the one stored with it"
            )
        if self.previous is not None and row[9] != self.previous:
            return Problem(
                seq, "broken", f"entry {seq} doesn't follow entry {seq - 1}: the chain is broken between them"
            )
        self.previous = stored
        return self._against(seq, stored) if seq in self.hashes else None

    def _against(self, seq: int, stored: str) -> Problem | None:
        for checkpoint in self.hashes[seq]:
            if checkpoint.hash != stored:
                first = self.proven_to + 1
                where = f"entry {seq}" if first == seq else f"one of the entries {first} to {seq}, or all,"
                reason = f"{where} was rewritten: entry {seq} is not the one that was signed at {checkpoint.at:%Y-%m-%d %H:%M:%S} UTC"
                return Problem(first, "rewritten", reason)
        self.proven_to = seq
        return None

    def _misplaced(self, seq: int) -> Problem:
        wanted = self.seq + 1
        if seq <= self.seq:
            return Problem(seq, "duplicate", f"entry {seq} is there more than once or out of order")
        return Problem(wanted, "gap", f"entry {wanted} is missing: after entry {wanted - 1} comes entry {seq}")


def _judge(store: SqlStore, witness: _Witness, walk: _Walk) -> Verification:
    after = walk.start or BEFORE_ALL
    while rows := store.read_now(lambda ledger, after=after: raw_rows(ledger, after)):  # type: ignore[misc]
        if not walk.over(rows):
            break
        after = rows[-1][0]
    entries, last = store.read_now(lambda ledger: size(ledger))
    problems = [walk.problem] if walk.problem is not None else []
    if walk.problem is None:
        problems += _hidden_duplicate(store, walk)
    newest = max(witness.hashes, default=0)
    if newest > last:
        problems.append(_cut(witness.hashes[newest][0], last))
    return Verification(
        entries=walk.entries if walk.start else entries,
        last=last,
        proven_to=walk.proven_to,
        checkpoints=sum(len(those) for those in witness.hashes.values()),
        problems=(*problems, *sorted(witness.problems, key=lambda problem: problem.seq)),
        notes=(*witness.notes, *_blind_spots(walk, bool(witness.hashes), last)),
    )


def _hidden_duplicate(store: SqlStore, walk: _Walk) -> list[Problem]:
    """Two rows of one number can hide where two chunks meet, in a table that was rebuilt without its key."""
    entries, _ = store.read_now(lambda ledger: size(ledger, walk.start or BEFORE_ALL, walk.seq))
    if entries == walk.entries:
        return []
    reason = f"there are {entries} entries where {walk.entries} numbers are: a number is there more than once"
    return [Problem(walk.start + 1, "duplicate", reason)]


def _cut(checkpoint: Checkpoint, last: int) -> Problem:
    return Problem(
        last + 1,
        "cut",
        f"entry {last + 1} is missing: the log ends at entry {last}, but entry {checkpoint.seq} was signed at "
        f"{checkpoint.at:%Y-%m-%d %H:%M:%S} UTC; its tail was cut or an older copy was put back",
    )


def _blind_spots(walk: _Walk, witnessed: bool, last: int) -> list[str]:
    if not witnessed:
        return [
            "there is no outside checkpoint: a cut tail, an older copy and a rewritten chain can't be seen, only changes that "
            "left the chain broken"
        ]
    if walk.problem is None and 0 < walk.proven_to < last:
        return [
            f"entries {walk.proven_to + 1} to {last} came after the last outside checkpoint: a rewrite of them can't be seen"
        ]
    return []

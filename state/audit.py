"""The audit log's chain: how an entry is hashed and how it follows the one before.

The hash is the SHA-256 of the canonical JSON (keys sorted, no spaces, UTF-8) of all fields but itself, so that anyone can recompute it
from a row with a dozen lines of any language. Nothing here changes or deletes an entry.
"""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import datetime
from hashlib import sha256
from json.encoder import encode_basestring
from typing import Any, Final, NamedTuple

from engine.records import Entry, Sealed
from state.columns import canonical_json, clean_text, iso_time

GENESIS: Final = "0" * 64
"""What the first entry names as the hash before it."""

COLUMNS: Final = tuple(field.name for field in fields(Sealed))


class Raw(NamedTuple):
    """An entry as the database holds it: `at` as ISO text, `evidence` as its JSON text, or None."""

    seq: int
    at: str
    actor: str
    role: str
    action: str
    subject: str
    what: str
    why: str
    evidence: str | None
    previous: str
    hash: str


def canonical_entry(entry: Raw | tuple[Any, ...]) -> str:
    """The text that is hashed: what `json.dumps(fields, sort_keys=True)` gives, put together by hand because a log is verified whole.

    Raises TypeError when a field holds no text.
    """
    seq, at, actor, role, action, subject, what, why, evidence, previous = entry[:10]
    text = encode_basestring
    return (
        f'{{"action":{text(action)},"actor":{text(actor)},"at":{text(at)},"evidence":{"null" if evidence is None else evidence},'
        f'"previous":{text(previous)},"role":{text(role)},"seq":{seq},"subject":{text(subject)},"what":{text(what)},"why":{text(why)}}}'
    )


def entry_hash(entry: Raw | tuple[Any, ...]) -> str:
    return sha256(canonical_entry(entry).encode()).hexdigest()


def seal(entry: Entry, at: datetime, seq: int, previous: str) -> Sealed:
    """The entry with its number and its hash. Raises ValueError when the evidence is no JSON or `at` has no zone."""
    evidence = None if entry.evidence is None else canonical_json(entry.evidence)
    sealed = Sealed(
        seq=seq,
        at=at,
        actor=clean_text(entry.actor),
        role=clean_text(entry.role),
        action=clean_text(entry.action),
        subject=clean_text(entry.subject),
        what=clean_text(entry.what),
        why=clean_text(entry.why),
        evidence=None if evidence is None else json.loads(evidence),
        previous=previous,
        hash="",
    )
    return replace(sealed, hash=entry_hash(raw(sealed)))


def raw(sealed: Sealed) -> Raw:
    """The entry as the database holds it."""
    evidence = None if sealed.evidence is None else canonical_json(sealed.evidence)
    return Raw(
        sealed.seq,
        iso_time(sealed.at),
        sealed.actor,
        sealed.role,
        sealed.action,
        sealed.subject,
        sealed.what,
        sealed.why,
        evidence,
        sealed.previous,
        sealed.hash,
    )

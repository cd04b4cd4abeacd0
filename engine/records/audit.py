"""The audit log: what is told, and how it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from engine.records.json_values import Json


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One audit entry, before the ledger gives it a sequence number and chains it.

    actor: an `Actor.id`; role: in which role; action: a stable word such as `run.created`; subject: on what (a run, a lock, …).
    evidence: JSON. Never a secret, a token or a response address.
    """

    actor: str
    action: str
    subject: str
    role: str = ""
    what: str = ""
    why: str = ""
    evidence: Json = None


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """An audit entry as stored. previous, hash: hex SHA-256; hash covers the canonical JSON of all other fields."""

    key: ClassVar[tuple[str, ...]] = ("seq",)
    seq: int
    at: datetime
    actor: str
    role: str
    action: str
    subject: str
    what: str
    why: str
    evidence: Json
    previous: str
    hash: str

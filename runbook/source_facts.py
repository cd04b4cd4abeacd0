"""What a database had when it was backed up, and what a restored one has: the same questions, so that the answers can be compared. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

CHECKSUM_ROWS = 5_000_000
"""Tables with more rows are counted alone, unless the configuration says otherwise."""


@dataclass(frozen=True, slots=True)
class TableFacts:
    """rows: counted; None: it isn't there, or why says why it wasn't counted. checksum: of its rows, whatever their order; equal for equal rows
    on servers of one major version; empty: none was taken, and why says why."""

    rows: int | None = None
    checksum: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class SequenceFacts:
    """last: the value that it gave last; None: it gave none, or may not be read. rising: its increment is above zero. cycles: it begins
    again at its end, so that a smaller value is no older one."""

    last: int | None
    rising: bool = True
    cycles: bool = False


@dataclass(frozen=True, slots=True)
class Catalogue:
    """How many there are outside the system's schemas and outside extensions; constraints and indexes of partitions count with their parent's.
    unchecked: constraints that were never validated (`NOT VALID`), as the post-restore checks name them."""

    tables: int
    constraints: int
    indexes: int
    unchecked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Role:
    """Something of the database belongs to it, or was granted to it. all_rows: row security doesn't hold for it (`BYPASSRLS`)."""

    name: str
    superuser: bool = False
    all_rows: bool = False


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What the source had. exact: all of it is of the dump's own snapshot, but for the sequences, which know no snapshots and were read just
    before; otherwise (a base backup, which can be recovered to later moments) it is for people to see, and nothing is held against it.

    schema_version: empty: it isn't configured, or not known. problems: what could not be found out and why, in words.
    """

    exact: bool
    at: datetime
    schema_version: str = ""
    tables: Mapping[str, TableFacts] = field(default_factory=dict)
    sequences: Mapping[str, SequenceFacts] = field(default_factory=dict)
    catalogue: Catalogue | None = None
    roles: tuple[Role, ...] | None = None
    problems: tuple[str, ...] = ()

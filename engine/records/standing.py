"""What stands beside the runs: locks, freezes, incidents, tags that were seen, and moments worth remembering."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from engine.records.json_values import Json


@dataclass(frozen=True, kw_only=True)
class Lock:
    """Nothing starts in this environment for this service (`*`: for any) while it stands. run: set when a run holds it."""

    key: ClassVar[tuple[str, ...]] = ("environment", "service")
    environment: str
    service: str
    owner: str
    owner_name: str
    reason: str
    run: str = ""
    at: datetime


@dataclass(frozen=True, kw_only=True)
class FreezeRow:
    """Nothing is released in this environment (service `*`: of any service) until it ends or is lifted."""

    key: ClassVar[tuple[str, ...]] = ("environment", "service")
    environment: str
    service: str
    owner: str
    owner_name: str
    reason: str
    at: datetime
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class IncidentRow:
    """One incident. service: empty for all of the environment. run: whose way back opened it. updates: JSON list of {at, by, text}."""

    key: ClassVar[tuple[str, ...]] = ("id",)
    id: str
    number: int
    service: str
    environment: str
    severity: int
    title: str
    opened_by: str
    opened_by_name: str
    opened_at: datetime
    run: str = ""
    updates: Json = field(default_factory=list)
    resolved_at: datetime | None = None
    resolved_by: str = ""


@dataclass(frozen=True, kw_only=True)
class SeenTag:
    key: ClassVar[tuple[str, ...]] = ("service", "tag")
    service: str
    tag: str
    tag_object: str
    commit: str
    first_seen_at: datetime


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A moment worth remembering across a restart. name: `guards`, when the guards looked last; `schedule:<service>:<environment>:<kind>`, which
    occurrence of a schedule was begun last, and `schedule-told:…`, of which one people were told that it was missed; `repository:<folder>`,
    when the repository of backups there was begun.
    """

    key: ClassVar[tuple[str, ...]] = ("name",)
    name: str
    at: datetime

"""What forge itself remembers across runs, for gates to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from runbook.ports.people import Freeze, Incident
from runbook.values import Environment, Release


@dataclass(frozen=True, slots=True)
class Released:
    """One release that was completed. plan: its canonical text. facts: of its run: among them `previous`, what ran before it."""

    run: str
    version: str
    release: Release
    plan: str
    facts: Mapping[str, Any]
    at: datetime


class Memory(Protocol):
    """What the program remembers across runs, for gates to look at."""

    async def first_seen(self, service: str, tag: str) -> tuple[str, str] | None:
        """(tag object, commit) of a tag when it was first seen with a good signature; None when never."""

    async def remember_tag(self, service: str, tag: str, tag_object: str, commit: str) -> None:
        """Keeps the first sight; a later one never overwrites it."""

    async def last_go(self, service: str, environment: Environment) -> Release | None:
        """The newest release that got its go in this environment (in dev: the newest commit that was validated); None when none did."""

    async def go_for(self, service: str, commit: str) -> Release | None:
        """The newest candidate on this commit that got its go in staging; None when none did."""

    async def released(self, service: str, environment: Environment) -> tuple[Released, ...]:
        """What was released here (or got its go, or was validated here), the newest first, at most 50: for the way back after it."""

    async def open_incidents(self, service: str, environment: Environment) -> tuple[Incident, ...]:
        """Incidents that concern this service and environment and aren't resolved, the gravest first."""

    async def freezes(self, service: str, environment: Environment) -> tuple[Freeze, ...]:
        """Freezes in force now."""

    async def validated(self, service: str, commit: str) -> Released | None:
        """The newest run that validated this commit in dev; None when none did, or when a later one there did not."""

    async def last_performance(self, service: str, environment: Environment) -> Mapping[str, float] | None:
        """What the newest go measured: `p50_s`, `p95_s`, `p99_s`, `throughput`; None when there was none."""

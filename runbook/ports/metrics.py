"""Prometheus, as the domain asks for it, and databases that forge measures itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from runbook.series import Windows
from runbook.values import Environment


@dataclass(frozen=True, slots=True)
class Sample:
    at: datetime
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """labels: as Prometheus answers them, `__name__` included. samples: in order of time; one for an instant query. NaN is kept."""

    labels: Mapping[str, str]
    samples: tuple[Sample, ...]


class Metrics(Protocol):
    async def query(self, expression: str, at: datetime | None = None) -> tuple[Series, ...]: ...

    async def query_range(
        self, expression: str, start: datetime, end: datetime, step_s: float
    ) -> tuple[Series, ...]: ...


class DatabaseMetrics(Protocol):
    """Databases that forge measures itself, for where nobody else does."""

    def recorded(self, service: str, environment: Environment, windows: Windows) -> tuple[Series, ...]:
        """The last hour under the recorded metrics' names (`__name__`), as Prometheus would give it; empty for what isn't measured."""

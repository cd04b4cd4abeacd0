"""Databases' load for the bot's own `/metrics`, with the labels service and env: what forge measured last, and nothing that is old."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from integrations.postgres.measuring import DatabaseMeasuring, Moment

LABELS = ("service", "env")

Value = Callable[["Moment"], float | None]

GAUGES: dict[str, tuple[str, Value]] = {
    "forge_postgres_connections": ("Sessions of all databases.", lambda m: m.load.connections),
    "forge_postgres_max_connections": ("How many there may be.", lambda m: m.load.max_connections),
    "forge_postgres_replication_lag_seconds": (
        "Of the replica that is furthest behind; of a replica its own.",
        lambda m: m.load.replication_lag_s,
    ),
    "forge_postgres_slow_queries": ("Queries that run for over 1 s now.", lambda m: m.load.slow),
    "forge_postgres_lock_waits": ("Sessions that wait for a lock.", lambda m: m.load.lock_waits),
    "forge_postgres_wal_size_bytes": ("The write-ahead log on the disk.", lambda m: m.load.wal_bytes),
}
COUNTERS: dict[str, tuple[str, Value]] = {
    "forge_postgres_deadlocks": ("Deadlocks of all databases.", lambda m: m.load.deadlocks),
    "forge_postgres_slow_calls": (
        "Calls of statements whose mean was over 1 s (pg_stat_statements).",
        lambda m: m.slow_calls,
    ),
    "forge_postgres_wal_written_bytes": ("Write-ahead log that was generated.", lambda m: m.load.wal_written_bytes),
    "forge_postgres_checkpoint_seconds": (
        "Writing and syncing of checkpoints and restartpoints.",
        lambda m: m.load.checkpoint_s,
    ),
}
"""Without their ending `_total`."""


class DatabaseCollector(Collector):
    """Asks nobody: what the measuring found is handed on as it is, so that no database delays a scrape."""

    def __init__(self, measuring: DatabaseMeasuring) -> None:
        self._measuring = measuring

    def describe(self) -> Iterator[Metric]:
        """Nothing is collected to find the names out."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("forge_postgres_up", "1 where the database answered last.", labels=LABELS)
        families: list[tuple[GaugeMetricFamily | CounterMetricFamily, Value]] = [
            *((GaugeMetricFamily(name, text, labels=LABELS), value) for name, (text, value) in GAUGES.items()),
            *((CounterMetricFamily(name, text, labels=LABELS), value) for name, (text, value) in COUNTERS.items()),
        ]
        for (service, env), answers, moment in self._measuring.latest():
            labels = (service, env.value)
            up.add_metric(labels, 1.0 if answers else 0.0)
            if moment is None:
                continue
            for family, value in families:
                number = value(moment)
                if number is not None:
                    family.add_metric(labels, float(number))
        yield up
        yield from (family for family, _ in families)

"""The bot's own metrics, in a registry of their own; names begin with `forge_`. Labels never carry people, runs or versions."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from bot.database_metrics import DatabaseCollector
from bot.wal import WalCollector, WalReceivers
from engine.ports import Ledger
from engine.records import Outgoing, Received, Run, RunState, StepRow, StepState
from runbook.errors import Conflict, ForgeError, Permanent, Temporary

if TYPE_CHECKING:
    from integrations.postgres.measuring import DatabaseMeasuring

P = TypeVar("P")

_ENVIRONMENTS = ("dev", "staging", "prod")
_OPEN = tuple(state.value for state in RunState if state is not RunState.ENDED)
_BUSY = (StepState.RUNNING.value, StepState.WAITING.value, StepState.HELD.value)
_LAG_EVERY_S = 0.5


@dataclass(frozen=True)
class Snapshot:
    """What the database says now. runs: by (environment, state). ages in seconds, 0 where nothing waits."""

    runs: Mapping[tuple[str, str], int] = field(default_factory=dict)
    steps: Mapping[str, int] = field(default_factory=dict)
    outbox: int = 0
    outbox_oldest_s: float = 0.0
    inbox: int = 0
    inbox_oldest_s: float = 0.0


def look(ledger: Ledger, now: datetime) -> Snapshot:
    """For `Store.read`."""
    runs = {(env, state): ledger.count(Run, environment=env, state=state) for env in _ENVIRONMENTS for state in _OPEN}
    waiting = ["pending", "sending"]
    oldest_out = ledger.find(Outgoing, state=waiting, order="id", limit=1)
    oldest_in = ledger.find(Received, done_at=None, order="id", limit=1)
    return Snapshot(
        runs=runs,
        steps={state: ledger.count(StepRow, state=state) for state in _BUSY},
        outbox=ledger.count(Outgoing, state=waiting),
        outbox_oldest_s=max(0.0, (now - oldest_out[0].created_at).total_seconds()) if oldest_out else 0.0,
        inbox=ledger.count(Received, done_at=None),
        inbox_oldest_s=max(0.0, (now - oldest_in[0].received_at).total_seconds()) if oldest_in else 0.0,
    )


class Meters:
    """All meters of one process. Made once; the tests make as many as they like."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._runs = Gauge("forge_runs", "Runs that have not ended.", ["environment", "state"], registry=registry)
        self._steps = Gauge("forge_steps", "Steps under way.", ["state"], registry=registry)
        self._outbox = Gauge("forge_outbox_backlog", "Messages not yet shown in Slack.", registry=registry)
        self._outbox_age = Gauge("forge_outbox_oldest_seconds", "Age of the oldest of them.", registry=registry)
        self._inbox = Gauge("forge_inbox_backlog", "Payloads received and not yet worked on.", registry=registry)
        self._inbox_age = Gauge("forge_inbox_oldest_seconds", "Age of the oldest of them.", registry=registry)
        self._commits = Counter("forge_commits", "Committed transactions.", registry=registry)
        self._healthy = Gauge("forge_healthy", "1 where a part of the bot is well.", ["part"], registry=registry)
        self._lag = Gauge("forge_event_loop_lag_seconds", "How late the event loop was last.", registry=registry)
        self._calls = Histogram(
            "forge_port_call_seconds",
            "Calls of outside systems, by outcome.",
            ["system", "operation", "outcome"],
            buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=registry,
        )
        self._guards = Counter("forge_guard_evaluations", "Guards judged, by outcome.", ["outcome"], registry=registry)
        self._guard_time = Histogram("forge_guard_round_seconds", "One round of all guards.", registry=registry)
        self._info = Gauge("forge_info", "The version.", ["version", "config"], registry=registry)
        self._seen_commits = 0

    def take(self, snapshot: Snapshot, commits: int = 0) -> None:
        """commits: the store's own count since its start."""
        for (environment, state), count in snapshot.runs.items():
            self._runs.labels(environment, state).set(count)
        for state, count in snapshot.steps.items():
            self._steps.labels(state).set(count)
        self._outbox.set(snapshot.outbox)
        self._outbox_age.set(snapshot.outbox_oldest_s)
        self._inbox.set(snapshot.inbox)
        self._inbox_age.set(snapshot.inbox_oldest_s)
        self._commits.inc(max(0, commits - self._seen_commits))
        self._seen_commits = max(commits, self._seen_commits)

    def health(self, part: str, *, is_well: bool) -> None:
        self._healthy.labels(part).set(1 if is_well else 0)

    def guard_round(self, seconds: float, outcomes: Mapping[str, int]) -> None:
        """outcomes: how many guards had which `Outcome` in this round."""
        self._guard_time.observe(seconds)
        for outcome, count in outcomes.items():
            self._guards.labels(outcome).inc(count)

    def call(self, system: str, operation: str, outcome: str, seconds: float) -> None:
        self._calls.labels(system, operation, outcome).observe(seconds)

    def about(self, version: str, config_hash: str) -> None:
        """After a start and after a reload."""
        self._info.clear()
        self._info.labels(version, config_hash[:12]).set(1)

    def show_databases(self, measuring: DatabaseMeasuring) -> None:
        """Once: their load is told with each exposition from then on."""
        self.registry.register(DatabaseCollector(measuring))

    def show_wal(self, receivers: WalReceivers) -> None:
        """Once, as `show_databases`."""
        self.registry.register(WalCollector(receivers))

    def exposition(self) -> tuple[bytes, str]:
        """The text and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    async def watch_loop(self) -> None:
        """Runs until it is cancelled: measures how late the event loop wakes."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_EVERY_S
            await asyncio.sleep(_LAG_EVERY_S)
            self._lag.set(max(0.0, loop.time() - due))


class _Metered:
    """Stands before a port and times its asynchronous calls; everything else goes through untouched."""

    def __init__(self, port: object, system: str, meters: Meters) -> None:
        self._port, self._system, self._meters = port, system, meters

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def call(*positional: Any, **named: Any) -> Any:
            started, outcome = time.perf_counter(), "cancelled"
            try:
                result = await found(*positional, **named)
                outcome = "ok"
                return result
            except ForgeError as error:
                outcome = _kind(error)
                raise
            except Exception:  # counted, and raised on
                outcome = "fault"
                raise
            finally:
                self._meters.call(self._system, name, outcome, time.perf_counter() - started)

        return call


def _kind(error: ForgeError) -> str:
    match error:
        case Conflict():
            return "conflict"
        case Temporary():
            return "temporary"
        case Permanent():
            return "permanent"
    return "error"


def metered(port: P, system: str, meters: Meters) -> P:
    """The same port, its calls counted and timed by system, operation and outcome."""
    return cast(P, _Metered(port, system, meters))

"""Receives the WAL of the databases that are configured so, for as long as the bot runs. A database that is down is tried again for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bot.configuration.connections import DatabaseConnection
from runbook.errors import ForgeError
from runbook.values import Environment

if TYPE_CHECKING:
    from integrations.postgres import PostgresConnection
    from integrations.postgres.wal_receiver import WalReceiver, WalState

log = structlog.get_logger("forge")

LOOK_S = 10.0
"""How often it is seen whether a password or the policy has changed, and how long a receiver without a password waits for one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a receiver is made of; another one is made when it changes. switch_s: `policy.backups.wal_switch`."""

    connection: PostgresConnection
    switch_s: float


Making = Callable[[DatabaseConnection, Wanted], "WalReceiver"]


class WalReceivers:
    """One task for each database with `wal: true`. `run` until it is cancelled."""

    def __init__(
        self,
        databases: Mapping[tuple[str, Environment], DatabaseConnection],
        make: Making,
        connection_of: Callable[[DatabaseConnection], PostgresConnection],
        switch_s: Callable[[], float],
        *,
        look_s: float = LOOK_S,
    ) -> None:
        """connection_of: asked again and again, because passwords are rotated; raises Permanent where one has no value."""
        self._databases = {key: found for key, found in databases.items() if found.wal}
        self._make, self._connection_of, self._switch_s, self._look_s = make, connection_of, switch_s, look_s
        self._running: dict[tuple[str, Environment], WalReceiver] = {}

    @property
    def any(self) -> bool:
        return bool(self._databases)

    def states(self) -> Iterator[tuple[tuple[str, Environment], WalState]]:
        """Of those that run now."""
        for key, receiver in list(self._running.items()):
            yield key, receiver.state()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for key, found in self._databases.items():
                group.create_task(self._supervise(key, found), name=f"WAL of {key[0]} in {key[1]}")

    async def _supervise(self, key: tuple[str, Environment], found: DatabaseConnection) -> None:
        """A fault of one receiver ends neither itself for ever nor the others."""
        told = ""
        while True:
            try:
                await self._receive(key, found)
                told = ""
            except ForgeError as error:
                if str(error) != told:
                    log.warning(
                        "wal.not_received", service=key[0], environment=key[1].value, code=error.code, why=str(error)
                    )
                told = str(error)
                await asyncio.sleep(self._look_s)
            except Exception:  # a fault here must not end what is received of other databases
                log.exception("wal.fault", service=key[0], environment=key[1].value)
                await asyncio.sleep(self._look_s)
            finally:
                self._running.pop(key, None)

    async def _receive(self, key: tuple[str, Environment], found: DatabaseConnection) -> None:
        """Returns when another receiver is needed."""
        wanted = self._wanted(found)
        receiver = self._running[key] = self._make(found, wanted)
        work = asyncio.create_task(receiver.run())
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=self._look_s)
                if self._wanted(found) != wanted:
                    log.info("wal.receiver_made_anew", service=key[0], environment=key[1].value)
                    return
            await work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    def _wanted(self, found: DatabaseConnection) -> Wanted:
        return Wanted(self._connection_of(found), self._switch_s())


class WalCollector(Collector):
    """What the receivers say of themselves, for the bot's own `/metrics`. It asks nobody."""

    def __init__(self, receivers: WalReceivers) -> None:
        self._receivers = receivers

    def describe(self) -> Iterator[Metric]:
        yield from ()

    def collect(self) -> Iterator[Metric]:
        names = ("service", "env")
        receiving = GaugeMetricFamily("forge_wal_receiving", "1 where WAL is received now.", labels=names)
        waiting = GaugeMetricFamily("forge_wal_waiting_segments", "Received and not stored yet.", labels=names)
        lag = GaugeMetricFamily("forge_wal_lag_bytes", "What the server has and forge hasn't stored.", labels=names)
        lost = GaugeMetricFamily("forge_wal_lost", "1 where segments were lost: there is a gap.", labels=names)
        until = GaugeMetricFamily("forge_wal_until_timestamp_seconds", "Up to when all is stored.", labels=names)
        for (service, env), state in self._receivers.states():
            labels = (service, env.value)
            receiving.add_metric(labels, float(state.receiving))
            waiting.add_metric(labels, state.waiting)
            lost.add_metric(labels, float(state.lost))
            if state.lag_bytes is not None:
                lag.add_metric(labels, state.lag_bytes)
            if state.until is not None:
                until.add_metric(labels, state.until.timestamp())
        yield from (receiving, waiting, lag, lost, until)

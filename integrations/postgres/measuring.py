"""Looks at each database's load again and again, each on its own: one that is slow or down delays no other, and is not told of any more."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise, takewhile
from typing import Final

import psycopg
import structlog
from psycopg.rows import DictRow

from integrations.postgres.connection import PostgresConnection
from integrations.postgres.look import connect, translated
from integrations.postgres.metrics import OPTIONS, Load, read_load, slow_calls
from runbook import series
from runbook.durations import parse_duration
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.metric_report import HISTORY_S
from runbook.ports import Sample, Series
from runbook.series import Windows, recorded_as
from runbook.values import Environment

log = structlog.get_logger("forge.postgres")

INTERVAL_S: Final = 15.0
LONGEST_S: Final = 10.0
"""One look as a whole, connecting included."""
FRESH_INTERVALS: Final = 3
_AFTER_REFUSAL: Final = 4
"""Intervals: who is refused again and again may be locked out."""

Key = tuple[str, Environment]


@dataclass(frozen=True, slots=True)
class Moment:
    """One look. slow_calls: slow calls that ended since measuring began, None where they aren't kept."""

    at: datetime
    load: Load
    slow_calls: int | None


@dataclass(slots=True)
class _Watched:
    connection: Callable[[], PostgresConnection]
    history: deque[Moment]
    problem: ForgeError | None = None
    asked: bool = False
    session: psycopg.AsyncConnection[DictRow] | None = field(default=None, repr=False)


class DatabaseMeasuring:
    """Fulfils `runbook.database_ports.DatabaseMetrics`. `run` until it is cancelled; everything else only reads what it has found."""

    def __init__(
        self,
        connections: Mapping[Key, Callable[[], PostgresConnection]],
        *,
        interval_s: float = INTERVAL_S,
        longest_s: float = LONGEST_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """connections: asked at each new connection, because passwords are rotated; may raise ForgeError."""
        self._interval, self._longest, self._now = interval_s, longest_s, now
        kept = int(HISTORY_S / interval_s) + 2
        self._watched = {key: _Watched(connection, deque(maxlen=kept)) for key, connection in connections.items()}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for key, watched in self._watched.items():
                group.create_task(self._watch(key, watched), name=f"measuring {key[0]} in {key[1]}")

    def latest(self) -> Iterator[tuple[Key, bool, Moment | None]]:
        """Each database that was asked, whether it answered last, and what it said: None where that is too old to be told."""
        for key, watched in self._watched.items():
            if watched.asked:
                yield key, watched.problem is None, self._fresh(watched)

    def problem(self, service: str, environment: Environment) -> ForgeError | None:
        """Why the last look failed; None: it didn't."""
        watched = self._watched.get((service, environment))
        return watched.problem if watched is not None else None

    def recorded(self, service: str, environment: Environment, windows: Windows) -> tuple[Series, ...]:
        """The last hour as the shipped rules would have recorded it; nothing of a database that isn't measured."""
        watched = self._watched.get((service, environment))
        if watched is None or not watched.history:
            return ()
        labels = {"service": service, "env": environment.value, "track": "stable"}
        points: dict[str, list[Sample]] = {}
        moments = list(watched.history)
        for index, moment in enumerate(moments):
            for metric, value in values_of(moments[: index + 1], parse_duration(windows.window)).items():
                points.setdefault(metric, []).append(Sample(moment.at, value))
        return tuple(
            Series({**labels, "__name__": recorded_as(metric, windows)}, tuple(samples))
            for metric, samples in points.items()
        )

    def _fresh(self, watched: _Watched) -> Moment | None:
        newest = watched.history[-1] if watched.history else None
        if newest is None or time.monotonic() - newest.load.at > FRESH_INTERVALS * self._interval:
            return None
        return newest

    async def _watch(self, key: Key, watched: _Watched) -> None:
        try:
            while True:
                started = time.monotonic()
                pause = self._interval * (await self._look(key, watched))
                await asyncio.sleep(max(0.0, pause - (time.monotonic() - started)))
        finally:
            await _closed(watched)

    async def _look(self, key: Key, watched: _Watched) -> int:
        """One look; returns after how many intervals the next one is due."""
        problem: ForgeError | None = None
        try:
            async with asyncio.timeout(self._longest):
                await self._ask(watched)
        except TimeoutError:
            problem = Temporary("postgres", "slow", f"no answer within {self._longest:g} s", "Look at its load")
        except ForgeError as error:
            problem = error
        except Exception as error:  # what one database answers must not end the measuring of the others
            problem = Temporary("postgres", "answer", f"its answer can't be read: {type(error).__name__}")
            log.exception("database.metrics.fault", service=key[0], environment=key[1].value)
        if problem is not None:
            await _closed(watched)
        _tell(key, watched, problem)
        watched.problem, watched.asked = problem, True
        return _AFTER_REFUSAL if isinstance(problem, Permanent) else 1

    async def _ask(self, watched: _Watched) -> None:
        connection = watched.connection()
        try:
            if watched.session is None or watched.session.closed:
                watched.session = await connect(connection, OPTIONS)
            load = await read_load(watched.session)
        except psycopg.Error as error:
            raise translated(error, connection) from None
        before = watched.history[-1] if watched.history else None
        ended = slow_calls(before.load.statements if before else None, load.statements)
        so_far = (before.slow_calls or 0) if before else 0
        total = None if load.statements is None else so_far + (ended or 0)
        if before is not None:  # an hour of statements would be much, and the newest ones alone are compared with
            watched.history[-1] = Moment(before.at, replace(before.load, statements=None), before.slow_calls)
        watched.history.append(Moment(self._now(), load, total))


def _tell(key: Key, watched: _Watched, problem: ForgeError | None) -> None:
    """Once when it begins and once when it is over, not at every look."""
    about = {"service": key[0], "environment": key[1].value}
    if problem is not None and (watched.problem is None or watched.problem.code != problem.code):
        log.warning("database.not_measured", why=problem.cause, remedy=problem.remedy, code=problem.code, **about)
    elif problem is None and watched.problem is not None:
        log.info("database.measured_again", **about)


async def _closed(watched: _Watched) -> None:
    session, watched.session = watched.session, None
    if session is not None:
        try:
            async with asyncio.timeout(1.0):
                await session.close()
        except (psycopg.Error, TimeoutError):
            log.debug("database.session_left")


def values_of(moments: Sequence[Moment], window_s: float) -> dict[str, float]:
    """The recorded metrics at the newest moment. moments: in order; rates are over those within the window before the newest."""
    newest = moments[-1].load
    since = list(takewhile(lambda moment: newest.at - moment.load.at <= window_s, reversed(moments)))[::-1]
    optional = {
        series.DB_CONNECTIONS: newest.connections / newest.max_connections if newest.max_connections else None,
        series.DB_REPLICATION_LAG: newest.replication_lag_s,
        series.DB_DEADLOCKS: _rate([(m.load.at, m.load.deadlocks) for m in since]),
        series.DB_SLOW_QUERIES: _slow(since),
        series.DB_LOCK_WAITS: newest.lock_waits,
        series.DB_WAL_GROWTH: _slope([(m.load.at, m.load.wal_bytes) for m in since]),
        series.DB_CHECKPOINT: _mean_rise([m.load.checkpoint_s for m in since]),
    }
    return {metric: float(value) for metric, value in optional.items() if value is not None}


def _rate(points: Sequence[tuple[float, float]]) -> float | None:
    """Of a counter, per second; what was reset within counts from 0."""
    if len(points) < 2:
        return None
    rise = sum(after - before if after >= before else after for (_, before), (_, after) in pairwise(points))
    return rise / (points[-1][0] - points[0][0])


def _slope(points: Sequence[tuple[float, int | None]]) -> float | None:
    known = [(at, value) for at, value in points if value is not None]
    return (known[-1][1] - known[0][1]) / (known[-1][0] - known[0][0]) if len(known) > 1 else None


def _slow(since: Sequence[Moment]) -> float | None:
    """Those that run now, and those that ended, per minute."""
    running = since[-1].load.slow
    if running is None:
        return None
    ended = _rate([(m.load.at, m.slow_calls) for m in since if m.slow_calls is not None])
    return running + 60 * (ended or 0.0)


def _mean_rise(counted: Sequence[float]) -> float | None:
    """Of checkpoints that ended within: each rise is one. None where it was reset within, or there is one look alone."""
    rises = [after - before for before, after in pairwise(counted) if after != before]
    if len(counted) < 2 or any(rise < 0 for rise in rises):
        return None
    return sum(rises) / len(rises) if rises else 0.0

"""What the guards ask of Prometheus: each metric once for all runs of an environment, by instant queries and, for what was missed, by ranges.

An answer that isn't there is a value. It never raises, and one metric's surprise leaves the others' answers alone.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from runbook.errors import ForgeError, Temporary
from runbook.plan import Guard, RatioGuard
from runbook.ports import Metrics, Series
from runbook.rules.ratio_watch import RatioSample, sample_of
from runbook.rules.readings import Reading, read_error, read_single
from runbook.values import Environment

log = structlog.get_logger("forge.guards")

PIECE = timedelta(minutes=30)
"""What one range query covers: a thousand services answer it with 120,000 samples."""

LARGE_PIECE = timedelta(hours=6)
"""What it covers where only a few services are asked for."""

FEW = 20
"""So many services are named in a range query; more are asked for all together."""

RECORDED = re.compile(r"forge:\w+:\w+")
"""A recorded series' name, alone or within an expression over it."""

Key = tuple[str, str]
"""(environment, recorded metric)"""

BySubject = dict[tuple[str, str], list[Series]]
"""(service, track) -> series"""


@dataclass(frozen=True)
class Answer:
    """One metric's answer for all services. error: why there is none."""

    series: BySubject
    error: ForgeError | None = None

    def reading(self, service: str, guard: Guard) -> Reading:
        if self.error is not None:
            return read_error(guard.name, self.error, guard.metric)
        return read_single(guard.name, self.series.get((service, guard.track), []), guard.metric)

    def at(self, service: str, track: str) -> datetime | None:
        found = self.series.get((service, track), [])
        samples = found[0].samples if len(found) == 1 else ()
        return samples[-1].at if samples else None

    def tracks(self, service: str) -> dict[str, list[Series]]:
        """The service's series by track."""
        return tracks_of(self.series, service)


def tracks_of(series: BySubject, service: str) -> dict[str, list[Series]]:
    return {track: series[service, track] for track in ("stable", "canary") if (service, track) in series}


def ratio_sample(guard: RatioGuard, requests: Answer, errors: Answer, service: str, now: datetime) -> RatioSample:
    """Both tracks' newest rates, of answers without an error."""
    at = max((found for track in ("stable", "canary") if (found := requests.at(service, track))), default=now)
    return sample_of(guard, requests.tracks(service), errors.tracks(service), at)


class Questions:
    """metrics: a Prometheus for each environment."""

    def __init__(self, metrics: Mapping[Environment, Metrics]) -> None:
        self._metrics = metrics

    async def ask(self, keys: Iterable[Key]) -> dict[Key, Answer]:
        keys = list(keys)
        found = await asyncio.gather(*(self._query(key) for key in keys))
        return dict(zip(keys, found, strict=True))

    async def _query(self, key: Key) -> Answer:
        environment, metric = key
        try:
            return Answer(by_subject(await self._of(environment).query(metric), environment))
        except ForgeError as error:
            return Answer({}, error)
        except Exception as error:  # noqa: BLE001 - one metric's surprise must not keep all others from being judged
            return Answer({}, Temporary("prometheus", "unforeseen", unforeseen(error, metric=metric)))

    async def ranges(
        self, keys: Collection[Key], start: datetime, end: datetime, step_s: float, services: Collection[str] = ()
    ) -> dict[Key, BySubject | None]:
        """None: it could not be asked. services: only these; empty: all."""
        found = await asyncio.gather(*(self._range(key, start, end, step_s, services) for key in keys))
        return dict(zip(keys, found, strict=True))

    async def _range(
        self, key: Key, start: datetime, end: datetime, step_s: float, services: Collection[str]
    ) -> BySubject | None:
        environment, metric = key
        try:
            answer = await self._of(environment).query_range(_of_services(metric, services), start, end, step_s)
            return by_subject(answer, environment)
        except ForgeError as error:
            log.warning("guards.gap_not_filled", metric=metric, code=error.code)
            return None
        except Exception as error:  # noqa: BLE001 - asked again in the next round; the guards go on without
            unforeseen(error, metric=metric)
            return None

    def _of(self, environment: str) -> Metrics:
        return self._metrics[Environment(environment)]


def _of_services(metric: str, services: Collection[str]) -> str:
    """Names of services are checked where they are configured: nothing in them ends a string."""
    if not services:
        return metric
    names = sorted(services)
    chosen = f'{{service="{names[0]}"}}' if len(names) == 1 else f'{{service=~"{"|".join(names)}"}}'
    return RECORDED.sub(lambda found: found[0] + chosen, metric)


def by_subject(answer: Iterable[Series], environment: str) -> BySubject:
    """By service and track; one Prometheus may record several environments."""
    found: BySubject = defaultdict(list)
    for series in answer:
        if series.labels.get("env", environment) != environment:
            continue
        found[series.labels.get("service", ""), series.labels.get("track", "stable")].append(series)
    return dict(found)


def pieces(begin: datetime, end: datetime, length: timedelta) -> list[tuple[datetime, datetime]]:
    """Consecutive ranges that share their borders; a sample that is seen twice counts once."""
    borders = [begin]
    while borders[-1] < end:
        borders.append(min(borders[-1] + length, end))
    return list(itertools.pairwise(borders))


def unforeseen(error: Exception, **about: str) -> str:
    """Logs it, and gives the sentence for people: without the exception's own text."""
    correlation = secrets.token_hex(4)
    log.error("guards.unforeseen", correlation=correlation, exc_info=error, **about)
    return f"an unforeseen error ({type(error).__name__}); correlation id {correlation}"

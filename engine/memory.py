"""What gates remember across runs, kept in the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.freezes import freezes_for
from engine.incidents import incidents_for
from engine.ports import Ledger, Store
from engine.records import Decision, Run, SeenTag, Segment
from runbook.plan import from_json
from runbook.ports import Clock, Freeze, Incident, Released
from runbook.values import Environment, Release

_IN_DEV = ("validated", "not_validated", "rolled_back")
_IN_STAGING, _IN_PROD = ("go", "no_go"), ("released", "rolled_back")
"""Results that follow each other for one version: the good one first, and those that take it back."""

_MOST_RELEASES = 50

_MOST_DECISIONS = 1000
"""Newest results that are looked through for a commit: years of candidates, read in milliseconds."""


class LedgerMemory:
    """Fulfils `runbook.ports.Memory`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def first_seen(self, service: str, tag: str) -> tuple[str, str] | None:
        seen = await self._store.read(lambda ledger: ledger.get(SeenTag, service, tag))
        return None if seen is None else (seen.tag_object, seen.commit)

    async def remember_tag(self, service: str, tag: str, tag_object: str, commit: str) -> None:
        now = self._clock.now()

        def keep(ledger: Ledger) -> None:
            if ledger.get(SeenTag, service, tag) is None:
                ledger.add(SeenTag(service=service, tag=tag, tag_object=tag_object, commit=commit, first_seen_at=now))

        await self._store.write(keep)

    async def last_go(self, service: str, environment: Environment) -> Release | None:
        """See the port. In production: the newest that was released and not rolled back since, which is what runs; in dev likewise."""
        if environment is not Environment.STAGING:
            results: tuple[str, ...] = _IN_PROD if environment is Environment.PROD else _IN_DEV
            found = await self._store.read(lambda ledger: _told(ledger, service, environment, results))
            return next(_still(found, results[0]), None)
        gos = await self._store.read(lambda ledger: _gos(ledger, service, environment, 1))
        release: Release | None = from_json(Release, gos[0].release) if gos and gos[0].release else None
        return release

    async def go_for(self, service: str, commit: str) -> Release | None:
        """See the port. What a candidate was told last counts: a newer no-go in staging takes its go away."""
        found = await self._store.read(lambda ledger: _told(ledger, service, Environment.STAGING, _IN_STAGING))
        return next((release for release in _still(found, _IN_STAGING[0]) if release.commit == commit), None)

    async def released(self, service: str, environment: Environment) -> tuple[Released, ...]:
        """See the port."""
        results = ["go", "released", "validated"]

        def look(ledger: Ledger) -> list[Released]:
            place = {"service": service, "environment": environment.value}
            found = ledger.find(Decision, order="-at", limit=_MOST_RELEASES, result=results, **place)
            return [each for decision in found if (each := _released(ledger, decision)) is not None]

        return tuple(await self._store.read(look))

    async def validated(self, service: str, commit: str) -> Released | None:
        """See the port."""

        def look(ledger: Ledger) -> Released | None:
            told = _told(ledger, service, Environment.DEV, _IN_DEV)
            newest = next((decision for decision in told if _commit(decision) == commit), None)
            return _released(ledger, newest) if newest is not None and newest.result == _IN_DEV[0] else None

        return await self._store.read(look)

    async def open_incidents(self, service: str, environment: Environment) -> tuple[Incident, ...]:
        return await self._store.read(lambda ledger: incidents_for(ledger, service, environment))

    async def freezes(self, service: str, environment: Environment) -> tuple[Freeze, ...]:
        now = self._clock.now()
        return await self._store.read(lambda ledger: freezes_for(ledger, now, service, environment))

    async def last_performance(self, service: str, environment: Environment) -> Mapping[str, float] | None:
        """Of the newest go that measured anything, among the last twenty."""

        def newest(ledger: Ledger) -> Mapping[str, Any] | None:
            for decision in _gos(ledger, service, environment, 20):
                run = ledger.get(Run, decision.run)
                measured = run.facts.get("performance") if run is not None else None
                if isinstance(measured, Mapping):
                    return measured
            return None

        found = await self._store.read(newest)
        if found is None:
            return None
        figures = ("p50_s", "p95_s", "p99_s", "throughput")
        return {name: float(found[name]) for name in figures if isinstance(found.get(name), int | float)}


def _released(ledger: Ledger, decision: Decision) -> Released | None:
    """None for a run without a plan on record."""
    run, segment = ledger.get(Run, decision.run), ledger.get(Segment, decision.run, 1)
    replaced = segment
    while replaced is not None and replaced.replaced_at is not None:
        replaced = ledger.get(Segment, decision.run, replaced.number + 1)
    if run is None or replaced is None or not decision.release:
        return None
    return Released(
        run.id, decision.version, from_json(Release, decision.release), replaced.plan, run.facts, decision.at
    )


def _told(ledger: Ledger, service: str, environment: Environment, results: tuple[str, ...]) -> list[Decision]:
    """What versions were told here, the newest first."""
    return ledger.find(
        Decision,
        order="-at",
        limit=_MOST_DECISIONS,
        service=service,
        environment=environment.value,
        result=list(results),
    )


def _still(told: list[Decision], good: str) -> Iterator[Release]:
    """The releases whose newest result is the good one, the newest first."""
    seen: set[str] = set()
    for decision in told:
        if decision.version not in seen and decision.result == good and decision.release:
            yield from_json(Release, decision.release)
        seen.add(decision.version)


def _commit(decision: Decision) -> str:
    return str((decision.release or {}).get("commit", ""))


def _gos(ledger: Ledger, service: str, environment: Environment, most: int) -> list[Decision]:
    return ledger.find(Decision, order="-at", limit=most, service=service, environment=environment.value, result="go")

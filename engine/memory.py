"""What gates remember across runs, kept in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.ports import Ledger, Store
from engine.records import Decision, Run, SeenTag
from runbook.plan import from_json
from runbook.ports import Clock
from runbook.values import Environment, Release

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
        found = await self._store.read(lambda ledger: _gos(ledger, service, environment, 1))
        release: Release | None = from_json(Release, found[0].release) if found and found[0].release else None
        return release

    async def go_for(self, service: str, commit: str) -> Release | None:
        """See the port. What a candidate was told last counts: a newer no-go in staging takes its go away."""
        found = await self._store.read(lambda ledger: _told(ledger, service))
        told: set[str] = set()
        for decision in found:
            if decision.version in told:
                continue
            told.add(decision.version)
            if decision.result != "go" or not decision.release:
                continue
            release: Release = from_json(Release, decision.release)
            if release.commit == commit:
                return release
        return None

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


def _told(ledger: Ledger, service: str) -> list[Decision]:
    """Every candidate's results in staging, the newest first."""
    staging = Environment.STAGING.value
    return ledger.find(
        Decision, order="-at", limit=_MOST_DECISIONS, service=service, environment=staging, result=["go", "no_go"]
    )


def _gos(ledger: Ledger, service: str, environment: Environment, most: int) -> list[Decision]:
    return ledger.find(Decision, order="-at", limit=most, service=service, environment=environment.value, result="go")

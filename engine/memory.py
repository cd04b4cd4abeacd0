"""What gates remember across runs, kept in the ledger."""

from __future__ import annotations

from engine.ports import Ledger, Store
from engine.records import Decision, SeenTag
from runbook.plan import from_json
from runbook.ports import Clock
from runbook.values import Environment, Release


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
        def newest(ledger: Ledger) -> list[Decision]:
            return ledger.find(
                Decision, order="-at", limit=1, service=service, environment=environment.value, result="go"
            )

        found = await self._store.read(newest)
        release: Release | None = from_json(Release, found[0].release) if found and found[0].release else None
        return release

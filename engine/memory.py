"""What gates remember across runs, kept in the ledger."""

from __future__ import annotations

from engine.ports import Ledger, Store
from engine.records import SeenTag
from runbook.ports import Clock


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

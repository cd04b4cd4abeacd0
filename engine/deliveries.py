"""Deliveries of GitHub's webhooks: each is taken once, whatever is sent again. Nothing of their content is kept, and nothing of it is believed."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from engine.ports import Exists, Ledger, Store
from engine.records import Delivery
from runbook.policy import Setting

KEPT = timedelta(days=7)
"""GitHub sends nothing again that is older than three days. A replay of something older rings once more, and changes nothing by it."""

MOST_KEPT = 20_000
"""A bound for the table that no honest week reaches."""

_AT_ONCE = 4
"""So many old ones go with each new one: the table shrinks faster than it grows."""


class Taken(StrEnum):
    NEW = "new"
    KNOWN = "known"


def configured_repository(setting: Setting, said: str) -> str:
    """The repository as the configuration writes it; empty where no service is of it. GitHub's names don't know upper and lower case."""
    names = (service.repository for service in setting.services.values())
    return next((name for name in names if name.casefold() == said.casefold()), "")


class Deliveries:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def take(self, delivery: Delivery) -> Taken:
        """KNOWN: this delivery, or this very content under another GUID, was taken before: nothing changes. Raises StoreUnavailable."""

        def take(ledger: Ledger) -> Taken:
            if ledger.count(Delivery, sha256=delivery.sha256):
                return Taken.KNOWN
            try:
                ledger.add(delivery)
            except Exists:
                return Taken.KNOWN
            _prune(ledger, delivery)
            return Taken.NEW

        return await self._store.write(take)


def _prune(ledger: Ledger, newest: Delivery) -> None:
    oldest = ledger.find(Delivery, order="received_at", limit=_AT_ONCE)
    gone = [each for each in oldest if each.received_at < newest.received_at - KEPT]
    if not gone and ledger.count(Delivery) > MOST_KEPT:
        gone = [each for each in oldest if each.guid != newest.guid]
    for each in gone:
        ledger.remove(Delivery, guid=each.guid)

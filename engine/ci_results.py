"""What CI systems other than GitHub's have told of commits: the newest of each name is kept, with its audit entry.

Nothing of it decides alone: gates judge it together with GitHub's checks.
"""

from __future__ import annotations

from engine.ports import Ledger, Store
from engine.records import CiResult, Entry
from engine.scans import SENDER
from runbook.ports import CiCheck

MOST_NAMES = 200
"""Of one commit; more results are refused rather than read by every gate."""


class TooMany(Exception):
    """The commit has results of as many names as are kept."""


class LedgerCiResults:
    """Fulfils `runbook.source.CiResults`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def results(self, repository: str, commit: str) -> tuple[CiCheck, ...]:
        """By name. Raises StoreUnavailable."""

        def look(ledger: Ledger) -> list[CiResult]:
            return ledger.find(CiResult, repository=repository, commit=commit)

        return tuple(CiCheck(row.name, row.state, row.url) for row in await self._store.read(look))

    async def keep(self, result: CiResult, *, timed: bool) -> CiResult | None:
        """timed: the sender has told when. None where it was known already or a later one is: nothing changes then; else the row.

        Raises StoreUnavailable and TooMany.
        """

        def keep(ledger: Ledger) -> CiResult | None:
            known = ledger.get(CiResult, result.repository, result.commit, result.name)
            if known is not None and not _is_news(known, result, timed=timed):
                return None
            if known is None and _count(ledger, result) >= MOST_NAMES:
                raise TooMany
            ledger.save(result)
            ledger.audit(_entry(result), result.received_at)
            return result

        return await self._store.write(keep)


def _count(ledger: Ledger, result: CiResult) -> int:
    return ledger.count(CiResult, repository=result.repository, commit=result.commit)


def _is_news(known: CiResult, result: CiResult, *, timed: bool) -> bool:
    """What is told without a time counts from when it came, so that only another content makes it news."""
    if (known.state, known.url) == (result.state, result.url) and not timed:
        return False
    is_same = (known.state, known.url, known.at) == (result.state, result.url, result.at)
    return result.at >= known.at and not is_same


def _entry(result: CiResult) -> Entry:
    evidence = {"name": result.name, "state": result.state, "url": result.url, "at": result.at.isoformat()}
    subject = f"{result.repository}@{result.commit}"
    return Entry(actor=SENDER, action="ci.received", subject=subject, what=f"{result.name}: {result.state}", evidence=evidence)  # fmt: skip

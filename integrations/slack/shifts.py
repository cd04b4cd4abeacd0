"""Who is on call by a schedule, kept briefly. An outage of the schedule is never "nobody": it is an error, or what was said lately."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from runbook.errors import ForgeError
from runbook.ports import Person

FRESH_S = 30.0
STALE_S = 900.0
"""For so long, and never beyond the end of their turn, those who were on call keep the role while the schedule can't be asked: a rollback
must not wait for somebody else's outage."""
PAUSE_S = 10.0
"""After a failure the schedule isn't asked anew for so long: people wait for these answers."""


@dataclass(frozen=True, slots=True)
class _Said:
    at: float
    people: tuple[Person, ...]


class OnShift:
    """ask: the schedule's people now. monotonic: seconds. now: wall time, for the ends of turns."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[tuple[Person, ...]]],
        monotonic: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._ask, self._monotonic, self._now = ask, monotonic, now
        self._said: _Said | None = None
        self._failed: tuple[float, ForgeError] | None = None
        self._lock = asyncio.Lock()

    async def people(self) -> tuple[Person, ...]:
        """At most FRESH_S old. Raises the schedule's error, or Slack's."""
        async with self._lock:  # several who ask at once cost one question
            at = self._monotonic()
            if self._said is not None and at - self._said.at < FRESH_S and not self._is_over(self._said):
                return self._said.people
            if self._failed is not None and at - self._failed[0] < PAUSE_S:
                raise self._failed[1]
            try:
                found = await self._ask()
            except ForgeError as error:
                self._failed = (self._monotonic(), error)
                raise
            self._said, self._failed = _Said(at, found), None
            return found

    async def ids(self) -> frozenset[str]:
        """Slack ids, for authority: what was said lately counts while nobody can be asked. Raises as `people` beyond that."""
        try:
            found = await self.people()
        except ForgeError:
            said = self._said
            if said is None or self._monotonic() - said.at > STALE_S:
                raise
            found = said.people
        now = self._now()
        return frozenset(p.id for p in found if p.reachable and p.id and (p.until is None or now < p.until))

    def forget(self) -> None:
        self._said, self._failed = None, None

    def _is_over(self, said: _Said) -> bool:
        """Somebody's turn has ended since: the schedule names another now."""
        now = self._now()
        return any(person.until is not None and person.until <= now for person in said.people)

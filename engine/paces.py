"""When a branch is looked at next: rings are awaited until they settle, failures are met with growing pauses. Pure but for what it remembers.

Nothing of it is durable: after a start everything is looked at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

MOST_SETTLES = 6
"""A storm of rings postpones the look to so many times the settling time after the first of them, and no further."""


@dataclass
class Pace:
    """Of one service. due: when it is looked at next; None: at once. not_before: no ring hastens a system that asked for time."""

    due: datetime | None = None
    not_before: datetime | None = None
    rung_at: datetime | None = None
    settled_at: datetime | None = None

    def ring(self, now: datetime, settle_s: float) -> None:
        """Somebody says that something has happened; each further ring is awaited too, within the bound."""
        self.rung_at = self.rung_at or now
        settle = timedelta(seconds=settle_s)
        self.settled_at = min(now + settle, self.rung_at + MOST_SETTLES * settle)

    def ring_at_once(self, now: datetime) -> None:
        self.settled_at = now

    def next_look(self, now: datetime) -> datetime:
        wanted = min(self.due or now, self.settled_at or self.due or now)
        return wanted if self.not_before is None else max(wanted, self.not_before)

    def begin(self) -> None:
        """A look begins: what rings from now on asks for another."""
        self.rung_at = self.settled_at = self.not_before = None


def growing_pause_s(lasted_s: float, first_s: float, most_s: float) -> float:
    """The next pause of something that has failed for so long: about twice the one before, within the bounds."""
    return min(max(lasted_s, first_s), most_s)

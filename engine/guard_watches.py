"""What is known of one run's guards between two rounds, and from when on readings count. Nothing here is durable: samples make it anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from engine.guard_answers import Key
from engine.spans import AnyGuard, Watched
from runbook.plan import Guard, RatioGuard
from runbook.rules.guards import GuardState
from runbook.rules.ratio_watch import BASELINE_S, CANARY, RatioWatch, is_late

LOOK_BACK = timedelta(hours=6)
"""How far back a restarted bot looks at most for what it missed: bounds the answer's size."""

RATIO_LOOK_BACK = timedelta(hours=24)
"""The same for the canary's ratio, whose evidence is that of the whole roll-out."""

NEVER = datetime.max.replace(tzinfo=UTC)

_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass
class Watch:
    """One run's guards and where each of them stands. filled: what was missed has been asked for. refilled: by a ratio's name, the newest
    sample that it knew when a gap after it was asked for."""

    span: Watched
    states: dict[str, GuardState] = field(default_factory=dict)
    ratios: dict[str, RatioWatch] = field(default_factory=dict)
    filled: bool = False
    fill_tries: int = 0
    refilled: dict[str, datetime] = field(default_factory=dict)
    breached: bool = False
    blind_since: datetime | None = None
    told: int = 0

    def asked(self) -> Iterator[Key]:
        """What has to be asked for it."""
        for guard in self.span.guards:
            yield self.span.environment, guard.metric
        for ratio in self.span.ratios:
            yield self.span.environment, ratio.requests
            yield self.span.environment, ratio.errors

    def moved_to(self, span: Watched) -> Watch:
        """The same run in its span of now; what equal guards have seen in the span before goes along."""
        if (self.span.segment, self.span.first) == (span.segment, span.first):
            self.span = span
            return self
        moved = Watch(span)
        if self.span.segment == span.segment:
            kept = [g.name for g in span.every if g.name in span.began and self.span.guard(g.name) == g]
            moved.states = {name: self.states[name] for name in kept if name in self.states}
            moved.ratios = {name: self.ratios[name] for name in kept if name in self.ratios}
            moved.blind_since, moved.told = self.blind_since, self.told
        return moved

    def missed(self, guard: AnyGuard, now: datetime, mark: datetime | None, interval_s: float) -> datetime | None:
        """From when on samples are missing; None where none is. mark: when any guard was looked at last, in this life or the one before."""
        begin = (
            self._ratio_from(guard, now) if isinstance(guard, RatioGuard) else self._from(guard, now, mark, interval_s)
        )
        return begin if (now - begin).total_seconds() > interval_s else None

    def asks_again(self, guard: RatioGuard, now: datetime, interval_s: float) -> bool:
        """True where samples were missed because nobody could ask: the next round asks for them first, once for each such gap."""
        known = self.ratios.get(guard.name)
        if known is None or known.at is None or not is_late(known, now, interval_s):
            return False
        if self.refilled.get(guard.name) == known.at:
            return False
        self.refilled[guard.name] = known.at
        self.filled, self.fill_tries = False, 0
        return True

    def _ratio_from(self, guard: RatioGuard, now: datetime) -> datetime:
        """All of the roll-out's samples count, and before it stable's own."""
        begin = max(self.span.since_of(guard) - timedelta(seconds=BASELINE_S), now - RATIO_LOOK_BACK)
        known = self.ratios.get(guard.name)
        return begin if known is None or known.at is None else max(begin, known.at)

    def _from(self, guard: Guard, now: datetime, mark: datetime | None, interval_s: float) -> datetime:
        """After the last look on, with the window that was open then."""
        begin = max(counts_from(self.span, guard), now - LOOK_BACK)
        known = self.states.get(guard.name)
        if known is not None and known.read_at is not None:
            return max(begin, known.read_at)
        if mark is None:
            return begin
        return max(begin, mark - timedelta(seconds=guard.for_s + 3 * interval_s))


def counts_from(span: Watched, guard: Guard) -> datetime:
    """Readings count from the first window that lies wholly in the spans that have this guard: an earlier one tells of the version before.

    The window is the end of the recorded series' name, such as `1m` of `forge:error_ratio:1m`. A canary's count from the first weight on:
    before it nothing was meant to reach the canary, and there is nothing to miss.
    """
    since = span.since_of(guard)
    if guard.track == CANARY and span.ratios:
        if not span.weights:
            return NEVER
        since = max(since, span.weights[0][0])
    return since + _window(guard.metric)


@lru_cache(maxsize=1024)
def _window(metric: str) -> timedelta:
    """None at all where the name ends in no window."""
    window = metric.rpartition(":")[2]
    number, unit = window[:-1], window[-1:]
    return timedelta(seconds=int(number) * _UNITS[unit]) if number.isdigit() and unit in _UNITS else timedelta()

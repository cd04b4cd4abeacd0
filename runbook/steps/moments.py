"""When this attempt of a step did something for the first time: kept durably, so that a restart neither prolongs a wait nor repeats a moment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from runbook.plan import Scene

GRACE_S = 60.0
"""What forge itself has to do next gets so long after a restart, however long forge was down before."""


class Moments:
    """A person's retry begins anew; our own restart doesn't."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        known = scene.progress
        same = isinstance(known, Mapping) and known.get("attempt") == scene.attempt
        self._known: dict[str, str] = dict(known.get("moments") or {}) if same else {}

    def known(self, name: str) -> datetime | None:
        text = self._known.get(name)
        return None if text is None else datetime.fromisoformat(text)

    async def first(self, name: str) -> datetime:
        """Now, or when it was first asked for."""
        if (known := self.known(name)) is not None:
            return known
        now = self._scene.ports.clock.now()
        self._known[name] = now.isoformat()
        await self._scene.save({"attempt": self._scene.attempt, "moments": dict(self._known)})
        return now


class Looking:
    """How long something is waited for, where each round may have to do something before it goes on."""

    def __init__(self, scene: Scene) -> None:
        self._clock = scene.ports.clock
        self._begun = self._clock.now()

    def is_over(self, since: datetime, limit_s: float) -> bool:
        """limit_s after the first beginning, and not at once after a restart."""
        now = self._clock.now()
        grace_s = min(limit_s, GRACE_S)
        return (now - since).total_seconds() >= limit_s and (now - self._begun).total_seconds() >= grace_s

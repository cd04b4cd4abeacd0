"""When this attempt of a step did something for the first time: kept durably, so that a restart neither prolongs a wait nor repeats a moment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from runbook.plan import Scene


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

"""Checks of the moment: is a change window open, is nothing frozen, is there no incident. Asked again right before anything changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runbook.plan import Scene
from runbook.policy import ChangeWindow
from runbook.rules.calm import FREEZE_GATE, INCIDENT_GATE, check_no_freeze, check_no_open_incident
from runbook.rules.change_windows import GATE as WINDOW_GATE
from runbook.rules.change_windows import check_change_window
from runbook.steps.asking import Verdicts, all_asked


@dataclass(frozen=True)
class ChangeWindowOpen:
    """A change window is open now. Runbook: Production Deployment 1."""

    windows: tuple[ChangeWindow, ...]
    kind: Literal["change_window"] = "change_window"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return await all_asked((WINDOW_GATE, self._look(scene)))

    async def _look(self, scene: Scene) -> Verdicts:
        return (check_change_window(self.windows, scene.ports.clock.now()),)


@dataclass(frozen=True)
class NoFreeze:
    """Nobody has frozen the environment, or the service in it."""

    service: str
    kind: Literal["no_freeze"] = "no_freeze"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return await all_asked((FREEZE_GATE, self._look(scene)))

    async def _look(self, scene: Scene) -> Verdicts:
        return (check_no_freeze(await scene.ports.memory.freezes(self.service, scene.environment)),)


@dataclass(frozen=True)
class NoOpenIncident:
    """No incident of severity 1 or 2 is open for the service or the whole environment. Runbook: Production Deployment 1."""

    service: str
    kind: Literal["no_open_incident"] = "no_open_incident"

    async def ask(self, scene: Scene) -> tuple[Verdicts, bool]:
        return await all_asked((INCIDENT_GATE, self._look(scene)))

    async def _look(self, scene: Scene) -> Verdicts:
        return (check_no_open_incident(await scene.ports.memory.open_incidents(self.service, scene.environment)),)

"""The setting in force: replaced whole on reload, so that nobody ever sees half of a new configuration."""

from __future__ import annotations

from runbook.policy import Setting


class Settings:
    def __init__(self, current: Setting) -> None:
        self.current = current

    def replace(self, new: Setting) -> None:
        self.current = new

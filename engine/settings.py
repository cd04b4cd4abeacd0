"""The setting in force: replaced whole on reload, so that nobody ever sees half of a new configuration."""

from __future__ import annotations

from dataclasses import replace

from runbook.policy import Setting


class Settings:
    def __init__(self, current: Setting) -> None:
        self.current = current

    def replace(self, new: Setting) -> None:
        """Who is on call is no part of a file: it stays known."""
        self.current = replace(new, on_call=self.current.on_call)

    def know_on_call(self, ids: tuple[str, ...] | None) -> None:
        """Slack ids of those whom the schedule names now."""
        if ids != self.current.on_call:
            self.current = replace(self.current, on_call=ids)

"""What the bot has on record, read from its database while it runs: it knows at once what the channel shows a little later.

It never writes, and it takes no lock for longer than one look.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

LOOK_S = 0.2
"""How long one look waits for the bot's commit to end. It stops the stand-ins, too, which share the test's loop: a condition looks again."""

PATIENT_S = 5.0

TOLD = ("view", "note", "incident", "incident_note", "answer")
"""Kinds of messages in words. A picture takes its time, and nobody waits for it."""


class Record:
    """folder: of the bot's data."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "forge.db"

    def facts(self, run: str) -> dict[str, Any]:
        """What the run has found out on its way. Raises LookupError where there is no such run."""
        found = self._rows("SELECT facts FROM runs WHERE id = ?", run, within_s=PATIENT_S)
        if not found:
            raise LookupError(f"there is no run {run} on record")
        facts: dict[str, Any] = json.loads(found[0][0])
        return facts

    def has_begun(self, run: str, step: str) -> bool:
        """Whether the run's step whose title begins so is under way, or was."""
        return any(state not in ("pending", "skipped") for title, state in self._steps(run) if title.startswith(step))

    def is_told(self, run: str) -> bool:
        """Whether Slack has everything that is to be said of the run, of incidents, and to callers."""
        marks = ", ".join("?" * len(TOLD))
        left = self._rows(
            f"SELECT 1 FROM outgoing WHERE state IN ('pending', 'sending') AND kind IN ({marks})"
            " AND (run = ? OR kind NOT IN ('view', 'note')) LIMIT 1",
            *TOLD,
            run,
        )
        return left == []

    def under_way(self) -> list[str]:
        """Runs that haven't ended, those included that no headline tells of yet; the oldest first."""
        found = self._rows("SELECT id FROM runs WHERE state != 'ended' ORDER BY created_at, id", within_s=PATIENT_S)
        return [name for (name,) in found or ()]

    def open_incidents(self) -> list[str] | None:
        """Their names, the oldest first; None while nobody can tell."""
        found = self._rows("SELECT id FROM incidents WHERE resolved_at IS NULL ORDER BY number")
        return None if found is None else [name for (name,) in found]

    def _steps(self, run: str) -> list[tuple[str, str]]:
        return self._rows('SELECT title, state FROM steps WHERE run = ? ORDER BY "index"', run) or []

    def _rows(self, statement: str, *values: Any, within_s: float = LOOK_S) -> list[Any] | None:
        """None where the database can't be read now: the bot commits, was killed in a commit, or has never started."""
        address = f"file:{self._file}?mode=ro"
        try:
            with contextlib.closing(sqlite3.connect(address, uri=True, timeout=within_s)) as session:
                return session.execute(statement, values).fetchall()
        except sqlite3.OperationalError:
            return None

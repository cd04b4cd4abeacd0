"""What is in an image of the shop: the repository's files of its version, and how its programs misbehave. Read-only."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

BEHAVIOUR = "behaviour.json"


@dataclass(frozen=True)
class Image:
    """folder: the files of this version; beside it are the folders of the others."""

    folder: Path

    def text(self, path: str) -> str:
        """Raises FileNotFoundError, as a program does that looks for a file its image hasn't."""
        return (self.folder / path).read_text(encoding="utf-8")

    def how(self, program: str) -> str:
        """How the program misbehaves: empty for well, else `fails`, `hangs`, `floods` or `garbage`.

        Of the release that the program runs for, where it is known: a suite of the version before belongs to the release too.
        """
        version = os.environ.get("FORGE_VERSION", "")
        beside = self.folder.parent / version
        folder = beside if version and beside.is_dir() else self.folder
        try:
            known: dict[str, str] = json.loads((folder / BEHAVIOUR).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return ""
        return known.get(program, "")

    def checks(self) -> dict[str, str]:
        """migration -> a query that answers 1 when the schema has it, else 0."""
        found = sorted((self.folder / "migrations").glob("*.check.sql"))
        return {path.name.partition(".")[0]: path.read_text(encoding="utf-8") for path in found}

    def queries(self) -> dict[str, str]:
        """What this version asks of the database: name -> statement."""
        found: dict[str, str] = {}
        for part in self.text("queries.sql").split("-- name: ")[1:]:
            name, _, statement = part.partition("\n")
            found[name.strip()] = statement.strip()
        return found

"""libpq's service files: how a server that forge made is reached, its password included, readable by forge's user alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from integrations.postgres.connection import SYSTEM
from runbook.errors import Permanent

SERVICE: Final = "forge"


def write_service_file(path: Path, words: Mapping[str, str]) -> None:
    """Creates it anew, 0600. words: libpq's keywords, none with a line break."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write("\n".join((f"[{SERVICE}]", *(f"{word}={value}" for word, value in words.items()), "")))


def read_service_file(path: Path) -> dict[str, str]:
    """Raises Permanent("postgres.instance") where there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        raise Permanent(SYSTEM, "instance", "there is no server of that name here", "Begin the restore again") from None
    return dict(line.split("=", 1) for line in lines if "=" in line)

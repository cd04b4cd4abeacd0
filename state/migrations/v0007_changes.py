"""What a run brings beyond what ran before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

NAME: Final = "changes"

TABLES: Final = (
    """
    CREATE TABLE run_changes (
        run {text} NOT NULL,
        found {json},
        at {time} NOT NULL,
        PRIMARY KEY (run)
    )
    """,
)


def statements(dialect: str) -> Sequence[str]:
    return TABLES

"""Marks: moments worth remembering across a restart, such as the guards' last look; a step's tries since a person retried it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

NAME: Final = "marks"

TABLES: Final = (
    """
    CREATE TABLE marks (
        name {text} NOT NULL,
        at {time} NOT NULL,
        PRIMARY KEY (name)
    )
    """,
    "ALTER TABLE steps ADD COLUMN tries {whole} NOT NULL DEFAULT 0",
)


def statements(dialect: str) -> Sequence[str]:
    return TABLES

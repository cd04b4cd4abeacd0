"""What of a drill was held against its source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

NAME: Final = "compared"

STATEMENTS: Final = ("ALTER TABLE drills ADD COLUMN compared {text} NOT NULL DEFAULT ''",)


def statements(dialect: str) -> Sequence[str]:
    return STATEMENTS

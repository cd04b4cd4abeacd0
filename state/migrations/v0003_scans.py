"""Security scans that were handed in, one row each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

NAME: Final = "scans"

TABLES: Final = (
    """
    CREATE TABLE scan_reports (
        id {numbered},
        subject {text} NOT NULL,
        tool {text} NOT NULL,
        format {text} NOT NULL,
        taken_at {time} NOT NULL,
        received_at {time} NOT NULL,
        counts {json},
        critical {json},
        source {text} NOT NULL,
        url {text} NOT NULL,
        content {text} NOT NULL,
        UNIQUE (content)
    )
    """,
    "CREATE INDEX scan_reports_by_subject ON scan_reports (subject, taken_at)",
)


def statements(dialect: str) -> Sequence[str]:
    return TABLES

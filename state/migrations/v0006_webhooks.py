"""Deliveries of GitHub's webhooks, and what other CI systems have told of commits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

NAME: Final = "webhooks"

TABLES: Final = (
    """
    CREATE TABLE deliveries (
        guid {text} NOT NULL,
        event {text} NOT NULL,
        repository {text} NOT NULL,
        sha256 {text} NOT NULL,
        received_at {time} NOT NULL,
        PRIMARY KEY (guid)
    )
    """,
    "CREATE INDEX deliveries_by_content ON deliveries (sha256)",
    "CREATE INDEX deliveries_by_time ON deliveries (received_at)",
    """
    CREATE TABLE ci_results (
        repository {text} NOT NULL,
        "commit" {text} NOT NULL,
        name {text} NOT NULL,
        state {text} NOT NULL,
        url {text} NOT NULL,
        at {time} NOT NULL,
        received_at {time} NOT NULL,
        PRIMARY KEY (repository, "commit", name)
    )
    """,
)


def statements(dialect: str) -> Sequence[str]:
    return TABLES

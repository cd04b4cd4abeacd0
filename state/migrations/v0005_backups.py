"""Backups, restore drills and archived WAL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

NAME: Final = "backups"

TABLES: Final = (
    """
    CREATE TABLE backups (
        id {text} NOT NULL,
        kind {text} NOT NULL,
        service {text} NOT NULL,
        environment {text} NOT NULL,
        state {text} NOT NULL,
        run {text} NOT NULL,
        operator {text} NOT NULL,
        started_at {time} NOT NULL,
        finished_at {time},
        proven_at {time},
        plain_bytes {whole} NOT NULL,
        stored_bytes {whole} NOT NULL,
        sha256 {text} NOT NULL,
        server_version_num {whole} NOT NULL,
        system_identifier {text} NOT NULL,
        timeline {whole} NOT NULL,
        lsn_start {text} NOT NULL,
        lsn_end {text} NOT NULL,
        manifest {text} NOT NULL,
        held_by {text} NOT NULL,
        held_by_name {text} NOT NULL,
        held_reason {text} NOT NULL,
        busy {text} NOT NULL,
        failure {text} NOT NULL,
        deleted_at {time},
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX backups_by_place ON backups (service, environment, started_at)",
    """
    CREATE TABLE drills (
        run {text} NOT NULL,
        service {text} NOT NULL,
        environment {text} NOT NULL,
        backup {text} NOT NULL,
        kind {text} NOT NULL,
        started_at {time} NOT NULL,
        finished_at {time} NOT NULL,
        passed BOOLEAN NOT NULL,
        milliseconds {whole} NOT NULL,
        major {whole} NOT NULL,
        reason {text} NOT NULL,
        until {time},
        signed_off_by {text} NOT NULL,
        signed_off_at {time},
        PRIMARY KEY (run)
    )
    """,
    "CREATE INDEX drills_by_place ON drills (service, environment, finished_at)",
    """
    CREATE TABLE wal_segments (
        service {text} NOT NULL,
        environment {text} NOT NULL,
        system_identifier {text} NOT NULL,
        name {text} NOT NULL,
        timeline {whole} NOT NULL,
        file {json},
        ended_at {time} NOT NULL,
        PRIMARY KEY (service, environment, system_identifier, name)
    )
    """,
)


def statements(dialect: str) -> Sequence[str]:
    return TABLES

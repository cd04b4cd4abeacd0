"""Production: incidents, freezes, prompts to on-call, ticks of checklists, overrides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

NAME: Final = "production"

TABLES: Final = (
    """
    CREATE TABLE incidents (
        id {text} NOT NULL,
        number {whole} NOT NULL,
        service {text} NOT NULL,
        environment {text} NOT NULL,
        severity {whole} NOT NULL,
        title {text} NOT NULL,
        opened_by {text} NOT NULL,
        opened_by_name {text} NOT NULL,
        opened_at {time} NOT NULL,
        run {text} NOT NULL,
        updates {json},
        resolved_at {time},
        resolved_by {text} NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX incidents_open ON incidents (environment, resolved_at)",
    """
    CREATE TABLE freezes (
        environment {text} NOT NULL,
        service {text} NOT NULL,
        owner {text} NOT NULL,
        owner_name {text} NOT NULL,
        reason {text} NOT NULL,
        at {time} NOT NULL,
        until {time},
        PRIMARY KEY (environment, service)
    )
    """,
    """
    CREATE TABLE prompts (
        id {text} NOT NULL,
        run {text} NOT NULL,
        number {whole} NOT NULL,
        kind {text} NOT NULL,
        subject {text} NOT NULL,
        trigger {text} NOT NULL,
        segment {whole} NOT NULL,
        state {text} NOT NULL,
        reason {text} NOT NULL,
        verdicts {json},
        opened_at {time} NOT NULL,
        deadline {time} NOT NULL,
        reminded_at {time},
        extended {whole} NOT NULL,
        answered_by {text} NOT NULL,
        answered_by_name {text} NOT NULL,
        answer_reason {text} NOT NULL,
        answered_at {time},
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX prompts_by_run ON prompts (run, state)",
    """
    CREATE TABLE ticks (
        run {text} NOT NULL,
        checklist {text} NOT NULL,
        item {text} NOT NULL,
        "by" {text} NOT NULL,
        by_name {text} NOT NULL,
        role {text} NOT NULL,
        evidence {text} NOT NULL,
        at {time} NOT NULL,
        PRIMARY KEY (run, checklist, item)
    )
    """,
    """
    CREATE TABLE overrides (
        id {text} NOT NULL,
        run {text} NOT NULL,
        "index" {whole} NOT NULL,
        gate {text} NOT NULL,
        code {text} NOT NULL,
        verdict_reason {text} NOT NULL,
        state {text} NOT NULL,
        asked_by {text} NOT NULL,
        asked_by_name {text} NOT NULL,
        reason {text} NOT NULL,
        asked_at {time} NOT NULL,
        decided_by {text} NOT NULL,
        decided_by_name {text} NOT NULL,
        decided_at {time},
        follow_up {text} NOT NULL,
        done_at {time},
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX overrides_by_run ON overrides (run, state)",
)


def statements(dialect: str) -> Sequence[str]:
    return TABLES

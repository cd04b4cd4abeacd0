"""The first schema: everything that runs, messages and the audit log need.

The triggers are a guard against accidents, not against whoever owns the file: that is what signed checkpoints are for.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

NAME: Final = "first"

VERSIONS_TABLE: Final = """
    CREATE TABLE schema_versions (
        number {whole} NOT NULL,
        name {text} NOT NULL,
        applied_at {time} NOT NULL,
        PRIMARY KEY (number)
    )
    """

TABLES: Final = (
    """
    CREATE TABLE meta (
        name {text} NOT NULL,
        value {text} NOT NULL,
        PRIMARY KEY (name)
    )
    """,
    """
    CREATE TABLE counters (
        series {text} NOT NULL,
        value {whole} NOT NULL,
        PRIMARY KEY (series)
    )
    """,
    """
    CREATE TABLE runs (
        id {text} NOT NULL,
        number {whole} NOT NULL,
        service {text} NOT NULL,
        environment {text} NOT NULL,
        procedure {text} NOT NULL,
        version {text} NOT NULL,
        arguments {json},
        requester {text} NOT NULL,
        requester_name {text} NOT NULL,
        reason {text} NOT NULL,
        state {text} NOT NULL,
        ending {text},
        ending_code {text} NOT NULL,
        ending_reason {text} NOT NULL,
        position {whole} NOT NULL,
        segment {whole} NOT NULL,
        plan_hash {text} NOT NULL,
        setting_hash {text} NOT NULL,
        facts {json},
        interrupt {json},
        first_effect_at {time},
        paused_at {time},
        created_at {time} NOT NULL,
        ended_at {time},
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX runs_by_environment ON runs (environment, service, number)",
    "CREATE INDEX runs_by_state ON runs (state)",
    """
    CREATE TABLE segments (
        run {text} NOT NULL,
        number {whole} NOT NULL,
        procedure {text} NOT NULL,
        plan {text} NOT NULL,
        hash {text} NOT NULL,
        first_index {whole} NOT NULL,
        created_at {time} NOT NULL,
        replaced_at {time},
        PRIMARY KEY (run, number)
    )
    """,
    """
    CREATE TABLE steps (
        run {text} NOT NULL,
        "index" {whole} NOT NULL,
        segment {whole} NOT NULL,
        kind {text} NOT NULL,
        title {text} NOT NULL,
        state {text} NOT NULL,
        attempt {whole} NOT NULL,
        started_at {time},
        deadline {time},
        finished_at {time},
        outcome {text},
        code {text} NOT NULL,
        reason {text} NOT NULL,
        verdicts {json},
        progress {json},
        escalation {whole} NOT NULL,
        PRIMARY KEY (run, "index")
    )
    """,
    "CREATE INDEX steps_by_state ON steps (state)",
    """
    CREATE TABLE clicks (
        id {numbered},
        run {text} NOT NULL,
        "index" {whole} NOT NULL,
        actor {text} NOT NULL,
        actor_name {text} NOT NULL,
        roles {json},
        decision {text} NOT NULL,
        plan_hash {text} NOT NULL,
        reason {text} NOT NULL,
        at {time} NOT NULL,
        withdrawn_at {time},
        void_at {time}
    )
    """,
    'CREATE INDEX clicks_by_step ON clicks (run, "index")',
    """
    CREATE TABLE buttons (
        id {text} NOT NULL,
        action {text} NOT NULL,
        run {text} NOT NULL,
        "index" {whole},
        plan_hash {text} NOT NULL,
        argument {json},
        created_at {time} NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    'CREATE INDEX buttons_by_run ON buttons (run, "index")',
    """
    CREATE TABLE received (
        id {numbered},
        dedup {text} NOT NULL,
        kind {text} NOT NULL,
        payload {json},
        received_at {time} NOT NULL,
        done_at {time},
        result {text} NOT NULL,
        UNIQUE (dedup)
    )
    """,
    "CREATE INDEX received_by_done_at ON received (done_at)",
    """
    CREATE TABLE outgoing (
        id {numbered},
        subject {text} NOT NULL,
        kind {text} NOT NULL,
        run {text} NOT NULL,
        payload {json},
        broadcast BOOLEAN NOT NULL,
        state {text} NOT NULL,
        attempts {whole} NOT NULL,
        not_before {time},
        error {text} NOT NULL,
        created_at {time} NOT NULL,
        sent_at {time}
    )
    """,
    "CREATE INDEX outgoing_by_run ON outgoing (run)",
    "CREATE INDEX outgoing_by_state ON outgoing (state, id)",
    "CREATE INDEX outgoing_by_subject ON outgoing (subject, state)",
    """
    CREATE TABLE posted (
        subject {text} NOT NULL,
        run {text} NOT NULL,
        channel {text} NOT NULL,
        ts {text} NOT NULL,
        thread_ts {text} NOT NULL,
        permalink {text} NOT NULL,
        rendered {text} NOT NULL,
        posted_at {time} NOT NULL,
        PRIMARY KEY (subject)
    )
    """,
    "CREATE INDEX posted_by_place ON posted (channel, ts)",
    "CREATE INDEX posted_by_run ON posted (run)",
    """
    CREATE TABLE locks (
        environment {text} NOT NULL,
        service {text} NOT NULL,
        owner {text} NOT NULL,
        owner_name {text} NOT NULL,
        reason {text} NOT NULL,
        run {text} NOT NULL,
        at {time} NOT NULL,
        PRIMARY KEY (environment, service)
    )
    """,
    """
    CREATE TABLE seen_tags (
        service {text} NOT NULL,
        tag {text} NOT NULL,
        tag_object {text} NOT NULL,
        "commit" {text} NOT NULL,
        first_seen_at {time} NOT NULL,
        PRIMARY KEY (service, tag)
    )
    """,
    """
    CREATE TABLE decisions (
        run {text} NOT NULL,
        service {text} NOT NULL,
        environment {text} NOT NULL,
        version {text} NOT NULL,
        result {text} NOT NULL,
        release {json},
        approvers {json},
        at {time} NOT NULL,
        PRIMARY KEY (run)
    )
    """,
    "CREATE INDEX decisions_by_version ON decisions (service, environment, version)",
    """
    CREATE TABLE audit (
        seq {whole} NOT NULL,
        at {time} NOT NULL,
        actor {text} NOT NULL,
        role {text} NOT NULL,
        action {text} NOT NULL,
        subject {text} NOT NULL,
        what {text} NOT NULL,
        why {text} NOT NULL,
        evidence {json},
        previous {text} NOT NULL,
        hash {text} NOT NULL,
        PRIMARY KEY (seq)
    )
    """,
    "CREATE INDEX audit_by_subject ON audit (subject)",
    """
    CREATE TABLE checkpoints (
        seq {whole} NOT NULL,
        instance {text} NOT NULL,
        hash {text} NOT NULL,
        at {time} NOT NULL,
        key_id {text} NOT NULL,
        signature {text} NOT NULL,
        reason {text} NOT NULL,
        places {json},
        stored_at {time} NOT NULL,
        PRIMARY KEY (seq)
    )
    """,
)

SQLITE_GUARDS: Final = (
    """
    CREATE TRIGGER audit_keeps_entries BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: nothing is deleted'); END
    """,
    """
    CREATE TRIGGER audit_keeps_wording BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: nothing is changed'); END
    """,
    """
    CREATE TRIGGER audit_has_no_gaps BEFORE INSERT ON audit
    WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit)
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only: entries follow one another'); END
    """,
)

POSTGRESQL_GUARDS: Final = (
    """
    CREATE FUNCTION forge_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'the audit log is append-only: nothing is changed or deleted'; END $$
    """,
    """
    CREATE FUNCTION forge_audit_follow() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit) THEN
            RAISE EXCEPTION 'the audit log is append-only: entries follow one another';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER audit_keeps_entries BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION forge_audit_refuse()
    """,
    """
    CREATE TRIGGER audit_keeps_table BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION forge_audit_refuse()
    """,
    """
    CREATE TRIGGER audit_has_no_gaps BEFORE INSERT ON audit
    FOR EACH ROW EXECUTE FUNCTION forge_audit_follow()
    """,
)


def statements(dialect: str) -> Sequence[str]:
    """The tables, the guards, and the database's own name (`instance`), which its checkpoints carry."""
    guards = SQLITE_GUARDS if dialect == "sqlite" else POSTGRESQL_GUARDS
    names = (
        f"INSERT INTO meta (name, value) VALUES ('instance', '{secrets.token_hex(8)}')",  # noqa: S608  (hexadecimal, ours)
        "INSERT INTO meta (name, value) VALUES ('last_batch', '')",
    )
    return (*TABLES, *guards, *names)

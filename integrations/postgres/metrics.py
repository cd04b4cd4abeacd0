"""What a PostgreSQL server tells of its load, in a few short questions. It reads statistics alone, and each question is bounded in time.

What the role may not see is None, never 0: a member of `pg_monitor` sees all of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import psycopg
from psycopg import sql
from psycopg.rows import DictRow

SLOW_S: Final = 1.0
STATEMENT_TIMEOUT_S: Final = 5
OPTIONS: Final = f"-c statement_timeout={STATEMENT_TIMEOUT_S}s -c lock_timeout=1s -c default_transaction_read_only=on -c search_path=pg_catalog"

_LOAD: Final = """
SELECT current_setting('server_version_num')::int AS version_num,
       current_setting('max_connections')::int AS max_connections,
       (SELECT coalesce(sum(numbackends), 0)::bigint FROM pg_stat_database) AS connections,
       (SELECT coalesce(sum(deadlocks), 0)::bigint FROM pg_stat_database) AS deadlocks,
       (SELECT wal_bytes::bigint FROM pg_stat_wal) AS wal_bytes,
       pg_has_role('pg_read_all_stats', 'USAGE') AS sees_sessions,
       has_function_privilege('pg_ls_waldir()', 'EXECUTE') AS sees_wal,
       (SELECT count(*) FROM pg_stat_activity
         WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()
           AND clock_timestamp() - query_start > interval '1 second') AS slow,
       (SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock') AS lock_waits,
       pg_is_in_recovery() AS in_recovery,
       CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE greatest(0, extract(epoch FROM clock_timestamp()
                                     - coalesce(pg_last_xact_replay_timestamp(), pg_postmaster_start_time())))
            END::float8 AS own_lag,
       (SELECT coalesce(max(extract(epoch FROM replay_lag)), 0)::float8 FROM pg_stat_replication
         WHERE replay_lsn IS NOT NULL) AS replicas_lag,
       (SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
         WHERE e.extname = 'pg_stat_statements') AS statements_schema
"""
"""own_lag: a replica that has replayed no transaction since its start and has received some is behind for as long as it runs.

replay_lsn: what only receives WAL, as forge itself does, replays nothing. https://www.postgresql.org/docs/18/monitoring-stats.html"""

_CHECKPOINTS: Final = "SELECT (write_time + sync_time) / 1000.0 AS seconds FROM pg_stat_checkpointer"
_CHECKPOINTS_BEFORE_17: Final = (
    "SELECT (checkpoint_write_time + checkpoint_sync_time) / 1000.0 AS seconds FROM pg_stat_bgwriter"
)
_WAL_SIZE: Final = "SELECT coalesce(sum(size), 0)::bigint AS size FROM pg_ls_waldir()"
_STATEMENTS: Final = sql.SQL(
    "SELECT userid::bigint AS userid, dbid::bigint AS dbid, toplevel, queryid, calls, total_exec_time / 1000.0 AS seconds "
    "FROM {}.pg_stat_statements WHERE max_exec_time > %s AND queryid IS NOT NULL LIMIT 10000"
)

Statements = Mapping[tuple[object, ...], tuple[int, float]]
"""Statement -> its calls and the seconds that they took, both since the statistics were reset."""


@dataclass(frozen=True, slots=True)
class Load:
    """One look at one server; whatever is None can't be seen by this role, or isn't kept.

    at: `time.monotonic()`. slow: queries that run for over 1 s now. deadlocks, wal_written_bytes, checkpoint_s (writing and syncing): counted
    since the statistics were reset. wal_bytes: of pg_wal on the disk. replication_lag_s: of a replica its own, of a primary that of
    the replica that is furthest behind. statements: those of which one call at least took over 1 s.
    """

    at: float
    version_num: int
    connections: int
    max_connections: int
    deadlocks: int
    checkpoint_s: float
    wal_written_bytes: int | None = None
    wal_bytes: int | None = None
    replication_lag_s: float | None = None
    slow: int | None = None
    lock_waits: int | None = None
    statements: Statements | None = field(default=None, repr=False)


def slow_calls(before: Statements | None, after: Statements | None) -> int | None:
    """Calls that ended between two looks, of statements whose mean in between was over 1 s. None: not kept, or nothing to compare with."""
    if before is None or after is None:
        return None
    found = 0
    for statement, (calls, seconds) in after.items():
        calls_before, seconds_before = before.get(statement, (0, 0.0))
        more, took = calls - calls_before, seconds - seconds_before
        if more > 0 and took / more > SLOW_S:
            found += more
    return found


async def read_load(session: psycopg.AsyncConnection[DictRow]) -> Load:
    """session: of `look.connect` with `OPTIONS`. Raises psycopg.Error."""
    row = await _row(session, _LOAD)
    newer = row["version_num"] >= 170_000
    checkpoints = await _row(session, _CHECKPOINTS if newer else _CHECKPOINTS_BEFORE_17)
    sees = row["sees_sessions"]
    return Load(
        at=time.monotonic(),
        version_num=row["version_num"],
        connections=row["connections"],
        max_connections=row["max_connections"],
        deadlocks=row["deadlocks"],
        checkpoint_s=float(checkpoints["seconds"]),
        wal_written_bytes=row["wal_bytes"],
        wal_bytes=(await _row(session, _WAL_SIZE))["size"] if row["sees_wal"] else None,
        replication_lag_s=row["own_lag"] if row["in_recovery"] else (row["replicas_lag"] if sees else None),
        slow=row["slow"] if sees else None,
        lock_waits=row["lock_waits"] if sees else None,
        statements=await _statements(session, row["statements_schema"]) if sees and row["statements_schema"] else None,
    )


async def _row(session: psycopg.AsyncConnection[DictRow], question: str) -> DictRow:
    row = await (await session.execute(question.encode())).fetchone()
    if row is None:
        raise psycopg.OperationalError("the server gave no row")
    return row


async def _statements(session: psycopg.AsyncConnection[DictRow], schema: str) -> Statements | None:
    """None where the extension is there and its library isn't loaded. schema: quoted as the server does."""
    try:
        answer = await session.execute(_STATEMENTS.format(sql.SQL(schema)), (SLOW_S * 1000,))
        rows = await answer.fetchall()
    except (psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.InsufficientPrivilege):
        return None
    return {
        (row["userid"], row["dbid"], row["toplevel"], row["queryid"]): (row["calls"], float(row["seconds"]))
        for row in rows
    }

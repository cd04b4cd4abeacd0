"""`restore`: what forge has restored becomes the shop's database. It is copied beside the one that runs, then the two change their names.

The one that ran stays, under another name, and takes no connections any more. It runs as forge's own user where forge's scratch folder is
(SHOP_RESTORES), and comes to the restored server by the service file that lies there. Done already is no error.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import psycopg
from psycopg import sql

from sandbox.jobs import database
from sandbox.jobs.output import say
from sandbox.postgres import client_programs

ADMINISTRATION = "postgres"
LONGEST_NAME = 63
TOLD_OF = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
END_SESSIONS = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"


def restore() -> int:
    name, restored, own = (_told(word) for word in ("FORGE_RESTORE_NAME", "FORGE_RESTORE_DATABASE", "PGDATABASE"))
    service = Path(_told("SHOP_RESTORES")) / name / "service.conf"
    mark = f"restored by {name}"
    began = time.monotonic()
    with database.connect(ADMINISTRATION) as session:
        try:
            if session.execute(TOLD_OF, (own,)).fetchone() == (mark,):
                say(f"{own}: nothing to do, it is what {name} restored already")
                return 0
            beside = f"{own}_restored"
            session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(beside)))
            session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(beside)))
            _copy(service, restored, beside)
            before = f"{own}_before_{name}"[:LONGEST_NAME]
            _swap(session, own, before, beside, mark)
        except psycopg.Error as failed:
            database.give_up(f"{own}: {failed}\nthe shop still has the database that it had")
    say(f"{own}: is what {name} restored, after {time.monotonic() - began:.1f} s; what it was is kept as {before}")
    return 0


def _copy(service: Path, restored: str, into: str) -> None:
    """`pg_dump` of the restored database straight into `pg_restore`."""
    programs = client_programs()
    plain = {word: value for word, value in os.environ.items() if not word.startswith("PG")}
    dump = [str(programs / "pg_dump"), "--format=custom", "--no-password", f"--dbname=service=forge dbname={restored}"]
    fill = [
        str(programs / "pg_restore"), "--exit-on-error", "--no-owner", "--no-privileges", "--no-password", f"--dbname={into}",
    ]  # fmt: skip
    source = {**plain, "PGSERVICEFILE": str(service)}
    with subprocess.Popen(dump, stdout=subprocess.PIPE, env=source) as reading:  # noqa: S603 - our own words
        filled = subprocess.run(fill, stdin=reading.stdout, check=False)  # noqa: S603 - our own words
    if reading.returncode or filled.returncode:
        database.give_up(
            f"{restored} can't be copied: pg_dump ended with {reading.returncode}, pg_restore with {filled.returncode}"
        )


def _swap(session: psycopg.Connection, own: str, before: str, beside: str, mark: str) -> None:
    """Nobody writes to the old one any more from its first line on; the new one has its name from the last on, or nothing has changed."""
    fence, rename = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}"), sql.SQL("ALTER DATABASE {} RENAME TO {}")
    session.execute(fence.format(sql.Identifier(own), sql.Literal(False)))
    try:
        session.execute(END_SESSIONS, (own,))
        with session.transaction():
            session.execute(rename.format(sql.Identifier(own), sql.Identifier(before)))
            session.execute(rename.format(sql.Identifier(beside), sql.Identifier(own)))
            session.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(own), sql.Literal(mark)))
    except psycopg.Error:
        session.execute(fence.format(sql.Identifier(own), sql.Literal(True)))
        raise


def _told(word: str) -> str:
    value = os.environ.get(word, "")
    if not value:
        database.give_up(f"{word} is not set")
    return value

"""`migrate up|down <name>`: one migration and its entry in schema_versions, in one transaction; done already is no error."""

from __future__ import annotations

import time

import psycopg
from psycopg import sql

from sandbox.jobs import database
from sandbox.jobs.image import Image
from sandbox.jobs.output import say

LOCK = 5071
"""Of this program alone: two migrations at once wait for each other."""
BREAKS = "ALTER TABLE orders ADD CONSTRAINT orders_are_dear CHECK (total > 100000)"
"""A constraint that the data break: how a migration fails that went well on the developer's empty database."""


def migrate(image: Image, direction: str, name: str) -> int:
    statements = image.text(f"migrations/{name}.{direction}.sql")
    if image.how("migrate" if direction == "up" else "migrate down") == "fails":
        statements += f";\n{BREAKS};\n"
    began = time.monotonic()
    with database.connect() as connection:
        try:
            done = _run(connection, direction, name, statements)
        except psycopg.Error as failed:
            database.give_up(f"{name}: {failed}\nnothing was changed: the transaction was rolled back")
    took = (time.monotonic() - began) * 1000
    word = {"up": "applied", "down": "taken back"}[direction]
    say(f"{name}: {word} in {took:.0f} ms" if done else f"{name}: nothing to do, it is {word} already")
    return 0


def _run(connection: psycopg.Connection, direction: str, name: str, statements: str) -> bool:
    """False when it was done before."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        if (name in database.versions(connection)) == (direction == "up"):
            return False
        for statement in _statements(statements):
            say(f"  {statement}")
            connection.execute(sql.SQL(statement))  # a file of the image
        if direction == "up":
            connection.execute("INSERT INTO schema_versions (name) VALUES (%s)", (name,))
        else:
            connection.execute("DELETE FROM schema_versions WHERE name = %s", (name,))
    return True


def _statements(text: str) -> list[str]:
    """The shop's files have no semicolon but at the end of a statement."""
    return [statement for part in text.split(";") if (statement := part.strip())]

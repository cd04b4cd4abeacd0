"""`verify`: whether the data are whole, after migrations and after they were taken back: row counts, constraints, schema versions."""

from __future__ import annotations

import psycopg
from psycopg import sql

from sandbox.jobs import database
from sandbox.jobs.image import Image
from sandbox.jobs.output import say

TABLES = ("products", "orders", "schema_versions")
VIOLATIONS = {
    "orders of no product": "SELECT count(*) FROM orders o WHERE NOT EXISTS (SELECT FROM products p WHERE p.id = o.product)",
    "orders without a total": "SELECT count(*) FROM orders WHERE total <= 0",
    "constraints that are not valid": "SELECT count(*) FROM pg_constraint WHERE NOT convalidated",
    "indexes that are not valid": "SELECT count(*) FROM pg_index WHERE NOT indisvalid",
}
DISCOUNTS = "SELECT count(*) FROM products WHERE discount_percent NOT BETWEEN 0 AND 100"
STRAY = "INSERT INTO orders (product, quantity, total) VALUES (4711, 1, 1)"
"""What a migration leaves that lost a product: an order of nothing."""


def verify(image: Image) -> int:
    # Whatever a spoilt version puts in for the check to find is rolled back.
    with database.connect() as connection, connection.transaction(force_rollback=True):
        if image.how("verify") == "fails":
            connection.execute(STRAY)
        problems = _problems(connection, image)
    for problem in problems:
        say(f"NOT WHOLE: {problem}")
    say("the data are whole" if not problems else f"{len(problems)} of the checks failed")
    return 1 if problems else 0


def _problems(connection: psycopg.Connection, image: Image) -> list[str]:
    found = []
    for table in TABLES:
        rows = database.number(connection, f"SELECT count(*) FROM {table}")  # noqa: S608 - the names above
        say(f"{table}: {rows} rows")
        if rows == 0 and table != "schema_versions":
            found.append(f"{table} is empty")
    checks = dict(VIOLATIONS)
    if database.has_column(connection, "products", "discount_percent"):
        checks["discounts out of their range"] = DISCOUNTS
    for what, query in checks.items():
        count = database.number(connection, query)
        say(f"{what}: {count}")
        if count:
            found.append(f"{count} {what}")
    return found + _misrecorded(connection, image)


def _misrecorded(connection: psycopg.Connection, image: Image) -> list[str]:
    """Migrations that this version knows, and that the schema has although they are not on record, or the other way round."""
    applied, found = database.versions(connection), []
    say(f"schema: {', '.join(applied) or 'as it was first made'}")
    for name, query in image.checks().items():
        there = database.number(connection, sql.SQL(query)) == 1
        if there != (name in applied):
            found.append(
                f"{name} is {'there, and' if there else 'not there, though'} {'' if name in applied else 'not '}on record"
            )
    return found

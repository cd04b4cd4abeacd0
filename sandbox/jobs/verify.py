"""`verify [--expects NAME]…`: whether the data are whole after migrations: row counts, constraints, schema version."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

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


def verify(image: Image, expected: Sequence[str]) -> int:
    # Whatever a spoilt version puts in for the check to find is rolled back.
    with database.connect() as connection, connection.transaction(force_rollback=True):
        if image.how("verify") == "fails":
            connection.execute(STRAY)
        problems = _problems(connection, expected)
    for problem in problems:
        say(f"NOT WHOLE: {problem}")
    say("the data are whole" if not problems else f"{len(problems)} of the checks failed")
    return 1 if problems else 0


def _problems(connection: psycopg.Connection, expected: Sequence[str]) -> list[str]:
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
    applied = database.versions(connection)
    say(f"schema: {', '.join(applied) or 'as it was first made'}")
    found += [f"the migration {name} is not applied" for name in expected if name not in applied]
    return found

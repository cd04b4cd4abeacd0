"""The shop's test suites: `suite integration|e2e|migration|compatibility`. Each prints JUnit XML at its end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from functools import partial

from psycopg import sql

from sandbox.jobs import database, junit
from sandbox.jobs.image import Image
from sandbox.jobs.output import say
from sandbox.jobs.requests import ask, expect, require, token

Tests = Iterator[tuple[str, junit.Test]]
LEGACY = "SELECT legacy_code FROM products"


def suite(image: Image, name: str) -> int:
    """Raises KeyError for a suite that there is none of."""
    make, title = SUITES[name]
    return junit.run(title, _spoilt(make(image), image.how(name), name))


def _spoilt(tests: Tests, how: str, name: str) -> Tests:
    """As written, or with one more test that fails or never ends."""
    for number, test in enumerate(tests):
        if number == 1 and how == "hangs":
            yield "the shop closes in the evening", _wait_for_ever
        yield test
    if how == "fails":
        yield BROKEN.get(name, ("an anvil is dear", _an_anvil_is_dear))


def _wait_for_ever() -> None:
    signal.pause()


# --- over HTTP ------------------------------------------------------------------------------------------------------------


def _products() -> list[dict[str, object]]:
    listed = expect(ask("/api/products"), 200).json["products"]
    return list(listed)


def _products_are_whole() -> None:
    for product in _products():
        require({"id", "name", "price"} <= set(product), f"incomplete: {product}")


def _an_anvil_is_dear() -> None:
    prices = {product["name"]: product["price"] for product in _products()}
    require(prices["Anvil"] == 5200, f"an anvil costs 5200, it is sold for {prices['Anvil']}")


def _refuses(order: object, status: int, bearer: str = "") -> None:
    expect(ask("/api/orders", method="POST", order=order, bearer=bearer), status)


def _is_healthy(kind: str) -> None:
    expect(ask(f"/health/{kind}"), 200)


def integration(_: Image) -> Tests:
    """The API as its clients use it, request by request."""
    yield "the products are whole", _products_are_whole
    for kind in ("live", "ready", "startup"):
        yield f"the shop is {kind}", partial(_is_healthy, kind)
    yield "an order needs a customer", partial(_refuses, {"product": 1}, 401)
    yield "an order of nothing is refused", partial(_refuses, {"product": 99}, 422, token())
    yield "less than one is refused", partial(_refuses, {"product": 1, "quantity": 0}, 422, token())
    yield "there is nothing else", lambda: _answers("/api/nothing", 404)


def _answers(path: str, status: int) -> None:
    expect(ask(path), status)


def _buy(quantity: int) -> None:
    """A customer's way: look, choose, order, and get what was chosen for its price."""
    chosen = _products()[0]
    order = {"product": chosen["id"], "quantity": quantity}
    bought = expect(ask("/api/orders", method="POST", order=order, bearer=token()), 201).json
    require(bought["status"] == "accepted", f"the order is {bought['status']}")
    wanted = int(str(chosen["price"])) * quantity
    require(bought["total"] == wanted, f"{quantity} cost {wanted}, they were sold for {bought['total']}")


def _orders_are_numbered() -> None:
    ids = set()
    for _ in range(3):
        order = {"product": 2, "quantity": 1}
        ids.add(expect(ask("/api/orders", method="POST", order=order, bearer=token()), 201).json["id"])
    require(len(ids) == 3, f"three orders had the numbers {sorted(ids)}")


def end_to_end(_: Image) -> Tests:
    """Whole workflows of a customer."""
    for quantity in (1, 2, 12):
        yield f"a customer buys {quantity}", partial(_buy, quantity)
    yield "each order has a number of its own", _orders_are_numbered


# --- on the database ------------------------------------------------------------------------------------------------------


def _run_query(statement: str) -> None:
    """Really run, and rolled back."""
    with database.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute(sql.SQL(statement))  # a file of the image


def migration(image: Image) -> Tests:
    """The new version finds the schema that it was written for."""
    yield "the schema tells its versions", _versions_are_told
    for name, statement in image.queries().items():
        yield f"the new version can {name}", partial(_run_query, statement)


def _versions_are_told() -> None:
    with database.connect() as connection:
        say(f"applied: {', '.join(database.versions(connection)) or 'nothing'}")


def compatibility(image: Image) -> Tests:
    """The version that ran before works on the schema as it is now; run in that version's image."""
    for name, statement in image.queries().items():
        yield f"the version before can still {name}", partial(_run_query, statement)


BROKEN: dict[str, tuple[str, junit.Test]] = {
    "migration": ("the new version can read legacy codes", partial(_run_query, LEGACY)),
    "compatibility": ("the version before can still read legacy codes", partial(_run_query, LEGACY)),
}
SUITES: dict[str, tuple[Callable[[Image], Tests], str]] = {
    "integration": (integration, "API integration"),
    "e2e": (end_to_end, "End-to-end workflows"),
    "migration": (migration, "Migration verification"),
    "compatibility": (compatibility, "Backward compatibility"),
}

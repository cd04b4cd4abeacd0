"""Requests to the shop under test, as its customers send them: plain HTTP, JSON, a bearer token for orders."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Answer:
    status: int
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def target() -> str:
    """The address of the service in the environment that is tested. Raises KeyError where nobody gave it."""
    return os.environ["FORGE_TARGET_URL"].rstrip("/")


def token() -> str:
    return os.environ.get("SHOP_CUSTOMER_TOKEN", "")


def ask(path: str, *, method: str = "GET", order: Any = None, bearer: str = "") -> Answer:
    """order: sent as JSON. Any status is an answer; raises OSError when none came."""
    headers = {"User-Agent": "shop-suite", "Connection": "close"}
    if bearer:
        headers["Authorization"] = f"Bearer {bearer}"
    body = None
    if order is not None:
        body = json.dumps(order).encode()
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(target() + path, body, headers, method=method)  # noqa: S310 - an address that the operator gave
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
            return Answer(answer.status, answer.read().decode())
    except urllib.error.HTTPError as refused:
        with refused:
            return Answer(refused.code, refused.read().decode())


def expect(answer: Answer, status: int) -> Answer:
    """Raises AssertionError with the answer's beginning for another status."""
    require(answer.status == status, f"{status} was expected, the answer was {answer.status}: {answer.body[:200]}")
    return answer


def require(holds: bool, otherwise: str) -> None:
    """Raises AssertionError."""
    if not holds:
        raise AssertionError(otherwise)

"""Where accepted orders go: to whatever the shop is given, by itself into a count that nobody keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

Place = Callable[[str, int, int, int], Awaitable[int]]
"""(environment, product, quantity, total) -> the order's number. Raises OrderLost."""


class OrderLost(Exception):
    """It could not be written down; the message says why."""


def counting() -> Place:
    """Numbers without a database: each environment's begin with 1."""
    numbers: Counter[str] = Counter()

    async def place(env: str, product: int, quantity: int, total: int) -> int:
        numbers[env] += 1
        return numbers[env]

    return place

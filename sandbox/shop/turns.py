"""Whose turn is next, by weight: exact over each round, and within a round in an order by chance."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

LONGEST_ROUND = 1000


class Turns:
    """Chance only shuffles a round: customers who come in a pattern would else meet the same backend with the same wish again and again.

    seed: equal seeds give equal orders.
    """

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)  # noqa: S311 - shares requests out, guards nothing
        self._weights: dict[str, int] = {}
        self._round: list[str] = []

    def next(self, weights: Mapping[str, int]) -> str | None:
        """None where all weights are 0. Other weights than before begin a new round."""
        total = sum(weights.values())
        if total == 0:
            return None
        if weights != self._weights:
            self._weights, self._round = dict(weights), []
        if not self._round:
            self._round = self._new_round(total)
        return self._round.pop()

    def _new_round(self, total: int) -> list[str]:
        names, shares = list(self._weights), list(self._weights.values())
        divisor = math.gcd(*shares)
        if total // divisor > LONGEST_ROUND:
            return self._random.choices(names, shares, k=LONGEST_ROUND)
        made = [name for name, share in zip(names, shares, strict=True) for _ in range(share // divisor)]
        self._random.shuffle(made)
        return made

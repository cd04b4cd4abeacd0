"""Slack's rate limits as token buckets, per method (and per channel where Slack counts so).

Source: https://docs.slack.dev/apis/web-api/rate-limits. Slack publishes minima and tolerates bursts; the figures here
are the minima, so that whoever keeps to them is safe.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

TIER_1, TIER_2, TIER_3, TIER_4 = 1, 20, 50, 100

PER_MINUTE = {
    "apps.connections.open": 10,
    "chat.update": TIER_3,
    "chat.delete": TIER_3,
    "chat.postEphemeral": TIER_4,
    "conversations.history": TIER_3,
    "conversations.replies": TIER_3,
    "conversations.info": TIER_3,
    "conversations.list": TIER_2,
    "conversations.members": TIER_4,
    "users.info": TIER_4,
    "users.list": TIER_2,
    "users.lookupByEmail": TIER_3,
    "usergroups.list": TIER_2,
    "usergroups.users.list": TIER_2,
    "views.open": TIER_4,
    "views.update": TIER_4,
    "views.push": TIER_4,
    "views.publish": TIER_4,
    "files.getUploadURLExternal": TIER_4,
    "files.completeUploadExternal": TIER_4,
    "files.info": TIER_4,
    "bots.info": TIER_3,
    "team.info": TIER_3,
    "reactions.add": TIER_3,
    "pins.add": TIER_2,
}
POST_BURST = 3


@dataclass
class _Bucket:
    tokens: float
    at: float


class RateLimits:
    """Asks of every call whether it may pass now."""

    def __init__(self, *, is_on: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_on = is_on
        self._clock = clock
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def wait_s(self, method: str, channel: str) -> int | None:
        """Seconds for `Retry-After`, or None when the call may pass (and is counted)."""
        if not self.is_on:
            return None
        if method == "chat.postMessage":
            return self._take((method, channel), capacity=POST_BURST, per_second=1.0)
        limit = PER_MINUTE.get(method)
        if limit is None:
            return None
        return self._take((method, ""), capacity=limit, per_second=limit / 60)

    def _take(self, key: tuple[str, str], *, capacity: float, per_second: float) -> int | None:
        now = self._clock()
        bucket = self._buckets.setdefault(key, _Bucket(capacity, now))
        bucket.tokens = min(capacity, bucket.tokens + (now - bucket.at) * per_second)
        bucket.at = now
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return None
        return max(1, math.ceil((1 - bucket.tokens) / per_second))

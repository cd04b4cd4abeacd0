"""`load`: requests at a fixed rate for a fixed time, whether or not the earlier ones were answered; a JSON summary at the end.

An open loop: a slow shop gets as many requests as a fast one, so that its slowness shows in the latencies instead of hiding itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from dataclasses import dataclass, field

import aiohttp

from sandbox.jobs.image import Image
from sandbox.jobs.output import say
from sandbox.jobs.requests import target, token

TIMEOUT_S = 10.0
GARBAGE = "ld.so: warning: \x1b[31mno version information\x1b[0m available \x00\x07\n{'p95': NaN, latency: [}"
# of five requests four read, and one buys
BUYS_EVERY = 5


@dataclass
class Counted:
    """latencies: of the good answers, in seconds."""

    latencies: list[float] = field(default_factory=list)
    failed: int = 0

    def quantile(self, percent: int) -> float:
        """In milliseconds."""
        if len(self.latencies) < 2:
            return 1000 * sum(self.latencies)
        return 1000 * statistics.quantiles(self.latencies, n=100, method="inclusive")[percent - 1]


def load(image: Image) -> int:
    if image.how("load") == "garbage":
        say(GARBAGE)
        return 0
    rate, duration = float(os.environ["FORGE_LOAD_RATE"]), float(os.environ["FORGE_LOAD_DURATION"])
    say(f"{rate:g} requests per second for {duration:g} s to {target()}")
    counted, took = asyncio.run(_press(rate, duration))
    say(json.dumps(_summary(counted, took), indent=1))
    return 0 if counted.latencies else 1


def _summary(counted: Counted, took: float) -> dict[str, object]:
    good = len(counted.latencies)
    return {
        "latency_ms": {f"p{percent}": round(counted.quantile(percent), 3) for percent in (50, 95, 99)},
        "throughput_per_s": round(good / took, 3),
        "requests": good + counted.failed,
        "failed": counted.failed,
    }


async def _press(rate: float, duration: float) -> tuple[Counted, float]:
    """What was counted, and the seconds over which the requests were spread."""
    counted = Counted()
    headers = {"User-Agent": "shop-load", "Authorization": f"Bearer {token()}"}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        await _ask(session, 0, Counted())  # the connection's own beginning is nobody's latency
        began = time.monotonic()
        asked = []
        for number in range(max(1, round(rate * duration))):
            await asyncio.sleep(began + number / rate - time.monotonic())
            asked.append(asyncio.create_task(_ask(session, number, counted)))
        await asyncio.sleep(began + duration - time.monotonic())
        await asyncio.gather(*asked)
    return counted, duration


async def _ask(session: aiohttp.ClientSession, number: int, counted: Counted) -> None:
    url, began = target(), time.perf_counter()
    order = {"product": 2, "quantity": 1}
    is_order = number % BUYS_EVERY == BUYS_EVERY - 1
    asked = session.post(f"{url}/api/orders", json=order) if is_order else session.get(f"{url}/api/products")
    try:
        async with asked as answer:
            await answer.read()
            good = answer.status < 400
    except (aiohttp.ClientError, TimeoutError):
        good = False
    if good:
        counted.latencies.append(time.perf_counter() - began)
    else:
        counted.failed += 1

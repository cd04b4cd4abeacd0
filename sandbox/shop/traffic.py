"""The shop's customers: a small, steady, bounded load over real HTTP on the loopback."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Mapping

import aiohttp

MOST_OUTSTANDING = 20
TIMEOUT_S = 5.0
# of ten requests eight read, and two buy
PATTERN = ("read", "read", "read", "read", "buy")


class Traffic:
    """requests_per_s: of the whole environment, may be changed while it runs; 0 rests. sent, failed: counted answers.

    A slow shop gets no more than 20 requests at a time: what would be over is left out, not queued.
    """

    def __init__(self, env: str, urls: Mapping[str, str], requests_per_s: float, token: str) -> None:
        self.env = env
        self.urls = dict(urls)
        self.requests_per_s = requests_per_s
        self.sent = 0
        self.failed = 0
        self._token = token
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin; begun already is no error."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"traffic of {self.env}")

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        turns = itertools.cycle((url, kind) for kind in PATTERN for url in self.urls.values())
        outstanding: set[asyncio.Task[None]] = set()
        headers = {"Authorization": f"Bearer {self._token}", "User-Agent": "shop-customer"}
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            try:
                while True:
                    await asyncio.sleep(1 / self.requests_per_s if self.requests_per_s > 0 else 0.5)
                    if self.requests_per_s > 0 and len(outstanding) < MOST_OUTSTANDING:
                        one = asyncio.create_task(self._ask(session, *next(turns)))
                        outstanding.add(one)
                        one.add_done_callback(outstanding.discard)
            finally:
                for task in outstanding:
                    task.cancel()
                await asyncio.gather(*outstanding, return_exceptions=True)

    async def _ask(self, session: aiohttp.ClientSession, url: str, kind: str) -> None:
        order = {"product": 1, "quantity": 1}
        asked = session.get(f"{url}/api/products") if kind == "read" else session.post(f"{url}/api/orders", json=order)
        self.sent += 1
        try:
            async with asked as answer:
                await answer.read()
                self.failed += answer.status >= 500
        except (aiohttp.ClientError, TimeoutError):
            self.failed += 1

"""What hangs is waited for in the event loop's time alone: a test needs no short limit, which a loaded machine exceeds where nothing hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def as_if_waited(call: Coroutine[Any, Any, T], hangs: Callable[[], int], for_s: float) -> T:
    """The call's answer or error. hangs: how many of its requests hang by now; at each one the loop's clock goes on by for_s.

    for_s: longer than the call waits for one answer. What counts real time (`time.monotonic`) isn't touched.
    """
    loop = asyncio.get_running_loop()
    real, passed, seen = loop.time, 0.0, 0
    task = asyncio.ensure_future(call)
    loop.time = lambda: real() + passed  # type: ignore[method-assign]
    try:
        while not task.done():
            if (now := hangs()) > seen:
                seen, passed = now, passed + for_s
            await asyncio.wait({task}, timeout=0.01)
        return await task
    finally:
        loop.time = real  # type: ignore[method-assign]
        task.cancel()

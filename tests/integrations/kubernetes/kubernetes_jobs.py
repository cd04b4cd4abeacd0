"""Orders, programs and waiting for the tests of Jobs: an image stands for a real Python interpreter."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from integrations.kubernetes import KubernetesCluster
from runbook.jobs import JobOrder
from runbook.ports import JobState

IMAGE, MISSING = (f"registry.local/{name}@sha256:{'a' * 64}" for name in ("tool", "missing"))
FOR_EVER = "import time; print('begun', flush=True); time.sleep(600)"


def programs(image: str) -> tuple[str, ...] | None:
    return None if image == MISSING else (sys.executable,)


def order(program: str = "print('done')", *, name: str = "forge-staging-1-3", **fields: Any) -> JobOrder:
    """A Job that runs this Python program."""
    base: dict[str, Any] = {"key": "k1", "run": "staging-1", "step": "migrate", "image": IMAGE}
    return JobOrder(name=name, **{**base, "args": ("-c", program), **fields})


async def in_phase(
    cluster: KubernetesCluster,
    *phases: str,
    name: str = "forge-staging-1-3",
    fits: Callable[[JobState], Any] = lambda _: True,
    within_s: float = 60,
) -> JobState:
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        state = await cluster.job(name)
        if state is not None and state.phase in phases and fits(state):
            return state
        assert asyncio.get_running_loop().time() < deadline, state
        await asyncio.sleep(0.02)


async def gone(cluster: KubernetesCluster, name: str = "forge-staging-1-3", within_s: float = 60) -> None:
    deadline = asyncio.get_running_loop().time() + within_s
    while (state := await cluster.job(name)) is not None:
        assert asyncio.get_running_loop().time() < deadline, state
        await asyncio.sleep(0.02)

"""Somebody who tries again whatever is held: a busy machine's Prometheus doesn't always answer in time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from sandbox.world.staff import ADA
from tests.whole.stage import Stage

LOOK_S = 2.0


@contextlib.asynccontextmanager
async def nursed(stage: Stage) -> AsyncIterator[None]:
    async def tries_again() -> None:
        while True:
            for run in stage.actors.runs():
                if " – held" in stage.state(run):
                    await stage.command(ADA, f"retry {run}")
            await asyncio.sleep(LOOK_S)

    nurse = asyncio.create_task(tries_again())
    try:
        yield
    finally:
        nurse.cancel()
        await asyncio.gather(nurse, return_exceptions=True)

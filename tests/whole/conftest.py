"""One world for the tests of a file, tidied up between them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.whole.stage import Stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_stage() -> AsyncIterator[Stage]:
    async with Stage() as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def stage(shared_stage: Stage) -> AsyncIterator[Stage]:
    """The file's world in good order; a test that uses it runs in the file's loop."""
    await shared_stage.tidy()
    yield shared_stage

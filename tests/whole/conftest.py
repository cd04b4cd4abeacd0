"""One world for the tests of a file, tidied up between them: a staging alone, where the file wants no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.whole.stage import STAGING_ALONE, Stage

HERE = Path(__file__).parent
WITHIN_S = 900
"""Only so that a test ends at all: each of its waits has a limit of its own, and a machine may be busy."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(WITHIN_S))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_stage() -> AsyncIterator[Stage]:
    async with Stage(environments=STAGING_ALONE) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def stage(shared_stage: Stage) -> AsyncIterator[Stage]:
    """The file's world in good order; a test that uses it runs in the file's loop."""
    await shared_stage.tidy()
    yield shared_stage

"""The whole sandbox with its controls, and its page in Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Page

from sandbox.world import Controls
from tests.page.browser import opened
from tests.whole.stage import Stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_stage() -> AsyncIterator[Stage]:
    async with Stage() as stage:
        controls = Controls(stage.world)
        controls.install()
        yield stage
        await controls.close()


@pytest_asyncio.fixture(loop_scope="module")
async def stage(shared_stage: Stage) -> AsyncIterator[Stage]:
    """The file's world in good order; a test that uses it runs in the file's loop."""
    await shared_stage.tidy()
    yield shared_stage


@pytest_asyncio.fixture(loop_scope="module")
async def page(stage: Stage) -> AsyncIterator[Page]:
    """An error in its console or scripts fails the test."""
    async with opened(stage.world.slack.url) as (page, problems):
        yield page
    assert problems == []

"""The whole sandbox with its controls, and its page in Chromium."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, Page

from sandbox.world import Controls, short
from tests.kills.patience import patient
from tests.page.browser import chromium, opened
from tests.page.nurse import nursed
from tests.whole.stage import Stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_stage() -> AsyncIterator[Stage]:
    """Guards take longer than any test, and few customers are in production: nobody looks at either here."""
    tempo = patient(short(observation="5s", guards_for="600s", validates=(), production_per_s=2.0))
    async with Stage(tempo=tempo) as stage, nursed(stage):
        controls = Controls(stage.world)
        controls.install()
        yield stage
        await controls.close()


@pytest_asyncio.fixture(loop_scope="module")
async def stage(shared_stage: Stage) -> AsyncIterator[Stage]:
    """The file's world in good order; a test that uses it runs in the file's loop."""
    await shared_stage.tidy()
    yield shared_stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def page(stage: Stage, browser: Browser) -> AsyncIterator[Page]:
    """An error in its console or scripts fails the test."""
    async with opened(browser, stage.world.slack.url) as (page, problems):
        yield page
    assert problems == []

"""The GitHub stand-in and a client of it."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sandbox.github import LocalGitHub

REPO = "acme/shop"


@pytest.fixture
async def github() -> AsyncIterator[LocalGitHub]:
    served = LocalGitHub()
    await served.start()
    yield served
    await served.stop()


@pytest.fixture
async def client(github: LocalGitHub) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {github.token}"}
    async with aiohttp.ClientSession(github.url, headers=headers) as session:
        yield session


async def read(client: aiohttp.ClientSession, path: str, status: int = 200, **more: Any) -> Any:
    async with client.get(path, **more) as response:
        assert response.status == status, await response.text()
        return await response.json()

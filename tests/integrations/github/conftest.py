"""A GitHub stand-in and the integration that asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from integrations.github import GitHub
from integrations.http_calls import Limits
from sandbox.github import LocalGitHub

SECRET = "ghp_a-secret-nobody-may-see"
QUICK = Limits(timeout_s=15.0, attempts=3, deadline_s=20.0, first_wait_s=0.01, longest_wait_s=0.2)


@pytest.fixture
async def host() -> AsyncIterator[LocalGitHub]:
    local = LocalGitHub(token=SECRET)
    await local.start()
    yield local
    await local.stop()


@pytest.fixture
async def github(host: LocalGitHub) -> AsyncIterator[GitHub]:
    client = GitHub(host.url, lambda: SECRET, limits=QUICK)
    yield client
    await client.aclose()

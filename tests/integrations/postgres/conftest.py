"""A scratch folder for servers; whatever a test left running there is ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integrations.postgres.servers import end_all, new_scratch


@pytest.fixture
async def scratch() -> AsyncIterator[Path]:
    with new_scratch() as folder:
        yield folder
        await end_all(folder)

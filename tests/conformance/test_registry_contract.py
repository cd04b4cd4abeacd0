"""What forge relies on in a container registry: a tag's digest by HEAD. Reads only."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from integrations.registry import OciRegistry
from tests.conformance.addresses import Addresses

pytestmark = pytest.mark.conformance


@pytest.fixture
async def registry(addresses: Addresses) -> AsyncIterator[OciRegistry]:
    config = addresses.get("CONFORMANCE_DOCKER_CONFIG")
    made = OciRegistry(docker_config=Path(config) if config else None)
    yield made
    await made.aclose()


async def test_a_tag_has_a_digest_and_keeps_it(registry: OciRegistry, addresses: Addresses) -> None:
    first, second = [
        await registry.digest(addresses["CONFORMANCE_IMAGE"], addresses["CONFORMANCE_IMAGE_TAG"]) for _ in range(2)
    ]
    assert first is not None
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", first)
    assert first == second


async def test_a_tag_that_isnt_there_has_none(registry: OciRegistry, addresses: Addresses) -> None:
    assert await registry.digest(addresses["CONFORMANCE_IMAGE"], "forge-conformance-no-such-tag") is None

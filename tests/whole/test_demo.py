"""`forge demo` as people run it."""

from __future__ import annotations

import asyncio
import sys

import pytest

TIME_S = 600
"""It takes two minutes on a machine that has nothing else to do."""


@pytest.mark.timeout(TIME_S + 20)
async def test_the_demo_plays_its_story_and_ends_with_zero() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.cli", "demo", "--observation", "15s",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(TIME_S):
        output, _ = await process.communicate()
    told = output.decode()
    assert process.returncode == 0, told
    moments = (
        "ada (Release Engineer) types: /forge deploy staging v1.4.0-rc.7",
        "v1.4.0-rc.7 is annotated but not signed",
        "sam (Service Owner) clicks: Approve",
        "staging-1: shop v1.4.0-rc.2 to staging – completed",
        "staging-2: shop v1.4.0-rc.3 to staging – returned",
        "ada (Release Engineer) types: /forge promote v1.4.0 prod",
        "Observe 25 %",
        "prod-1: shop v1.4.0 to prod – returned",
        "olly (Operations, on call) types: /forge incident list",
        "The story ended as it should",
    )
    places = [told.find(moment) for moment in moments]
    assert places == sorted(places), told
    assert -1 not in places, told

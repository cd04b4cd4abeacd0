"""Command → acknowledgement, fifty at once, over Socket Mode; beside it a bare bolt app, the two in turn in one run."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

from sandbox.slack import LocalSlack
from sandbox.world.staff import ADA, RELEASES
from tests.bench.figures import Figure, percentile
from tests.bench.surroundings import Place, bot, child, connected, local_slack

OUTSTANDING = 50
ROUNDS = 12
PAUSE_S = 0.3
"""Between two rounds, so that what was acknowledged can be worked off: the limit speaks of fifty, not of a queue that grows."""
TIMES_BARE = 3.0
P95_S = 0.100


async def measure(folder: Path, *, quick: bool) -> list[Figure]:
    rounds = 4 if quick else ROUNDS
    async with local_slack() as forges, local_slack() as bares:
        place = Place(folder, forges)
        environment = {**place.environment, "SLACK_API_URL": bares.api_url}
        bare_app = child("tests.bench.bare_app", environment=environment, log=folder / "bare.log")
        async with bot(place) as forge, bare_app:
            await forge.until("started")
            await connected(forges, 2)
            await connected(bares, 2)
            for slack in (forges, bares):  # the first round pays for what both make once
                await _round(slack)
            ours, theirs = [], []
            for _ in range(rounds):
                theirs += await _round(bares)
                ours += await _round(forges)
    p95, bare = percentile(ours, 95), percentile(theirs, 95)
    ratio = statistics.median(ours) / statistics.median(theirs)
    note = f"median {statistics.median(ours) * 1000:.0f} ms; bare bolt {bare * 1000:.0f} and {statistics.median(theirs) * 1000:.0f} ms"
    return [
        Figure(f"acknowledgement, {OUTSTANDING} outstanding, p95", p95 * 1000, P95_S * 1000, "ms", note),
        Figure(
            "acknowledgement against a bare bolt app, medians",
            ratio,
            TIMES_BARE,
            "times",
            f"p95 {p95 / bare:.2f} times",
        ),
    ]


async def _round(slack: LocalSlack) -> list[float]:
    """Seconds from each command's typing to its acknowledgement."""
    found = await asyncio.gather(*(_command(slack) for _ in range(OUTSTANDING)))
    await asyncio.sleep(PAUSE_S)
    return list(found)


async def _command(slack: LocalSlack) -> float:
    begun = time.perf_counter()
    result = await slack.command(ADA, "status", channel_id=RELEASES)
    if result.outcome != "acknowledged":
        raise RuntimeError(f"a command ended in {result.outcome}")
    return time.perf_counter() - begun

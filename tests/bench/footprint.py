"""What the command line costs whoever types it, and what a bot costs that has nothing to do."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.surroundings import Place, bot, clean_environment, connected, local_slack

HELP_S = 0.4
IDLE_RSS_MB = 160.0
TRIES = 9
SETTLE_S = 5.0


async def measure(folder: Path, *, quick: bool) -> list[Figure]:
    help_s = await asyncio.to_thread(_help, 3 if quick else TRIES)
    fresh, loaded = await _idle(folder, clusters=False), await _idle(folder, clusters=True)
    return [
        Figure("forge --help, median", help_s, HELP_S, "s"),
        Figure(
            "idle bot, RSS", loaded, IDLE_RSS_MB, "MB", f"{fresh:.0f} MB before it first asked a cluster or Prometheus"
        ),
    ]


def _help(tries: int) -> float:
    """Seconds of the whole process, as a shell waits for it."""
    return statistics.median(_run([str(Path(sys.executable).with_name("forge")), "--help"]) for _ in range(tries))


def _run(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=clean_environment({}))
    return time.perf_counter() - begun


async def _idle(folder: Path, *, clusters: bool) -> float:
    """Megabytes of a bot that is connected to Slack; clusters: and has loaded the clients of a deployment."""
    async with local_slack() as slack:
        place = Place(folder / ("loaded" if clusters else "fresh"), slack)
        async with bot(place, clusters=clusters) as forge:
            await forge.until("started")
            await connected(slack, 2)
            await asyncio.sleep(SETTLE_S)
            return forge.rss_mb

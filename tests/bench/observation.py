"""A thousand releases under observation at once: what the guards ask doesn't grow with them, and what one of them costs is the same for all.

Each is a production run of a service of its own at 5 %, with production's guards on both tracks, the canary's ratio, and its probes.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure
from tests.bench.parked_canaries import park_canaries
from tests.bench.surroundings import Child, Place, bot, connected, local_slack, prometheus

RELEASES = (1, 100, 1000)
ROUNDS = 4
ROUNDS_BEFORE = 2
"""The first one asks for what was missed, and the second comes while people's messages are drawn again."""

WITHIN_S = 300.0
POLICY = {"health": {"interval": "15s", "p95": "10s", "timeout": "10s"}, "prod": {"phase": "30m"}}
"""One probe of each target at each tick of the guards, so that the figures are of one tick; a busy machine is nobody's fault; and a phase
that outlasts the measurement."""

QUERIES_TIMES = 1.0
CPU_TIMES = 1.5
INTERVAL_S = 15.0
ROUND_PERCENT = 33.0


@dataclass(frozen=True)
class Seen:
    """At so many releases. judged: guards in one round. queries, cpu_s: of one tick. round_s: the evaluator's round, by the clock on the
    wall. first_s: the first one, which filled the gap. rss_mb: the most that was seen."""

    releases: int
    judged: int
    queries: float
    cpu_s: float
    round_s: float
    first_s: float
    rss_mb: float


async def measure(folder: Path, *, quick: bool) -> list[Figure]:
    sizes = (1, 20, 200) if quick else RELEASES
    seen = [await _seen(folder / str(size), size, 2 if quick else ROUNDS) for size in sizes]
    if any(each.judged != each.releases * seen[0].judged for each in seen):
        raise RuntimeError(f"a release was not watched to the end: {seen}")
    return figures(seen)


def figures(seen: list[Seen]) -> list[Figure]:
    """seen: of one release, of some and of many. CPU and memory are told without what the bot costs with one release."""
    one, some, many = seen
    cpu, cpu_of_some = ((each.cpu_s - one.cpu_s) / (each.releases - 1) for each in (many, some))
    rss = (many.rss_mb - one.rss_mb) / (many.releases - 1)
    name = f"{many.releases:,} releases observed"
    return [
        Figure(
            f"{name}, queries a tick against one release", many.queries / one.queries, QUERIES_TIMES, "times",
            f"{one.queries:g}, {some.queries:g} and {many.queries:g} at {one.releases}, {some.releases} and {many.releases}",
        ),
        Figure(
            f"{name}, CPU of one and tick against {some.releases}", cpu / cpu_of_some, CPU_TIMES, "times",
            f"{cpu_of_some * 1000:.2f} ms at {some.releases}; the bot alone {one.cpu_s * 1000:.0f} ms a tick",
        ),
        Figure(f"{name}, CPU of one and tick", cpu * 1000, None, "ms", f"{many.cpu_s / INTERVAL_S * 100:.0f} % of a core in all"),
        Figure(f"{name}, memory of one", rss * 1000, None, "kB", f"{many.rss_mb:.0f} MB at most; {one.rss_mb:.0f} MB with one"),
        Figure(
            f"{name}, guards' round of its interval", many.round_s / INTERVAL_S * 100, ROUND_PERCENT, "%",
            f"{many.round_s:.2f} s; {some.round_s:.2f} and {one.round_s:.3f} s with fewer; the first took {many.first_s:.1f} s",
        ),
    ]  # fmt: skip


async def _seen(folder: Path, releases: int, rounds: int) -> Seen:
    folder.mkdir()
    async with local_slack() as slack, prometheus(folder, releases, "prod", ("stable", "canary")) as url:
        place = Place(folder, slack, prometheus=url, services=releases, production=url, policy=POLICY)
        await asyncio.to_thread(park_canaries, place, releases)
        async with bot(place, looked_at=releases, clusters=True) as forge:
            await forge.until("looked", within_s=WITHIN_S)
            await forge.until("started", within_s=WITHIN_S)
            await connected(slack, 2)
            return await _over(forge, url, releases, rounds)


async def _over(forge: Child, url: str, releases: int, rounds: int) -> Seen:
    """From the end of one round to the end of another."""
    first = await forge.until("guarded", within_s=WITHIN_S)
    begun = len(_rounds(forge)) - 1 + ROUNDS_BEFORE
    await forge.until("guarded", count=begun, within_s=WITHIN_S)
    asked, cpu, peak = await _asked(url), forge.cpu_s, forge.rss_mb
    for count in range(begun + 1, begun + rounds + 1):
        await forge.until("guarded", count=count, within_s=WITHIN_S)
        peak = max(peak, forge.rss_mb)
    asked, cpu = await _asked(url) - asked, forge.cpu_s - cpu
    done = _rounds(forge)[begun : begun + rounds]
    if any(set(one["outcomes"]) != {"pass"} for one in done):
        raise RuntimeError(f"not every guard found its release healthy: {done}")
    judged = min(sum(one["outcomes"].values()) for one in done)
    round_s = statistics.median(one["seconds"] for one in done)
    return Seen(releases, judged, asked / rounds, cpu / rounds, round_s, first["seconds"], peak)


def _rounds(forge: Child) -> list[dict[str, Any]]:
    return [one for one in forge.told if one["bench"] == "guarded"]


async def _asked(url: str) -> int:
    """How many queries of any kind the bot has sent so far."""

    def ask() -> int:
        with urllib.request.urlopen(f"{url}/asked", timeout=10) as answer:
            return sum(json.load(answer).values())

    return await asyncio.to_thread(ask)

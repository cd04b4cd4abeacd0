"""A thousand runs of a thousand services in staging: taken up after a restart within seconds, and waiting without costing anything."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.bench.figures import Figure
from tests.bench.parked import park
from tests.bench.surroundings import Child, Place, bot, connected, local_slack, prometheus

RUNS = 1000
RESUMED_S = 5.0
CORE_PERCENT = 2.0
RSS_MB = 300.0
STEADY_S = 48.0
QUIET_CORE_PERCENT = 5.0


async def measure(folder: Path, *, quick: bool) -> list[Figure]:
    """Half of the runs wait for their first approval, half for their go under guards at the default interval."""
    runs = 200 if quick else RUNS
    async with local_slack() as slack, prometheus(folder, runs) as url:
        place = Place(folder, slack, prometheus=url, services=runs)
        await asyncio.to_thread(park, place, runs, runs // 2, posted=True)
        async with bot(place, looked_at=runs) as forge:
            begun = (await forge.until("starting"))["at"]
            looked = (await forge.until("looked"))["at"]
            cpu_s = forge.cpu_s
            await connected(slack, 2)
            resumed = _resumed(looked - forge.begun, looked - begun, cpu_s, runs)
            return [*resumed, *await _steady(forge, runs, 16.0 if quick else STEADY_S)]


def _resumed(since_process: float, since_engine: float, cpu_s: float, runs: int) -> list[Figure]:
    """Judged from the process's start. Much more than the processor's time: others kept the machine busy."""
    note = f"{since_engine:.2f} s of them since the bot was put together; {cpu_s:.1f} s of a processor in all"
    return [Figure(f"restart with {runs} in flight, all resumed, since `serve`", since_process, RESUMED_S, "s", note)]


async def _steady(forge: Child, runs: int, steady_s: float) -> list[Figure]:
    """CPU time over whole rounds of the guards, begun when the start's own work is done."""
    first = await forge.until("guarded")
    await _calm(forge)
    rounds = len([one for one in forge.told if one["bench"] == "guarded"])
    cpu, peak = forge.cpu_s, forge.rss_mb
    begun = asyncio.get_running_loop().time()
    while (passed := asyncio.get_running_loop().time() - begun) < steady_s:
        await asyncio.sleep(1.0)
        peak = max(peak, forge.rss_mb)
    percent = (forge.cpu_s - cpu) / passed * 100
    done = [one for one in forge.told if one["bench"] == "guarded"][rounds:]
    judged = sum(done[-1]["outcomes"].values()) if done else 0
    note = f"over {passed:.0f} s, {len(done)} rounds of {judged} guards; the first round took {first['seconds']:.1f} s"
    return [
        Figure(f"{runs} runs waiting, of a core", percent, CORE_PERCENT, "%", note),
        Figure(f"{runs} runs waiting, RSS", peak, RSS_MB, "MB"),
    ]


async def _calm(forge: Child) -> None:
    """Until a whole second goes by with hardly any work. Raises TimeoutError."""
    async with asyncio.timeout(60):
        while True:
            before = forge.cpu_s
            await asyncio.sleep(1.0)
            if (forge.cpu_s - before) * 100 < QUIET_CORE_PERCENT:
                return

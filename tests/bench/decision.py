"""Click → recorded decision: from the click in Slack until the approval and its audit entry are committed, against a commit of that disk."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

from sandbox.slack import LocalSlack
from sandbox.slack.model import Message
from sandbox.slack.people import find_element
from sandbox.world.staff import PIA, RELEASES
from state.sqlite import SqliteDatabase
from tests.bench.figures import Figure, percentile
from tests.bench.parked import park
from tests.bench.surroundings import Place, bot, connected, local_slack, prometheus

CLICKS = 100
COMMITS = 200
IN_COMMITS = 20.0


async def measure(folder: Path, *, quick: bool) -> list[Figure]:
    """The runs wait for two go's; one of them is given, so that what is measured is the decision and not what follows it."""
    clicks = 30 if quick else CLICKS
    async with local_slack() as slack, prometheus(folder, clicks) as url:
        place = Place(folder, slack, prometheus=url, services=clicks)
        await asyncio.to_thread(park, place, clicks, clicks, posted=False)
        async with bot(place) as forge:
            await forge.until("started")
            await connected(slack, 2)
            await slack.until(lambda: len(_cards(slack)) == clicks, timeout_s=120)
            cards, times, commits = _cards(slack), [], []
            for count, card in enumerate(cards, start=1):
                begun = time.monotonic()
                await slack.click(PIA, RELEASES, card.ts, "approve")
                told = await forge.until("decided", count=count)
                times.append(told["at"] - begun)
                await slack.until(lambda card=card: "(1 of 2)" in card.text)  # type: ignore[misc]
                commits += await asyncio.to_thread(commit_times, folder, max(1, COMMITS // clicks))
    commit, p95 = statistics.median(commits), percentile(times, 95)
    note = f"p95 {p95 * 1000:.1f} ms, median {statistics.median(times) * 1000:.1f} ms; a commit takes {commit * 1000:.2f} ms"
    return [Figure("click to recorded decision, p95", p95 / commit, IN_COMMITS, "commits", note)]


def _cards(slack: LocalSlack) -> list[Message]:
    """The approval cards that have an open button."""
    messages = slack.workspace.messages.get(RELEASES, [])
    return [message for message in messages if find_element(message.blocks, "approve", None)[1] is not None]


def commit_times(folder: Path, count: int) -> list[float]:
    """Seconds that a commit of one row takes beside the bot's database, with the store's own settings."""
    database = SqliteDatabase(folder / "commits.db")
    database.claim()
    try:
        connection = database.connect()
        try:
            connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS rows (value TEXT)")
            return [_commit(connection) for _ in range(count)]
        finally:
            connection.close()
    finally:
        database.release()


def _commit(connection: object) -> float:
    execute = connection.exec_driver_sql  # type: ignore[attr-defined]
    begun = time.perf_counter()
    execute("BEGIN IMMEDIATE")
    execute(f"INSERT INTO rows VALUES ('{'x' * 500}')")
    execute("COMMIT")
    return time.perf_counter() - begun

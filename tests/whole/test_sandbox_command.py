"""`forge sandbox` as people run it: it says where its page is, keeps what it has, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from sandbox.serving import until
from sandbox.world.staff import ADA, RELEASES

PAGE = re.compile(r"http://127\.0\.0\.1:\d+")
START_S = 150


@asynccontextmanager
async def sandbox(folder: Path, *more: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, aiohttp.ClientSession]]:
    """The command's process and a session on its page; afterwards it has been interrupted, and has ended with 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.cli", "sandbox", "--port", "0", "--data-dir", str(folder), *more,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            said = ""
            while not (page := PAGE.search(said)):
                line = (await process.stdout.readline()).decode()
                assert line, said
                said += line
        children = psutil.Process(process.pid).children(recursive=True)
        async with aiohttp.ClientSession(page[0]) as session:
            yield process, session
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(START_S):
            await process.stdout.read()
            assert await process.wait() == 0
        assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def state(session: aiohttp.ClientSession) -> dict[str, Any]:
    async with session.get("/_control/state") as answer:
        found: dict[str, Any] = await answer.json()
        return found


async def use(session: aiohttp.ClientSession, control: str, value: Any = None) -> str:
    async with session.post(f"/_control/panel/{control}", data=json.dumps({"value": value})) as answer:
        assert answer.status == 200, await answer.text()
        note: str = (await answer.json())["note"]
        return note


async def test_a_second_start_on_the_same_folder_knows_its_runs(tmp_path: Path) -> None:
    asked = {"user": ADA, "channel": RELEASES, "text": "deploy staging v1.4.0-rc.2"}

    def sees(words: str) -> Any:
        async def seen() -> bool:
            shown = await state(session)
            return words in json.dumps(shown["messages"] + shown["ephemerals"])

        return seen

    async with sandbox(tmp_path) as (_, session):
        await session.post("/_control/command", data=json.dumps(asked))
        await until(sees("approval needed"), START_S, "it waits for its approval")
    async with sandbox(tmp_path) as (_, session):
        await session.post("/_control/command", data=json.dumps(asked | {"text": "status"}))
        await until(sees("staging-1"), START_S, "the run is known")


async def test_without_a_bot_the_page_shows_the_world_and_offers_to_start_it(tmp_path: Path) -> None:
    async with sandbox(tmp_path, "--no-bot") as (_, session):
        shown = await state(session)
        names = {user["name"] for user in shown["users"]}
        assert {"ada", "sam", "pia", "dora", "sec", "olly", "gus", "xaver"} <= names
        hint = next(hint for hint in shown["hints"] if hint["name"] == "deploy")
        assert "staging" in hint["words"][0]
        assert "v1.4.0-rc.2" in hint["words"][1]
        assert (await state(session))["connection"]["state"] == "offline"
        await use(session, "restart")
        assert (await state(session))["connection"]["state"] == "connected"

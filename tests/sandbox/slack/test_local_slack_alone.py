"""`python -m sandbox.slack` as a process of its own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from functools import partial
from pathlib import Path

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

ROOT = Path(__file__).parents[3]


async def test_the_workspace_runs_alone_and_says_how_to_reach_it():
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "sandbox.slack",
        "--port",
        "0",
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        # Whoever runs the tests in a shell's background has SIGINT ignored, and children inherit that.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    try:
        said = ""
        async with asyncio.timeout(60):
            while "SLACK_SIGNING_SECRET" not in said:
                said += (await process.stdout.readline()).decode()
        settings = dict(re.findall(r"export (\w+)=(\S+)", said))
        client = AsyncWebClient(token=settings["SLACK_BOT_TOKEN"], base_url=settings["SLACK_API_URL"])
        posted = await client.chat_postMessage(channel="#releases", text="hello")
        assert posted["channel"] == "C0RELEASES"
        page = re.search(r"Page: (\S+)", said)
        assert page is not None
        async with aiohttp.ClientSession() as session, session.get(page[1]) as answer:
            assert answer.status == 200
            assert "script-src" not in answer.headers["Content-Security-Policy"].replace("default-src 'self'", "")
    finally:
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            assert await process.wait() == 0

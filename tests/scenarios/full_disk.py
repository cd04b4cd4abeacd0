"""A process whose disk is full for a while, by a limit on the size of files; the test starts it and reads what it says, one JSON line each."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from engine.records import Received, Run
from runbook.errors import StoreUnavailable
from tests.scenarios.stage import Stage, healthy, stage


def say(**told: Any) -> None:
    sys.stdout.write(f"{json.dumps(told)}\n")
    sys.stdout.flush()


def limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


async def tried(s: Stage) -> str:
    try:
        payload = {"team": "T1", "user": "UROB", "text": "deploy staging v1.4.0-rc.9", "command": "/forge"}
        await s.engine.desk.receive("another", "command", payload)
    except StoreUnavailable as error:
        return error.code
    return "taken"


async def main(folder: str) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    async with stage(Path(folder)) as s:
        before = s.images()
        await s.waits_for_go()
        await s.shown_all()
        limit(0)
        code = await tried(s)
        await s.clock.advance(timedelta(minutes=20))
        say(
            code=code, healthy=s.store.healthy, trouble=bool(s.store.trouble), state=s.run().state, runs=len(s.rows(Run)),
            received=len(s.rows(Received, dedup="another")), returned=s.images() == before,
        )  # fmt: skip
        s.metrics.value = lambda expression, at: 0.2 if "error_ratio" in expression else healthy(expression, at)
        await s.clock.advance(timedelta(minutes=6))
        limit(resource.RLIM_INFINITY)
        await s.really(lambda: s.store.healthy)
        run = await s.until_state("ended")
        say(ending=run.ending, reason=run.ending_reason, returned=s.images() == before)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

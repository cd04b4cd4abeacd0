"""A program that was killed is told soon, although a child of its own goes on and keeps its standard error open, as pg_basebackup's does."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from integrations.postgres.server_programs import run_tool
from runbook.errors import Temporary
from tests.integrations.postgres.servers import until


async def test_a_killed_programs_child_is_ended_and_the_program_is_told(tmp_path: Path) -> None:
    child, pids = tmp_path / "child", list[int]()
    line = f"sleep 600 & echo $! > {child}.part; mv {child}.part {child}; wait"
    running = asyncio.create_task(run_tool(("/bin/sh", "-c", line), timeout_s=600, started=pids.append))
    await until(lambda: bool(pids) and child.exists(), "it has a child")
    os.kill(pids[0], signal.SIGKILL)
    async with asyncio.timeout(60):
        with pytest.raises(Temporary, match="ended by signal 9"):
            await running
    await until(lambda: not alive(int(child.read_text())), "its child is gone too")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

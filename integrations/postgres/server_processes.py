"""Which processes are a server's own, and how they are ended. No other process is ever sent a signal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

from integrations.postgres.connection import SYSTEM
from runbook.errors import Temporary

STOP_S: Final = 60.0
_ORPHANS_S: Final = 5.0
_PROC: Final = Path("/proc")


def running(data: Path) -> int | None:
    """The pid of the server on these data, if it is there: the number alone could be anybody's by now."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
        os.kill(pid, 0)
        cwd = Path(f"/proc/{pid}/cwd")
        if Path("/proc/self/cwd").exists():
            return pid if cwd.resolve() == data.resolve() else None
        return pid if Path(lines[1]).resolve() == data.resolve() else None
    except (OSError, ValueError, IndexError):
        return None


def inside(data: Path) -> list[int]:
    """Everything that works in this folder: a server with its children, or children whose server was killed."""
    found = []
    for folder in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (folder / "cwd").readlink() == data.resolve():
                found.append(int(folder.name))
    return found


async def end_orphans(data: Path) -> None:
    """They notice by themselves that their server is gone; what doesn't is ended. Not for data on which a server runs."""
    deadline = time.monotonic() + _ORPHANS_S
    while left := await asyncio.to_thread(inside, data):
        if time.monotonic() > deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.02)


async def end(pid: int, data: Path) -> None:
    """SIGINT ends its sessions, SIGQUIT is a crash, and the last cannot be refused. Children end with their server."""
    for sign, grace_s in ((signal.SIGINT, STOP_S), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)
        deadline = time.monotonic() + grace_s
        while time.monotonic() < deadline:
            if running(data) != pid:
                return
            await asyncio.sleep(0.02)
    raise Temporary(SYSTEM, "timeout", f"the PostgreSQL server {pid} does not end")


def reap(process: subprocess.Popen[bytes]) -> None:
    """Of a server that was ended."""
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)

"""A real process in a container's place: its output goes to a bounded file, its whole group dies with it.

It inherits nothing of the stand-in's environment but what finding and running a Python program needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LARGEST_LOG = 256 * 1024 * 1024
"""In bytes; what a process writes beyond is read and dropped, so that it never stands still."""
DRAINED_WITHIN_S = 2.0
CHUNK = 256 * 1024
INHERITED = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TMPDIR",
    "LD_LIBRARY_PATH",
)

Programs = Callable[[str], Sequence[str] | None]
"""The argv prefix that an image's entrypoint stands for; None: there is no such image."""


@dataclass(frozen=True)
class Processes:
    """Where containers are real processes: what images stand for, and the folder of their logs."""

    programs: Programs
    folder: Path


def inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


class Process:
    """One running process with its own group and session."""

    def __init__(self, process: asyncio.subprocess.Process, pump: asyncio.Task[None]) -> None:
        self._process = process
        self._pump = pump

    @classmethod
    async def start(cls, argv: Sequence[str], env: Mapping[str, str], log: Path) -> Process:
        """Raises OSError where the program can't be executed."""
        path = shutil.which(argv[0], path=env.get("PATH"))
        if path is None:
            raise FileNotFoundError(argv[0])
        # A pipe of our own: asyncio's would make `wait` wait for everybody who holds it, grandchildren included.
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *_dying_with_us(), path, *argv[1:], env=dict(env), start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL, stdout=writing, stderr=writing,
            )  # fmt: skip
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return cls(process, asyncio.create_task(_pump(reading, log), name=f"log of {process.pid}"))

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        """Its exit code as a kubelet reports it: 128 and the signal's number for a killed one."""
        code = await self._process.wait()
        return 128 - code if code < 0 else code

    def terminate(self) -> None:
        """SIGTERM to the first process alone, as a container runtime sends it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    async def end(self) -> None:
        """Kills what is left of the group, and waits until its last output is in the file."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        # A grandchild that left the group may hold the pipe open for ever.
        await asyncio.wait([self._pump], timeout=DRAINED_WITHIN_S)
        self._pump.cancel()
        await asyncio.gather(self._pump, return_exceptions=True)


@functools.cache
def _dying_with_us() -> tuple[str, ...]:
    """Even a stand-in that is killed leaves no program behind, where util-linux is there to see to it (BusyBox can't)."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return ()
    prefix = (setpriv, "--pdeathsig", "KILL", "--")
    tried = subprocess.run((*prefix, "true"), capture_output=True, check=False)  # noqa: S603 - words of ours
    return prefix if tried.returncode == 0 else ()


async def _pump(reading: int, log: Path) -> None:
    output, written = asyncio.StreamReader(limit=CHUNK), 0
    with os.fdopen(reading, "rb") as pipe, log.open("ab", buffering=0) as file:
        protocol = asyncio.StreamReaderProtocol(output)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
        try:
            while chunk := await output.read(CHUNK):
                if written < LARGEST_LOG:
                    file.write(chunk[: LARGEST_LOG - written])
                    written += len(chunk)
        finally:
            transport.close()

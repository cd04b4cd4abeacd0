"""A server program as a child process on a free port: ready, hung, stopped, started again, never orphaned."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import tempfile
import weakref
from abc import ABC, abstractmethod
from pathlib import Path

import aiohttp

from sandbox.ports import hold_port
from sandbox.serving import until

READY_WITHIN_S = 30.0
STOP_WITHIN_S = 10.0


class ProcessFailed(RuntimeError):
    """The program ended by itself; the message ends with its last lines."""


class Served(ABC):
    """One program that serves HTTP. Its folder, port and data outlive `stop`, so that `start` goes on with them.

    On Linux the kernel kills it when the thread that started it ends: start it from the main thread's event loop.
    """

    def __init__(self, name: str, folder: Path | None) -> None:
        self.name = name
        self.url = ""
        self._own_folder = tempfile.TemporaryDirectory(prefix=f"forge-{name}-") if folder is None else None
        self.folder = folder or Path(self._own_folder.name if self._own_folder else "")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = 0
        self._process: asyncio.subprocess.Process | None = None

    @abstractmethod
    async def command(self, host: str, port: int) -> list[str]:
        """The command line; writes the configuration first."""

    @abstractmethod
    async def is_ours(self, session: aiohttp.ClientSession) -> bool:
        """Whether the ready server on our port is our own and no stranger's."""

    def cwd(self) -> Path:
        return self.folder

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Start and wait until it is ready; returns its address.

        port 0: the port it had before, or a free one. Raises ProcessFailed, and TimeoutError when it isn't ready in time.
        """
        if self.pid is not None:
            raise RuntimeError(f"{self.name} runs already")
        if not (port or self.port):
            held = hold_port(host)  # for as long as there is this object: also while the program is stopped
            weakref.finalize(self, held.close)
            port = held.getsockname()[1]
        before, self.port = self.port, port or self.port
        self.url = f"http://{host}:{self.port}"
        try:
            await self._launch(host)
        except ProcessFailed:
            self.port = before
            raise
        return self.url

    async def _launch(self, host: str) -> None:
        command = await self.command(host, self.port)
        # The kernel ends the child when we are killed: it is no orphan then, and keeps no port.
        setpriv = shutil.which("setpriv")
        before = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *before, *command, cwd=self.cwd(), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            await until(self._ready, READY_WITHIN_S, f"{self.name} is ready")
        except BaseException:
            await self.stop()
            raise

    @property
    def _log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def last_lines(self, count: int = 5) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-count:]) if self._log.exists() else ""

    async def _ready(self) -> bool:
        if self._process is None or self._process.returncode is not None:
            raise ProcessFailed(f"{self.name} ended: {self.last_lines()}")
        try:
            async with aiohttp.ClientSession(self.url, timeout=aiohttp.ClientTimeout(total=2)) as session:
                async with session.get("/-/ready") as answer:
                    if answer.status != 200:
                        return False
                return await self.is_ours(session)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False

    def pause(self) -> None:
        """It hangs: connections are accepted by the kernel and nothing ever answers, until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None or self._process.returncode is not None:
            raise RuntimeError(f"{self.name} does not run")
        self._process.send_signal(number)

    async def stop(self) -> None:
        """End it, hung or not, and wait for its end; its data stay. Not running is no error."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def discard(self) -> None:
        """Stop, and delete the data where the folder is our own."""
        await self.stop()
        if self._own_folder is not None:
            self._own_folder.cleanup()

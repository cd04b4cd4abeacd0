"""The bot as a process of its own: started, killed, restarted, and watched, never looked into."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

STOP_WITHIN_S = 15.0


class BotEnded(RuntimeError):
    """It ended before it was connected; the message ends with its last lines."""


class BotProcess:
    """on_change: called whenever it starts or ends. Its output goes to `log`, start after start."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path, on_change: Callable[[], None]
    ) -> None:
        self._command = list(command)
        self._environment = dict(environment)
        self._on_change = on_change
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._log_began = 0
        self.log = log
        self.wanted = False
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """None while it doesn't run."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    @property
    def exit_code(self) -> int | None:
        """Of the last process: negative for a signal, None while it runs or before the first start."""
        return self._process.returncode if self._process is not None else None

    @property
    def crashed(self) -> bool:
        """It has ended though nobody asked it to."""
        return self.wanted and self.starts > 0 and self.pid is None

    async def start(self) -> None:
        """Running already is no error. Doesn't wait until it is connected."""
        if self.pid is not None:
            return
        # The kernel ends it when the sandbox is killed; its own session keeps a Ctrl-C for the sandbox alone.
        setpriv = shutil.which("setpriv")
        self._log_began = self.log.stat().st_size if self.log.exists() else 0
        before = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *before, *self._command, env=self._environment, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.wanted, self.starts = True, self.starts + 1
        self._watch = asyncio.create_task(self._await_end(self._process), name="the bot's end")
        self._on_change()

    async def _await_end(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        self._on_change()

    async def kill(self) -> None:
        """SIGKILL, as a lost machine would; a crash, therefore. Not running is no error."""
        await self._signal(signal.SIGKILL)

    async def stop(self) -> None:
        """Ask it to end, and wait for it; after a while it is killed."""
        self.wanted = False
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await self._signal(signal.SIGTERM)
        except TimeoutError:
            await self._signal(signal.SIGKILL)
        if self._watch is not None:
            await self._watch

    async def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        await process.wait()

    def address(self) -> str | None:
        """Of its own HTTP server, as its newest start told it; None while it hasn't."""
        if self.pid is None or not self.log.exists():
            return None
        with self.log.open("rb") as log:
            log.seek(self._log_began)
            told = [line for line in log if b'"event": "started"' in line]
        try:
            return f"http://127.0.0.1:{int(json.loads(told[-1])['port'])}" if told else None
        except (ValueError, KeyError):
            return None  # the line is half written

    def last_lines(self, count: int = 5) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:]) if self.log.exists() else ""

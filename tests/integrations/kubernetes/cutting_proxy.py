"""A TCP proxy that lets so many bytes of a log's answer through, then breaks the connection or falls silent. Other answers pass whole."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit


class CuttingProxy:
    """after: bytes of an answer to a request for a log. silent: say no more, but keep the connection."""

    def __init__(self, target: str, after: int, *, silent: bool = False) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 0)
        self._after = after
        self._silent = silent
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        their_reader, their_writer = await asyncio.open_connection(*self._target)
        asks_for_log = asyncio.Event()
        up = asyncio.create_task(_up(reader, their_writer, asks_for_log))
        try:
            with contextlib.suppress(OSError):
                await self._down(their_reader, writer, asks_for_log)
        finally:
            up.cancel()
            writer.transport.abort()
            their_writer.transport.abort()

    async def _down(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asks_for_log: asyncio.Event
    ) -> None:
        passed = 0
        while chunk := await reader.read(4096):
            if asks_for_log.is_set():
                if passed + len(chunk) > self._after:
                    break
                passed += len(chunk)
            writer.write(chunk)
            await writer.drain()
        if self._silent:
            await asyncio.Event().wait()


async def _up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asks_for_log: asyncio.Event) -> None:
    while chunk := await reader.read(65_536):
        if b"/log" in chunk.partition(b"\r\n")[0]:
            asks_for_log.set()
        writer.write(chunk)
        await writer.drain()

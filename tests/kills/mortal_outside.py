"""What a mortal bot does outside of its own database: PostgreSQL's programs, the objects of the backups' repository, what GitHub is told.

Each is a boundary: a program that has just begun, one that has just ended and nobody has heard of it yet, an object that was just written,
read or removed, a write that GitHub has just taken. Named by their kind, not by their place: names of objects and processes are others in
each life.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from integrations.backups.objects import Objects
from integrations.github.calls import GitHubCalls

_PROGRAM = re.compile(r"pg_\w+|postgres|initdb")
_KEY = re.compile(r"(manifest\.json|dump|base|probe/|wal/)")

Die = Callable[[str], None]
PAUSE_S = 0.002
SHORT = ("create", "_remove")
"""Verbs whose end may be awaited by everybody else; an upload lasts as long as the program that it is fed from."""


class Effects:
    """Those that are had once: `with effects:` in the loop; whoever else is about to die waits until it has died of that, or goes on."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._under_way = 0

    def __enter__(self) -> None:
        with self._changing:
            self._under_way += 1

    def __exit__(self, *_: object) -> None:
        with self._changing:
            self._under_way -= 1

    def die_between(self, die: Die, boundary: str) -> None:
        """Blocks: for the writer's thread."""
        while True:
            with self._changing:
                if not self._under_way:
                    return die(boundary)
            time.sleep(PAUSE_S)

    async def die_after(self, die: Die, boundary: str) -> None:
        """In the loop, where none begins meanwhile."""
        while self._under_way:  # noqa: ASYNC110 - it is changed by several, and for milliseconds
            await asyncio.sleep(PAUSE_S)
        die(boundary)


effects = Effects()


def watch_outside(die: Die) -> None:
    _watch_programs(die)
    for verb in ("upload", "create", "_remove", "_range"):
        _watch_objects(verb, die)


def program_of(arguments: Any) -> str:
    """Empty for what is none of PostgreSQL's, and for who only asks for its version."""
    words = [os.fspath(word) for word in arguments] if isinstance(arguments, Sequence) else []
    names = [Path(os.fsdecode(word)).name for word in words[:5]]
    name = next((name for name in names if _PROGRAM.fullmatch(name)), "")
    return "" if {"--version", "--dbname=host=127.0.0.1 port=1 dbname=none user=none"} & set(words) else name


def _watch_programs(die: Die) -> None:
    plain_init, plain_wait = subprocess.Popen.__init__, asyncio.subprocess.Process.wait
    started: dict[int, str] = {}

    def begin(self: Any, args: Any, *more: Any, **words: Any) -> None:
        plain_init(self, args, *more, **words)
        if name := program_of(args):
            started[self.pid] = name
            die(f"{name} has begun")

    async def wait(self: Any) -> int:
        code = await plain_wait(self)
        if name := started.pop(self.pid, ""):
            die(f"{name} has ended")
        return code

    subprocess.Popen.__init__ = begin  # type: ignore[method-assign]
    asyncio.subprocess.Process.wait = wait  # type: ignore[method-assign]


def _watch_objects(verb: str, die: Die) -> None:
    plain = getattr(Objects, verb)

    async def watched(self: Objects, key: str, *more: Any) -> Any:
        with effects if verb in SHORT else contextlib.nullcontext():
            result = await plain(self, key, *more)
            match = _KEY.search(key)
            die(f"{verb.strip('_')} {match[1] if match else 'something'}")
        return result

    setattr(Objects, verb, watched)


def watch_github(die: Die) -> None:
    plain = GitHubCalls.write

    async def write(self: GitHubCalls, method: str, repository: str, path: str, *more: Any) -> Any:
        with effects:
            result = await plain(self, method, repository, path, *more)
            die(f"github {method} {path.partition('/')[0]}")
        return result

    GitHubCalls.write = write  # type: ignore[method-assign,assignment]

"""What a sudden death would leave behind, before and after every write of one life: the database as committed, and the world outside.

The writes are met in the life itself, never listed by hand. Whoever starts from an image lives the life after that death.
"""

from __future__ import annotations

import copy
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from state.database import SQLITE_FILE
from tests.engine.harness import KeepingChat, KeptMessage, KeptUpload, Outside
from tests.fakes.clock import SimulatedClock

T = TypeVar("T")


@dataclass(frozen=True)
class Image(Generic[T]):
    """boundary: where the program dies. outside: what outlives it, copied at that moment."""

    boundary: str
    database: bytes
    outside: T

    def laid_out(self, folder: Path) -> Path:
        """The folder, made, with the database in it."""
        folder.mkdir()
        (folder / SQLITE_FILE).write_bytes(self.database)
        return folder


class Camera(Generic[T]):
    """The `fate` of a life in which nobody dies. look: copies what is outside; copies are compared, for a boundary that leaves the very same
    behind as the one before it leads to the very same life."""

    def __init__(self, folder: Path, look: Callable[[], T]) -> None:
        self._database = folder / SQLITE_FILE
        self._look = look
        self.images: list[Image[T]] = []
        self.writes = 0

    def wrap(self, write: Callable[[Any], Any]) -> Callable[[Any], Any]:
        async def watched(change: Any) -> Any:
            self.writes += 1
            number = self.writes
            self._take(f"before write {number}")
            result = await write(change)
            self._take(f"after write {number}")
            return result

        return watched

    def _take(self, boundary: str) -> None:
        image = Image(boundary, self._committed(), self._look())
        last = self.images[-1] if self.images else None
        if last is None or (last.database, last.outside) != (image.database, image.outside):
            self.images.append(image)

    def _committed(self) -> bytes:
        with closing(sqlite3.connect(f"{self._database.as_uri()}?mode=ro", uri=True, timeout=30.0)) as connection:
            return connection.serialize()


@dataclass(frozen=True)
class Left:
    """What there is outside in most stories."""

    now: datetime
    messages: list[KeptMessage]
    uploads: list[KeptUpload]
    done: list[str]

    @classmethod
    def of(cls, clock: SimulatedClock, chat: KeepingChat, outside: Outside) -> Left:
        messages = [copy.copy(message) for message in chat.messages]  # they are edited in place
        return cls(clock.now(), messages, list(chat.uploads), list(outside.done))

    def clock(self) -> SimulatedClock:
        return SimulatedClock(self.now)

    def chat(self) -> KeepingChat:
        chat = KeepingChat(len(self.messages) + 1)
        chat.messages, chat.uploads = [copy.copy(message) for message in self.messages], list(self.uploads)
        return chat

    def world(self, like: Outside) -> Outside:
        """Behaves like this one, and what was done to it is done."""
        return Outside(list(self.done), like.results, like.takes_s)


def no_message_twice(chat: KeepingChat) -> bool:
    ids = [message.message_id for message in chat.messages]
    return len(ids) == len(set(ids))

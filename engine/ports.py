"""What the engine asks of its surroundings: the store, the chat, the renderer of messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from engine.records import Entry, Outgoing, Sealed
from runbook.charts import Chart

R = TypeVar("R")
T = TypeVar("T")


class Ledger(Protocol):
    """The database inside one transaction. Synchronous; used only inside a function given to `Store.write` or `Store.read`.

    The first argument is positional only (`kind` is a column too). Conditions are equalities; a list or tuple means "one of", None means "is null".
    """

    def get(self, kind: type[R], /, *key: object) -> R | None: ...

    def find(self, kind: type[R], /, *, order: str = "", limit: int | None = None, **equals: object) -> list[R]:
        """order: a column, `-column` for descending; by key when empty."""

    def count(self, kind: type[Any], /, **equals: object) -> int: ...

    def add(self, record: R) -> R:
        """Inserts; returns the record with the number that the database gave where its key is None. An existing key raises `Exists`."""

    def save(self, record: Any) -> None:
        """Inserts or replaces by key."""

    def remove(self, kind: type[Any], /, **equals: object) -> int: ...

    def next_number(self, series: str) -> int:
        """1, 2, 3, … without gaps in one series, such as the runs of an environment."""

    def audit(self, entry: Entry, at: datetime) -> Sealed:
        """Appends to the audit log, in this very transaction."""


class Exists(Exception):
    """A row with this key (or another unique value) is there already."""


class Store(Protocol):
    """One writer. A function given to `write` runs in a transaction of its own effect: it commits whole or not at all; several that
    queue up share one commit. It must be quick, do no I/O, and may be run only once. Raises `StoreUnavailable` when nothing was kept."""

    async def write(self, change: Callable[[Ledger], T]) -> T: ...

    async def read(self, look: Callable[[Ledger], T]) -> T: ...

    @property
    def healthy(self) -> bool:
        """False from a failed write until the next one that succeeds."""


@dataclass(frozen=True)
class Message:
    """What is sent to Slack. text stands alone: phones show nothing else. blocks: Block Kit, already within its limits."""

    text: str
    blocks: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Placed:
    """Where a message stands. permalink may be empty."""

    channel: str
    ts: str
    permalink: str = ""


class Chat(Protocol):
    """Slack as the outbox sees it. message_id travels in the message's metadata. Raises `runbook.errors`; a `Temporary` whose code ends in
    `.doubtful` means that the message may have arrived."""

    async def post(
        self, channel: str, message: Message, message_id: str, *, thread_ts: str = "", broadcast: bool = False
    ) -> Placed: ...

    async def update(self, channel: str, ts: str, message: Message) -> None: ...

    async def find(self, channel: str, message_id: str, *, thread_ts: str = "", since: datetime) -> Placed | None:
        """Looks for a message of ours by its id before a doubtful post is repeated."""

    async def respond(self, address: str, message: Message) -> None:
        """An answer that the caller alone sees, by the response address of a command or click."""

    async def upload(self, channel: str, name: str, title: str, alt: str, data: bytes, *, thread_ts: str = "") -> None:
        """A PNG shown as a message of its own. alt: said in its place where it can't be seen."""

    async def find_file(self, channel: str, name: str, *, thread_ts: str = "", since: datetime) -> bool:
        """Whether a file of this name stands there: looked for before a doubtful upload is repeated."""

    async def direct(self, user_id: str) -> str:
        """The channel of the direct messages with this person."""


class Painter(Protocol):
    """Draws charts. Raises `runbook.errors`: a chart that can't be drawn is no reason to hold anything up."""

    async def draw(self, chart: Chart) -> bytes:
        """PNG."""


@dataclass(frozen=True)
class Page:
    """A page that stands alone. title: of the file in Slack."""

    title: str
    html: str


class Renderer(Protocol):
    """Turns stored rows into what people see; pure, given the ledger."""

    def page(self, view: Any, pictures: Mapping[int, bytes]) -> Page:
        """A run's report (`engine.report.ReportView`). pictures: PNG by a chart's place."""

    def render(self, ledger: Ledger, outgoing: Outgoing, now: datetime) -> Message | None:
        """None when there is nothing to show any more."""

"""The real bot in a process that kills itself (SIGKILL) at every boundary it comes to, each once, life after life.

A boundary is a transaction that writes an audit entry or moves a message: found in what the bot writes, never listed by hand. It dies before
the commit (what was done outside is not on record) and, in a later life, after it. MORTAL_FILE keeps the deaths that are behind it;
MORTAL_KINDS says which boundaries count: `audit`, `outbox`.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from engine.records import Entry, Outgoing, StepRow
from state.store import SqlStore

FILE = Path(os.environ["MORTAL_FILE"])
KINDS = frozenset(os.environ["MORTAL_KINDS"].split(","))


class Watching:
    """A ledger that notes what a transaction does."""

    def __init__(self, ledger: Any, seen: list[str]) -> None:
        self._ledger, self._seen = ledger, seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def audit(self, entry: Entry, at: Any) -> Any:
        if "audit" in KINDS:
            self._seen.append(f"{entry.action} {entry.subject} {entry.what}")
        return self._ledger.audit(entry, at)

    def save(self, record: Any) -> None:
        if "outbox" in KINDS and isinstance(record, Outgoing):
            what = record.subject.partition(":")[0] if record.kind == "view" else record.kind
            self._seen.append(f"outbox {what} {record.state}")
        if (
            "audit" in KINDS
            and isinstance(record, StepRow)
            and record.progress is not None
            and record.state == "running"
        ):
            self._seen.append(f"progress {record.run}/{record.index}")
        self._ledger.save(record)


def die_once(boundary: str) -> None:
    behind = FILE.read_text().splitlines() if FILE.exists() else []
    if boundary in behind:
        return
    with FILE.open("a") as file:
        file.write(boundary + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.kill(os.getpid(), signal.SIGKILL)


def make_mortal() -> None:
    plain = SqlStore.write

    async def write(self: SqlStore, change: Any) -> Any:
        seen: list[str] = []

        def watched(ledger: Any) -> Any:
            result = change(Watching(ledger, seen))
            if seen:
                die_once("before " + "; ".join(sorted(set(seen))))
            return result

        result = await plain(self, watched)
        if seen:
            die_once("after " + "; ".join(sorted(set(seen))))
        return result

    SqlStore.write = write  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    from bot.serve import main

    make_mortal()
    sys.exit(main(None))

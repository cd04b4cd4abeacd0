"""The real bot in a process that kills itself (SIGKILL) at every boundary it comes to, each once, life after life.

A boundary is a transaction that writes an audit entry or moves a message: found in what the bot writes, never listed by hand. It dies before
the commit (what was done outside is not on record) and, in a later life, after it. MORTAL_FILE keeps the deaths that are behind it;
MORTAL_KINDS says which boundaries count: `audit`, `outbox`, `outside` and `github` (see `mortal_outside`), or none for a bot that is killed
from outside. Where a test writes MORTAL_FILE with `.story`, that says which of them are deadly, story after story: `name|every|from`, every
n-th, from the first one on that has `from` in its name. A story is part of its boundaries' names, and dies of the same again; while the file
is empty nothing is deadly. Without the file everything is.
"""

from __future__ import annotations

import ctypes
import gc
import os
import re
import signal
import sys
from datetime import datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from engine.records import Delivery, Entry, Outgoing, Sealed, StepRow
from runbook.documents import tree
from state.ledger import SqlLedger
from state.store import SqlStore
from tests.kills.mortal_outside import effects, watch_github, watch_outside

FILE = Path(os.environ["MORTAL_FILE"])
PID = FILE.with_suffix(".pid")
DEATHS = FILE.with_suffix(".deaths")
STORY = FILE.with_suffix(".story")
KINDS = frozenset(os.environ["MORTAL_KINDS"].split(","))

ANEW = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")
"""The part of a backup's name that is another one at each attempt: it is the same boundary all the same."""

LAZY = (
    "integrations.github",
    "integrations.http_probes",
    "integrations.kubernetes",
    "integrations.kubernetes.restore_objects",
    "integrations.pagerduty",
    "integrations.prometheus",
    "integrations.registry",
    "integrations.scan_folder",
    "integrations.signatures.git_signatures",
    "integrations.slack.directory",
    "integrations.slack.web",
    "integrations.sql_linter",
    "junitparser",
    "prometheus_api_client.prometheus_connect",
)
"""What `bot.adapters` imports when it is first asked for, and what that imports later still."""

SEEN: list[str] = []
"""What the transaction that is being written does; there is one writer."""


def watch_ledger() -> None:
    plain_audit, plain_save, plain_add = SqlLedger.audit, SqlLedger.save, SqlLedger.add

    def audit(self: SqlLedger, entry: Entry, at: datetime) -> Sealed:
        if "audit" in KINDS:
            # Each of the many images' scans is the same boundary.
            name = entry.action if entry.action == "scan.received" else f"{entry.action} {entry.subject} {entry.what}"
            SEEN.append(f"{name} {entry.why[:20]}" if entry.action == "backup.deleted" else name)
        return plain_audit(self, entry, at)

    def add(self: SqlLedger, record: Any) -> Any:
        if "github" in KINDS and isinstance(record, Delivery):
            SEEN.append(f"delivery {record.event}")
        return plain_add(self, record)

    def save(self: SqlLedger, record: Any) -> None:
        if "outbox" in KINDS and isinstance(record, Outgoing):
            what = record.subject.partition(":")[0] if record.kind == "view" else record.kind
            SEEN.append(f"outbox {what} {record.state}")
        if (
            "audit" in KINDS
            and isinstance(record, StepRow)
            and record.progress is not None
            and record.state == "running"
        ):
            # A Job's is chosen, created, concluded: told apart by what is known, not by its values.
            known = [name for name, value in record.progress.items() if value is not None]
            SEEN.append(f"progress {record.run}/{record.index} {' '.join(sorted(known))}")
        plain_save(self, record)

    SqlLedger.audit = audit  # type: ignore[method-assign]
    SqlLedger.save = save  # type: ignore[method-assign]
    SqlLedger.add = add  # type: ignore[method-assign]


def die_once(boundary: str) -> None:
    story, every, since = told_story()
    if story == "":
        return
    lead = f"{story}: " if story else ""
    boundary = ANEW.sub("…", lead + boundary)
    behind = [line for line in FILE.read_text().splitlines() if line.startswith(lead)] if FILE.exists() else []
    if boundary in behind or not (behind or since in boundary):
        return
    with FILE.open("a") as file:
        file.write(boundary + "\n")
        file.flush()
        os.fsync(file.fileno())
    if len(behind) % every == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def told_story() -> tuple[str | None, int, str]:
    """Its name, which boundaries of it are deadly, and from where on; None: there is no story."""
    if not STORY.exists():
        return None, 1, ""
    name, every, since = (*STORY.read_text().split("|"), "", "")[:3]
    return name, int(every or 1), since


def make_mortal() -> None:
    watch_ledger()
    if "outside" in KINDS:
        watch_outside(die_once)
    if "github" in KINDS:
        watch_github(die_once)
    plain = SqlStore.write

    async def write(self: SqlStore, change: Any) -> Any:
        mine: list[str] = []

        def watched(ledger: Any) -> Any:
            SEEN.clear()
            result = change(ledger)
            mine.extend(sorted(set(SEEN)))
            if mine:
                effects.die_between(die_once, "before " + "; ".join(mine))
            return result

        result = await plain(self, watched)
        if mine:
            await effects.die_after(die_once, "after " + "; ".join(mine))
        return result

    SqlStore.write = write  # type: ignore[method-assign,assignment]


def import_everything() -> None:
    """What a life would import when it first talks to each system, too, and the parsed configuration: half of what a start costs.

    No thread and no connection may begin here: lives are forked.
    """
    from bot.configuration.loading import load as load_configuration
    from integrations.kubernetes.library import load

    for name in LAZY:
        import_module(name)
    load()
    tree._compose = cache(tree._compose)
    load_configuration()
    gc.collect()
    gc.freeze()


def live_on() -> int:
    """Imports everything once and forks life after life: a death costs what a start costs, without the imports.

    A child that is killed is followed by the next one at once; MORTAL_PID names the one that lives. Ends with the first child that ends
    by itself.
    """
    from bot.serve import main

    import_everything()
    wanted = True
    child = 0

    def end(number: int, frame: Any) -> None:
        nonlocal wanted
        wanted = False
        os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    while True:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it doesn't outlive its parent
            make_mortal()
            os._exit(main(None))
        PID.write_text(str(child))
        _, status = os.waitpid(child, 0)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL and wanted):
            return os.waitstatus_to_exitcode(status)
        with DEATHS.open("a") as file:
            file.write("x")


if __name__ == "__main__":
    sys.exit(live_on())

"""PostgreSQL's server programs as children of forge, ended with it: bounded in time, in a process group of their own, never as root.

PostgreSQL refuses to run as root; where forge does, they run as `nobody`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from integrations.children import NOT_RUN, ending_with_us
from integrations.postgres.connection import SYSTEM, plain_environment
from runbook.errors import Permanent, Temporary
from runbook.redaction import redacted

KEPT_BYTES: Final = 4096
"""Of what a program says on its standard error, the end."""

_LOOK_S: Final = 0.5


async def run_tool(
    arguments: Sequence[str],
    *,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    as_server: bool = False,
    heard: Callable[[bytes], None] | None = None,
    started: Callable[[int], None] | None = None,
) -> None:
    """Runs a program to a good end. environment: all of it. as_server: as the user that servers run as. heard: gets what it says.
    started: gets its pid.

    Raises Permanent("postgres.failed") with its last words, Temporary("postgres.timeout"), Temporary("postgres.killed") and
    Permanent("postgres.no_program").
    """
    name = Path(arguments[0]).name
    try:
        beginning = asyncio.create_task(
            asyncio.create_subprocess_exec(
                *ending_with_us(arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=dict(environment if environment is not None else plain_environment()),
                cwd=cwd,
                start_new_session=True,
                **(server_user() if as_server else {}),
            )
        )
        process = await _begun(beginning)
    except OSError as error:
        raise _not_run(name, error.strerror or "") from None
    last = b""
    ending = asyncio.create_task(_end_left_behind(process))
    try:
        if started is not None:
            started(process.pid)
        async with asyncio.timeout(timeout_s):
            assert process.stderr is not None  # noqa: S101 - it is a pipe
            while said := await process.stderr.read(64 * 1024):
                last = (last + said)[-KEPT_BYTES:]
                if heard is not None:
                    heard(said)
            code = await process.wait()
    except TimeoutError:
        raise Temporary(SYSTEM, "timeout", f"{name} did not finish within {timeout_s:g} s") from None
    finally:
        ending.cancel()
        await end_group(process)
    if code < 0:
        raise Temporary(SYSTEM, "killed", f"{name} was ended by signal {-code}")
    if code in (126, 127) and NOT_RUN in last:
        raise _not_run(name, last_words(last).rpartition(": ")[2])
    if code != 0:
        raise Permanent(SYSTEM, "failed", f"{name} failed: {last_words(last)}")


async def _begun(beginning: asyncio.Task[asyncio.subprocess.Process]) -> asyncio.subprocess.Process:
    """A cancellation in the middle of it would have asyncio end the program alone, and not what that has started already."""
    try:
        return await asyncio.shield(beginning)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            await end_group(await beginning)
        raise


async def _end_left_behind(process: asyncio.subprocess.Process) -> None:
    """Once the program itself has ended. The child of a pg_basebackup that was killed goes on, and keeps its standard error open."""
    while process.returncode is None:  # noqa: ASYNC110 - `wait` may not come back before the pipe is closed
        await asyncio.sleep(_LOOK_S)
    await asyncio.sleep(_LOOK_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _not_run(name: str, why: str) -> Permanent:
    remedy = "Install PostgreSQL where the user that servers run as may read it"
    return Permanent(SYSTEM, "no_program", f"{name} can't be run: {why}", remedy)


async def end_group(process: asyncio.subprocess.Process, grace_s: float = 0) -> None:
    """Ends a child with all that it started, and awaits it. grace_s: after SIGTERM, before SIGKILL."""
    if process.returncode is None and grace_s > 0:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace_s)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # its children too, where it ended before them: pg_basebackup has one
    await process.wait()


def last_words(said: bytes, limit: int = 600) -> str:
    """The end of what a program said, on one line and without what looks like a secret."""
    lines = [line.strip() for line in said.decode(errors="replace").replace("\r", "\n").splitlines() if line.strip()]
    return redacted(" | ".join(lines))[-limit:] or "it gave no reason"


def server_user() -> dict[str, Any]:
    """Arguments for a child process that runs as the user of servers."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam("nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def give_to_server(*paths: Path) -> None:
    """Makes these, but not what is in them, the server user's own."""
    user = server_user()
    for path in paths if user else ():
        os.chown(path, user["user"], user["group"], follow_symlinks=False)


def give_tree_to_server(folder: Path) -> None:
    """With everything in it. Links are not followed."""
    if not server_user():
        return
    give_to_server(folder)
    for parent, folders, files in os.walk(folder):
        give_to_server(*(Path(parent) / name for name in (*folders, *files)))

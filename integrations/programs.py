"""Outside programs (gpg, ssh-keygen, docker-credential-*): run with a time limit and without a shell.

No process outlives its call, and no argument carries a secret: those go through standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from runbook.errors import Permanent, Temporary


@dataclass(frozen=True, slots=True)
class Finished:
    """code: the exit code. output, errors: standard output and error."""

    code: int
    output: bytes = field(repr=False)
    errors: bytes = field(repr=False)


async def run_program(
    system: str,
    arguments: Sequence[str],
    *,
    remedy: str,
    stdin: bytes = b"",
    timeout_s: float = 10.0,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Runs a program to its end. remedy: what to do where it isn't installed.

    environment: is added to ours. Raises Permanent("no_program") and Temporary("timeout").
    """
    name = arguments[0]
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            start_new_session=True,  # so that its children can be ended with it
        )
    except (FileNotFoundError, PermissionError) as error:
        raise Permanent(system, "no_program", f"the program {name} can't be run here", remedy) from error
    try:
        async with asyncio.timeout(timeout_s):
            output, errors = await process.communicate(stdin)
    except TimeoutError as error:
        raise Temporary(system, "timeout", f"{name} did not finish within {timeout_s:g} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    assert process.returncode is not None  # noqa: S101 - communicate() waited for it
    return Finished(process.returncode, output, errors)

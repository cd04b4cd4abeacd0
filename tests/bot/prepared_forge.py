"""`forge` as a script sees it: a process of its own, with words, variables, a folder, output and an exit code.

It is forked from one that has loaded already whatever commands load, which else takes most of their time. Started as a program, this file is
that one. That the console script begins at all, and what it loads for its help, is tested without it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

ROOT = Path(__file__).parents[2]
LOADED = (
    "bot.cli", "bot.offline", "bot.runbook_text", "bot.audit_keys", "bot.configuration.loading", "bot.configuration.schema",
    "handlers.local_client", "integrations.prometheus.rules", "messages.plain", "state.export", "state.places", "state.search",
    "state.store", "state.verify",
)  # fmt: skip
FOREIGN = ("FORGE_", "SLACK_", "GITHUB_")


@dataclass(frozen=True)
class Ended:
    returncode: int
    stdout: str
    stderr: str


def typed(words: Sequence[str], cwd: Path, variables: Mapping[str, str]) -> Ended:
    """`forge <words>` in this folder, with these variables beside the machine's own that mean nothing to forge."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    with TemporaryDirectory(prefix="forge-cli-") as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        order = {"words": words, "cwd": str(cwd), "environ": {**clean, **variables}, "out": str(out), "err": str(err)}
        program = _prepared()
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(json.dumps(order) + "\n")
        program.stdin.flush()
        code = int(program.stdout.readline())
        return Ended(code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))


@cache
def _prepared() -> subprocess.Popen[str]:
    """It ends with this process: by its closed standard input."""
    command = [sys.executable, "-m", "tests.bot.prepared_forge"]
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    atexit.register(_end, program)
    return program


def _end(program: subprocess.Popen[str]) -> None:
    program.communicate()


# --- in the prepared process ------------------------------------------------------------------------------------------


def serve() -> None:
    for name in LOADED:
        import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _play(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the answer


def _play(order: Mapping[str, object]) -> NoReturn:
    for number, path in ((0, os.devnull), (1, str(order["out"])), (2, str(order["err"]))):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), number)
    words, environ = order["words"], order["environ"]
    assert isinstance(words, list)
    assert isinstance(environ, dict)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(str(order["cwd"]))
    sys.argv = ["forge", *words]
    os._exit(_exit_code())


def _exit_code() -> int:
    """As Python itself would end."""
    code = 1
    try:
        import_module("bot.cli").main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            sys.stderr.write(ended.code + "\n")
    except BaseException:  # noqa: BLE001 - it is shown as the interpreter would show it
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    return code


if __name__ == "__main__":
    serve()

"""The bot's side of drawing: a chart in, PNG bytes out, by a process of its own. It must never import the drawing library itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import structlog

from integrations.charts.bounds import MAX_OUTPUT_BYTES, MODULE, UNFIT
from runbook.charts import Chart, chart_to_json
from runbook.errors import Permanent, Temporary
from runbook.redaction import redacted

log = structlog.get_logger("forge.charts")

SYSTEM = "charts"
TIMEOUT_S = 30.0
"""A picture takes one to two seconds; a busy machine may need many times that."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ROOT = Path(__file__).parents[2]
_TOLD = 500


class Painter:
    """Fulfils `engine.ports.Painter`. One process at a time: two would only take the processor from each other.

    scratch: where the drawing library keeps its list of fonts between two pictures; by default a private folder among
    the system's temporary ones, which `close` removes. memory_bytes: what the process may take; it is ended beyond.
    """

    def __init__(
        self, *, timeout_s: float = TIMEOUT_S, memory_bytes: int = 2 << 30, scratch: Path | None = None
    ) -> None:
        self._timeout_s = timeout_s
        self._memory_bytes = memory_bytes
        self._scratch = scratch
        self._made: Path | None = None
        self._one_at_a_time = asyncio.Lock()

    async def draw(self, chart: Chart) -> bytes:
        """The chart as PNG. Raises Permanent("unfit", "no_program", "no_scratch") and Temporary("timeout", "failed")."""
        body = json.dumps(chart_to_json(chart), allow_nan=False).encode()
        async with self._one_at_a_time:
            code, output, errors = await self._run(body)
        if code == 0 and output.startswith(SIGNATURE) and len(output) <= MAX_OUTPUT_BYTES:
            return output
        told = redacted(errors.decode(errors="replace")).strip()[-_TOLD:]
        log.warning("charts.not_drawn", code=code, bytes=len(output), stderr=told)
        if code == UNFIT:
            raise Permanent(SYSTEM, "unfit", f"the chart “{chart.title[:80]}” can't be drawn")
        raise Temporary(SYSTEM, "failed", f"the drawing process ended with code {code}")

    def close(self) -> None:
        made, self._made = self._made, None
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)

    async def _run(self, body: bytes) -> tuple[int, bytes, bytes]:
        scratch = self._folder()
        try:
            # -P: what lies in the working directory is never imported; -s: nor what a user installed for themselves.
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-s", "-m", MODULE, str(self._memory_bytes),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                cwd=scratch, env=_environment(scratch), start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise Permanent(SYSTEM, "no_program", f"no drawing process can be started: {error.strerror}") from error
        try:
            async with asyncio.timeout(self._timeout_s):
                output, errors = await process.communicate(body)
        except TimeoutError as error:
            raise Temporary(SYSTEM, "timeout", f"the picture was not drawn within {self._timeout_s:g} s") from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        return process.returncode or 0, output, errors

    def _folder(self) -> Path:
        if self._scratch is not None:
            return self._scratch
        if self._made is None or not self._made.is_dir():
            try:
                self._made = Path(tempfile.mkdtemp(prefix="forge-charts-"))
            except OSError as error:
                remedy = "Give the bot a writable TMPDIR."
                raise Permanent(SYSTEM, "no_scratch", "there is no writable temporary folder", remedy) from error
        return self._made


def _environment(scratch: Path) -> dict[str, str]:
    """Made anew, so that no secret of the bot's environment gets there."""
    return {
        "PATH": os.defpath,
        "PYTHONPATH": str(_ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "utf-8",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "MPLCONFIGDIR": str(scratch),
        "MPLBACKEND": "Agg",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        # One thread each: the numeric library would reserve memory for every processor otherwise.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }

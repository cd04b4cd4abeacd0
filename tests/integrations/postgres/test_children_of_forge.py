"""Programs end with the process that began them, also when that is killed; what they left in scratch goes at the next start."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from integrations.children import ending_with_us
from integrations.postgres.connection import folder_of_ours, sweep
from integrations.postgres.server_programs import run_tool
from runbook.errors import Permanent
from sandbox.serving import until

PARENT = """
import asyncio, sys
from pathlib import Path
from integrations.postgres.connection import folder_of_ours
from integrations.postgres.server_programs import run_tool

with folder_of_ours(Path(sys.argv[1]), "base-") as folder:
    (folder / "row").write_text("a customer's")
    asyncio.run(run_tool([sys.argv[2], "600"], timeout_s=600, cwd=folder, started=lambda pid: print(pid, flush=True)))
"""


async def test_a_program_dies_with_a_forge_that_is_killed_and_its_folder_goes_at_the_next_start(tmp_path: Path) -> None:
    sleep = shutil.which("sleep")
    assert sleep is not None
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path), sleep, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    sweep(tmp_path)
    (left,) = tmp_path.iterdir()  # it is in use
    parent.send_signal(signal.SIGKILL)
    await parent.wait()

    async def is_gone() -> bool:
        return not is_running(child)

    await until(is_gone, 60, "the program is gone")
    assert (left / "row").exists()
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def is_running(pid: int) -> bool:
    """Not so of one that has ended and whose end nobody has asked for."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


async def test_a_program_that_is_not_there_or_may_not_be_run_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ending_with_us([str(tmp_path / "pg_dump")])
    (tmp_path / "pg_dump").write_text("#!/nowhere/at/all\n")
    with pytest.raises(PermissionError):
        ending_with_us([str(tmp_path / "pg_dump")])
    (tmp_path / "pg_dump").chmod(0o755)
    with pytest.raises(Permanent) as raised:
        await run_tool([str(tmp_path / "pg_dump")], timeout_s=10)
    assert raised.value.code == "postgres.no_program"
    assert "pg_dump can't be run" in raised.value.cause


def test_a_folder_of_a_process_that_lives_is_left_to_it(tmp_path: Path) -> None:
    with folder_of_ours(tmp_path, "base-") as folder, folder_of_ours(tmp_path, "base-") as other:
        assert folder.exists()
        assert other.exists()
    assert list(tmp_path.iterdir()) == []

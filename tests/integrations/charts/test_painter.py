"""Pictures from a real drawing process: what it draws, how it fails, and that the bot stays as small as it was."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.charts.painter import Painter
from runbook.charts import Chart, Line, Panel
from runbook.errors import Permanent, Temporary
from tests.integrations.charts.png_file import is_whole, size_of

T = 1_795_000_000.0
EMPTY = Chart("nothing", "alt", ())
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kept for the module, so that the list of fonts is made once."""
    return tmp_path_factory.mktemp("charts")


@pytest.fixture
def painter(scratch: Path) -> Iterator[Painter]:
    made = Painter(scratch=scratch)
    yield made
    made.close()


SMALL = Chart(
    "staging-1: error rate", "alt", (Panel("Error rate", "ratio", (Line("web", ((T, 0.01), (T + 15, 0.02))),)),)
)


async def test_a_chart_goes_out_and_a_whole_picture_comes_back(painter: Painter) -> None:
    png = await painter.draw(SMALL)
    assert is_whole(png)
    assert size_of(png) == (1200, 675)


async def test_a_picture_that_takes_too_long_is_given_up_and_its_process_ended(scratch: Path) -> None:
    painter = Painter(scratch=scratch, timeout_s=0.05)
    with pytest.raises(Temporary) as caught:
        await painter.draw(SMALL)
    assert caught.value.code == "charts.timeout"
    assert not _children()


async def test_cancelling_ends_the_process_as_well(painter: Painter) -> None:
    drawing = asyncio.create_task(painter.draw(SMALL))
    async with asyncio.timeout(60):
        while not _children():  # noqa: ASYNC110 - the system tells nobody of a new process
            await asyncio.sleep(0.005)
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    assert not _children()


async def test_a_process_without_memory_fails_by_itself_and_nothing_else_does(scratch: Path) -> None:
    painter = Painter(scratch=scratch, memory_bytes=60 << 20)
    with pytest.raises(Temporary) as caught:
        await painter.draw(SMALL)
    assert caught.value.code == "charts.failed"


async def test_a_process_gets_nothing_of_the_bots_environment(
    painter: Painter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "matplotlib.py").write_text("raise RuntimeError('not this one')")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-secret")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "none-such")
    monkeypatch.setenv("MPLCONFIGDIR", "/proc/none-such")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert is_whole(await painter.draw(EMPTY))


async def test_the_painters_own_folder_is_private_and_goes_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    painter = Painter()
    await painter.draw(EMPTY)
    [folder] = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    painter.close()
    painter.close()
    assert list(tmp_path.iterdir()) == []


async def test_without_a_writable_folder_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(Permanent) as caught:
        await Painter().draw(EMPTY)
    assert caught.value.code == "charts.no_scratch"
    assert "TMPDIR" in caught.value.remedy


@pytest.mark.parametrize("text", ["", "{}", '{"title": 1, "alt": 2, "panels": [{}]}', "[1]", "\x00"])
def test_what_is_no_chart_is_unfit_for_ever(text: str, scratch: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "integrations.charts.draw", str(1 << 31)], input=text.encode(), capture_output=True,
        check=False, env={"PYTHONPATH": str(ROOT), "MPLCONFIGDIR": str(scratch)}, timeout=30,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stdout == b""


def test_the_bots_side_imports_no_drawing_library() -> None:
    code = "import sys, bot.assembly, integrations.charts.painter; print([m for m in ('matplotlib', 'numpy', 'PIL') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def _children() -> list[int]:
    """Drawing processes that this very process started and that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat, command = (entry / "stat").read_text(), (entry / "cmdline").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == os.getpid() and "integrations.charts.draw" in command:
                found.append(int(entry.name))
    return found

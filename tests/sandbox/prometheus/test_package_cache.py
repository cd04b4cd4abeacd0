"""Where the programs come from."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.prometheus.packages import LOCAL_TEMPLATES, SYSTEM_TEMPLATES, ProgramMissing, find_or_unpack

FIND = "from sandbox.prometheus import find_or_unpack; print(find_or_unpack('prometheus')['promtool'])"


def program(path: Path, text: str = "#!/bin/sh\nexit 0\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


# Plays apt-get and dpkg: the download takes a moment, so that two processes really meet.
APT = '#!/bin/sh\nsleep 0.2\nfor package in "$@"; do :; done\ntouch "${package}_1_all.deb"\n'
DPKG = """#!/bin/sh
mkdir -p "$3/usr/bin"
for each in prometheus promtool prometheus-alertmanager; do
  printf '%s' '/usr/share/prometheus/alertmanager' > "$3/usr/bin/$each"
done
"""


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with our own apt-get and dpkg, an empty cache."""
    tools = tmp_path / "tools"
    for name in ("mkdir", "touch", "sleep", "sh"):
        tools.mkdir(exist_ok=True)
        (tools / name).symlink_to(f"/bin/{name}" if Path(f"/bin/{name}").exists() else f"/usr/bin/{name}")
    program(tools / "apt-get", APT)
    program(tools / "dpkg", DPKG)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("FORGE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def test_the_path_comes_first(bare: Path) -> None:
    for name in ("prometheus", "promtool"):
        program(bare / "tools" / name)
    assert find_or_unpack("prometheus")["promtool"] == bare / "tools/promtool"
    assert not (bare / "cache").exists()


def test_two_processes_at_once_unpack_one_whole_folder(bare: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    both = [
        subprocess.Popen([sys.executable, "-c", FIND], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    found = {each.communicate(timeout=60)[0].strip() for each in both}
    assert found == {str(bare / "cache/packages/prometheus/usr/bin/promtool")}
    assert [path.name for path in (bare / "cache/packages").iterdir()] == ["prometheus"]


def test_alertmanagers_templates_are_found_beside_it(bare: Path) -> None:
    path = find_or_unpack("prometheus-alertmanager")["alertmanager"]
    assert len(SYSTEM_TEMPLATES) == len(LOCAL_TEMPLATES)
    assert path.read_bytes() == LOCAL_TEMPLATES


def test_a_failed_download_names_the_remedy_in_one_line(bare: Path) -> None:
    program(bare / "tools/apt-get", "#!/bin/sh\necho 'E: no network' >&2\nexit 100\n")
    with pytest.raises(ProgramMissing, match=r"E: no network.*remedy: apt-get install prometheus$") as failed:
        find_or_unpack("prometheus")
    assert "\n" not in str(failed.value)
    assert list((bare / "cache/packages").iterdir()) == []


def test_without_apt_the_remedy_is_the_path(bare: Path) -> None:
    (bare / "tools/apt-get").unlink()
    with pytest.raises(ProgramMissing, match="remedy: install it"):
        find_or_unpack("prometheus")

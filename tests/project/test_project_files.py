"""The project's own files: layers, layout, locks, the wheel's contents; and nothing in them that belongs to one machine."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "bot",
    "handlers",
    "integrations",
    "state",
    "messages",
    "engine",
    "runbook",
    "sandbox",
    "tests",
    "docs",
    "deploy",
    "examples",
}
LOCKS = ("requirements.lock", "deploy/requirements.lock")


def tracked() -> list[str]:
    """The repository's files; all text is looked at, so that nothing slips through by its name."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def texts() -> list[tuple[str, str]]:
    found = []
    for name in tracked():
        content = (ROOT / name).read_bytes()
        if b"\0" not in content:
            found.append((name, content.decode("utf-8")))
    return found


def test_the_layers_hold() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_top_level_has_only_the_folders_that_were_agreed() -> None:
    folders = {name.split("/")[0] for name in tracked() if "/" in name}
    assert {folder for folder in folders if not folder.startswith(".")} <= FOLDERS


def test_no_file_names_a_place_of_one_machine() -> None:
    place = re.compile(r"(?<![\w.])/(?:work|root|home/[a-z]+|Users/[A-Za-z]+)/[\w.]")
    here = str(Path(__file__).relative_to(ROOT))
    assert [(name, place.search(text)) for name, text in texts() if name != here and place.search(text)] == []


def test_no_file_names_a_package_registry() -> None:
    registry = re.compile(
        "|".join(["--(extra-)?index" + "-url", "pypi" + r"\.org", "files" + r"\.pythonhosted", "find" + "-links"])
    )
    allowed = {"Makefile", ".ci/run"}  # `--no-emit-index-url` keeps addresses out
    found = [
        name
        for name, text in texts()
        if name not in allowed and registry.search(text.replace("--no-emit-index-url", ""))
    ]
    assert found == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_one_version_and_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(lines) > 20
    for line in lines:
        assert re.match(r"[a-z0-9][a-z0-9._-]*==\S+ ", line), line
        assert line.count("--hash=sha256:") >= 1, line
        assert "://" not in line.split("--hash")[0], line


def test_the_locks_agree_with_each_other_and_with_the_project() -> None:
    versions = [
        dict(re.findall(r"^([a-z0-9._-]+)==([^ \\]+)", (ROOT / lock).read_text(), re.MULTILINE)) for lock in LOCKS
    ]
    assert versions[1].items() <= versions[0].items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [
        *project["project"]["dependencies"],
        *(d for d in project["dependency-groups"]["dev"] if isinstance(d, str)),
    ]
    names = {re.match(r"[A-Za-z0-9._-]+", line).group().lower().replace("_", "-").replace(".", "-") for line in wanted}  # type: ignore[union-attr]
    locked = {name.replace(".", "-").replace("_", "-") for name in versions[0]}
    assert names <= locked, f"run `make lock`: {names - locked}"


def test_the_licence_is_apache_2() -> None:
    assert "Apache License\n                           Version 2.0" in (ROOT / "LICENSE").read_text()


def test_the_scripts_can_be_run_and_read_no_input() -> None:
    for script in ("run", "setup", "venv"):
        path = ROOT / ".ci" / script
        assert path.stat().st_mode & 0o111
        assert "set -euo pipefail" in path.read_text()
        subprocess.run(["bash", "-n", str(path)], check=True)


def test_the_makefile_has_the_targets_that_are_documented() -> None:
    text = (ROOT / "Makefile").read_text()
    for target in ("sandbox", "demo", "test", "lint", "bench", "conformance", "lock", "docs", "clean"):
        assert re.search(rf"^{target}:.*## ", text, re.MULTILINE), target


def test_the_wheel_carries_the_program_and_no_tests(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in tracked():  # a copy, so that parallel tests don't meet in `build/`
        if not name.startswith(("tests/", "docs/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    (source / "README.md").touch()
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        str(tmp_path),
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    wheel = next(tmp_path.glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    folders = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert folders <= FOLDERS - {"tests", "docs", "deploy", "examples"}
    assert "bot/cli.py" in names
    missing = [n for n in tracked() if n.split("/")[0] in folders and not n.endswith(".md") and n not in names]
    assert missing == [], "package data that the wheel lacks; see [tool.setuptools.package-data]"

"""What the code imports is what pyproject.toml declares: nothing comes in by another package's accident."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = {"bot", "handlers", "integrations", "state", "messages", "engine", "runbook", "sandbox", "tests"}
LATER = {"compression"}
"""Of the standard library of newer versions than the one that runs."""


def imported(folder: Path) -> Iterator[tuple[str, Path]]:
    """(top-level module, file), imports inside functions too."""
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((alias.name.split(".")[0], file) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.split(".")[0], file


def declared(*, dev: bool) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = list(project["project"]["dependencies"])
    if dev:
        lines += [line for group in project["dependency-groups"].values() for line in group if isinstance(line, str)]
    return {_plain(re.split(r"[\[<>=!~; ]", line)[0]) for line in lines}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("folder", sorted(OURS))
def test_every_imported_package_is_declared(folder: str) -> None:
    known = declared(dev=folder == "tests")
    providers = packages_distributions()
    tests = {file.stem for file in (ROOT / "tests").rglob("*.py")}
    missing: dict[str, set[str]] = {}
    for module, file in imported(ROOT / folder):
        if module in sys.stdlib_module_names or module in OURS | LATER or (folder == "tests" and module in tests):
            continue
        if not known & {_plain(name) for name in providers.get(module, ())}:
            missing.setdefault(module, set()).add(str(file.relative_to(ROOT)))
    assert missing == {}

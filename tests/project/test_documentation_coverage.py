"""docs/coverage.md: every line of the runbook names the step, rule and test that carry it, and all of them exist."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "coverage.md"
STATES = ("done", "in part", "a person does this", "not yet")
CARRIER = re.compile(r"`([a-z][\w.]*):([A-Za-z_][\w.]*)`")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
CHAPTERS = (
    "Purpose and Scope",
    "Roles and Responsibilities",
    "Environment Topology",
    "Deployment Process by Environment",
    "Promotion Criteria Summary",
    "Health Checks",
    "Key Metrics and SLO-Aligned Targets",
    "Alert Rules",
    "Rollback Triggers and Procedure",
    "PostgreSQL Backup and Restore Procedures",
    "Secret Rotation Procedure",
    "Operational Checklists",
)
"""The runbook's own, in its order."""


@dataclass(frozen=True)
class Line:
    chapter: str
    section: str
    text: str
    state: str
    carriers: str
    tests: str

    def __str__(self) -> str:
        return f"{self.chapter} / {self.section} / {self.text}"


def lines() -> list[Line]:
    """The rows of all tables below a chapter of the runbook."""
    chapter = section = ""
    found = []
    for row in PAGE.read_text(encoding="utf-8").splitlines():
        if row.startswith("## "):
            chapter, section = row[3:], ""
        elif row.startswith("### "):
            section = row[4:]
        elif row.startswith("| ") and chapter in CHAPTERS and not row.startswith(("| runbook |", "| --- |")):
            cells = [cell.strip() for cell in row.strip("|").split(" | ")]
            cells = [*cells, "", ""][:4]
            found.append(Line(chapter, section, *cells))
    return found


@cache
def functions_of(path: Path) -> frozenset[str]:
    """Names of the functions in a file; none where there is no such file."""
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def resolved(module: str, name: str) -> Any:
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def test_every_chapter_of_the_runbook_is_there_in_its_order() -> None:
    headings = [row[3:] for row in PAGE.read_text(encoding="utf-8").splitlines() if row.startswith("## ")]
    assert [heading for heading in headings if heading in CHAPTERS] == list(CHAPTERS)
    assert {line.chapter for line in lines()} == set(CHAPTERS)


def test_every_line_stands_once_and_has_a_known_state() -> None:
    seen = [(line.chapter, line.section, line.text) for line in lines()]
    assert len(seen) == len(set(seen))
    assert len(seen) >= 150, "lines of the runbook are missing"
    assert {line.state for line in lines()} <= set(STATES)


def test_what_is_done_names_its_carriers_and_its_tests() -> None:
    bare = [
        str(line)
        for line in lines()
        if line.state in ("done", "in part") and not (CARRIER.search(line.carriers) and TEST.search(line.tests))
    ]
    assert not bare


def test_what_is_not_there_says_why_or_what_it_waits_for() -> None:
    silent = [str(line) for line in lines() if line.state == "not yet" and not line.carriers.startswith("waits for ")]
    silent += [str(line) for line in lines() if line.state == "a person does this" and not line.carriers]
    assert not silent


def test_every_named_step_and_rule_exists() -> None:
    missing = []
    for module, name in sorted(set(CARRIER.findall(PAGE.read_text(encoding="utf-8")))):
        try:
            resolved(module, name)
        except (ImportError, AttributeError) as error:
            missing.append(f"{module}:{name}: {error}")
    assert not missing


def test_every_named_test_exists() -> None:
    named = sorted(set(TEST.findall(PAGE.read_text(encoding="utf-8"))))
    missing = [f"{path}::{name}" for path, name in named if name not in functions_of(ROOT / path)]
    assert not missing

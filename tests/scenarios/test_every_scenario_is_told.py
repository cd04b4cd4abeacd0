"""The acceptance scenarios have tests here, each with its number in a docstring; from the plan of a release to its end also of production."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
NUMBER = re.compile(r"Scenario (\d+)\b")

ALL = range(1, 31)
OF_PRODUCTION = range(4, 24)
"""Deploying from `plan` on, and progressive delivery."""


def numbers_of(node: ast.AsyncFunctionDef | ast.FunctionDef | ast.Module) -> set[int]:
    return {int(number) for number in NUMBER.findall(ast.get_docstring(node) or "")}


def told() -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """Scenario -> tests that tell it: all of them, and those on production's stage. A test's own docstring goes before its file's."""
    everywhere: dict[int, list[str]] = defaultdict(list)
    on_production: dict[int, list[str]] = defaultdict(list)
    for path in sorted(HERE.glob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        stages = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        for node in tree.body:
            if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_"):
                uses = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
                for number in numbers_of(node) or numbers_of(tree):
                    everywhere[number].append(node.name)
                    if "tests.scenarios.production" in stages and "stage" not in uses:
                        on_production[number].append(node.name)
    return everywhere, on_production


def test_every_scenario_has_a_test() -> None:
    everywhere, _ = told()
    assert [number for number in ALL if not everywhere[number]] == []


def test_every_scenario_of_a_release_has_a_test_in_production() -> None:
    _, on_production = told()
    assert [number for number in OF_PRODUCTION if not on_production[number]] == []


def test_no_scenario_is_told_that_there_is_not() -> None:
    assert set(told()[0]) <= set(ALL)

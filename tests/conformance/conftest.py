"""Gives the contract tests addresses, and leaves out the contracts for which a user who named some systems named none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.addresses import NEEDED, Addresses, given, stand_ins, tested

FOLDER = Path(__file__).parent
LEFT_OUT = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "changes_an_image: sets another image on the Deployment that was named, and puts it back"
    )


def _named(config: pytest.Config) -> dict[str, str]:
    """Nobody's real systems are asked by whoever runs all tests with a FORGE_CONFIG about: only where `-m conformance` is said."""
    return given(os.environ) if "conformance" in config.option.markexpr else {}


@pytest.fixture(scope="session")
def addresses(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    named = _named(request.config)
    if named:
        yield named
        return
    with stand_ins(tmp_path_factory.mktemp("stand-ins")) as local:
        yield local


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a single address everything is tested, on the stand-ins; with some, what they name."""
    named = _named(config) if any(FOLDER in item.path.parents for item in items) else {}
    if not named:
        return
    there = tested(named)
    outside = [item for item in items if FOLDER in item.path.parents and _contract(item) not in there]
    config.stash[LEFT_OUT] = sorted({_contract(item) for item in outside})
    items[:] = [item for item in items if item not in outside]
    config.hook.pytest_deselected(items=outside)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for contract in config.stash.get(LEFT_OUT, []):
        terminalreporter.write_line(f"not asked: {contract}; it needs {', '.join(NEEDED[contract])}")


def _contract(item: pytest.Item) -> str:
    if item.get_closest_marker("changes_an_image"):
        return "changing"
    return item.path.stem.removeprefix("test_").removesuffix("_contract")

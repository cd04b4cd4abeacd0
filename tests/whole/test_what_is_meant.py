"""Which run a typed command is about to begin: in a world where other runs begin by themselves, "a new one" is not enough."""

from __future__ import annotations

import pytest

from tests.whole.stage import meant


@pytest.mark.parametrize(
    ("typed", "environment", "thing"),
    [
        ("deploy staging v1.4.0-rc.2", "staging", "v1.4.0-rc.2"),
        ("promote v1.4.0 prod", "prod", "v1.4.0"),
        ("migrate staging v1.4.0-rc.2", "staging", "v1.4.0-rc.2"),
        ('rollback prod --reason "customers miss the old tongs"', "prod", ""),
        ("backup run staging", "staging", "full backup"),
        ("backup run prod --kind base", "prod", "base backup"),
        ("backup drill prod", "prod", "restore drill"),
        ('restore staging --at 2026-01-01T00:00:00Z --reason "gone"', "staging", "restore"),
    ],
)
def test_a_command_names_the_environment_and_what_its_run_is_called(typed: str, environment: str, thing: str) -> None:
    assert meant(typed) == (environment, thing)

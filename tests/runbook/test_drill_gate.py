"""Runbook: "Weekly restore drill" and production's backup gate: a missed or failed drill is amber, then red."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from runbook.ports import Backup
from runbook.rules.backups import backup_warnings, check_backup
from runbook.steps import RecentBackup
from runbook.values import Environment
from runbook.verdicts import Outcome, decided
from tests.fakes.clock import NOON
from tests.runbook.fakes import World

DAY_S, WEEK_S = 86_400.0, 7 * 86_400.0
BACKUP = Backup("shop-prod-1", "shop", NOON - timedelta(hours=3), "verified", NOON - timedelta(days=2))


def looked(backup: Backup | None) -> tuple[str, list[str]]:
    """Code of the gate, and of what is shown beside it."""
    warnings = backup_warnings(backup, NOON, WEEK_S)
    assert all(not warning.binding and warning.remedy for warning in warnings)
    return check_backup(backup, NOON, DAY_S, WEEK_S).code, [warning.code for warning in warnings]


@pytest.mark.parametrize(
    ("days", "gate", "beside"),
    [
        (2, "ok", []),
        (7, "ok", []),
        (7.01, "ok", ["backup.drill_missed"]),
        (14, "ok", ["backup.drill_missed"]),
        (14.01, "backup.old_drill", []),
    ],
)
def test_a_missed_drill_is_amber_for_one_cadence_more_and_then_red(days: float, gate: str, beside: list[str]) -> None:
    assert looked(replace(BACKUP, drilled_at=NOON - timedelta(days=days))) == (gate, beside)


def test_a_failed_drill_is_amber_at_once() -> None:
    failed = replace(BACKUP, drill_failed_at=NOON - timedelta(days=1), drill_failure="orders is not there")
    assert looked(failed) == ("ok", ["backup.drill_failed"])
    (warning,) = backup_warnings(failed, NOON, WEEK_S)
    assert "orders is not there" in warning.reason
    assert "fails in 12 d" in warning.reason


def test_a_failed_drill_is_red_when_none_has_succeeded_for_two_cadences() -> None:
    failed = replace(BACKUP, drilled_at=NOON - timedelta(days=15), drill_failed_at=NOON - timedelta(days=1))
    assert looked(failed) == ("backup.old_drill", [])


def test_a_drill_that_succeeded_since_makes_it_green_again() -> None:
    since = replace(BACKUP, drill_failed_at=NOON - timedelta(days=3))
    assert looked(since) == ("ok", [])


def test_a_database_that_was_never_drilled_is_red() -> None:
    assert looked(replace(BACKUP, drilled_at=None)) == ("backup.no_drill", [])
    assert looked(None) == ("backup.none", [])


async def test_the_gate_shows_amber_and_passes() -> None:
    world = World()

    class Newest:
        async def newest(self, service: str, environment: Environment) -> Backup | None:
            return replace(BACKUP, drilled_at=NOON - timedelta(days=8))

    gone: dict[str, Any] = {"backups": Newest()}
    world.ports = replace(world.ports, **gone)
    verdicts, _ = await RecentBackup("shop", DAY_S, WEEK_S).ask(world.scene())
    assert [(v.code, v.binding) for v in verdicts] == [("ok", True), ("backup.drill_missed", False)]
    assert decided(verdicts) is Outcome.PASS

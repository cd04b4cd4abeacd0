"""What the gate's check of CI says, given what GitHub and other CI systems answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from runbook.plan import Scene
from runbook.ports import CiCheck
from runbook.source import CiResults
from runbook.steps import CiGreen
from runbook.verdicts import Verdict
from tests.runbook.fakes import COMMIT, SERVICE, World


async def asked(
    github: Sequence[CiCheck], told: CiResults | None, required: tuple[str, ...] = (), error: Exception | None = None
) -> tuple[Verdict, ...]:
    """What the gate's check says."""
    world = World()
    world.code.ci = list(github)
    if error is not None:
        world.code.checks = _raising(error)  # type: ignore[method-assign]
    world.ports = replace(world.ports, ci_results=told)
    scene: Scene = world.scene()
    verdicts, _ = await CiGreen(SERVICE.repository, COMMIT, required).ask(scene)
    return verdicts


def _raising(error: Exception) -> Any:
    async def checks(repository: str, commit: str) -> tuple[CiCheck, ...]:
        raise error

    return checks

"""What a process left of restores and drills that have ended: dropped at start. What may be in use, or is unknown, stays and is told."""

from __future__ import annotations

import structlog

from engine.lanes import DRILL, RESTORE
from engine.ports import Ledger
from engine.records import Ending, Run, RunState
from runbook.database_ports import RestoreHost
from runbook.errors import ForgeError
from runbook.steps.restores import instance_name
from runbook.values import Environment
from state.store import SqlStore

log = structlog.get_logger("forge")

_PREFIX = instance_name("")
_GONE = (Ending.FAILED, Ending.RETURNED, Ending.CANCELLED)
"""Endings of a restore after which its instance serves nobody: the way back drops it, unless the traffic's switch had begun."""


async def drop_leftovers(host: RestoreHost, store: SqlStore) -> tuple[str, ...]:
    """The names that were dropped. A run that goes on finds its instance again by its name; so that is left alone."""
    try:
        standing = await host.standing()
    except ForgeError as error:
        log.warning("restores.not_looked_at", code=error.code, why=error.cause, remedy=error.remedy)
        return ()
    dropped = []
    for name in standing:
        run = await store.read(lambda ledger, name=name: _run_of(ledger, name))  # type: ignore[misc]
        if run is not None and run.state != RunState.ENDED:
            continue
        if not is_leftover(run):
            why = (
                "its run is not on record"
                if run is None
                else f"{run.id} ended as {run.ending}: it may be the database now"
            )
            log.warning("restores.instance_stays", instance=name, why=why)
            continue
        try:
            await host.drop(name, _target(run))
        except ForgeError as error:
            log.warning("restores.not_dropped", instance=name, code=error.code, why=error.cause, remedy=error.remedy)
            continue
        log.info("restores.dropped", instance=name)
        dropped.append(name)
    return tuple(dropped)


def _target(run: Run | None) -> Environment | None:
    """A drill's instance stands on forge's own machine, whatever is configured for restores."""
    return Environment(run.environment) if run is not None and run.procedure == RESTORE else None


def is_leftover(run: Run | None) -> bool:
    """Of a run that has ended. A drill's instance never serves anybody; one that was restored may, also by a rollback that went well."""
    if run is None or run.state != RunState.ENDED:
        return False
    return run.procedure == DRILL or (run.procedure == RESTORE and run.ending in _GONE)


def _run_of(ledger: Ledger, name: str) -> Run | None:
    return ledger.get(Run, name.removeprefix(_PREFIX)) if name.startswith(_PREFIX) else None

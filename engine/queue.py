"""The queue of one service and environment: runs never interleave; who waits, and behind what, can always be told."""

from __future__ import annotations

from typing import Any

from engine.journal import Turn
from engine.records import Lock, Run, RunState

ANY_SERVICE = "*"


def lock_on(turn: Turn, environment: str, service: str) -> Lock | None:
    """The lock of this service there, or the one of the whole environment."""
    return turn.ledger.get(Lock, environment, service) or turn.ledger.get(Lock, environment, ANY_SERVICE)


def release_command(environment: str, service: str) -> str:
    """What to type to release a lock. service: empty or `*` for the one of the whole environment."""
    option = f" --service {service}" if service not in ("", ANY_SERVICE) else ""
    return f"`/forge unlock {environment}{option}`"


def ahead_of(turn: Turn, run: Run) -> Run | None:
    """The run that this one waits for: the one under way, else the nearest queued before it."""
    others = turn.ledger.find(
        Run,
        service=run.service,
        environment=run.environment,
        state=[RunState.QUEUED, RunState.RUNNING, RunState.WAITING, RunState.HELD],
        order="number",
    )
    earlier = [o for o in others if o.id != run.id and (o.state != RunState.QUEUED or o.number < run.number)]
    under_way = [o for o in earlier if o.state != RunState.QUEUED]
    return under_way[0] if under_way else (earlier[-1] if earlier else None)


def next_in_line(turn: Turn, environment: str, service: str | None = None) -> list[str]:
    """Ids of the queued runs that may have become free to start; service None: of every service."""
    conditions: dict[str, Any] = {"environment": environment, "state": RunState.QUEUED}
    if service is not None:
        conditions["service"] = service
    first: dict[str, str] = {}
    for run in turn.ledger.find(Run, order="number", **conditions):
        first.setdefault(run.service, run.id)
    return list(first.values())

"""The queue of one lane of a service and environment: its runs never interleave; who waits, and behind what, can always be told."""

from __future__ import annotations

from typing import Any

from engine.journal import Turn
from engine.lanes import is_beside, lane_of
from engine.records import Lock, Run, RunState

ANY_SERVICE = "*"


def lock_on(turn: Turn, environment: str, service: str) -> Lock | None:
    """The lock of this service there, or the one of the whole environment."""
    return turn.ledger.get(Lock, environment, service) or turn.ledger.get(Lock, environment, ANY_SERVICE)


def lock_for(turn: Turn, run: Run) -> Lock | None:
    """The lock that holds this run up: none does that to a backup or a drill, which change nothing of what runs."""
    return None if is_beside(run) else lock_on(turn, run.environment, run.service)


def release_command(environment: str, service: str) -> str:
    """What to type to release a lock. service: empty or `*` for the one of the whole environment."""
    option = f" --service {service}" if service not in ("", ANY_SERVICE) else ""
    return f"`/forge unlock {environment}{option}`"


def ahead_of(turn: Turn, run: Run) -> Run | None:
    """The run of its lane that this one waits for: the one under way, else the nearest queued before it."""
    others = turn.ledger.find(
        Run,
        service=run.service,
        environment=run.environment,
        state=[RunState.QUEUED, RunState.RUNNING, RunState.WAITING, RunState.HELD],
        order="number",
    )
    lane = lane_of(run.procedure)
    others = [o for o in others if o.id != run.id and lane_of(o.procedure) == lane]
    earlier = [o for o in others if o.state != RunState.QUEUED or o.number < run.number]
    under_way = [o for o in earlier if o.state != RunState.QUEUED]
    return under_way[0] if under_way else (earlier[-1] if earlier else None)


def next_in_line(turn: Turn, environment: str, service: str | None = None) -> list[str]:
    """Ids of the queued runs that may have become free to start, of every lane; service None: of every service."""
    conditions: dict[str, Any] = {"environment": environment, "state": RunState.QUEUED}
    if service is not None:
        conditions["service"] = service
    first: dict[tuple[str, str], str] = {}
    for run in turn.ledger.find(Run, order="number", **conditions):
        first.setdefault((run.service, lane_of(run.procedure)), run.id)
    return list(first.values())

"""What a caller named, looked up; and the refusals that name the nearest right word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from engine.answers import Answer, refused
from engine.journal import Turn
from engine.records import Run
from runbook.policy import Service, Setting


def service_named(setting: Setting, name: str) -> Service | Answer:
    """The service of that name, or the only one there is."""
    services = setting.services
    if name:
        found = services.get(name)
        return found if found is not None else no_such_service(name, services)
    if len(services) == 1:
        return next(iter(services.values()))
    return refused(
        "service.which", "Several services are configured: name one.", f"--service {' | '.join(sorted(services))}"
    )


def no_such_service(name: str, services: Iterable[str]) -> Answer:
    names = sorted(services)
    near = difflib.get_close_matches(name, names, 1)
    return refused(
        "service.unknown",
        f"There is no service {name}.",
        f"Did you mean {near[0]}?" if near else f"There are {', '.join(names)}.",
    )


def no_such_run(turn: Turn, run_id: str) -> Answer:
    known = [r.id for r in turn.ledger.find(Run, order="-created_at", limit=3)]
    remedy = f"The newest runs are {', '.join(known)}." if known else "There has been no run yet."
    return refused("run.unknown", f"There is no run {run_id}.", remedy)

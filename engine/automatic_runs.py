"""Rows of runs that begin by themselves: what stands in dev's queue, opening, superseding, and what people are told. Transactions without I/O.

None of them opens a second run of a commit, nor one beside another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from engine.changes import keep_changes
from engine.freezes import freezes_for
from engine.journal import Turn
from engine.lanes import lane_of
from engine.lifecycle import end_run, on_way_back, open_run
from engine.notes import Note
from engine.queue import lock_on
from engine.records import Ending, Mark, Outgoing, Run, RunState
from runbook.plan import Plan, to_json
from runbook.procedures.base import Request
from runbook.rules.superseding import Deploy, Place
from runbook.values import FORGE, Environment

DEV = Environment.DEV
PROCEDURE = DEV.value
SUPERSEDED = "superseded"
"""The code of an end, or of a way back, because a newer commit is green."""

SHORT = 12
"""Digits of a commit in `Run.version`."""

_OPEN = (RunState.QUEUED, RunState.RUNNING, RunState.WAITING, RunState.HELD)


@dataclass(frozen=True)
class Standing:
    """place: of dev's queue. run: the open run that decides about it. blocked: by a lock or a freeze. trouble_since: as kept."""

    place: Place
    run: Run | None
    blocked: bool
    trouble_since: datetime | None


def standing(turn: Turn, service: str) -> Standing:
    run = _deciding(turn, service)
    mark = turn.ledger.get(Mark, trouble_mark(service))
    return Standing(_place_of(turn, run), run, _is_blocked(turn, service), None if mark is None else mark.at)


def _deciding(turn: Turn, service: str) -> Run | None:
    """The run under way, else the first that is queued; backups and drills are none."""
    found = turn.ledger.find(Run, service=service, environment=DEV.value, state=list(_OPEN), order="number")
    found = [run for run in found if not lane_of(run.procedure)]
    under_way = [run for run in found if run.state != RunState.QUEUED]
    return next(iter(under_way or found), None)


def _place_of(turn: Turn, run: Run | None) -> Place:
    if run is None:
        return Place.FREE
    is_ours = run.requester == FORGE.id and run.procedure == PROCEDURE
    is_still = run.state in (RunState.QUEUED, RunState.HELD) and run.interrupt is None
    return Place.LEFT_FOR_NEWER if is_ours and is_still and not on_way_back(turn, run) else Place.BUSY


def _is_blocked(turn: Turn, service: str) -> bool:
    return lock_on(turn, DEV.value, service) is not None or bool(freezes_for(turn.ledger, turn.now, service, DEV))


def attempted(turn: Turn, service: str, commits: Sequence[str]) -> frozenset[str]:
    """Those of `commits` that a run was ever opened for, by whomever; with the newest run's version, on the branch or not."""
    runs: dict[str, Any] = {"service": service, "environment": DEV.value, "procedure": PROCEDURE}
    versions = [commit[:SHORT] for commit in commits]
    found = {run.version for run in turn.ledger.find(Run, version=versions, **runs)}
    newest = turn.ledger.find(Run, order="-number", limit=1, **runs)
    return frozenset([*(c for c in commits if c[:SHORT] in found), *(run.version for run in newest)])


def begin(turn: Turn, request: Request, plan: Plan, decision: Deploy, found: Mapping[str, Any] | None, why: str) -> str:
    """Opens the run of one commit, unless something has come between; then nothing happens. Returns its id, or nothing."""
    request = replace(request, version=plan.version)
    stands = standing(turn, request.service)
    if stands.place is not Place.FREE or stands.blocked or not turn.setting.policy.dev.auto_deploy:
        return ""
    if turn.ledger.count(
        Run, service=request.service, environment=DEV.value, procedure=PROCEDURE, version=plan.version
    ):
        return ""
    run = open_run(turn, request, plan, FORGE, why)
    keep_changes(turn, run.id, found)
    if superseded := decision.superseded:
        more = "" if decision.is_whole else ", and those before them"
        evidence = {"commits": list(superseded), "total": len(superseded), "whole": decision.is_whole}
        what = f"{len(superseded)} {'commit' if len(superseded) == 1 else 'commits'} of {request.service} skipped{more}"
        turn.audit("auto_deploy.skipped", run.id, what=what, why=f"superseded by {plan.version}", evidence=evidence)
    return run.id


def supersede(turn: Turn, run_id: str, commit: str) -> bool:
    """A queued run just ends, a held one is left for its way back; nothing happens to one that has gone on meanwhile."""
    run = turn.run(run_id)
    if run is None or _place_of(turn, run) is not Place.LEFT_FOR_NEWER:
        return False
    why = f"superseded by {commit[:SHORT]}"
    turn.audit("auto_deploy.superseded", run.id, what=f"{run.version} on {run.environment}", why=why)
    if run.state == RunState.QUEUED:
        end_run(turn, run, Ending.CANCELLED, SUPERSEDED, why)
    else:
        interrupt = {"kind": "abort", "code": SUPERSEDED, "reason": why, "decided_at": turn.now.isoformat()}
        turn.save_run(run, interrupt=interrupt)
    return True


# --- what people are told -----------------------------------------------------------------------------------------------


def trouble_mark(service: str) -> str:
    """The mark of when the present trouble with a service's repository began."""
    return f"auto-deploy-trouble:{service}"


def note_trouble(turn: Turn, service: str) -> datetime:
    """Since when there is trouble: over restarts, until it is forgotten."""
    mark = turn.ledger.get(Mark, trouble_mark(service))
    if mark is None:
        mark = Mark(name=trouble_mark(service), at=turn.now)
        turn.ledger.save(mark)
    return mark.at


def forget_trouble(turn: Turn, service: str) -> None:
    turn.ledger.remove(Mark, name=trouble_mark(service))


def tell_once(turn: Turn, service: str, subject: str, note: Note) -> bool:
    """In the release channel. subject: what it is about. False where it was told before."""
    key = f"note:auto-deploy:{service}:{subject}"
    if turn.ledger.count(Outgoing, subject=key):
        return False
    turn.ledger.add(Outgoing(subject=key, kind="note", payload=to_json(note), created_at=turn.now))
    turn.audit("auto_deploy.told", service, what=note.title, why=note.text.partition("\n")[0])
    return True

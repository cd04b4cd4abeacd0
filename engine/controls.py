"""What people do to runs and locks: pause, resume, abort, retry, cancel, lock, unlock. One transaction each; answers say what happens next."""

from __future__ import annotations

from engine.answers import Answer, done, info, refused
from engine.endings import leaving_words, stops_words
from engine.journal import Turn
from engine.lanes import is_beside, is_of_database
from engine.lifecycle import end_run, on_way_back
from engine.prompts import STEP, close_prompts
from engine.queue import ANY_SERVICE, release_command
from engine.records import Ending, Lock, Run, RunState, StepState
from runbook.values import Actor, Environment


def pause(turn: Turn, run: Run, actor: Actor, reason: str) -> Answer:
    if (no := _not_now(turn, run, "pause")) is not None:
        return no
    if run.paused_at is not None:
        return info("pause.already", f"{run.id} is paused already.", run=run.id)
    turn.save_run(run, paused_at=turn.now)
    turn.audit("run.paused", run.id, actor, why=reason)
    turn.show(run)
    return done("run.paused", f"{run.id} starts no new step. Guards and deadlines go on.", run=run.id)


def resume(turn: Turn, run: Run, actor: Actor) -> Answer:
    if run.paused_at is None:
        return info("resume.not_paused", f"{run.id} isn't paused.", run=run.id)
    turn.save_run(run, paused_at=None)
    turn.audit("run.resumed", run.id, actor)
    turn.show(run)
    return done("run.resumed", f"{run.id} goes on.", run=run.id)


def abort(turn: Turn, run: Run, actor: Actor, reason: str) -> Answer:
    """Leaves for the return to the previous state; with nothing changed so far the run just ends."""
    if (no := _not_now(turn, run, "abort")) is not None:
        return no
    if run.interrupt is not None:
        return info("abort.already", f"{run.id} is being stopped already.", run=run.id)
    why = f"aborted by {actor.name}" + (f": {reason}" if reason else "")
    turn.audit("run.abort", run.id, actor, why=reason)
    if run.state == RunState.QUEUED:
        end_run(turn, run, Ending.CANCELLED, "aborted", why)
        return done("run.cancelled", f"{run.id} was queued and is cancelled.", run=run.id)
    turn.save_run(
        run, interrupt={"kind": "abort", "code": "aborted", "reason": why, "decided_at": turn.now.isoformat()}
    )
    return done("run.aborted", f"{run.id} {stops_words(run)}.", run=run.id)


def roll_back(turn: Turn, run: Run, actor: Actor, reason: str) -> Answer:
    """Leaves at once for the way back; with nothing changed so far the run just ends."""
    if is_of_database(run.procedure):
        return refused("rollback.no_release", f"{run.id} is a {run.version}: it has released nothing that could be rolled back.",
                       f"`/forge abort {run.id}` stops it.", run=run.id)  # fmt: skip
    if (no := _not_now(turn, run, "roll back")) is not None:
        return no
    if run.interrupt is not None:
        return info("rollback.already", f"{run.id} is being stopped already.", run=run.id)
    why = f"rolled back by {actor.name}" + (f": {reason}" if reason else "")
    turn.audit("run.rollback", run.id, actor, why=reason)
    if run.state == RunState.QUEUED:
        end_run(turn, run, Ending.CANCELLED, "rolled_back", why)
        return done("run.cancelled", f"{run.id} was queued and is cancelled.", run=run.id)
    interrupt = {"kind": "rollback", "code": "rollback.asked", "reason": why, "decided_at": turn.now.isoformat()}
    turn.save_run(run, interrupt=interrupt)
    text = "is rolled back" if run.first_effect_at else "stops; it has changed nothing"
    return done("run.rolled_back", f"{run.id} {text}.", run=run.id)


def cancel(turn: Turn, run: Run, actor: Actor, reason: str) -> Answer:
    if run.state == RunState.ENDED:
        return refused("run.ended", f"{run.id} has ended already.", run=run.id)
    if is_beside(run):
        return _cancel_beside(turn, run, actor, reason)
    if run.first_effect_at is not None:
        return refused("cancel.late", f"{run.id} has had effects: it can't be cancelled.",
                       f"`/forge abort {run.id}` returns to the previous state.", run=run.id)  # fmt: skip
    why = f"cancelled by {actor.name}" + (f": {reason}" if reason else "")
    turn.audit("run.cancel", run.id, actor, why=reason)
    if run.state == RunState.QUEUED:
        end_run(turn, run, Ending.CANCELLED, "cancelled", why)
    else:
        turn.save_run(run, interrupt={"kind": "abort", "code": "cancelled", "reason": why})
    return done("run.cancelled", f"{run.id} is cancelled; nothing was changed.", run=run.id)


def _cancel_beside(turn: Turn, run: Run, actor: Actor, reason: str) -> Answer:
    """A backup or a drill may be cancelled at any time: nothing that runs is touched by it."""
    if (no := _not_now(turn, run, "cancel")) is not None:
        return no
    if run.interrupt is not None:
        return info("cancel.already", f"{run.id} is being stopped already.", run=run.id)
    why = f"cancelled by {actor.name}" + (f": {reason}" if reason else "")
    turn.audit("run.cancel", run.id, actor, why=reason)
    if run.state == RunState.QUEUED:
        end_run(turn, run, Ending.CANCELLED, "cancelled", why)
        return done("run.cancelled", f"{run.id} was queued and is cancelled.", run=run.id)
    turn.save_run(run, interrupt={"kind": "abort", "code": "cancelled", "reason": why})
    return done("run.cancelled", f"{run.id} is cancelled: it {stops_words(run)}.", run=run.id)


def retry(turn: Turn, run: Run, actor: Actor) -> Answer:
    """Repeats the held step as a new attempt."""
    row = turn.step(run.id, run.position)
    if run.state != RunState.HELD or row is None or row.state != StepState.HELD:
        return refused(
            "retry.not_held",
            f"{run.id} isn't held: there is nothing to retry.",
            f"`/forge status {run.id}`",
            run=run.id,
        )
    if run.interrupt is not None:
        return info("retry.stopping", f"{run.id} is being stopped already: nothing is tried again.", run=run.id)
    close_prompts(turn, run, f"{actor.name} tries the step again", kind=STEP)
    turn.save_step(row, state=StepState.PENDING, deadline=None, escalation=0, tries=0, progress=None)
    turn.save_run(run, state=RunState.RUNNING)
    turn.audit("step.retried", run.id, actor, what=row.title, evidence={"attempt": row.attempt + 1})
    turn.show(run)
    return done("step.retried", f"{run.id} tries again: {row.title}.", run=run.id)


def lock(turn: Turn, environment: Environment, service: str, actor: Actor, reason: str) -> Answer:
    name = service or ANY_SERVICE
    what, release = _named(environment, service)
    held = turn.ledger.get(Lock, environment.value, name)
    if held is not None:
        why = held.reason or "no reason given"
        return refused("lock.held", f"{what} is locked by {held.owner_name} since {held.at:%Y-%m-%d %H:%M} UTC: {why}.",
                       f"{release} releases it.")  # fmt: skip
    row = Lock(
        environment=environment.value, service=name, owner=actor.id, owner_name=actor.name, reason=reason, at=turn.now
    )
    turn.ledger.add(row)
    turn.audit("lock.set", f"{environment.value}/{name}", actor, why=reason)
    under_way = _under_way(turn, environment, service)
    also = f" {', '.join(under_way)} {'go' if len(under_way) > 1 else 'goes'} on." if under_way else ""
    return done(
        "lock.set", f"{what} is locked: no run starts there, but backups and drills.{also} {release} releases it."
    )


def unlock(turn: Turn, environment: Environment, service: str, actor: Actor, reason: str) -> Answer:
    name = service or ANY_SERVICE
    what, _ = _named(environment, service)
    held = turn.ledger.get(Lock, environment.value, name)
    if held is None:
        others = [_named(environment, _service_of(x))[1] for x in turn.ledger.find(Lock, environment=environment.value)]
        return info("lock.none", f"{what} has no such lock." + (f" There is one: {others[0]}." if others else ""))
    turn.ledger.remove(Lock, environment=environment.value, service=name)
    turn.audit(
        "lock.released",
        f"{environment.value}/{name}",
        actor,
        why=reason,
        evidence={"owner": held.owner, "reason": held.reason},
    )
    return done(
        "lock.released",
        f"{what} is unlocked. {held.owner_name} had locked it: {held.reason or 'no reason given'}",
    )


def _service_of(held: Lock) -> str:
    return "" if held.service == ANY_SERVICE else held.service


def _named(environment: Environment, service: str) -> tuple[str, str]:
    """What is locked, in words, and the command that releases it."""
    what = f"{service} on {environment.value}" if service else environment.value
    return what, release_command(environment.value, service)


def _under_way(turn: Turn, environment: Environment, service: str) -> list[str]:
    states = [RunState.RUNNING, RunState.WAITING, RunState.HELD]
    runs = turn.ledger.find(Run, environment=environment.value, state=states)
    return [run.id for run in runs if (not service or run.service == service) and not is_beside(run)]


def _not_now(turn: Turn, run: Run, verb: str) -> Answer | None:
    if run.state == RunState.ENDED:
        now = f"{run.service} {run.version} ended as {run.ending}"
        return refused(
            "run.ended", f"{run.id} has ended already ({now}): nothing to {verb}, nothing was changed.", run=run.id
        )
    if on_way_back(turn, run):
        return info("run.way_back", f"{run.id} is {leaving_words(run)} already.", run=run.id)
    return None

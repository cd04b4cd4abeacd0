"""Commands that begin a run, and `plan`, which only shows it: look around first, then open the run in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine import controls, present
from engine.answers import Answer, done, info, refused
from engine.backup_commands import not_there, options_of, procedure_of, what_is_restored
from engine.candidates import wants_candidate
from engine.changes import changes_view, keep_changes
from engine.freezes import freezes_for
from engine.intents import Intent
from engine.journal import Turn
from engine.lanes import LABELS, is_of_database, lane_of
from engine.lifecycle import open_run
from engine.naming import service_named
from engine.queue import ahead_of, lock_for
from engine.records import Run, RunState
from runbook.authority import may_run
from runbook.errors import ForgeError
from runbook.plan import Plan, canonical, hash_of
from runbook.policy import Setting
from runbook.ports import Ports
from runbook.procedures.base import Prepared, Procedure, Request
from runbook.rules.calm import check_no_freeze
from runbook.values import Actor, Environment, Version
from runbook.verdicts import Outcome

PLANNED = ("deploy", "migrate", "promote", "rollback", "plan", "restore")

CONTRACT = "contract"
"""The procedure that `migrate` runs; `deploy` and `promote` run the one that is named as the environment."""

ROLLBACK = "rollback"
"""The procedure that `rollback` runs where no run is under way that could be left."""

_DONE = {"migrate": "contracted on", "promote": "released to"}

Procedures = Callable[[str], Procedure | None]


@dataclass(frozen=True)
class Target:
    request: Request
    procedure: Procedure


def is_planned(intent: Intent) -> bool:
    """Whether it begins a run, or shows what one would do."""
    if wants_candidate(intent):
        return False
    return not intent.button and (intent.name in PLANNED or bool(procedure_of(intent)))


def target(
    turn: Turn, intent: Intent, actor: Actor, procedures: Procedures, ports: Ports, *, healthy: bool
) -> Target | Answer:
    """What is asked for and the procedure that does it, or the reason not to look any further. healthy: of the store."""
    verdict = may_run(intent.name, actor, turn.setting.policy)
    if verdict.outcome is not Outcome.PASS:
        return refused(verdict.code, verdict.reason, verdict.remedy)
    service = service_named(turn.setting, intent.service)
    if isinstance(service, Answer):
        return service
    if procedure_of(intent):
        return _of_database(turn, intent, service.name, procedures, ports, healthy=healthy)
    name = {"migrate": CONTRACT, "rollback": ROLLBACK}.get(intent.name, str(intent.environment))
    procedure = procedures(name) if name in (CONTRACT, ROLLBACK, *Environment) else None
    if intent.environment is None or procedure is None:
        return refused("deploy.environment", f"forge can't deploy to {intent.environment or 'nothing'} yet.",
                       "Deploy a candidate to staging: `/forge deploy staging vX.Y.Z-rc.N`.")  # fmt: skip
    if (wrong := _wrong_verb(intent)) is not None:
        return wrong
    if intent.environment not in service.urls:
        return refused("deploy.not_configured", f"{service.name} has no {intent.environment.value} in the configuration.",
                       f"Add services.{service.name}.urls.{intent.environment.value} to forge.yaml.")  # fmt: skip
    if intent.name != "plan" and not healthy:
        return store_trouble()
    to = intent.options.get("to", "")
    request = Request(service=service.name, environment=intent.environment, version=intent.version, to=to)
    return Target(request, procedure)


def _of_database(
    turn: Turn, intent: Intent, service: str, procedures: Procedures, ports: Ports, *, healthy: bool
) -> Target | Answer:
    """Of a backup, a drill or a restore."""
    name, environment = procedure_of(intent), intent.environment
    procedure = procedures(name)
    if environment is None or procedure is None:
        return refused("backup.unavailable", f"forge can't begin a {LABELS[name]} here.",
                       f"`/forge backup run <env>` or `/forge restore <env>`; {intent.name} needs an environment.")  # fmt: skip
    options = options_of(intent, turn.now)
    if isinstance(options, Answer):
        return options
    source = Environment(options.get("from", environment.value))
    if (no := not_there(service, source, ports)) is not None:
        return no
    if not healthy:
        return store_trouble()
    request = Request(service=service, environment=environment, version=LABELS[name], options=options)
    return Target(request, procedure)


def store_trouble() -> Answer:
    return refused("store.trouble", "forge can't keep its records at the moment, so nothing new is started.",
                   "`forge doctor` says what is wrong; runs under way are kept as they are.")  # fmt: skip


def under_way(turn: Turn, environment: Environment, service: str) -> Run | None:
    """The run of this service there that deploys, or leads back, and has begun and not ended. A backup, a drill and a restore are none."""
    states = [RunState.RUNNING, RunState.WAITING, RunState.HELD]
    found = turn.ledger.find(Run, service=service, environment=environment.value, state=states, order="number")
    return next((run for run in found if not is_of_database(run.procedure)), None)


def _wrong_verb(intent: Intent) -> Answer | None:
    """Production is never a default: it has a verb of its own."""
    environment = intent.environment
    if intent.name == "promote" and environment is not Environment.PROD:
        return refused("promote.environment", f"promote releases to prod; {environment} is deployed to.",
                       f"`/forge deploy {environment} {intent.version}`")  # fmt: skip
    if intent.name == "deploy" and environment is Environment.PROD:
        parsed = Version.parse(intent.version)
        version = f"v{parsed.major}.{parsed.minor}.{parsed.patch}" if parsed is not None else "vX.Y.Z"
        return refused("deploy.prod", "Production is released to by promote, never by deploy.",
                       f"`/forge promote {version} prod`")  # fmt: skip
    return None


async def prepare(target: Target, setting: Setting, ports: Ports) -> Prepared | Answer:
    """The plan and every obstacle; a refusal where an outside system gave no answer."""
    try:
        return await target.procedure(target.request, setting, ports)
    except ForgeError as error:
        return refused(error.code, f"{error.cause}. Nothing was started.", error.remedy or "Try again in a moment.")


def begin(
    turn: Turn,
    intent: Intent,
    actor: Actor,
    request: Request,
    prepared: Prepared,
    changes: Mapping[str, Any] | None = None,
) -> Answer:
    """Opens the run (or shows the plan), in one transaction. changes: as `engine.changes.look_up_changes` found them."""
    plan = prepared.plan
    if intent.name == "rollback" and (run := under_way(turn, request.environment, request.service)) is not None:
        return controls.roll_back(turn, run, actor, intent.reason)
    if plan is None and intent.name == "rollback":
        bad = tuple(v for v in prepared.verdicts if v.outcome is not Outcome.PASS)
        text = f"Nothing was rolled back: {bad[0].reason}." if bad else "Nothing was rolled back."
        answer = refused(bad[0].code if bad else "rollback.refused", text, bad[0].remedy if bad else "", verdicts=bad)
        return refusal(turn, intent, actor, answer)
    if plan is None:
        bad = tuple(v for v in prepared.verdicts if v.outcome is not Outcome.PASS)
        text = _impossible(intent, request)
        answer = refused(bad[0].code if bad else "deploy.refused", text, bad[0].remedy if bad else "", verdicts=bad)
        return refusal(turn, intent, actor, answer)
    if intent.name == "plan":
        return info("plan", "", view=present.plan_view(prepared, plan, hash_of(canonical(plan)), changes_view(changes)))
    if (frozen := _frozen(turn, intent, request, plan.procedure)) is not None:
        return refusal(turn, intent, actor, frozen)
    request = replace(request, version=_version(request, plan))
    if (same := under_way_already(turn, request, plan.procedure)) is not None:
        return refused(f"{'database' if is_of_database(plan.procedure) else 'deploy'}.already", _already(same, request),
                       f"`/forge status {same.id}` shows where it is.", run=same.id)  # fmt: skip
    run = open_run(turn, request, plan, actor, intent.reason)
    keep_changes(turn, run.id, changes)
    if run.procedure == ROLLBACK:
        return done("run.started", f"{run.id} has started: {_what(run, request)}.", run=run.id)
    lock, ahead = lock_for(turn, run), ahead_of(turn, run)
    if lock is not None or ahead is not None:
        return done("run.queued", f"{run.id} is queued. {present.why_waiting(turn, run)[1]}", run=run.id)
    of = what_is_restored(plan) if is_of_database(run.procedure) else ""
    return done("run.started", f"{run.id} has started: {_what(run, request)}{of}.", run=run.id)


def _version(request: Request, plan: Plan) -> str:
    """A commit may be typed shortened, or not at all: the run is for the one that was found."""
    return plan.version if request.environment is Environment.DEV else request.version or plan.version


def under_way_already(turn: Turn, request: Request, procedure: str) -> Run | None:
    """The run that does the very same and has not ended."""
    found = turn.ledger.find(
        Run, service=request.service, environment=request.environment.value, version=request.version, order="number"
    )
    lane = lane_of(procedure)
    return next((run for run in found if run.state != RunState.ENDED and lane_of(run.procedure) == lane), None)


def _frozen(turn: Turn, intent: Intent, request: Request, procedure: str) -> Answer | None:
    """In production a gate asks it at the last moment, and two people may override it; elsewhere nothing new begins. Copies of a database
    and the way back to one are no releases.
    """
    if request.environment is Environment.PROD or intent.name == "rollback" or is_of_database(procedure):
        return None
    found = freezes_for(turn.ledger, turn.now, request.service, request.environment)
    if not found:
        return None
    verdict = check_no_freeze(found)
    return refused("deploy.frozen", f"{verdict.reason}. Nothing was started.", verdict.remedy)


def refusal(turn: Turn, intent: Intent, actor: Actor, answer: Answer) -> Answer:
    """The same answer, with its audit entry."""
    turn.audit(
        "refused", intent.name, actor, what=intent.text or f"{intent.name} {intent.version}", why=answer.text[:300]
    )
    return answer


def _what(run: Run, request: Request) -> str:
    if run.procedure == CONTRACT:
        return f"the contract migrations of {request.version} of {request.service} on {run.environment}"
    if run.procedure == ROLLBACK:
        return f"{request.service} on {run.environment} goes back from {request.version}"
    if is_of_database(run.procedure):
        return f"the {run.version} of {request.service} on {run.environment}"
    return f"{request.version} of {request.service} to {run.environment}"


def _impossible(intent: Intent, request: Request) -> str:
    if procedure_of(intent):
        return f"The {request.version} of {request.service} on {request.environment.value} can't begin; nothing was started."
    verb = _DONE.get(intent.name, "deployed to")
    return f"{request.version or 'The newest commit'} can't be {verb} {request.environment.value}; nothing was started."


def _already(same: Run, request: Request) -> str:
    if is_of_database(same.procedure):
        return f"{same.id} is a {same.version} of {request.service} on {same.environment}, and has not ended."
    return f"{same.id} {_doing(same)} {request.version} already."


def _doing(run: Run) -> str:
    return {CONTRACT: "contracts", ROLLBACK: "rolls back"}.get(run.procedure, "deploys")

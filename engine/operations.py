"""The engine as the edges see it: authorise, carry out in one transaction, wake whom it concerns, answer the caller.

Every intent is authorised here, on what the actor is now; handlers only parse, look up and acknowledge.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from engine import approvals, choices, controls, present
from engine.answers import Answer, AnswerKind, done, info, refused
from engine.inbox import Inbox
from engine.intents import AnswerRenderer, Intent
from engine.interpreter import Interpreter
from engine.journal import Turn
from engine.lifecycle import on_way_back, open_run
from engine.metrics_lookup import look_up_metrics
from engine.outbox import Outbox
from engine.ports import Ledger, Store
from engine.queue import ahead_of, lock_on
from engine.records import Button, Outgoing, Received, Run, RunState, StepRow
from engine.settings import Settings
from engine.views import HelpView
from runbook.authority import may_run
from runbook.commands import BY_NAME, COMMANDS
from runbook.errors import ForgeError
from runbook.plan import canonical, hash_of
from runbook.policy import Service
from runbook.ports import Ports
from runbook.procedures.base import Prepared, Procedure, Request
from runbook.values import Actor, Environment
from runbook.verdicts import Outcome, Verdict

T = TypeVar("T")


FRESH = timedelta(minutes=15)
"""How old a payload may be when it is worked on, if it changes something: a response address lives for 30 minutes."""

CONTRACT = "contract"
"""The procedure that `migrate` runs; `deploy` runs the one that is named as the environment."""

_PLANNED = ("deploy", "migrate", "plan")

_TOO_LATE = refused(
    "received.too_late",
    "forge was down when you asked, and too much time has passed: nothing was done.",
    "Ask again if you still want it.",
)


class Desk:
    """Fulfils `engine.intents.Operations`."""

    def __init__(
        self,
        store: Store,
        ports: Ports,
        settings: Settings,
        interpreter: Interpreter,
        inbox: Inbox,
        outbox: Outbox,
        answers: AnswerRenderer,
        procedures: Callable[[str], Procedure | None],
    ) -> None:
        self._store = store
        self._ports = ports
        self._settings = settings
        self._interpreter = interpreter
        self._inbox = inbox
        self._outbox = outbox
        self._answers = answers
        self._procedures = procedures
        self.decided: Callable[[str, str], None] = lambda run_id, what: None
        """Called with (run, answer's code) after a decision was recorded."""

    # --- the edges ------------------------------------------------------------------------------------------------

    async def receive(self, dedup: str, kind: str, payload: object) -> Received | None:
        return await self._inbox.receive(dedup, kind, payload)

    async def answer(self, received: Received, answer: Answer, actor: Actor | None = None) -> None:
        def complete(turn: Turn) -> Answer:
            if actor is not None and answer.kind is AnswerKind.REFUSED:
                turn.audit("refused", answer.code, actor, why=answer.text[:300])
            return answer

        await self._transact(complete, received)

    async def fault(self, received: Received, correlation: str) -> None:
        """Completes an inbox row that could not be worked on."""
        text = f"Something went wrong on forge's side, and nothing more was done. Correlation id {correlation}."
        await self._transact(
            lambda _: Answer(AnswerKind.FAULT, "forge.fault", text, "Try again, or look into the log."), received
        )

    async def preview(self, intent: Intent, actor: Actor) -> Answer:
        def look(turn: Turn) -> Answer:
            named = self._named(turn, intent)
            if isinstance(named, Answer):
                return named
            verdict = self._allowed(named, actor)
            if verdict.outcome is not Outcome.PASS:
                return refused(verdict.code, verdict.reason, verdict.remedy)
            return info("ok", "")

        answer = await self._store.read(lambda ledger: look(self._turn(ledger)))
        if not answer.ok:  # nothing else will come of it: a dialog that is refused here is closed
            await self._store.write(lambda ledger: self._refusal(self._turn(ledger), intent, actor, answer))
        return answer

    async def act(self, intent: Intent, actor: Actor, *, received: Received | None = None) -> Answer:
        if received is not None and self._stale(received, intent):
            return await self._transact(lambda turn: self._refusal(turn, intent, actor, _TOO_LATE), received)
        if intent.name in _PLANNED:
            return await self._deploy(intent, actor, received)
        if intent.name == "metrics":
            return await self._metrics(intent, actor, received)
        answer = await self._transact(lambda turn: self._carry_out(turn, intent, actor), received)
        if answer.kind is AnswerKind.DONE and answer.code.startswith("approval."):
            self.decided(answer.run, answer.code)
        if intent.name == "unlock" and intent.environment is not None:
            self._interpreter.wake_queue(intent.environment.value, intent.service or None)
        return answer

    def _stale(self, received: Received, intent: Intent) -> bool:
        """A wish that waited out a long downtime is not carried out behind its author's back."""
        command = BY_NAME.get(intent.name)
        age = self._ports.clock.now() - received.received_at
        return age > FRESH and (command is None or not command.reading)

    # --- one transaction ------------------------------------------------------------------------------------------

    def _turn(self, ledger: Ledger) -> Turn:
        return Turn(ledger, self._ports.clock.now(), self._settings.current)

    async def _transact(self, change: Callable[[Turn], Answer], received: Received | None) -> Answer:
        """The change, its audit entries, the inbox row's end and the answer's place in the outbox: all or nothing."""

        def whole(ledger: Ledger) -> Answer:
            turn = self._turn(ledger)
            current = ledger.get(Received, received.id) if received is not None else None
            if current is not None and current.done_at is not None:
                return info("received.done", "This was worked on before.", run=_concerned(ledger, current))
            answer = change(turn)
            if current is not None:
                ledger.save(replace(current, done_at=turn.now, result=answer.code))
                self._reply(turn, current, answer)
            return answer

        answer = await self._store.write(whole)
        if answer.run:
            self._interpreter.wake(answer.run)
        self._outbox.ring()
        return answer

    def _reply(self, turn: Turn, received: Received, answer: Answer) -> None:
        message = self._answers.answer(answer)
        payload = {"received": received.id, "text": message.text, "blocks": list(message.blocks)}
        turn.ledger.add(
            Outgoing(
                subject=f"answer:{received.id}", kind="answer", run=answer.run, payload=payload, created_at=turn.now
            )
        )

    # --- everything but deploy ------------------------------------------------------------------------------------

    def _carry_out(self, turn: Turn, intent: Intent, actor: Actor) -> Answer:
        named = self._named(turn, intent)
        if isinstance(named, Answer):
            return named
        intent = named
        verdict = self._allowed(intent, actor)
        if verdict.outcome is not Outcome.PASS:
            turn.audit("refused", intent.run or intent.name, actor, what=intent.text or intent.name, why=verdict.reason)
            return refused(verdict.code, verdict.reason, verdict.remedy, run=intent.run)
        match intent.name:
            case "lock" | "unlock":
                return self._lock(turn, intent, actor)
            case "status":
                return self._status(turn, intent)
            case "audit":
                return info("audit", "", view=present.audit_view(turn, intent.run), run="")
            case "help":
                return self._help(intent, actor)
        run = turn.run(intent.run)
        if run is None:
            return _no_such_run(turn, intent.run)
        return self._on_run(turn, intent, actor, run)

    def _on_run(self, turn: Turn, intent: Intent, actor: Actor, run: Run) -> Answer:
        match intent.name:
            case "pause":
                return controls.pause(turn, run, actor, intent.reason)
            case "resume":
                return controls.resume(turn, run, actor)
            case "abort":
                return controls.abort(turn, run, actor, intent.reason)
            case "cancel":
                return controls.cancel(turn, run, actor, intent.reason)
            case "retry":
                return controls.retry(turn, run, actor)
            case "approve" | "reject" | "withdraw":
                return self._decision(turn, intent, actor, run)
        if intent.name.startswith("choose:"):
            row = turn.step(run.id, self._button(turn, intent).index or 0)
            return choices.choose(turn, run, row, actor, intent.name.removeprefix("choose:")) if row else _gone(run)
        return refused(
            "forge.unknown", f"{intent.name} is nothing that forge knows.", "`/forge help` lists the commands."
        )

    def _decision(self, turn: Turn, intent: Intent, actor: Actor, run: Run) -> Answer:
        plan_hash, row = run.plan_hash, turn.step(run.id, run.position)
        if intent.button:
            button = self._button(turn, intent)
            plan_hash, row = button.plan_hash, turn.step(run.id, button.index or 0)
            if plan_hash != run.plan_hash:
                closed = present.approval_card(turn, run, button.index or 0, run.segment)
                return self._void(turn, run, row, closed.closing if closed is not None else "")
        elif intent.name == "withdraw":
            row = _last_approval(turn, run) or row
        if row is None or row.kind != "approval":
            why = present.why_waiting(turn, run)[1] or f"it has ended: {run.ending_reason}"
            return refused("approval.none", f"{run.id} doesn't wait for an approval. {why}", run=run.id)
        if intent.name == "withdraw":
            return approvals.withdraw(turn, run, row, actor)
        return approvals.decide(turn, run, row, plan_hash, actor, intent.name, intent.reason)

    def _void(self, turn: Turn, run: Run, row: StepRow | None, closing: str) -> Answer:
        if run.state == RunState.ENDED or on_way_back(turn, run):
            text = f"This button is dead: {run.id} went on without it: {run.ending_reason or closing}."
            return refused("approval.closed", text, f"`/forge status {run.id}` shows where it is.", run=run.id)
        return refused("approval.void", "This approval is void: the plan has changed since the card was shown.",
                       "Look at the newest card in the run's thread.", run=run.id)  # fmt: skip

    def _button(self, turn: Turn, intent: Intent) -> Button:
        button = turn.ledger.get(Button, intent.button)
        if button is None:
            raise LookupError("a button that was resolved is gone")
        return button

    def _named(self, turn: Turn, intent: Intent) -> Intent | Answer:
        """A click's intent with the run that its button belongs to; buttons are re-read, never believed."""
        if not intent.button:
            return intent
        button = turn.ledger.get(Button, intent.button)
        if button is None or button.action != intent.name:
            return refused(
                "button.unknown",
                "This button is not (or no longer) known to forge.",
                "Use the newest message of the run.",
            )
        return replace(intent, run=button.run)

    def _allowed(self, intent: Intent, actor: Actor) -> Verdict:
        name = "approve" if intent.name.startswith("choose:") else intent.name
        return may_run(name, actor, self._settings.current.policy)

    def _lock(self, turn: Turn, intent: Intent, actor: Actor) -> Answer:
        if intent.environment is None:
            return refused("lock.environment", "Name the environment.", BY_NAME[intent.name].usage)
        if intent.service and intent.service not in turn.setting.services:
            return _no_such_service(turn, intent.service)
        if intent.name == "lock":
            return controls.lock(turn, intent.environment, intent.service, actor, intent.reason)
        return controls.unlock(turn, intent.environment, intent.service, actor, intent.reason)

    def _status(self, turn: Turn, intent: Intent) -> Answer:
        if not intent.run:
            return info("status", "", view=present.status(turn, intent.service))
        run = turn.run(intent.run)
        if run is None:
            return _no_such_run(turn, intent.run)
        view = present.headline(turn, run, self._interpreter.doing(run.id))
        return info("status", "", view=replace(view, buttons={}))

    def _help(self, intent: Intent, actor: Actor) -> Answer:
        policy = self._settings.current.policy
        mine = tuple(c for c in COMMANDS if may_run(c.name, actor, policy).outcome is Outcome.PASS)
        if intent.topic:
            return info("help", "", view=HelpView(commands=tuple(c for c in COMMANDS if c.name == intent.topic)))
        others = tuple(c.name for c in COMMANDS if c not in mine)
        return info("help", "", view=HelpView(commands=mine, others=others))

    async def _metrics(self, intent: Intent, actor: Actor, received: Received | None) -> Answer:
        """Prometheus is asked outside of the transaction: it may take its time."""
        verdict = self._allowed(intent, actor)
        if verdict.outcome is not Outcome.PASS:
            answer = refused(verdict.code, verdict.reason, verdict.remedy)
            return await self._transact(lambda turn: self._refusal(turn, intent, actor, answer), received)
        service = self._service(intent)
        if isinstance(service, Answer):
            return await self._transact(lambda _: service, received)
        looked = await look_up_metrics(self._ports, self._settings.current.policy, service, intent.environment)
        if isinstance(looked, Answer):
            return await self._transact(lambda _: looked, received)

        def show(turn: Turn) -> Answer:
            if received is not None:
                looked.show(turn, actor, received)
            return looked.answer()

        return await self._transact(show, received)

    # --- deploy and plan ------------------------------------------------------------------------------------------

    async def _deploy(self, intent: Intent, actor: Actor, received: Received | None) -> Answer:
        """Looks around first (no effect, repeatable), then opens the run in one transaction."""
        if received is not None and received.done_at is not None:
            return info("received.done", "This was worked on before.")
        target = await self._store.read(lambda ledger: self._target(self._turn(ledger), intent, actor))
        if isinstance(target, Answer):
            return await self._transact(lambda turn: self._refusal(turn, intent, actor, target), received)
        request, procedure = target
        try:
            prepared = await procedure(request, self._settings.current, self._ports)
        except ForgeError as error:
            answer = refused(
                error.code, f"{error.cause}. Nothing was started.", error.remedy or "Try again in a moment."
            )
            return await self._transact(lambda turn: self._refusal(turn, intent, actor, answer), received)
        return await self._transact(lambda turn: self._prepared(turn, intent, actor, request, prepared), received)

    def _target(self, turn: Turn, intent: Intent, actor: Actor) -> tuple[Request, Procedure] | Answer:
        """What is asked for and the procedure that does it, or every reason not to look any further."""
        verdict = self._allowed(intent, actor)
        if verdict.outcome is not Outcome.PASS:
            return refused(verdict.code, verdict.reason, verdict.remedy)
        service = self._service(intent)
        if isinstance(service, Answer):
            return service
        name = CONTRACT if intent.name == "migrate" else str(intent.environment)
        procedure = self._procedures(name) if name in (CONTRACT, *Environment) else None
        if intent.environment is None or procedure is None:
            return refused("deploy.environment", f"forge can't deploy to {intent.environment or 'nothing'} yet.",
                           "Deploy a candidate to staging: `deploy staging vX.Y.Z-rc.N`.")  # fmt: skip
        if intent.environment not in service.urls:
            return refused("deploy.not_configured", f"{service.name} has no {intent.environment.value} in the configuration.",
                           f"Add services.{service.name}.urls.{intent.environment.value} to forge.yaml.")  # fmt: skip
        if intent.name != "plan" and not self._store.healthy:
            return refused("store.trouble", "forge can't keep its records at the moment, so nothing new is started.",
                           "`forge doctor` says what is wrong; runs under way are kept as they are.")  # fmt: skip
        return Request(service=service.name, environment=intent.environment, version=intent.version), procedure

    def _refusal(self, turn: Turn, intent: Intent, actor: Actor, answer: Answer) -> Answer:
        turn.audit(
            "refused", intent.name, actor, what=intent.text or f"{intent.name} {intent.version}", why=answer.text[:300]
        )
        return answer

    def _service(self, intent: Intent) -> Service | Answer:
        services = self._settings.current.services
        if intent.service:
            found = services.get(intent.service)
            return found if found is not None else _no_such(intent.service, services)
        if len(services) == 1:
            return next(iter(services.values()))
        return refused(
            "service.which", "Several services are configured: name one.", f"--service {' | '.join(sorted(services))}"
        )

    def _prepared(self, turn: Turn, intent: Intent, actor: Actor, request: Request, prepared: Prepared) -> Answer:
        plan = prepared.plan
        if plan is None:
            bad = tuple(v for v in prepared.verdicts if v.outcome is not Outcome.PASS)
            verb = "contracted on" if intent.name == "migrate" else "deployed to"
            text = f"{request.version} can't be {verb} {request.environment.value}; nothing was started."
            answer = refused(bad[0].code if bad else "deploy.refused", text, bad[0].remedy if bad else "", verdicts=bad)
            return self._refusal(turn, intent, actor, answer)
        if intent.name == "plan":
            view = present.plan_view(prepared, plan, hash_of(canonical(plan)))
            return info("plan", "", view=view)
        same = [r for r in turn.ledger.find(Run, service=request.service, environment=request.environment.value,
                                            version=request.version) if r.state != RunState.ENDED]  # fmt: skip
        if same:
            return refused("deploy.already", f"{same[0].id} {_doing(same[0])} {request.version} already.",
                           f"`/forge status {same[0].id}` shows where it is.", run=same[0].id)  # fmt: skip
        run = open_run(turn, request, plan, actor, intent.reason)
        lock, ahead = lock_on(turn, run.environment, run.service), ahead_of(turn, run)
        if lock is not None or ahead is not None:
            return done("run.queued", f"{run.id} is queued. {present.why_waiting(turn, run)[1]}", run=run.id)
        return done(
            "run.started",
            f"{run.id} has started: {_what(run, request)}.",
            run=run.id,
        )


def _what(run: Run, request: Request) -> str:
    if run.procedure == CONTRACT:
        return f"the contract migrations of {request.version} of {request.service} on {run.environment}"
    return f"{request.version} of {request.service} to {run.environment}"


def _doing(run: Run) -> str:
    return "contracts" if run.procedure == CONTRACT else "deploys"


def _concerned(ledger: Ledger, received: Received) -> str:
    """The run that was answered about: it is woken again, for a commit of doubtful end may have woken nobody."""
    answers = ledger.find(Outgoing, subject=f"answer:{received.id}", limit=1)
    return answers[0].run if answers else ""


def _last_approval(turn: Turn, run: Run) -> StepRow | None:
    rows = [r for r in turn.steps(run.id) if r.kind == "approval" and r.started_at is not None]
    return rows[-1] if rows else None


def _gone(run: Run) -> Answer:
    return refused("choice.closed", f"{run.id} has gone on since.", run=run.id)


def _no_such_run(turn: Turn, run_id: str) -> Answer:
    known = [r.id for r in turn.ledger.find(Run, order="-created_at", limit=3)]
    remedy = f"The newest runs are {', '.join(known)}." if known else "There has been no run yet."
    return refused("run.unknown", f"There is no run {run_id}.", remedy)


def _no_such_service(turn: Turn, name: str) -> Answer:
    return _no_such(name, turn.setting.services)


def _no_such(name: str, services: Iterable[str]) -> Answer:
    names = sorted(services)
    near = difflib.get_close_matches(name, names, 1)
    return refused(
        "service.unknown",
        f"There is no service {name}.",
        f"Did you mean {near[0]}?" if near else f"There are {', '.join(names)}.",
    )

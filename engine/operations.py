"""The engine as the edges see it: authorise, carry out in one transaction, wake whom it concerns, answer the caller.

Every intent is authorised here, on what the actor is now; handlers only parse, look up and acknowledge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from engine import approvals, checklists, choices, controls, overrides, present
from engine.answers import Answer, AnswerKind, info, refused
from engine.backup_commands import ADOPT, LIST, adopt_backups, hold_or_release, look_up_backups, restore_choices_of
from engine.candidates import candidate_choices, look_up_candidates, wants_candidate
from engine.changes import look_up_changes
from engine.freezes import CARRIERS as FREEZES
from engine.inbox import Inbox
from engine.incidents import CARRIERS as INCIDENTS
from engine.intents import AnswerRenderer, Intent
from engine.interpreter import Interpreter
from engine.journal import Turn
from engine.lanes import RESTORE, is_of_database
from engine.lifecycle import on_way_back
from engine.lookups import LOOKUPS as SIMPLE_LOOKUPS
from engine.lookups import Asking, Lookup
from engine.naming import no_such_run, no_such_service
from engine.outbox import Outbox
from engine.planned import Target, begin, is_planned, prepare, refusal, store_trouble, target, under_way
from engine.ports import Ledger, Store
from engine.prompt_answers import press
from engine.prompts import BUTTONS as PROMPT_BUTTONS
from engine.records import Button, Outgoing, Received, Run, RunState, StepRow
from engine.report import report
from engine.settings import Settings
from engine.status_lookup import look_up_status
from engine.views import HelpView
from runbook.authority import may_run
from runbook.commands import BY_NAME, COMMANDS
from runbook.ports import Ports
from runbook.procedures.base import Procedure, Request
from runbook.values import Actor
from runbook.verdicts import Outcome, Verdict

T = TypeVar("T")


FRESH = timedelta(minutes=15)
"""How old a payload may be when it is worked on, if it changes something: a response address lives for 30 minutes."""

CARRIERS: Mapping[str, Callable[[Turn, Intent, Actor], Answer]] = {**FREEZES, **INCIDENTS, "backup": hold_or_release}
"""Commands that concern no single run, by name: each module that carries some out adds its own."""

ON_RUN: Mapping[str, Callable[[Turn, Intent, Actor, Run], Answer]] = {
    **dict.fromkeys(PROMPT_BUTTONS, press),
    **checklists.ON_RUN,
    **overrides.ON_RUN,
}
"""Commands and buttons that concern a run, by name."""

LOOKUPS: Mapping[str, Lookup] = {
    **SIMPLE_LOOKUPS,
    "report": report,
    f"backup {LIST}": look_up_backups,
    f"backup {ADOPT}": adopt_backups,
}
"""Commands that ask the world first, by name, with the verb of those where only some verbs do."""

AUTHORITY = {"extend": "rollback", "continue": "rollback", "tick": "approve"}
"""Buttons that are no commands, with the command whose roles may press them; a step's own roles are checked where it is carried out."""

_STEERING = ("pause", "resume", "abort", "retry", "cancel")
"""What is done to a run that has begun."""

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
            verdict = self._allowed_on(turn, named, actor)
            if verdict.outcome is not Outcome.PASS:
                return refused(verdict.code, verdict.reason, verdict.remedy)
            return info("ok", "")

        answer = await self._store.read(lambda ledger: look(self._turn(ledger)))
        if not answer.ok:  # nothing else will come of it: a dialog that is refused here is closed
            await self._store.write(lambda ledger: refusal(self._turn(ledger), intent, actor, answer))
        return answer

    async def choices(self, intent: Intent, actor: Actor) -> Answer:
        """Of `restore`: the backups that can be restored, and the window of recovery. Of `deploy staging`: the candidates."""
        if wants_candidate(intent):
            may = self._allowed(intent, actor)
            if may.outcome is not Outcome.PASS:
                return refused(may.code, may.reason, may.remedy)
            return await candidate_choices(intent, self._settings.current, self._ports, self._store)
        now = self._ports.clock.now()

        def look(ledger: Ledger) -> Answer:
            turn = Turn(ledger, now, self._settings.current)
            verdict = self._allowed(intent, actor)
            return (
                refused(verdict.code, verdict.reason, verdict.remedy)
                if verdict.outcome is not Outcome.PASS
                else (restore_choices_of(turn, intent, self._ports))
            )

        return await self._store.read(look)

    async def act(self, intent: Intent, actor: Actor, *, received: Received | None = None) -> Answer:
        if received is not None and self._stale(received, intent):
            return await self._transact(lambda turn: refusal(turn, intent, actor, _TOO_LATE), received)
        if is_planned(intent):
            return await self._plan(intent, actor, received)
        if _lookup_of(intent) is not None:
            return await self._look_up(intent, actor, received)
        answer = await self._transact(lambda turn: self._carry_out(turn, intent, actor), received)
        if answer.kind is AnswerKind.DONE and answer.code.startswith("approval."):
            self.decided(answer.run, answer.code)
        if intent.name == "unlock" and intent.environment is not None:
            self._interpreter.wake_queue(intent.environment.value, intent.service or None)
        return answer

    async def _plan(self, intent: Intent, actor: Actor, received: Received | None) -> Answer:
        """Looks around first (no effect, repeatable), then opens the run in one transaction."""
        if received is not None and received.done_at is not None:
            return info("received.done", "This was worked on before.")
        # A rollback of what is under way is nothing new: the ballast's room is kept for the likes of it.
        healthy, leaves = self._store.healthy, intent.name == "rollback"
        wanted = await self._store.read(
            lambda ledger: target(
                self._turn(ledger), intent, actor, self._procedures, self._ports, healthy=healthy or leaves
            )
        )
        if leaves and isinstance(wanted, Target):
            left = await self._leave(intent, actor, wanted.request, received)
            if left is not None:
                return left
            wanted = wanted if healthy else store_trouble()
        prepared = wanted if isinstance(wanted, Answer) else await prepare(wanted, self._settings.current, self._ports)
        if isinstance(wanted, Answer) or isinstance(prepared, Answer):
            answer = wanted if isinstance(wanted, Answer) else prepared
            assert isinstance(answer, Answer)  # noqa: S101 - one of the two is
            return await self._transact(lambda turn: refusal(turn, intent, actor, answer), received)
        request, plan = wanted.request, prepared.plan
        found = None if plan is None else await look_up_changes(self._ports, self._settings.current, plan)
        return await self._transact(lambda turn: begin(turn, intent, actor, request, prepared, found), received)

    async def _leave(self, intent: Intent, actor: Actor, request: Request, received: Received | None) -> Answer | None:
        """A rollback of what is under way asks nobody: it must not wait for a cluster that answers slowly. None: nothing is under way."""
        run = await self._store.read(lambda ledger: under_way(self._turn(ledger), request.environment, request.service))
        if run is None:
            return None

        def leave(turn: Turn) -> Answer:
            current = turn.run(run.id)
            assert current is not None  # noqa: S101 - runs are never deleted
            return controls.roll_back(turn, current, actor, intent.reason)

        return await self._transact(leave, received)

    async def _look_up(self, intent: Intent, actor: Actor, received: Received | None) -> Answer:
        """Outside systems are asked outside of the transaction: they may take their time."""
        verdict = self._allowed(intent, actor)
        if verdict.outcome is not Outcome.PASS:
            answer = refused(verdict.code, verdict.reason, verdict.remedy)
            return await self._transact(lambda turn: refusal(turn, intent, actor, answer), received)
        asking = Asking(intent, actor, self._ports, self._settings.current, self._store)
        look_up = _lookup_of(intent)
        assert look_up is not None  # noqa: S101 - it is why this is called
        finish = await look_up(asking)
        return await self._transact(lambda turn: finish(turn, received), received)

    def _stale(self, received: Received, intent: Intent) -> bool:
        """A wish that waited out a long downtime is not carried out behind its author's back."""
        command = BY_NAME.get(intent.name)
        age = self._ports.clock.now() - received.received_at
        return age > FRESH and (command is None or not (command.reading or _only_reads(intent)))

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
        verdict = self._allowed_on(turn, intent, actor)
        if verdict.outcome is not Outcome.PASS:
            turn.audit("refused", intent.run or intent.name, actor, what=intent.text or intent.name, why=verdict.reason)
            return refused(verdict.code, verdict.reason, verdict.remedy, run=intent.run)
        if not intent.button and intent.name in CARRIERS:
            return CARRIERS[intent.name](turn, intent, actor)
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
            return no_such_run(turn, intent.run)
        if intent.name in ON_RUN:
            return ON_RUN[intent.name](turn, intent, actor, run)
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
            case "approve" | "reject" | "withdraw" | "signoff":
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
            if isinstance(button.argument, Mapping) and "override" in button.argument:
                return overrides.decide(turn, intent, actor, run, str(button.argument["override"]))
            plan_hash, row = button.plan_hash, turn.step(run.id, button.index or 0)
            if plan_hash != run.plan_hash:
                closed = present.approval_card(turn, run, button.index or 0, run.segment)
                return self._void(turn, run, row, closed.closing if closed is not None else "")
        elif intent.name == "withdraw":
            row = _last_approval(turn, run) or row
        if row is None or row.kind != "approval":
            why = present.why_waiting(turn, run)[1] or f"It has ended: {run.ending_reason}"
            return refused("approval.none", f"{run.id} doesn't wait for an approval. {why}", run=run.id)
        if intent.name == "withdraw":
            return approvals.withdraw(turn, run, row, actor)
        if (other := approvals.wrong_word(turn, run, row, intent.name)) is not None:
            return other
        decision = "approve" if intent.name == "signoff" else intent.name
        return approvals.decide(turn, run, row, plan_hash, actor, decision, intent.reason)

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
        name = "approve" if intent.name.startswith("choose:") else AUTHORITY.get(intent.name, intent.name)
        if _only_reads(intent):
            name = "status"
        return may_run(name, actor, self._settings.current.policy)

    def _allowed_on(self, turn: Turn, intent: Intent, actor: Actor) -> Verdict:
        """Whoever may back up, or restore, may also stop and go on with such a run, whatever they may do with deployments."""
        verdict = self._allowed(intent, actor)
        run = turn.run(intent.run) if verdict.outcome is not Outcome.PASS and intent.name in _STEERING else None
        if run is None or not is_of_database(run.procedure):
            return verdict
        own = may_run("restore" if run.procedure == RESTORE else "backup", actor, self._settings.current.policy)
        return own if own.outcome is Outcome.PASS else verdict

    def _lock(self, turn: Turn, intent: Intent, actor: Actor) -> Answer:
        if intent.environment is None:
            return refused("lock.environment", "Name the environment.", BY_NAME[intent.name].usage)
        if intent.service and intent.service not in turn.setting.services:
            return no_such_service(intent.service, turn.setting.services)
        if intent.name == "lock":
            return controls.lock(turn, intent.environment, intent.service, actor, intent.reason)
        return controls.unlock(turn, intent.environment, intent.service, actor, intent.reason)

    def _status(self, turn: Turn, intent: Intent) -> Answer:
        run = turn.run(intent.run)
        if run is None:
            return no_such_run(turn, intent.run)
        view = present.headline(turn, run, self._interpreter.doing(run.id))
        return info("status", "", view=replace(view, buttons={}))

    def _help(self, intent: Intent, actor: Actor) -> Answer:
        policy = self._settings.current.policy
        mine = tuple(c for c in COMMANDS if may_run(c.name, actor, policy).outcome is Outcome.PASS)
        if intent.topic:
            return info("help", "", view=HelpView(commands=tuple(c for c in COMMANDS if c.name == intent.topic)))
        others = tuple(c.name for c in COMMANDS if c not in mine)
        return info("help", "", view=HelpView(commands=mine, others=others))


def _concerned(ledger: Ledger, received: Received) -> str:
    """The run that was answered about: it is woken again, for a commit of doubtful end may have woken nobody."""
    answers = ledger.find(Outgoing, subject=f"answer:{received.id}", limit=1)
    return answers[0].run if answers else ""


def _lookup_of(intent: Intent) -> Lookup | None:
    if wants_candidate(intent):
        return look_up_candidates
    if intent.name == "status" and not intent.run:
        return look_up_status
    verb = intent.options.get("verb", "")
    return LOOKUPS.get(intent.name) or (LOOKUPS.get(f"{intent.name} {verb}") if verb else None)


def _only_reads(intent: Intent) -> bool:
    """A verb of a command that changes something with others: open to every full member."""
    verb, command = intent.options.get("verb", ""), BY_NAME.get(intent.name)
    return (intent.name == "incident" and verb == "list") or (command is not None and verb in command.reading_verbs)


def _last_approval(turn: Turn, run: Run) -> StepRow | None:
    rows = [r for r in turn.steps(run.id) if r.kind == "approval" and r.started_at is not None]
    return rows[-1] if rows else None


def _gone(run: Run) -> Answer:
    return refused("choice.closed", f"{run.id} has gone on since.", run=run.id)

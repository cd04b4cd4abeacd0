"""The engine, put together: what the program starts, stops and reloads as one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

import structlog

from engine.auto_deploy import AutoDeploys
from engine.guards import GuardEvaluator
from engine.inbox import Inbox
from engine.incidents import open_rows
from engine.incidents import show as show_incident
from engine.intents import AnswerRenderer, Consumer
from engine.interpreter import Interpreter
from engine.journal import Turn
from engine.lifecycle import Continuations
from engine.operations import Desk
from engine.outbox import Outbox
from engine.ports import Chat, Ledger, Painter, Renderer, Store
from engine.prompt_clock import PromptClock
from engine.prompts import shift_prompts
from engine.records import Run, RunState, StepRow, StepState
from engine.schedules import Schedules
from engine.settings import Settings
from engine.spans import Watched
from runbook.policy import Setting
from runbook.ports import Ports
from runbook.procedures.base import Procedure

log = structlog.get_logger("forge.engine")


class Shows(Renderer, AnswerRenderer, Protocol):
    """What the messages layer gives the engine."""


class Engine:
    """desk: the operations for the edges. Give `inbox.consumer` before `start`. incidents: the channel of incidents; default: `channel`."""

    def __init__(
        self,
        store: Store,
        ports: Ports,
        settings: Settings,
        chat: Chat,
        shows: Shows,
        channel: Callable[[], str],
        procedures: Callable[[str], Procedure | None],
        continuations: Continuations,
        *,
        painter: Painter,
        incidents: Callable[[], str] | None = None,
    ) -> None:
        self._store = store
        self._ports = ports
        self.settings = settings
        self.inbox = Inbox(store, ports.clock)
        self.outbox = Outbox(store, ports.clock, chat, shows, channel, painter=painter, incidents=incidents,
                             settings=lambda: settings)  # fmt: skip
        self.interpreter = Interpreter(store, ports, settings, _must(procedures), continuations)
        self.guards = GuardEvaluator(store, ports, settings, self.interpreter.wake)
        self.prompts = PromptClock(store, ports.clock, settings, self.interpreter.wake)
        self.schedules = Schedules(store, ports, settings, procedures, self.interpreter.wake)
        self.auto_deploys = AutoDeploys(store, ports, settings, procedures, self.interpreter.wake)
        self.interpreter.changed = self._changed
        self.interpreter.freed = self.auto_deploys.freed
        self.interpreter.shown = self.guards.shown = self.prompts.shown = self.outbox.ring
        self.schedules.shown = self.auto_deploys.shown = self.outbox.ring
        self.guards.asked = self.prompts.ring
        self.desk = Desk(store, ports, settings, self.interpreter, self.inbox, self.outbox, shows, procedures)
        self.inbox.on_fault = self.desk.fault
        self.started = False

    def _changed(self, run: Run, span: Watched | None) -> None:
        self.guards.follow(run.id, span)
        if run.state == RunState.HELD:  # by a step about which on-call is asked, perhaps
            self.prompts.ring()
        self.auto_deploys.run_changed(run)
        self.outbox.ring()

    async def start(self, consumer: Consumer) -> None:
        """Takes up every run and every payload where the last process left it, and draws drifted headlines again."""
        self.inbox.consumer = consumer
        await self._store.write(self._draw_again)
        await self.outbox.start()
        await self.interpreter.start()
        await self.guards.start()
        await self.prompts.start()
        await self.inbox.start()
        await self.schedules.start()
        await self.auto_deploys.start()
        self.started = True

    async def stop(self, drain_s: float = 3.0) -> None:
        """Edges first, so that nothing new comes in; what is half done is done again after the next start."""
        self.started = False
        await self.auto_deploys.stop()
        await self.schedules.stop()
        await self.inbox.stop()
        await self.prompts.stop()
        await self.guards.stop()
        await self.interpreter.stop()
        await self.outbox.stop(drain_s)

    def _draw_again(self, ledger: Ledger) -> None:
        turn = Turn(ledger, self._ports.clock.now(), self.settings.current)
        turn.audit("forge.started", "forge", evidence={"setting": self.settings.current.hash})
        for run in _open_runs(ledger):
            turn.show(run)
        for incident in open_rows(ledger):
            show_incident(turn, incident)

    async def shift_deadlines(self, jump: timedelta, move: Callable[[], None]) -> None:
        """The wall clock jumped: open waits keep their remaining time, running steps their beginning, and the audit log tells.

        move: sets the clock, in the transaction itself, so that nobody looks at a shifted deadline with the old time.
        """

        def shift(ledger: Ledger) -> list[Run]:
            turn = Turn(ledger, self._ports.clock.now() + jump, self.settings.current)
            runs = _open_runs(ledger)
            for run in runs:
                for row in turn.steps(run.id):
                    if row.state not in (StepState.DONE, StepState.SKIPPED):
                        turn.save_step(row, **_moved(row, jump))
            shift_prompts(turn, runs, jump)
            turn.audit(
                "clock.jumped", "clock", what=f"by {jump.total_seconds():+.1f} s", why="deadlines were shifted with it"
            )
            move()
            return runs

        for run in await self._store.write(shift):
            self.interpreter.wake(run.id)
        self.prompts.ring()
        self.schedules.ring()
        self.auto_deploys.ring_all()

    async def reload(self, setting: Setting) -> None:
        """A new configuration: audited, then in force; plans without an effect are made anew, others keep their numbers."""
        old, self_setting = self.settings.current.hash, setting.hash

        def note(ledger: Ledger) -> list[Run]:
            turn = Turn(ledger, self._ports.clock.now(), setting)
            turn.audit("configuration.loaded", self_setting, evidence={"old": old, "new": self_setting})
            return _open_runs(ledger)

        runs = await self._store.write(note)
        self.settings.replace(setting)
        self.interpreter.remake_all([run.id for run in runs if run.first_effect_at is None])
        self.schedules.ring()
        self.auto_deploys.ring_all()


def _moved(row: StepRow, jump: timedelta) -> dict[str, Any]:
    return {
        "deadline": row.deadline + jump if row.deadline is not None else None,
        "started_at": row.started_at + jump if row.started_at is not None else None,
    }


def _open_runs(ledger: Ledger) -> list[Run]:
    return ledger.find(Run, state=[RunState.QUEUED, RunState.RUNNING, RunState.WAITING, RunState.HELD])


def _must(procedures: Callable[[str], Procedure | None]) -> Callable[[str], Procedure]:
    def find(name: str) -> Procedure:
        procedure = procedures(name)
        if procedure is None:
            raise LookupError(f"there is no procedure {name}")
        return procedure

    return find

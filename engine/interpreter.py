"""The interpreter: drives each run from wait to wait, performs its work steps through the ports, and records before and after.

An exception nobody foresaw holds that run and touches no other; nothing here ever rolls back by itself.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import structlog

from engine.journal import Turn, plan_of, segment_of
from engine.lanes import called_at_once
from engine.lifecycle import Continuations, end_run, replace_plan, request_of, void_approvals
from engine.notes import Note, Tone
from engine.ports import Ledger, Store
from engine.queue import next_in_line
from engine.records import Ending, Run, RunState, StepRow, StepState
from engine.settings import Settings
from engine.spans import Watched, watched
from engine.turns import UNFORESEEN, Action, Ended, Perform, Remake, Wait, finish, hold, next_action
from engine.wakes import Deadlines
from runbook.describe import what_changed
from runbook.errors import ForgeError, StoreUnavailable
from runbook.plan import Result, Scene, canonical, hash_of
from runbook.ports import Ports
from runbook.procedures.base import Prepared, Procedure
from runbook.values import Environment
from runbook.verdicts import Outcome, Verdict, worst

log = structlog.get_logger("forge.engine")
T = TypeVar("T")

CANCEL_BOUND_S = 10.0
"""How long a cancelled step may take to let go before the run goes on without it; `finish` then refuses its late result."""
STORE_RETRY_S = 1.0


class Interpreter:
    def __init__(
        self,
        store: Store,
        ports: Ports,
        settings: Settings,
        procedures: Callable[[str], Procedure],
        continuations: Continuations,
    ) -> None:
        self._store = store
        self._ports = ports
        self._settings = settings
        self._procedures = procedures
        self._continuations = continuations
        self._deadlines = Deadlines(ports.clock, self.wake)
        self._drivers: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._remake: set[str] = set()
        self._bells: dict[str, asyncio.Event] = {}
        self._paused: set[str] = set()
        self._doing: dict[str, str] = {}
        self._stopping = False
        self._watch: asyncio.Task[None] | None = None
        self.changed: Callable[[Run, Watched | None], None] = lambda run, watched: None
        """Called after every look at a run, with the span that it is in: the guards and the outbox follow."""

        self.ended: Callable[[Run], None] = lambda run: None
        self.freed: Callable[[str, str | None], None] = lambda environment, service: None
        """Called with environment and service (None: of every one) where a lock went or a run ended."""

        self.shown: Callable[[], None] = lambda: None
        """Called when only what is shown has changed."""

    # --- lifecycle ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Wakes every run that isn't ended."""
        self._watch = asyncio.create_task(self._deadlines.watch(), name="deadlines")
        states = [RunState.QUEUED, RunState.RUNNING, RunState.WAITING, RunState.HELD]
        for run in await self._store.read(lambda ledger: ledger.find(Run, state=states)):
            self.wake(run.id)

    async def stop(self) -> None:
        """Lets go of everything: what was begun is performed again on the next start."""
        self._stopping = True
        tasks = [*self._drivers.values(), *([self._watch] if self._watch else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self, run_id: str) -> None:
        """Something about this run may have changed: look at its rows."""
        if self._stopping:
            return
        self._again.add(run_id)
        bell = self._bells.get(run_id)
        if bell is not None:
            bell.set()
        if run_id not in self._drivers:
            self._drivers[run_id] = asyncio.create_task(self._drive(run_id), name=f"run {run_id}")

    def wake_queue(self, environment: str, service: str | None) -> None:
        """A lock went or a run ended: whoever is next may start."""
        self._spawn_queue_look(environment, service)
        self.freed(environment, service)

    def remake_all(self, run_ids: list[str]) -> None:
        """The setting changed: plans that had no effect yet are made anew at once."""
        for run_id in run_ids:
            self._remake.add(run_id)
            self.wake(run_id)

    def doing(self, run_id: str) -> str:
        """What a run's step said last that it does; not durable."""
        return self._doing.get(run_id, "")

    @property
    def active(self) -> int:
        return len(self._drivers)

    def _spawn_queue_look(self, environment: str, service: str | None) -> None:
        async def look() -> None:
            for run_id in await self._write(lambda turn: next_in_line(turn, environment, service)):
                self.wake(run_id)

        key = f"queue {environment} {service}"
        task = asyncio.create_task(look(), name=key)
        self._drivers[key] = task
        task.add_done_callback(lambda _: self._drivers.pop(key, None))

    # --- one run --------------------------------------------------------------------------------------------------

    async def _drive(self, run_id: str) -> None:
        try:
            while run_id in self._again:
                self._again.discard(run_id)
                await self._advance(run_id)
        except Exception:  # noqa: BLE001 - a bug in one run must not touch another; the run is held for a person
            await self._hold_for_bug(run_id)
        finally:
            del self._drivers[run_id]
            if run_id in self._again and not self._stopping:
                self.wake(run_id)

    async def _advance(self, run_id: str) -> None:
        """Until the run waits or ends."""
        remade = False
        while True:
            if run_id in self._remake:
                self._remake.discard(run_id)
                action: Action = await self._remake_wanted(run_id)
            else:
                action = await self._look(run_id, remade)
            match action:
                case Perform():
                    remade = False
                    await self._perform(action)
                case Remake():
                    remade = await self._make_anew(action.run)
                case Wait():
                    self._deadlines.set(run_id, action.until)
                    return
                case Ended():
                    self._deadlines.set(run_id, None)
                    self._doing.pop(run_id, None)
                    self.ended(action.run)
                    self.wake_queue(action.run.environment, action.run.service)
                    return

    async def _look(self, run_id: str, remade: bool) -> Action:
        trouble = not self._store.healthy

        def look(turn: Turn) -> tuple[Action, Run | None, Watched | None]:
            action = next_action(turn, run_id, self._continuations, remade=remade, may_begin=not trouble)
            run = turn.run(run_id)
            return action, run, watched(turn, run) if run is not None else None

        action, run, span = await self._write(look)
        if run is not None:
            (self._paused.add if run.paused_at is not None else self._paused.discard)(run_id)
            self.changed(run, span)
        return action

    async def _remake_wanted(self, run_id: str) -> Action:
        run = await self._read(lambda ledger: ledger.get(Run, run_id))
        if run is None or run.state in (RunState.ENDED, RunState.QUEUED) or run.first_effect_at is not None:
            return await self._look(run_id, False)
        return Remake(run)

    # --- work steps -----------------------------------------------------------------------------------------------

    async def _perform(self, action: Perform) -> None:
        """Runs the step until it is done, or until the run is interrupted: then the step is cancelled and awaited within a bound."""
        run_id, row = action.run.id, action.row
        bell = self._bells[run_id] = asyncio.Event()
        work = asyncio.create_task(self._work(action), name=f"step {run_id}/{row.index}")
        try:
            while not work.done():
                ring = asyncio.create_task(bell.wait())
                await asyncio.wait({work, ring}, return_when=asyncio.FIRST_COMPLETED)
                ring.cancel()
                if not work.done() and bell.is_set():
                    bell.clear()
                    if await self._interrupted(action):
                        return
            result = work.result()
        finally:
            del self._bells[run_id]
            await _let_go(work)
            self._doing.pop(run_id, None)  # the next step says its own
        await self._write(lambda turn: finish(turn, run_id, row.index, row.attempt, result))

    async def _interrupted(self, action: Perform) -> bool:
        """True when the step that is being performed is no longer what the run does."""
        run_id, mine = action.run.id, action.row

        def look(ledger: Ledger) -> tuple[Run | None, StepRow | None]:
            return ledger.get(Run, run_id), ledger.get(StepRow, run_id, mine.index)

        run, row = await self._read(look)
        if run is None or row is None:
            return True
        (self._paused.add if run.paused_at is not None else self._paused.discard)(run_id)
        same_try = (row.state, row.attempt, row.started_at) == (StepState.RUNNING, mine.attempt, mine.started_at)
        moved = not same_try or run.segment != action.run.segment
        return moved or run.interrupt is not None or run.state == RunState.ENDED

    async def _work(self, action: Perform) -> Result:
        """Never raises but for cancellation: what could not be asked or done is a verdict."""
        scene = self._scene(action)
        try:
            return await action.step.perform(scene)
        except ForgeError as error:
            verdict = Verdict.error(action.step.title, error.code, error.cause)
            return Result((Verdict(verdict.gate, verdict.outcome, verdict.code, verdict.reason, (), error.remedy),))
        except Exception as error:  # noqa: BLE001 - unforeseen: holds this run with a correlation id, never rolls back
            return Result((_unforeseen(action.step.title, error, action.run.id),))

    def _scene(self, action: Perform) -> Scene:
        run, row = action.run, action.row

        async def save(progress: Any) -> None:
            await self._write(lambda turn: _save_progress(turn, run.id, row.index, row.attempt, progress))

        def doing(text: str) -> None:
            if self._doing.get(run.id) != text:
                self._doing[run.id] = text
                self._show_soon(run)

        return Scene(
            ports=self._ports,
            run=run.id,
            index=row.index,
            attempt=row.attempt,
            environment=Environment(run.environment),
            facts=run.facts,
            begun_at=row.started_at or self._ports.clock.now(),
            progress=row.progress,
            save=save,
            paused=lambda: run.id in self._paused,
            doing=doing,
            annotation_prefix=self._settings.current.annotation_prefix,
            requester=run.requester,
        )

    def _show_soon(self, run: Run) -> None:
        key = f"show {run.id}"
        if key in self._drivers or self._stopping:
            return
        task = asyncio.create_task(self._show(run), name=key)
        self._drivers[key] = task
        task.add_done_callback(lambda _: self._drivers.pop(key, None))

    async def _show(self, run: Run) -> None:
        await self._write(lambda turn: turn.show(run))
        self.shown()

    # --- making the plan anew -------------------------------------------------------------------------------------

    async def _make_anew(self, run: Run) -> bool:
        """True when the run may go on at once with the plan that it has now."""
        try:
            prepared = await self._procedures(run.procedure)(request_of(run), self._settings.current, self._ports)
        except StoreUnavailable as error:
            log.error("store.unavailable", code=error.code, cause=error.cause)
            await asyncio.sleep(STORE_RETRY_S)
            return False
        except ForgeError as error:
            if run.state == RunState.WAITING:
                return False  # a reload came at a bad moment; before its first effect it is made anew anyway
            verdict = Verdict(run.procedure, Outcome.ERROR, error.code, error.cause, (), error.remedy)
            await self._write(lambda turn: _hold_here(turn, run.id, verdict))
            return False
        return await self._write(lambda turn: _compare(turn, run.id, prepared))

    # --- the store ------------------------------------------------------------------------------------------------

    async def _write(self, change: Callable[[Turn], T]) -> T:
        """Until it is kept: while the store is in trouble the run stands still with what it knows, and nothing is rolled back for it."""
        while True:
            try:
                return await self._store.write(partial(self._turn, change))
            except StoreUnavailable as error:
                log.error("store.unavailable", code=error.code, cause=error.cause)
                await asyncio.sleep(STORE_RETRY_S)

    async def _read(self, look: Callable[[Ledger], T]) -> T:
        while True:
            try:
                return await self._store.read(look)
            except StoreUnavailable as error:
                log.error("store.unreadable", code=error.code, cause=error.cause)
                await asyncio.sleep(STORE_RETRY_S)

    def _turn(self, change: Callable[[Turn], T], ledger: Ledger) -> T:
        return change(Turn(ledger, self._ports.clock.now(), self._settings.current))

    async def _hold_for_bug(self, run_id: str) -> None:
        verdict = Verdict.error("engine", UNFORESEEN, _logged(run_id))
        await self._write(lambda turn: _hold_here(turn, run_id, verdict))


def _save_progress(turn: Turn, run_id: str, index: int, attempt: int, progress: Any) -> None:
    row = turn.step(run_id, index)
    if row is not None and row.state == StepState.RUNNING and row.attempt == attempt:
        turn.save_step(row, progress=progress)


def _hold_here(turn: Turn, run_id: str, verdict: Verdict) -> None:
    """Holds the run at its position, as an attempt of its own; where there is nothing to hold, on-call is told all the same."""
    run = turn.run(run_id)
    row = turn.step(run_id, run.position) if run is not None else None
    if run is None or run.state == RunState.ENDED:
        return
    if row is None or row.state in (StepState.DONE, StepState.SKIPPED):
        _tell_stuck(turn, run, verdict)
        return
    if row.state == StepState.HELD and (row.code, row.reason) == (verdict.code, verdict.reason):
        return
    row = turn.save_step(
        row, attempt=row.attempt + 1, outcome=verdict.outcome, code=verdict.code, reason=verdict.reason
    )
    hold(turn, run, row, Result((verdict,)))


def _tell_stuck(turn: Turn, run: Run, verdict: Verdict) -> None:
    """Between two steps nothing can be held: the run stands still until it is looked at again, by an abort or the next start."""
    note = Note(
        tone=Tone.ASK, title=f"{run.id} can't go on", text=f"{verdict.reason}\nAbort it, or restart forge once it is repaired.",
        mention=turn.members(*called_at_once(run)),
    )  # fmt: skip
    turn.note(run, f"stuck:{run.segment}:{run.position}", note, broadcast=True)
    turn.audit("run.stuck", run.id, why=verdict.reason)


def _compare(turn: Turn, run_id: str, prepared: Prepared) -> bool:
    run = turn.run(run_id)
    if run is None or run.state == RunState.ENDED or run.first_effect_at is not None:
        return False
    bad = [v for v in prepared.verdicts if v.outcome is not Outcome.PASS]
    if prepared.plan is None:
        if worst(v.outcome for v in bad) is Outcome.FAIL:
            reason = "; ".join(v.reason for v in bad)
            void_approvals(turn, run, reason)
            end_run(turn, run, Ending.FAILED, bad[0].code, reason)
        elif run.state != RunState.WAITING:  # asked at a reload: no reason to take a card from people's hands
            _hold_here(turn, run_id, bad[0])
        return False
    if hash_of(canonical(prepared.plan)) != run.plan_hash:
        old = plan_of(segment_of(turn, run))
        replace_plan(turn, run, prepared.plan, what_changed(old, prepared.plan))
    return True


def _unforeseen(title: str, error: Exception, run_id: str) -> Verdict:
    return Verdict.error(title, UNFORESEEN, _logged(run_id, type(error).__name__))


def _logged(run_id: str, kind: str = "") -> str:
    """Logs the exception under a correlation id and answers with the sentence for people: never with the exception's own text."""
    correlation = secrets.token_hex(4)
    log.exception("engine.unforeseen", run=run_id, correlation=correlation)
    return f"an unforeseen error{f' ({kind})' if kind else ''}; correlation id {correlation}"


async def _let_go(work: asyncio.Task[Result]) -> None:
    if work.done():
        return
    work.cancel()
    done, _ = await asyncio.wait({work}, timeout=CANCEL_BOUND_S)
    if not done:
        log.error("step.fenced", task=work.get_name())

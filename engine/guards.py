"""The guards' evaluator, shared by all runs: one query per metric and environment, however many runs wait.

It judges; it never leaves a plan: a breach is written as the run's interrupt or asked about, and the run's own driver leaves for the way
back. Missing data only tells people, by a timer; it is no proof of a bad release.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

import structlog

from engine import guard_acts
from engine.guard_acts import Standing
from engine.guard_answers import Answer, Key, Questions, ratio_sample, unforeseen
from engine.guard_gaps import fill_gaps
from engine.guard_pictures import GuardPictures
from engine.guard_watches import LOOK_BACK, Watch, counts_from
from engine.journal import Turn
from engine.ports import Ledger, Store
from engine.prompts import CONTINUED, OPEN
from engine.records import Mark, Prompt
from engine.settings import Settings
from engine.spans import AnyGuard, Watched
from runbook.errors import StoreUnavailable
from runbook.plan import PROMPT, Guard, RatioGuard
from runbook.ports import Ports
from runbook.rules.guards import GuardState, clear_for_s, judge_guard, next_guard, outcome_of, rearmed, was_seen
from runbook.rules.ratio_watch import RatioWatch, is_late, judge_watch, limits_of, next_watch, on_grid
from runbook.rules.readings import read_error
from runbook.verdicts import Outcome, Verdict

__all__ = ["LOOK_BACK", "MARK", "GuardEvaluator", "Watch"]

log = structlog.get_logger("forge.guards")

MARK, MARK_EVERY = "guards", timedelta(minutes=1)

Finding = Verdict | Literal[Outcome.PASS]
"""A PASS of a threshold goes without its sentence: of a thousand waiting runs nobody reads it, every few seconds anew."""


class GuardEvaluator:
    def __init__(self, store: Store, ports: Ports, settings: Settings, wake: Callable[[str], None]) -> None:
        self._store = store
        self._clock = ports.clock
        self._settings = settings
        self._questions = Questions(ports.metrics)
        self._pictures = GuardPictures(store, ports.clock, settings, self._questions, self._show)
        self._wake = wake
        self._watches: dict[str, Watch] = {}
        self._task: asyncio.Task[None] | None = None
        self._marked: datetime | None = None
        self.shown: Callable[[], None] = lambda: None
        """Called when there is something new to show."""
        self.asked: Callable[[], None] = lambda: None
        """Called when on-call was asked something."""
        self.judged: Callable[[float, dict[str, int]], None] = lambda seconds, outcomes: None
        """Called after each round: how long it took, and how many guards had which outcome."""

    def follow(self, run_id: str, span: Watched | None) -> None:
        """The run is in this span now, or in none."""
        known = self._watches.get(run_id)
        if span is None:
            self._watches.pop(run_id, None)
        else:
            self._watches[run_id] = Watch(span) if known is None else known.moved_to(span)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._rounds(), name="guards")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._pictures.stop()

    def _show(self) -> None:
        self.shown()

    @property
    def _interval_s(self) -> float:
        return self._settings.current.policy.metrics.interval_s

    async def _rounds(self) -> None:
        while True:
            begun = self._clock.now()
            try:
                await self.round()
            except StoreUnavailable as error:
                log.error("guards.store", code=error.code)
            except Exception:  # one round that breaks must not be the last; nothing is judged in it
                log.exception("guards.unforeseen")
            interval_s = self._interval_s
            await self._clock.sleep_until(on_grid(begun, interval_s) + timedelta(seconds=interval_s))

    async def round(self) -> None:
        """Asks each metric once and judges every watched run."""
        watches = [w for w in self._watches.values() if not w.breached]
        if not watches:
            return
        begun = time.perf_counter()
        outcomes: Counter[str] = Counter()
        await self._fill_gaps([w for w in watches if not w.filled])
        answers = await self._questions.ask({key for w in watches for key in w.asked()})
        standing = await self._standing(watches)
        now = self._clock.now()
        for watch in watches:
            if watch.filled:  # a newer reading would cut off what was missed
                await self._judge_apart(watch, answers, standing, now, outcomes)
        if all(w.filled for w in watches):  # else the next round still has to ask for what was missed
            await self._mark(now)
        self.judged(time.perf_counter() - begun, dict(outcomes))

    async def _mark(self, now: datetime) -> None:
        """How far the guards have looked, once a minute: a restarted bot asks for what came after it."""
        if self._marked is None or now - self._marked >= MARK_EVERY:
            self._marked = now
            await self._store.write(lambda ledger: ledger.save(Mark(name=MARK, at=now)))

    async def _fill_gaps(self, watches: list[Watch]) -> None:
        if watches:
            mark = await self._store.read(lambda ledger: ledger.get(Mark, MARK))
            marked_at = mark.at if mark is not None else None
            await fill_gaps(self._questions, watches, self._clock.now(), marked_at, self._interval_s)

    async def _standing(self, watches: list[Watch]) -> Standing:
        """One look for all runs, and only where a guard may ask at all."""
        if not any(g.action == PROMPT for w in watches for g in w.span.every):
            return {}
        return await self._store.read(lambda ledger: guard_acts.standing_prompts(self._turn(ledger)))

    # --- one run --------------------------------------------------------------------------------------------------

    async def _judge_apart(
        self, watch: Watch, answers: dict[Key, Answer], standing: Standing, now: datetime, outcomes: Counter[str]
    ) -> None:
        """Trouble with one run's guards leaves the others' at work."""
        try:
            await self._judge_or_tell(watch, answers, standing, now, outcomes)
        except StoreUnavailable as error:
            log.error("guards.store", run=watch.span.run, code=error.code)

    async def _judge_or_tell(
        self, watch: Watch, answers: dict[Key, Answer], standing: Standing, now: datetime, outcomes: Counter[str]
    ) -> None:
        try:
            await self._judge(watch, answers, standing, now, outcomes)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - a bug in one run's guards must not blind all others; people hear of it
            outcomes[Outcome.ERROR] += 1
            reason = unforeseen(error, run=watch.span.run)
            await self._blindness(watch, [Verdict.error("guards", "guards.unforeseen", reason)], now)

    async def _judge(
        self, watch: Watch, answers: dict[Key, Answer], standing: Standing, now: datetime, outcomes: Counter[str]
    ) -> None:
        blind: list[Verdict] = []
        for guard in watch.span.every:
            found = self._look(watch, guard, answers, now)
            if found is None:
                continue
            outcomes[found.outcome if isinstance(found, Verdict) else found] += 1
            if guard.action == PROMPT:
                await self._ask_on_call(watch, guard, found, standing.get((watch.span.run, guard.name)))
            elif isinstance(found, Verdict) and found.outcome is Outcome.FAIL:
                await self._breach(watch, guard, found)
                return
            if isinstance(found, Verdict) and _is_blind(found):
                blind.append(found)
        await self._blindness(watch, blind, now)

    def _look(self, watch: Watch, guard: AnyGuard, answers: dict[Key, Answer], now: datetime) -> Finding | None:
        """What this guard says now; None while it has nothing to say."""
        if isinstance(guard, RatioGuard):
            return self._look_at_ratio(watch, guard, answers, now)
        span = watch.span
        if now < counts_from(span, guard):
            return None
        answer = answers[span.environment, guard.metric]
        at = answer.at(span.service, guard.track) or now
        known = watch.states.get(guard.name, GuardState())
        state = next_guard(known, answer.reading(span.service, guard), at, guard, self._interval_s)
        watch.states[guard.name] = state
        if guard.optional and not was_seen(state):
            return None
        return Outcome.PASS if outcome_of(state) is Outcome.PASS else judge_guard(state, guard)

    def _look_at_ratio(
        self, watch: Watch, guard: RatioGuard, answers: dict[Key, Answer], now: datetime
    ) -> Verdict | None:
        span, limits, interval_s = watch.span, limits_of(guard), self._interval_s
        requests, errors = (answers[span.environment, metric] for metric in (guard.requests, guard.errors))
        known = watch.ratios.get(guard.name, RatioWatch())
        error = requests.error or errors.error
        if error is not None and span.weights and is_late(known, now, interval_s):
            return read_error(guard.name, error, guard.requests)
        if error is None and not watch.asks_again(guard, now, interval_s):
            sample = ratio_sample(guard, requests, errors, span.service, now)
            known = watch.ratios[guard.name] = next_watch(known, sample, guard, span.weights, interval_s, limits)
        return judge_watch(known, guard, limits, interval_s) if span.weights else None

    # --- what follows ---------------------------------------------------------------------------------------------

    async def _breach(self, watch: Watch, guard: AnyGuard, verdict: Verdict) -> None:
        if await self._store.write(partial(self._write_breach, watch.span, verdict)):
            watch.breached = True
            self._wake(watch.span.run)
            self._pictures.draw_soon(watch.span, guard, f"breach:{watch.span.segment}:{guard.name}")

    def _turn(self, ledger: Ledger) -> Turn:
        return Turn(ledger, self._clock.now(), self._settings.current)

    def _write_breach(self, span: Watched, verdict: Verdict, ledger: Ledger) -> bool:
        return guard_acts.write_breach(self._turn(ledger), span, verdict)

    async def _ask_on_call(self, watch: Watch, guard: AnyGuard, found: Finding, prompt: Prompt | None) -> None:
        """Opens a prompt for a breach, closes it when the condition has gone, and asks again only about another one."""
        name = guard.name
        state = watch.states.get(name)
        if prompt is not None:
            if isinstance(guard, Guard) and state is not None and await self._over(guard, state, prompt):
                watch.states[name] = rearmed(state)
            return
        if not isinstance(found, Verdict) or found.outcome is not Outcome.FAIL:
            return
        breached_at = state.breached_at if state is not None else None
        become = await self._store.write(
            lambda ledger: guard_acts.write_prompt(self._turn(ledger), watch.span, guard, found, breached_at)
        )
        if become == "stale" and state is not None:
            watch.states[name] = rearmed(state)
        if become == "opened":
            self.asked()
            self._wake(watch.span.run)
            self._pictures.draw_soon(
                watch.span, guard, f"prompt:{watch.span.segment}:{name}:{self._clock.now().isoformat()}"
            )

    async def _over(self, guard: Guard, state: GuardState, prompt: Prompt) -> bool:
        """True when what was asked about has ended by itself."""
        clear_s = clear_for_s(state)
        if clear_s is None:
            return False
        if prompt.state == OPEN and clear_s >= guard.for_s:
            over = await self._store.write(
                lambda ledger: guard_acts.write_recovered(self._turn(ledger), prompt.id, clear_s)
            )
        elif prompt.state == CONTINUED and _after(state.last_at, prompt.answered_at):
            over = await self._store.write(lambda ledger: guard_acts.write_cleared(self._turn(ledger), prompt.id))
        else:
            return False
        self.shown()
        return over

    async def _blindness(self, watch: Watch, blind: list[Verdict], now: datetime) -> None:
        """Without data for a while: a warning in the thread, later on-call is asked. Nothing is rolled back for it."""
        if not blind:
            watch.blind_since, watch.told = None, 0
            return
        since = watch.blind_since = watch.blind_since or now
        waiting = self._settings.current.policy.waiting
        due = (min(waiting.hold_remind_s, 60.0), waiting.hold_escalate_s)
        if watch.told < len(due) and (now - since).total_seconds() >= due[watch.told]:
            told = watch.told + 1
            await self._store.write(
                lambda ledger: guard_acts.tell_blind(self._turn(ledger), watch.span, since, told, tuple(blind))
            )
            watch.told = told
            self.shown()


def _is_blind(verdict: Verdict) -> bool:
    """A ratio that can't be decided yet has the numbers: that isn't missing data."""
    return verdict.outcome in (Outcome.NO_DATA, Outcome.ERROR) and not verdict.code.startswith("ratio.")


def _after(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one > other

"""The guards' evaluator, shared by all runs: one query per metric and environment, however many runs wait.

It judges; it never acts: a breach is written as the run's interrupt, and the run's own driver leaves for the way back. Missing data only
tells people, by a timer; it is no proof of a bad release.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog

from engine.journal import Turn
from engine.notes import Note, Tone
from engine.ports import Ledger, Store
from engine.records import Mark, Run, RunState
from engine.settings import Settings
from engine.spans import Watched
from runbook.errors import ForgeError, StoreUnavailable, Temporary
from runbook.plan import Guard, to_json
from runbook.ports import Metrics, Ports, Sample, Series
from runbook.rules.guards import GuardState, judge_guard, next_guard, replay
from runbook.rules.readings import Reading, read_error, read_single
from runbook.values import Environment, Role
from runbook.verdicts import Outcome, Verdict

log = structlog.get_logger("forge.guards")

LOOK_BACK = timedelta(hours=6)
"""How far back a restarted bot looks at most for what it missed: bounds the answer's size."""

PIECE = timedelta(minutes=30)
"""What one range query covers: a thousand services answer it with 120,000 samples."""

FILL_TRIES = 3
"""Rounds that ask for what was missed before the guards go on without it."""

MARK, MARK_EVERY = "guards", timedelta(minutes=1)

Key = tuple[str, str]
"""(environment, recorded metric)"""

BySubject = dict[tuple[str, str], list[Series]]
"""(service, track) -> series"""


@dataclass
class Watch:
    """One run's guards and where each of them stands."""

    span: Watched
    states: dict[str, GuardState] = field(default_factory=dict)
    filled: bool = False
    fill_tries: int = 0
    breached: bool = False
    blind_since: datetime | None = None
    told: int = 0


class GuardEvaluator:
    def __init__(self, store: Store, ports: Ports, settings: Settings, wake: Callable[[str], None]) -> None:
        self._store = store
        self._ports = ports
        self._settings = settings
        self._wake = wake
        self._watches: dict[str, Watch] = {}
        self._task: asyncio.Task[None] | None = None
        self._marked: datetime | None = None
        self.shown: Callable[[], None] = lambda: None
        """Called when there is something new to show."""
        self.judged: Callable[[float, dict[str, int]], None] = lambda seconds, outcomes: None
        """Called after each round: how long it took, and how many guards had which outcome."""

    def follow(self, run_id: str, span: Watched | None) -> None:
        """The run is in this span now, or in none."""
        known = self._watches.get(run_id)
        if span is None:
            self._watches.pop(run_id, None)
        elif known is None or (known.span.segment, known.span.first) != (span.segment, span.first):
            self._watches[run_id] = Watch(span)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._rounds(), name="guards")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _rounds(self) -> None:
        clock = self._ports.clock
        while True:
            begun = clock.now()
            try:
                await self.round()
            except StoreUnavailable as error:
                log.error("guards.store", code=error.code)
            except Exception:  # one round that breaks must not be the last; nothing is judged in it
                log.exception("guards.unforeseen")
            await clock.sleep_until(begun + timedelta(seconds=self._settings.current.policy.metrics.interval_s))

    async def round(self) -> None:
        """Asks each metric once and judges every watched run."""
        watches = [w for w in self._watches.values() if not w.breached]
        if not watches:
            return
        begun = time.perf_counter()
        outcomes: Counter[str] = Counter()
        await self._fill_gaps([w for w in watches if not w.filled])
        answers = await self._ask({(w.span.environment, g.metric) for w in watches for g in w.span.guards})
        now = self._ports.clock.now()
        for watch in watches:
            if watch.filled:  # a newer reading would cut off what was missed
                await self._judge_apart(watch, answers, now, outcomes)
        if all(w.filled for w in watches):  # else the next round still has to ask for what was missed
            await self._mark(now)
        self.judged(time.perf_counter() - begun, dict(outcomes))

    async def _mark(self, now: datetime) -> None:
        """How far the guards have looked, once a minute: a restarted bot asks for what came after it."""
        if self._marked is None or now - self._marked >= MARK_EVERY:
            self._marked = now
            await self._store.write(lambda ledger: ledger.save(Mark(name=MARK, at=now)))

    async def _ask(self, keys: Iterable[Key]) -> dict[Key, Answer]:
        keys = list(keys)
        found = await asyncio.gather(*(self._query(key) for key in keys))
        return dict(zip(keys, found, strict=True))

    async def _query(self, key: Key) -> Answer:
        environment, metric = key
        try:
            return Answer(_by_subject(await self._metrics(environment).query(metric), environment))
        except ForgeError as error:
            return Answer({}, error)
        except Exception as error:  # noqa: BLE001 - one metric's surprise must not keep all others from being judged
            return Answer({}, Temporary("prometheus", "unforeseen", _unforeseen(error, metric=metric)))

    def _metrics(self, environment: str) -> Metrics:
        return self._ports.metrics[Environment(environment)]

    async def _judge_apart(
        self, watch: Watch, answers: dict[Key, Answer], now: datetime, outcomes: Counter[str]
    ) -> None:
        """Trouble with one run's guards leaves the others' at work."""
        try:
            await self._judge_or_tell(watch, answers, now, outcomes)
        except StoreUnavailable as error:
            log.error("guards.store", run=watch.span.run, code=error.code)

    async def _judge_or_tell(
        self, watch: Watch, answers: dict[Key, Answer], now: datetime, outcomes: Counter[str]
    ) -> None:
        try:
            await self._judge(watch, answers, now, outcomes)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - a bug in one run's guards must not blind all others; people hear of it
            outcomes[Outcome.ERROR] += 1
            reason = _unforeseen(error, run=watch.span.run)
            await self._blindness(watch, [Verdict.error("guards", "guards.unforeseen", reason)], now)

    async def _judge(self, watch: Watch, answers: dict[Key, Answer], now: datetime, outcomes: Counter[str]) -> None:
        interval_s = self._settings.current.policy.metrics.interval_s
        blind: list[Verdict] = []
        for guard in watch.span.guards:
            if now < counts_from(watch.span, guard):
                continue
            answer = answers[watch.span.environment, guard.metric]
            reading = answer.reading(watch.span.service, guard)
            at = answer.at(watch.span.service, guard) or now
            state = next_guard(watch.states.get(guard.name, GuardState()), reading, at, guard, interval_s)
            watch.states[guard.name] = state
            verdict = judge_guard(state, guard)
            outcomes[verdict.outcome] += 1
            if verdict.outcome is Outcome.FAIL:
                await self._breach(watch, verdict)
                return
            if verdict.outcome is not Outcome.PASS:
                blind.append(verdict)
        await self._blindness(watch, blind, now)

    async def _breach(self, watch: Watch, verdict: Verdict) -> None:
        if await self._store.write(partial(self._write_breach, watch.span, verdict)):
            watch.breached = True
            self._wake(watch.span.run)

    def _turn(self, ledger: Ledger) -> Turn:
        return Turn(ledger, self._ports.clock.now(), self._settings.current)

    def _write_breach(self, span: Watched, verdict: Verdict, ledger: Ledger) -> bool:
        """True when the run has an interrupt to answer: also one that a commit of doubtful end has left behind."""
        turn = self._turn(ledger)
        run = turn.run(span.run)
        if run is None or not _still_in(run, span):
            return False
        if run.interrupt is not None:
            return True
        interrupt = {
            "kind": "breach", "code": verdict.code, "reason": verdict.reason, "procedure": span.on_breach,
            "verdicts": [to_json(verdict)],
        }  # fmt: skip
        turn.save_run(run, interrupt=interrupt)
        turn.audit("guard.breached", run.id, what=verdict.gate, why=verdict.reason, evidence=[to_json(verdict)])
        return True

    async def _blindness(self, watch: Watch, blind: list[Verdict], now: datetime) -> None:
        """Without data for a while: a warning in the thread, later on-call is asked. Nothing is rolled back for it."""
        if not blind:
            watch.blind_since, watch.told = None, 0
            return
        watch.blind_since = watch.blind_since or now
        waiting = self._settings.current.policy.waiting
        due = (min(waiting.hold_remind_s, 60.0), waiting.hold_escalate_s)
        if watch.told < len(due) and (now - watch.blind_since).total_seconds() >= due[watch.told]:
            told = watch.told + 1
            await self._store.write(partial(self._tell_blind, watch, told, tuple(blind)))
            watch.told = told
            self.shown()

    def _tell_blind(self, watch: Watch, told: int, blind: tuple[Verdict, ...], ledger: Ledger) -> None:
        turn = self._turn(ledger)
        run = turn.run(watch.span.run)
        if run is None or watch.blind_since is None or not _still_in(run, watch.span):
            return
        last = told > 1
        note = Note(
            tone=Tone.ASK if last else Tone.WARN,
            title=f"{run.id}: guards have no data, nobody is warned if it goes wrong",
            text="Nothing is rolled back for missing data. Watch it by other means, or abort.",
            verdicts=blind,
            mention=turn.members(Role.ON_CALL) if last else (),
        )
        turn.note(run, f"blind:{watch.blind_since.isoformat()}:{told}", note, broadcast=last)
        turn.audit("guard.blind", run.id, why="; ".join(v.reason for v in blind))

    # --- after the bot was down -----------------------------------------------------------------------------------

    async def _fill_gaps(self, watches: list[Watch]) -> None:
        """What was sampled while nobody looked, by one range query per metric; where series are truly absent windows start anew."""
        late = {w.span.run: w for w in watches if self._missed(w)}
        keys = {(w.span.environment, g.metric) for w in late.values() for g in w.span.guards}
        whole = True
        if late:
            now = self._ports.clock.now()
            begin = max(await self._missed_since(late.values()), now - LOOK_BACK)
            for start, end in _pieces(begin, now):
                ranges = dict(zip(keys, await asyncio.gather(*(self._range(k, start, end) for k in keys)), strict=True))
                whole = all(answer is not None for answer in ranges.values())
                if not whole:  # what comes after a hole would look like a gap
                    break
                await self._replay(late.values(), ranges)
        for watch in watches:
            watch.fill_tries += 1
            watch.filled = whole or watch.span.run not in late or watch.fill_tries >= FILL_TRIES

    async def _replay(self, late: Iterable[Watch], ranges: Mapping[Key, BySubject | None]) -> None:
        interval_s = self._settings.current.policy.metrics.interval_s
        for watch in late:
            await asyncio.sleep(0)  # a thousand runs' samples must not hold up an acknowledgement
            for guard in watch.span.guards:
                series = (ranges[watch.span.environment, guard.metric] or {}).get((watch.span.service, guard.track), [])
                if len(series) == 1:
                    samples = [s for s in series[0].samples if s.at >= counts_from(watch.span, guard)]
                    watch.states[guard.name] = replay(guard, samples, interval_s, watch.states.get(guard.name))

    async def _missed_since(self, late: Collection[Watch]) -> datetime:
        """From the last look on, with the windows that were open then; from the spans' beginning where there was none."""
        began = min((w.span.since for w in late), default=self._ports.clock.now())
        mark = await self._store.read(lambda ledger: ledger.get(Mark, MARK))
        if mark is None:
            return began
        longest_s = max((g.for_s for w in late for g in w.span.guards), default=0.0)
        window = timedelta(seconds=longest_s + 3 * self._settings.current.policy.metrics.interval_s)
        return max(began, mark.at - window)

    def _missed(self, watch: Watch) -> bool:
        interval_s = self._settings.current.policy.metrics.interval_s
        return (self._ports.clock.now() - watch.span.since).total_seconds() > interval_s

    async def _range(self, key: Key, start: datetime, end: datetime) -> BySubject | None:
        """None: it could not be asked; the next round asks again."""
        environment, metric = key
        step_s = self._settings.current.policy.metrics.interval_s
        try:
            return _by_subject(await self._metrics(environment).query_range(metric, start, end, step_s), environment)
        except ForgeError as error:
            log.warning("guards.gap_not_filled", metric=metric, code=error.code)
            return None
        except Exception as error:  # noqa: BLE001 - asked again in the next round; the guards go on without
            _unforeseen(error, metric=metric)
            return None


@dataclass(frozen=True)
class Answer:
    """One metric's answer for all services. error: why there is none."""

    series: dict[tuple[str, str], list[Series]]
    error: ForgeError | None = None

    def reading(self, service: str, guard: Guard) -> Reading:
        if self.error is not None:
            return read_error(guard.name, self.error, guard.metric)
        return read_single(guard.name, self.series.get((service, guard.track), []), guard.metric)

    def at(self, service: str, guard: Guard) -> datetime | None:
        found = self.series.get((service, guard.track), [])
        samples: tuple[Sample, ...] = found[0].samples if len(found) == 1 else ()
        return samples[-1].at if samples else None


def _by_subject(answer: Iterable[Series], environment: str) -> dict[tuple[str, str], list[Series]]:
    """By service and track; one Prometheus may record several environments."""
    found: dict[tuple[str, str], list[Series]] = defaultdict(list)
    for series in answer:
        if series.labels.get("env", environment) != environment:
            continue
        found[series.labels.get("service", ""), series.labels.get("track", "stable")].append(series)
    return found


def _unforeseen(error: Exception, **about: str) -> str:
    """Logs it, and gives the sentence for people: without the exception's own text."""
    correlation = secrets.token_hex(4)
    log.error("guards.unforeseen", correlation=correlation, exc_info=error, **about)
    return f"an unforeseen error ({type(error).__name__}); correlation id {correlation}"


def _pieces(begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """Consecutive ranges that share their borders; a sample that is seen twice counts once."""
    borders = [begin]
    while borders[-1] < end:
        borders.append(min(borders[-1] + PIECE, end))
    return list(itertools.pairwise(borders))


_UNITS = {"s": 1, "m": 60, "h": 3600}


def counts_from(span: Watched, guard: Guard) -> datetime:
    """Readings count from the first window that lies wholly in the span: an earlier one tells of the version before.

    The window is the end of the recorded series' name, such as `1m` of `forge:error_ratio:1m`.
    """
    window = guard.metric.rpartition(":")[2]
    number, unit = window[:-1], window[-1:]
    window_s = int(number) * _UNITS[unit] if number.isdigit() and unit in _UNITS else 0
    return span.since + timedelta(seconds=window_s)


def _still_in(run: Run, span: Watched) -> bool:
    return run.state != RunState.ENDED and run.segment == span.segment and span.first <= run.position <= span.last

"""One observation under way: probes on a schedule without drift, repeated smoke rounds, progress that survives a restart.

Observed time is counted in ticks of the probes' interval: a tick is done when its probe of every target is judged. Nothing counts while
the run is paused or the program is down, and nothing counts twice.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from runbook.plan import Result, Scene, from_json, to_json
from runbook.policy import HealthPaths, HealthPolicy, SmokeRequest
from runbook.ports import HttpAnswer, HttpRequest
from runbook.redaction import redacted
from runbook.rules.health import Probe, Record, judge_record, judge_whole, next_record, window_size
from runbook.rules.smoke import judge_answer
from runbook.steps.requests import HEALTHY, http_request, url_of
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration, shortened

SMOKE_GATE = "smoke requests during the observation"
CANARYS = " of the canary"
"""Behind a gate's name: what was asked at the canary's own address."""
FAILING_ROUNDS = 2
"""One failing round may be a blip; so many in a row are not."""

TOLD_EVERY_S = 15.0
GRACE_TICKS = 2
"""A probe that has not ended so many ticks after its time-out is given up: the port should have ended it."""

_ERROR_LIMIT = 200


class Observation(Protocol):
    """What of an `Observe` step is needed here."""

    @property
    def service(self) -> str: ...
    @property
    def base_url(self) -> str: ...
    @property
    def duration_s(self) -> float: ...
    @property
    def health(self) -> HealthPaths: ...
    @property
    def acceptance(self) -> HealthPolicy: ...
    @property
    def smoke(self) -> tuple[SmokeRequest, ...]: ...
    @property
    def smoke_every_s(self) -> float: ...
    @property
    def canary_url(self) -> str: ...


@dataclass(frozen=True)
class SmokeRecord:
    """due_tick: when the next round begins. rounds, requests, failed_rounds: totals. failing: rounds in a row that failed, up to now."""

    due_tick: int = 0
    rounds: int = 0
    requests: int = 0
    failed_rounds: int = 0
    failing: int = 0


@dataclass(frozen=True)
class Progress:
    """What is saved, as JSON. observed_from: ISO time of the very first tick. ticks: done so far. targets: by their name (`targets_of`)."""

    observed_from: str
    ticks: int = 0
    targets: dict[str, Record] = field(default_factory=dict)
    smoke: SmokeRecord = field(default_factory=SmokeRecord)


class Failed(Exception):
    """A limit is certainly missed: the observation needn't go on."""

    def __init__(self, verdicts: Sequence[Verdict]) -> None:
        super().__init__(verdicts[0].reason)
        self.verdicts = tuple(verdicts)


@dataclass(frozen=True)
class Tick:
    begun_at: datetime
    probes: tuple[asyncio.Task[HttpAnswer], ...]

    @property
    def done(self) -> bool:
        return all(probe.done() for probe in self.probes)

    def cancel(self) -> None:
        for probe in self.probes:
            probe.cancel()


class Watching:
    """Performs one observation; made anew after a restart, from the saved progress."""

    def __init__(self, step: Observation, scene: Scene) -> None:
        self._step = step
        self._scene = scene
        self._clock = scene.ports.clock
        self._interval = timedelta(seconds=step.acceptance.interval_s)
        self._planned = max(1, math.ceil(step.duration_s / step.acceptance.interval_s - 1e-9))
        self._size = window_size(step.acceptance, self._planned)
        self._targets = targets_of(step)
        self._under_way: deque[Tick] = deque()
        self._round: asyncio.Task[tuple[Verdict, ...]] | None = None
        self._next_due = 0
        self._told = -1
        if scene.progress is None:
            self._progress = Progress(self._clock.now().isoformat())
        else:
            self._progress = from_json(Progress, scene.progress)

    async def whole(self) -> Result:
        """PASS with its evidence, or FAIL as soon as it is certain. Raises `runbook.errors` for faults that aren't the subject's."""
        try:
            if self._scene.progress is None:
                await self._save()
            await self._ticks()
            await self._end_smoke()
            verdicts = self._verdicts()
        except Failed as failed:
            verdicts = failed.verdicts
        finally:
            await self._let_go()
        facts = {"observed_from": self._progress.observed_from, "observed_to": self._clock.now().isoformat()}
        return Result(verdicts, facts)

    # --- the schedule ---------------------------------------------------------------------------------------------

    async def _ticks(self) -> None:
        """One tick at each moment of the schedule; what ended is judged in the ticks' order, and saved."""
        begun = self._progress.ticks
        at = self._clock.now()
        while self._progress.ticks < self._planned:
            paused = self._scene.paused()
            if begun < self._planned and not paused:
                self._begin_tick(begun)
                begun += 1
            self._tell(paused)
            at += self._interval
            await self._clock.sleep_until(at)
            late = self._clock.now() - at
            if late > self._interval:  # the machine slept: nothing is made up for in a burst
                at += late
            before = self._progress
            self._judge_ticks()
            self._judge_round()
            if self._progress != before:
                await self._save()
            self._stop_if_failed()

    def _begin_tick(self, tick: int) -> None:
        send = self._scene.ports.probes.send
        probes = tuple(asyncio.create_task(send(self._probe(url))) for url in self._targets.values())
        self._under_way.append(Tick(self._clock.now(), probes))
        if self._step.smoke and self._round is None and tick >= self._progress.smoke.due_tick:
            self._begin_round(tick)

    def _probe(self, url: str) -> HttpRequest:
        return HttpRequest(url, service=self._step.service, timeout_s=self._step.acceptance.timeout_s)

    def _judge_ticks(self) -> None:
        """Takes in the ticks that ended, the oldest first: a window is never judged with holes in it."""
        longest = timedelta(seconds=self._step.acceptance.timeout_s) + GRACE_TICKS * self._interval
        while self._under_way:
            tick = self._under_way[0]
            if not tick.done and self._clock.now() - tick.begun_at < longest:
                return
            self._under_way.popleft()
            targets = dict(self._progress.targets)
            for name, task in zip(self._targets, tick.probes, strict=True):
                probe = _judged(task.result()) if task.done() else Probe(False, None, "no answer in time")
                targets[name] = next_record(targets.get(name, Record()), probe, self._size)
            tick.cancel()
            self._progress = replace(self._progress, ticks=self._progress.ticks + 1, targets=targets)

    async def _save(self) -> None:
        await self._scene.save(to_json(self._progress))

    def _stop_if_failed(self) -> None:
        found = [judge_record(p, r, self._step.acceptance, self._size) for p, r in self._progress.targets.items()]
        if failures := [verdict for verdict in found if verdict is not None]:
            raise Failed(failures)

    async def _let_go(self) -> None:
        """No request of ours outlives the step."""
        tasks: list[asyncio.Task[HttpAnswer] | asyncio.Task[tuple[Verdict, ...]]] = []
        tasks.extend(probe for tick in self._under_way for probe in tick.probes)
        if self._round is not None:
            tasks.append(self._round)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- smoke rounds ---------------------------------------------------------------------------------------------

    def _begin_round(self, tick: int) -> None:
        ticks_between = max(1, round(self._step.smoke_every_s / self._step.acceptance.interval_s))
        self._round = asyncio.create_task(self._send_all())
        self._next_due = tick + ticks_between

    async def _send_all(self) -> tuple[Verdict, ...]:
        step = self._step

        async def one(base_url: str, request: SmokeRequest) -> Verdict:
            answer = await self._scene.ports.probes.send(http_request(step.service, base_url, request))
            return judge_answer(request, answer, url_of(base_url, request.path))

        journeys = ((base_url, request) for base_url in _addresses(step).values() for request in step.smoke)
        answers = await asyncio.gather(*(one(*journey) for journey in journeys), return_exceptions=True)
        verdicts = []
        for answer in answers:  # all have ended by now: an error of ours leaves no request behind
            if isinstance(answer, BaseException):
                raise answer
            verdicts.append(answer)
        return tuple(verdicts)

    def _judge_round(self) -> None:
        """Takes in a round that ended. Raises `Failed` at the second failing one in a row."""
        if self._round is None or not self._round.done():
            return
        verdicts, self._round = self._round.result(), None
        failures = [verdict for verdict in verdicts if verdict.outcome != Outcome.PASS]
        smoke = self._progress.smoke
        smoke = replace(
            smoke,
            due_tick=self._next_due,
            rounds=smoke.rounds + 1,
            requests=smoke.requests + len(verdicts),
            failed_rounds=smoke.failed_rounds + bool(failures),
            failing=smoke.failing + 1 if failures else 0,
        )
        self._progress = replace(self._progress, smoke=smoke)
        if smoke.failing >= FAILING_ROUNDS:
            reason = f"{smoke.failing} rounds of smoke requests failed in a row: {failures[0].reason}"
            raise Failed((Verdict.failed(SMOKE_GATE, "smoke.repeated", reason, *self._smoke_evidence()), *failures))

    async def _end_smoke(self) -> None:
        """Waits for the round under way; when the last one failed, another says at once whether that was a blip."""
        if self._round is not None:
            await asyncio.wait({self._round})
            self._judge_round()
        if self._progress.smoke.failing:
            self._begin_round(self._progress.ticks)
            await self._end_smoke()

    def _smoke_evidence(self) -> tuple[Evidence, ...]:
        smoke = self._progress.smoke
        return (
            Evidence(name="failed rounds", value=smoke.failed_rounds, unit="count", samples=smoke.rounds),
            Evidence(
                name="requests sent",
                value=smoke.requests,
                unit="count",
                source=", ".join(_addresses(self._step).values()),
            ),
        )

    # --- words ----------------------------------------------------------------------------------------------------

    def _verdicts(self) -> tuple[Verdict, ...]:
        targets = self._progress.targets
        step, smoke = self._step, self._progress.smoke
        verdicts = [
            judge_whole(path, targets.get(path, Record()), step.acceptance, self._size) for path in self._targets
        ]
        if step.smoke:
            size = len(step.smoke) * len(_addresses(step))
            reason = f"{smoke.rounds - smoke.failed_rounds} of {smoke.rounds} rounds of {size} requests passed"
            verdicts.append(Verdict.passed(SMOKE_GATE, reason, *self._smoke_evidence()))
        return tuple(verdicts)

    def _tell(self, paused: bool) -> None:
        """Seldom: each new text renders the headline again."""
        observed_s = self._progress.ticks * self._step.acceptance.interval_s
        told = -2 if paused else int(observed_s // TOLD_EVERY_S)
        if told == self._told:
            return
        self._told = told
        words = f"observed {duration(observed_s)} of {duration(self._step.duration_s)}"
        failed = sum(record.failed for record in self._progress.targets.values())
        probes = sum(record.probes for record in self._progress.targets.values())
        counts = f"; {failed} of {probes} health probes failed" if probes else ""
        self._scene.doing(f"{words}{counts}{'; paused, this time does not count' if paused else ''}")


def targets_of(step: Observation) -> dict[str, str]:
    """What is probed, name -> address: the health endpoints by their paths, and those of the canary where it has an address."""
    paths = dict.fromkeys((step.health.live, step.health.ready))
    return {f"{path}{whose}": url_of(base, path) for whose, base in _addresses(step).items() for path in paths}


def _addresses(step: Observation) -> dict[str, str]:
    """Whose, as it is appended to a name -> base address."""
    return {"": step.base_url} | ({CANARYS: step.canary_url} if step.canary_url else {})


def _judged(answer: HttpAnswer) -> Probe:
    """Runbook: Required Endpoints."""
    if answer.status is None:
        return Probe(False, None, shortened(redacted(answer.error) or "no answer", _ERROR_LIMIT))
    good = answer.status in HEALTHY
    return Probe(good, answer.latency_s, "" if good else f"HTTP {answer.status}")

"""Jobs in memory, on simulated time: they start, print and end as their script says, and are deleted like the real ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from runbook.errors import Conflict, ForgeError
from runbook.jobs import JobOrder
from runbook.ports import JobLog, JobState, PodTrouble
from tests.fakes.clock import SimulatedClock


@dataclass(frozen=True)
class JobLife:
    """What becomes of a Job; all in seconds since it was created. runs_s: inf hangs. exit_code: None is a pod that was taken away.

    starts_after_s: inf never starts. grace_s: how long it goes on after it was told to end. vanishes_after_s: somebody else deletes it.
    """

    starts_after_s: float = 1.0
    runs_s: float = 5.0
    exit_code: int | None = 0
    output: str = "done\n"
    reason: str = ""
    message: str = ""
    trouble: PodTrouble | None = None
    grace_s: float = 2.0
    vanishes_after_s: float = math.inf
    complete_log: bool = True


@dataclass
class FakeJob:
    order: JobOrder
    life: JobLife
    created_at: datetime
    deleted_at: datetime | None = None


@dataclass
class FakeJobs:
    """lives: what becomes of an order. created: every Job that was really made. errors: by method, raised by its calls in turn."""

    clock: SimulatedClock
    lives: Callable[[JobOrder], JobLife] = lambda _: JobLife()
    there: dict[str, FakeJob] = field(default_factory=dict)
    created: list[JobOrder] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    errors: dict[str, list[ForgeError]] = field(default_factory=dict)
    logs_read: list[str] = field(default_factory=list)

    async def start_job(self, order: JobOrder) -> None:
        self._fail("start_job")
        self._pass_time()
        known = self.there.get(order.name)
        if known is None:
            self.there[order.name] = FakeJob(order, self.lives(order), self.clock.now())
            self.created.append(order)
        elif known.order.key != order.key or known.deleted_at is not None:
            raise Conflict("kubernetes", "conflict", f"the Job {order.name} exists already")

    async def job(self, name: str) -> JobState | None:
        self._fail("job")
        self._pass_time()
        found = self.there.get(name)
        return None if found is None else self._state(found)

    async def job_log(self, name: str, tail_bytes: int) -> JobLog:
        self._fail("job_log")
        self._pass_time()
        self.logs_read.append(name)
        found = self.there.get(name)
        whole = found.life.output.encode() if found is not None else b""
        text = whole[-tail_bytes:].decode(errors="replace")
        return JobLog(text, len(whole), len(whole) > tail_bytes, found is None or found.life.complete_log)

    async def delete_job(self, name: str, key: str = "") -> None:
        self._fail("delete_job")
        self._pass_time()
        found = self.there.get(name)
        if found is None or (key and found.order.key != key):
            return
        self.deleted.append(name)
        if found.deleted_at is None:
            found.deleted_at = self.clock.now()
        self._pass_time()

    async def jobs_of(self, run: str, prefix: str = "forge") -> tuple[JobState, ...]:
        self._fail("jobs_of")
        self._pass_time()
        return tuple(self._state(job) for job in self.there.values() if job.order.run == run)

    def _fail(self, method: str) -> None:
        if waiting := self.errors.get(method):
            raise waiting.pop(0)

    def _pass_time(self) -> None:
        """What has gone by now is gone: deleted ones after their grace, if they still ran."""
        for name, job in list(self.there.items()):
            told = job.deleted_at
            if told is None:
                gone = self._age(job) >= job.life.vanishes_after_s
            else:
                still_runs = self._phase(job) in ("pending", "running")
                gone = not still_runs or self.clock.now() >= told + timedelta(seconds=job.life.grace_s)
            if gone:
                del self.there[name]

    def _age(self, job: FakeJob) -> float:
        return (self.clock.now() - job.created_at).total_seconds()

    def _phase(self, job: FakeJob) -> str:
        if self._age(job) < job.life.starts_after_s:
            return "pending"
        if self._age(job) < job.life.starts_after_s + job.life.runs_s:
            return "running"
        return "succeeded" if job.life.exit_code == 0 else "failed"

    def _state(self, job: FakeJob) -> JobState:
        life, phase = job.life, self._phase(job)
        state = JobState(job.order.name, job.order.key, phase, pod=f"{job.order.name}-x7k2p", trouble=life.trouble)
        if phase != "pending":
            started_at = job.created_at + timedelta(seconds=life.starts_after_s)
            state = replace(state, started_at=started_at)
            if phase != "running":
                state = replace(
                    state, exit_code=life.exit_code, reason=life.reason or ("" if life.exit_code == 0 else "Error"),
                    message=life.message, finished_at=started_at + timedelta(seconds=life.runs_s),
                )  # fmt: skip
        return state if job.deleted_at is None else replace(state, phase="stopping")

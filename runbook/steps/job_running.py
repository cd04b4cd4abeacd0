"""One Job from its order to its judged end. However often it is interrupted and repeated, one Job is created for each conclusion."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

from runbook.errors import Conflict, Permanent, Temporary
from runbook.jobs import JobOrder, JobTemplate
from runbook.plan import Result, Scene, Work, from_json, to_json
from runbook.ports import Jobs, JobState
from runbook.rules.jobs import End, Way, job_name, job_number, judge_state
from runbook.rules.workloads import trouble_words
from runbook.verdicts import Evidence, Verdict
from runbook.wording import duration

T = TypeVar("T")

POLL_S = 1.0
ERRORS_TOLERATED_S = 60.0
"""For how long a cluster that doesn't answer is waited for: an API server that restarts is no reason to hold a release."""
LOG_TOLERATED_S = 15.0
GONE_WITHIN_S = 60.0
"""How long a Job that was stopped may take to end: its grace, and the kubelet's time."""


@dataclass(frozen=True, kw_only=True)
class JobWork(Work):
    """One Job from its order to its judged end. Exactly one of image and previous_of is set.

    image: `repository@digest`. previous_of: `workload/container`; the image that is remembered for it (fact `previous`). service, version,
    base_url: become `FORGE_SERVICE`, `FORGE_VERSION` and `FORGE_TARGET_URL` where set. log_tail_bytes, shown_lines: see `JobsPolicy`.
    """

    effect: ClassVar[bool] = True
    template: JobTemplate
    service: str
    version: str
    image: str = ""
    previous_of: str = ""
    base_url: str = ""
    log_tail_bytes: int = 4 * 1024 * 1024
    shown_lines: int = 20

    async def perform(self, scene: Scene) -> Result:
        """Cancelled, it leaves the Job as it is: a restart takes it up again, and a way back begins with stopping it."""
        image = self._image(scene.facts)
        if not image:
            reason = f"no image is remembered for {self.previous_of}" if self.previous_of else "it has no image"
            verdict = Verdict.failed(self.title, "job.no_image", reason, Evidence(name="image", value=None))
            return Result((verdict,))
        return await _Running(self, scene, image).whole()

    def more_env(self) -> Mapping[str, str]:
        """Variables of this kind of step; they win over the template's."""
        return {}

    @abstractmethod
    async def judge(self, scene: Scene, end: End) -> Result:
        """What the Job's end says. Raises nothing; changes nothing outside."""

    def _image(self, facts: Mapping[str, Any]) -> str:
        if self.image:
            return self.image
        workload, _, container = self.previous_of.partition("/")
        return str((facts.get("previous") or {}).get(workload, {}).get(container) or "")


@dataclass(frozen=True)
class _Kept:
    """The progress: which Job this step has, and what its conclusion was.

    number: counts this step's Jobs, from 1. created_at: None until the cluster has said that it is there. result: with the attempt that
    concluded it. ended: it ended by itself; else its end must be awaited after it was deleted.
    """

    attempt: int
    number: int
    key: str
    created_at: datetime | None = None
    result: Any = None
    ended: bool = False


class _Running:
    def __init__(self, step: JobWork, scene: Scene, image: str) -> None:
        self._step = step
        self._scene = scene
        self._image = image
        self._jobs: Jobs = scene.ports.clusters[scene.environment]
        self._clock = scene.ports.clock

    async def whole(self) -> Result:
        kept = _read_kept(self._scene.progress)
        if kept is None or kept.result is None or kept.attempt != self._scene.attempt:
            kept = await self._concluded(await self._created(await self._chosen(kept)))
        # The conclusion is kept before the Job is deleted: whatever happens from here on, this Job is not run again.
        left = await self._clear_away(kept)
        result: Result = from_json(Result, kept.result)
        return _with_left(result, left)

    # --- which Job --------------------------------------------------------------------------------------------------

    async def _chosen(self, kept: _Kept | None) -> _Kept:
        """The Job that is on its way, or a new one; its key is kept before it is created."""
        if kept is not None and kept.result is None:
            return kept
        if kept is not None:
            chosen = _Kept(self._scene.attempt, kept.number + 1, secrets.token_hex(8))
        elif self._scene.attempt > 1:
            chosen = await self._taken_up()
        else:
            chosen = _Kept(self._scene.attempt, 1, secrets.token_hex(8))
        await self._save(chosen)
        return chosen

    async def _taken_up(self) -> _Kept:
        """A person's retry forgets the progress. A Job that is there still, unless it failed or is being deleted, is this step's all the same."""
        found = await self._patiently(
            "looking for the Job", lambda: self._jobs.jobs_of(self._scene.run, self._scene.annotation_prefix)
        )
        mine = {n: job for job in found if (n := job_number(job.name, self._scene.run, self._scene.index)) is not None}
        newest = max(mine, default=0)
        job = mine.get(newest)
        if job is not None and job.phase in ("pending", "running", "succeeded"):
            return _Kept(self._scene.attempt, newest, job.key, created_at=self._clock.now())
        return _Kept(self._scene.attempt, newest + 1, secrets.token_hex(8))

    async def _created(self, kept: _Kept) -> _Kept:
        if kept.created_at is not None:
            return kept
        order = self._order(kept)
        self._scene.doing(f"creating the Job {order.name}")
        await self._patiently(f"creating the Job {order.name}", lambda: self._jobs.start_job(order))
        kept = replace(kept, created_at=self._clock.now())
        await self._save(kept)
        return kept

    def _order(self, kept: _Kept) -> JobOrder:
        step, scene, template = self._step, self._scene, self._step.template
        known = {
            "FORGE_RUN": scene.run,
            "FORGE_ENVIRONMENT": scene.environment.value,
            "FORGE_SERVICE": step.service,
            "FORGE_VERSION": step.version,
            "FORGE_TARGET_URL": step.base_url,
        }
        env = {**{name: value for name, value in known.items() if value}, **template.env, **step.more_env()}
        return JobOrder(
            name=job_name(scene.run, scene.index, kept.number),
            key=kept.key,
            run=scene.run,
            step=f"{scene.run}/{scene.index}",
            image=self._image,
            prefix=scene.annotation_prefix,
            command=template.command,
            args=template.args,
            env=env,
            env_from_secrets=template.env_from_secrets,
            env_from_config_maps=template.env_from_config_maps,
            service_account=template.service_account,
            cpu=template.cpu,
            memory=template.memory,
            timeout_s=template.timeout_s,
            start_within_s=template.start_within_s,
        )

    # --- its end ----------------------------------------------------------------------------------------------------

    async def _concluded(self, kept: _Kept) -> _Kept:
        end = await self._with_log(await self._end(kept))
        result = await self._step.judge(self._scene, end)
        ended = end.way in (Way.EXITED, Way.LOST)
        kept = replace(kept, attempt=self._scene.attempt, result=to_json(result), ended=ended)
        await self._save(kept)
        return kept

    async def _end(self, kept: _Kept) -> End:
        """Looks once a second."""
        name = job_name(self._scene.run, self._scene.index, kept.number)
        template, created_at = self._step.template, kept.created_at or self._clock.now()
        seen: JobState | None = None
        troubled_since: datetime | None = None
        while True:
            state = await self._patiently(f"waiting for {name}", lambda: self._jobs.job(name))
            now = self._clock.now()
            trouble = state.trouble if state is not None else None
            troubled_since = None if trouble is None else troubled_since or now
            troubled_s = max(trouble.since_s, _since(troubled_since, now)) if trouble is not None else 0.0
            way = judge_state(state, kept.key, now, created_at, troubled_s, template.timeout_s, template.start_within_s)
            seen = seen if way is Way.GONE else state
            if way is not None:
                return End(
                    job=name, way=way, state=seen, at=now, waited_s=_since(created_at, now),
                    timeout_s=template.timeout_s, start_within_s=template.start_within_s,
                    shown_lines=self._step.shown_lines,
                    trouble=trouble and replace(trouble, since_s=troubled_s),
                )  # fmt: skip
            if state is not None:
                self._scene.doing(_progress(state, now, created_at))
            await self._clock.sleep_until(now + timedelta(seconds=POLL_S))

    async def _with_log(self, end: End) -> End:
        """A log that can't be read doesn't hide how the Job ended."""
        if end.way in (Way.NEVER_STARTED, Way.GONE):
            return end
        self._scene.doing(f"reading the log of {end.job}")

        try:
            log = await self._patiently(f"reading the log of {end.job}", lambda: self._log(end.job), LOG_TOLERATED_S)
            if not log.complete:  # a lost connection; what is too large breaks off again
                log = await self._patiently(
                    f"reading the log of {end.job}", lambda: self._log(end.job), LOG_TOLERATED_S
                )
        except (Temporary, Permanent) as error:
            return replace(end, log_error=error.cause)
        return replace(end, log=log)

    def _log(self, name: str) -> Awaitable[Any]:
        return self._jobs.job_log(name, self._step.log_tail_bytes)

    async def _clear_away(self, kept: _Kept) -> str:
        """Deletes the Job; one that was stopped is awaited, so that nothing runs beside it. Returns what is left behind, or nothing."""
        name = job_name(self._scene.run, self._scene.index, kept.number)
        self._scene.doing(f"clearing away the Job {name}")
        try:
            await self._patiently(f"deleting {name}", lambda: self._jobs.delete_job(name, kept.key))
            if kept.ended:
                return ""
            until = self._clock.now() + timedelta(seconds=GONE_WITHIN_S)
            while (
                state := await self._patiently(f"waiting for the end of {name}", lambda: self._jobs.job(name))
            ) is not None:
                if state.key != kept.key:
                    return ""
                if self._clock.now() >= until:
                    return f"the Job {name} has not ended {duration(GONE_WITHIN_S)} after it was deleted"
                await self._clock.sleep_until(self._clock.now() + timedelta(seconds=POLL_S))
        except (Temporary, Permanent) as error:
            # Its conclusion stands; the cluster deletes what ended by itself after a day, and a way back stops the rest.
            return f"the Job {name} could not be deleted: {error.cause}"
        return ""

    # --- asking -----------------------------------------------------------------------------------------------------

    async def _save(self, kept: _Kept) -> None:
        created_at = kept.created_at.isoformat() if kept.created_at is not None else None
        await self._scene.save({**asdict(kept), "created_at": created_at})

    async def _patiently(self, what: str, ask: Callable[[], Awaitable[T]], for_s: float = ERRORS_TOLERATED_S) -> T:
        return await patiently(self._scene, what, ask, for_s)


async def patiently(scene: Scene, what: str, ask: Callable[[], Awaitable[T]], for_s: float) -> T:
    """Asks again each second while the errors may pass; raises the last of them after for_s, and any other at once."""
    clock = scene.ports.clock
    since: datetime | None = None
    while True:
        try:
            return await ask()
        except Temporary as error:
            now = clock.now()
            since = since or now
            if _since(since, now) >= for_s:
                raise
            why = "the name is still taken" if isinstance(error, Conflict) else error.cause
            scene.doing(f"{what}: {why}")
            await clock.sleep_until(now + timedelta(seconds=POLL_S))


def _read_kept(progress: Any) -> _Kept | None:
    return None if progress is None else from_json(_Kept, progress)


def _since(moment: datetime | None, now: datetime) -> float:
    return (now - moment).total_seconds() if moment is not None else 0.0


def _progress(state: JobState, now: datetime, created_at: datetime) -> str:
    if state.phase == "running":
        return f"{state.name} runs for {duration(round(_since(state.started_at or created_at, now)))}"
    trouble = f"; {trouble_words(state.trouble)}" if state.trouble is not None else ""
    return f"{state.name} waits to start for {duration(round(_since(created_at, now)))}{trouble}"


def _with_left(result: Result, left: str) -> Result:
    """What is left behind is evidence of the first verdict; it changes no outcome."""
    if not left or not result.verdicts:
        return result
    first, *rest = result.verdicts
    told = replace(first, evidence=(*first.evidence, Evidence(name="left behind", value=left)))
    return replace(result, verdicts=(told, *rest))

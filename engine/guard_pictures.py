"""Charts of what a guard found, made after what matters: a picture must hold up neither a way back nor a question to on-call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from engine.guard_answers import Questions, tracks_of, unforeseen
from engine.journal import Turn
from engine.ports import Ledger, Store
from engine.settings import Settings
from engine.spans import AnyGuard, Watched
from runbook.charts import Chart
from runbook.errors import StoreUnavailable
from runbook.guard_charts import guard_chart, ratio_chart
from runbook.plan import RatioGuard
from runbook.ports import Clock
from runbook.rules.ratio_watch import samples_of

log = structlog.get_logger("forge.guards")

LENGTH = timedelta(hours=1)
POINTS = 240


class GuardPictures:
    def __init__(
        self, store: Store, clock: Clock, settings: Settings, questions: Questions, shown: Callable[[], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._questions = questions
        self._shown = shown
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def draw_soon(self, span: Watched, guard: AnyGuard, subject: str) -> None:
        """subject: the picture is shown once for each."""
        task = asyncio.create_task(self._draw(span, guard, subject), name=f"picture {span.run}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _draw(self, span: Watched, guard: AnyGuard, subject: str) -> None:
        try:
            chart = await self._chart(span, guard)
            if chart is not None:
                await self._store.write(lambda ledger: self._keep(ledger, span.run, subject, chart))
                self._shown()
        except StoreUnavailable as error:
            log.warning("guards.picture_not_kept", run=span.run, code=error.code)
        except Exception as error:  # noqa: BLE001 - a picture that can't be made leaves the words as they are
            unforeseen(error, run=span.run)

    def _keep(self, ledger: Ledger, run_id: str, subject: str, chart: Chart) -> None:
        turn = Turn(ledger, self._clock.now(), self._settings.current)
        run = turn.run(run_id)
        if run is not None:
            turn.picture(run, subject, chart)

    async def _chart(self, span: Watched, guard: AnyGuard) -> Chart | None:
        """The last hour, of this service alone."""
        now = self._clock.now()
        metrics = (guard.requests, guard.errors) if isinstance(guard, RatioGuard) else (guard.metric,)
        step_s = max(self._settings.current.policy.metrics.interval_s, LENGTH.total_seconds() / POINTS)
        keys = [(span.environment, metric) for metric in metrics]
        ranges = await self._questions.ranges(keys, now - LENGTH, now, step_s, (span.service,))
        found = [tracks_of(ranges[key] or {}, span.service) for key in keys]
        where = f"{span.service} in {span.environment}"
        if isinstance(guard, RatioGuard):
            return ratio_chart(guard, where, samples_of(guard, *found), now)
        series = found[0].get(guard.track, [])
        return guard_chart(guard, where, series[0].samples if len(series) == 1 else (), now)

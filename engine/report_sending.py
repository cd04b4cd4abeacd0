"""A run's report on its way to Slack: gathered and drawn when its turn comes, uploaded once into the run's thread."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from engine.journal import Turn
from engine.pictures import file_name
from engine.ports import Chat, Ledger, Page, Painter, Renderer, Store
from engine.records import Outgoing
from engine.report import ReportView, gather
from engine.settings import Settings
from runbook.errors import ForgeError, Permanent
from runbook.ports import Clock

log = structlog.get_logger("forge.report")


class Reports:
    """Draws each chart that can be drawn; one that can't is told in words on the page."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        chat: Chat,
        renderer: Renderer,
        painter: Painter,
        settings: Callable[[], Settings],
    ) -> None:
        self._store = store
        self._clock = clock
        self._chat = chat
        self._renderer = renderer
        self._painter = painter
        self._settings = settings

    async def deliver(self, row: Outgoing, channel: str, thread_ts: str, *, doubtful: bool) -> None:
        """Raises `runbook.errors`. doubtful: it may have arrived already, and is looked for first."""
        name = file_name(row).removesuffix(".png") + ".html"
        if doubtful and await self._chat.find_file(channel, name, thread_ts=thread_ts, since=row.created_at):
            return
        page = await self.page(row.run)
        await self._chat.upload(channel, name, page.title, "", page.html.encode(), thread_ts=thread_ts)

    async def page(self, run_id: str) -> Page:
        """Raises Permanent for a run that isn't there."""
        view = await self._store.read(lambda ledger: self._gather(ledger, run_id))
        if view is None:
            raise Permanent("report", "no_run", f"there is no run {run_id}")
        pictures: dict[int, bytes] = {}
        for place, chart in enumerate(view.charts):
            try:
                pictures[place] = await self._painter.draw(chart)
            except ForgeError as error:
                log.warning("report.chart", run=run_id, code=error.code)
        return self._renderer.page(view, pictures)

    def _gather(self, ledger: Ledger, run_id: str) -> ReportView | None:
        turn = Turn(ledger, self._clock.now(), self._settings().current)
        run = turn.run(run_id)
        return gather(turn, run) if run is not None else None

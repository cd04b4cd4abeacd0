"""The program, put together: the engine on its store, the integrations behind its ports, the edges before it. Wires, and decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from bot import metrics
from bot.adapters import Adapters
from bot.adopting import adopt_at_start
from bot.configuration.loading import Configuration
from bot.leftovers import drop_leftovers
from bot.server import OwnServer
from engine.backup_ledger import LedgerBackups
from engine.ci_results import LedgerCiResults
from engine.clock import SteadyClock
from engine.deliveries import Deliveries, configured_repository
from engine.engine import Engine
from engine.journal import Turn
from engine.memory import LedgerMemory
from engine.notes import Note, Tone
from engine.ports import Ledger
from engine.records import Run
from engine.scans import LedgerScans
from engine.settings import Settings
from handlers.ci_results import result_taker
from handlers.ci_scans import scan_taker
from handlers.ci_webhook import ci_routes
from handlers.consumer import SlackConsumer
from handlers.github_webhook import github_routes, github_taker
from handlers.http_mode import slack_routes
from handlers.local import LocalServer
from handlers.slack_app import SlackListeners, build_app
from integrations.charts.painter import Painter
from integrations.kubernetes import library as kubernetes_library
from integrations.slack.chat import SlackChat
from integrations.slack.sockets import Sockets
from integrations.slack.web import bare_client
from messages.showing import Showing
from runbook.errors import ForgeError, StoreUnavailable
from runbook.ports import Ports
from runbook.procedures import CONTINUATIONS, PROCEDURES
from state.checkpointer import Checkpointer
from state.checkpoints import load_private_key
from state.places import DirectoryPlace
from state.store import SqlStore

if TYPE_CHECKING:
    from aiohttp.web import RouteDef
    from slack_bolt.app.async_app import AsyncApp

log = structlog.get_logger("forge")

CHECKPOINT_LOOK_S = 60.0
LOAD_CLIENTS_AFTER_S = 30.0
"""After a start people's waiting clicks come first: they would feel the import."""
CLOCK_LOOK_S = 5.0
ON_CALL_LOOK_S = 30.0
JUMP = timedelta(seconds=2)


class Bot:
    """One running forge. `start` returns when everything that was parked is taken up; Slack being down keeps nothing from starting."""

    def __init__(self, configuration: Configuration, store: SqlStore, *, version: str = "") -> None:
        self.configuration = configuration
        self.store = store
        self.meters = metrics.Meters()
        self._version = version
        self.meters.about(version, configuration.setting.hash)
        self.clock = SteadyClock()
        self.settings = Settings(configuration.setting)
        self.adapters = Adapters(configuration.connections)
        self.chat = SlackChat(self.adapters.slack)
        self.scans = LedgerScans(store)
        self.ci_results = LedgerCiResults(store)
        self.deliveries = Deliveries(store)
        self.backups = LedgerBackups(store, self.clock)
        self.directory = self.adapters.directory(lambda: self.settings.current.roles)
        self.painter = Painter()
        self.engine = self._engine()
        self.checkpointer = self._checkpointer()
        self._slack_parts()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- parts ----------------------------------------------------------------------------------------------------

    def _engine(self) -> Engine:
        showing = Showing(self.settings)
        engine = Engine(
            self.store,
            self._ports(),
            self.settings,
            metrics.metered(self.chat, "slack", self.meters),
            showing,
            lambda: self.configuration.connections.slack.channel,
            PROCEDURES.get,
            CONTINUATIONS,
            painter=metrics.metered(self.painter, "charts", self.meters),
            incidents=lambda: self.configuration.connections.slack.incidents,
        )
        showing.doing = engine.interpreter.doing
        engine.guards.judged = lambda seconds, outcomes: self.meters.guard_round(seconds, outcomes)
        engine.interpreter.ended = lambda run: self._soon(self._checkpoint(f"{run.id} ended: {run.ending}", run.id))
        engine.desk.decided = lambda run_id, what: self._soon(self._checkpoint(f"{run_id}: {what}", run_id))
        return engine

    def _ports(self) -> Ports:
        memory = LedgerMemory(self.store, self.clock)
        ports = self.adapters.ports(self.clock, memory, self.scans, self.directory, self.backups)
        m = self.meters
        return replace(
            ports,
            clusters={env: metrics.metered(c, "kubernetes", m) for env, c in ports.clusters.items()},
            metrics={env: metrics.metered(p, "prometheus", m) for env, p in ports.metrics.items()},
            code=metrics.metered(ports.code, "github", m),
            source=None if ports.source is None else metrics.metered(ports.source, "github", m),
            ci_results=self.ci_results,
            images=metrics.metered(ports.images, "registry", m),
            signatures=metrics.metered(ports.signatures, "signatures", m),
        )

    def _checkpointer(self) -> Checkpointer:
        audit = self.configuration.connections.audit
        places = [DirectoryPlace(path) for path in audit.checkpoints]
        return Checkpointer(self.store, load_private_key(audit.key.reveal()), places, now=self.clock.now)

    def _slack_parts(self) -> None:
        connections, desk = self.configuration.connections, self.engine.desk
        slack = connections.slack
        self.listeners = SlackListeners(desk, self.directory, self.chat, Showing(self.settings))
        http = slack.mode == "http"
        self.app: AsyncApp = build_app(
            self.listeners,
            bot_token=slack.bot_token.reveal(),
            client=bare_client(slack.api_url),
            signing_secret=slack.signing_secret.reveal() if http else "",
        )
        self.sockets = None if http else Sockets(self.app, slack.app_token.reveal(), bare_client(slack.api_url))
        self.local = LocalServer(desk, connections.socket_path, lambda: self.settings.current.roles)
        self.server = OwnServer(
            connections.server.host,
            connections.server.port,
            checks={"store": self._store_problem, "slack": self._slack_problem, "engine": self._engine_problem},
            started=lambda: self.engine.started,
            exposition=self._exposition,
            routes=[*(slack_routes(self.app, slack.signing_secret.reveal()) if http else ()), *self._webhooks()],
            told=lambda part, is_well: self.meters.health(part, is_well=is_well),
        )

    def _webhooks(self) -> list[RouteDef]:
        """Whatever they say, the most that follows is a look at the branch."""
        connections, ring, now = self.configuration.connections, self.engine.auto_deploys.ring, self.clock.now
        token, secret = connections.ci_token, connections.github.webhook_secret
        takers = {
            "scan": scan_taker(self.scans.keep, now),
            "result": result_taker(self.ci_results.keep, self._configured, ring, now),
        }
        deliveries = github_taker(self.deliveries.take, self._configured, ring)
        return [
            *ci_routes(None if token is None else token.reveal, takers),
            *github_routes(None if secret is None else secret.reveal, deliveries, now),
        ]

    def _configured(self, repository: str) -> str:
        return configured_repository(self.settings.current, repository)

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Raises OSError or `SocketTaken` when an address can't be had."""
        await self.server.start()
        await self.engine.start(SlackConsumer(self.engine.desk, self.directory))
        await self.local.start()
        if self.sockets is not None:
            await self.sockets.start()
        self._soon(self._load_clients())
        self._soon(self._repeat(self._checkpoint_if_due, CHECKPOINT_LOOK_S))
        self._soon(self._repeat(self._watch_clock, CLOCK_LOOK_S))
        if self.configuration.connections.pagerduty is not None:
            self._soon(self._look_who_is_on_call())
            self._soon(self._repeat(self._look_who_is_on_call, ON_CALL_LOOK_S))
        self._soon(self.meters.watch_loop())
        self._start_databases()

    def _start_databases(self) -> None:
        """Nothing of it where no database is configured, and nothing of it keeps the bot from being ready."""
        postgres = self.adapters.postgres
        if postgres.measuring is not None:
            self.meters.show_databases(postgres.measuring)
            self._soon(postgres.measuring.run())
        if postgres.repository is not None:
            self._soon(asyncio.to_thread(postgres.sweep))
            self._soon(adopt_at_start(postgres.repository, self.backups, frozenset(postgres.databases)))
        host = postgres.restore_host(self.backups.segments)
        if host is not None:
            self._soon(drop_leftovers(host, self.store))
        receivers = postgres.receivers(self.backups.segment, lambda: self.settings.current.policy.backups.wal_switch_s)
        if receivers is not None:
            self.meters.show_wal(receivers)
            self._soon(receivers.run())

    async def _load_clients(self) -> None:
        """Imports the largest client in a thread once what was parked is taken up, rather than when the first command waits for it."""
        if self.configuration.connections.clusters:
            await asyncio.sleep(LOAD_CLIENTS_AFTER_S)
            await asyncio.to_thread(kubernetes_library.load)

    async def stop(self) -> None:
        """Drained: what has arrived is acknowledged, what is half done is done again after the next start."""
        if self.sockets is not None:
            await self.sockets.stop()
        await self.listeners.close()
        await self.local.stop()
        await self.engine.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.server.stop()
        self.painter.close()
        await self.adapters.aclose()

    async def reload(self, configuration: Configuration) -> None:
        """Takes the setting of a new configuration; addresses and secrets' places stay until the next start."""
        await self.engine.reload(configuration.setting)
        if configuration.connections != self.configuration.connections:
            log.warning(
                "configuration.needs_restart",
                why="addresses, clusters, signers and channels are taken at the next start",
            )
        self.configuration = replace(configuration, connections=self.configuration.connections)
        self.meters.about(self._version, configuration.setting.hash)

    def _soon(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _repeat(self, work: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await work()
            except Exception:  # one failure must not end what is repeated for ever
                log.exception("repeated_work.failed", work=getattr(work, "__name__", ""))

    # --- checkpoints and the clock --------------------------------------------------------------------------------

    async def _checkpoint(self, reason: str, run_id: str) -> None:
        """Outside first, then in the run's thread, for people."""
        made = await self.checkpointer.make(reason)
        point = made.checkpoint
        if point is None:
            return
        places = f"kept in {', '.join(made.stored)}" if made.stored else "kept in the database alone"
        note = Note(tone=Tone.INFO, title=f"Audit checkpoint at entry {point.seq}: {point.hash[:16]}", text=places)

        def tell(ledger: Ledger) -> None:
            run = ledger.get(Run, run_id)
            if run is not None:
                Turn(ledger, self.clock.now(), self.settings.current).note(run, f"checkpoint:{point.seq}", note)

        try:
            await self.store.write(tell)
        except StoreUnavailable as error:
            log.error("checkpoint.not_told", code=error.code)
        self.engine.outbox.ring()

    async def _checkpoint_if_due(self) -> None:
        await self.checkpointer.make_if_due()

    async def _look_who_is_on_call(self) -> None:
        """For mentions, which are written in a transaction and can't wait for a schedule."""
        try:
            self.settings.know_on_call(await self.directory.on_call_ids())
        except ForgeError as error:
            log.warning("on_call.not_asked", code=error.code, remedy=error.remedy)

    async def _watch_clock(self) -> None:
        jump = self.clock.jumped()
        if abs(jump) <= JUMP:
            self.clock.move(jump)
            return
        log.warning("clock.jumped", seconds=jump.total_seconds())
        moves: list[timedelta] = []

        def move() -> None:
            moves.append(jump)
            self.clock.move(jump)

        try:
            await self.engine.shift_deadlines(jump, move)
        except StoreUnavailable as error:
            log.error("clock.not_followed", code=error.code)
            for moved in moves:  # what was not kept must not be half true
                self.clock.move(-moved)

    # --- health and metrics ---------------------------------------------------------------------------------------

    async def _store_problem(self) -> str:
        return "" if self.store.healthy else (self.store.trouble or "the database can't be written")

    async def _slack_problem(self) -> str:
        return "" if self.sockets is None else await self.sockets.problem()

    async def _engine_problem(self) -> str:
        return "" if self.engine.started else "the engine isn't running"

    async def _exposition(self) -> tuple[bytes, str]:
        now = self.clock.now()
        self.meters.take(await self.store.read(lambda ledger: metrics.look(ledger, now)), self.store.commits)
        return self.meters.exposition()

"""The whole surroundings of a bot on one machine, and the bot itself: started in order, stopped in order, broken on request.

It speaks to the bot as the real systems do, and in no other way.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from sandbox.cluster_metrics import ClusterMetrics
from sandbox.faults import Fault
from sandbox.github import LocalGitHub
from sandbox.kubernetes import LocalKubernetes
from sandbox.kubernetes.objects import Obj
from sandbox.prometheus import LocalPrometheus, PrometheusFront, Target
from sandbox.registry import LocalRegistry
from sandbox.shop import Shop, Traffic
from sandbox.slack import LocalSlack
from sandbox.world import kept, settings, staff, workloads
from sandbox.world.backups import Backups
from sandbox.world.bot_process import BotEnded, BotProcess
from sandbox.world.ci import Ci
from sandbox.world.database import ShopDatabase, secret
from sandbox.world.development import Development
from sandbox.world.orders import OrderBook
from sandbox.world.product import Product
from sandbox.world.production import Production
from sandbox.world.releases import Releases
from sandbox.world.tags import FINALS, RUNNING, TAGS
from sandbox.world.tempo import Tempo, short
from sandbox.world.ways import SPOILS, Way

ENVIRONMENTS = ("dev", "staging", "prod")
TRAFFIC_ELSEWHERE_PER_S = 1.0
CONNECTED_WITHIN_S = 60.0
SCANNED_EVERY = timedelta(days=1)


class World:
    """`async with World(product) as world:` everything runs; afterwards nothing does.

    folder: where data are kept (None: a temporary folder that goes away). port: of Slack's page (0: any). with_bot: whether
    `start` starts the bot, too. environments: where the shop runs. workers: its workloads without HTTP.
    """

    def __init__(
        self, product: Product, *, tempo: Tempo | None = None, folder: Path | None = None, port: int = 0,
        with_bot: bool = True, environments: tuple[str, ...] = ENVIRONMENTS, workers: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self._own_folder = tempfile.TemporaryDirectory(prefix="forge-sandbox-") if folder is None else None
        self.folder = (folder or Path(self._own_folder.name if self._own_folder else "")).absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.product = product
        self.tempo = tempo or short()
        self.environments = environments
        self._workers = workers
        self.kept = kept.Kept.of(self.folder)
        self._port = port
        self._with_bot = with_bot
        self._open = contextlib.AsyncExitStack()
        self._make()

    def _make(self) -> None:
        self.signer = kept.signer("releases@acme.test", self.kept.release_key)
        stranger = kept.signer("mallory@elsewhere.test", self.kept.stranger_key)
        self.slack = LocalSlack()
        self.github = LocalGitHub()
        self.registry = LocalRegistry()
        self._make_database()
        place = self.orders.place if self.orders is not None else None
        self.shop = Shop(environments=self.environments, workers=self._workers, exists=self.registry.has, place=place)
        self.cluster = LocalKubernetes(
            runtime=self.shop.runtime,
            time_scale=self.tempo.time_scale,
            programs=lambda image: self.releases.programs(image),
        )
        self.cluster.on_route(self.shop.follow)
        self.production = Production(self.cluster, self.shop, self.tempo.time_scale)
        self.cluster_metrics = ClusterMetrics(
            lambda: self.cluster.list("Deployment"), pods=lambda: self.cluster.list("Pod"), usage=self.shop.usage
        )
        images = self.folder / "images"
        self.releases = Releases(self.github, self.registry, self.shop, self.signer, stranger, images)
        self.ci = Ci(lambda: self.bot.address(), self.kept.ci_token)
        self.development = self._developers() if self.tempo.dev else None
        self.prometheus_state = "up"
        self.kubernetes_state = "fine"
        self.traffic: dict[str, Traffic] = {}
        self._critical: set[str] = set()
        self._unschedulable: set[str] = set()
        self.cluster.never_schedule(self._has_no_room)
        self._bot_changed: Callable[[], None] = lambda: None
        self.bot = BotProcess(
            self.product.serve, self.bot_environment(), self.folder / "bot.log", lambda: self._bot_changed()
        )

    def _developers(self) -> Development:
        def scan(commit: str) -> None:
            self.ci.scan(self._images_of(commit), "clean")

        return Development(self.github, self.releases, scan, self.kept.development, pace_s=self.tempo.ci_s)

    def _make_database(self) -> None:
        """backups, orders: None where the databases are not backed up."""
        backed_up = self.tempo.backups
        self.database = ShopDatabase(self.environments, self.kept.migrations, backed_up=backed_up)
        known = self.kept.backup_identity
        self.backups = Backups(self.folder, known, self.environments) if backed_up else None
        self.orders = OrderBook(self.database.url) if backed_up else None

    # --- life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Raises OSError (the page's port is taken), ProgramMissing (no Prometheus), BotEnded."""
        try:
            await self._start_stands()
            await self._start_prometheus()
            self._write_settings()
            self.kept.save(self.folder)
            await self._start_ci()
            if self._with_bot:
                await self.start_bot()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """The bot first, so that it ends in good order; then what it talks to."""
        await self.bot.stop()
        if self.cluster.url:
            self.kept.manifests = workloads.asked_for(self.cluster) or self.kept.manifests
            await self._keep_migrations()
            self.kept.save(self.folder)
        await self._open.aclose()
        if self.backups is not None:
            await asyncio.to_thread(self.backups.close)
        if self._own_folder is not None:
            self._own_folder.cleanup()

    async def _start_stands(self) -> None:
        remember = self.kept.listen
        database = asyncio.create_task(asyncio.to_thread(self.database.start), name="PostgreSQL starts")
        self._open.push_async_callback(self._stop_database, database)
        await remember("slack", lambda port: self.slack.start(port=port), self._port)
        self._open.push_async_callback(self.slack.stop)
        staff.settle(self.slack)
        await remember("github", lambda port: self.github.start(port=port))
        self._open.push_async_callback(self.github.stop)
        await remember("registry", lambda port: self.registry.start(port=port))
        self._open.push_async_callback(self.registry.stop)
        await self._start_shop()
        self.releases.publish(self.kept.began_at)
        if self.development is not None:
            self.development.begin(self.kept.began_at)
            self._open.push_async_callback(self.development.stop)
        await remember("kubernetes", lambda port: self.cluster.start(port=port))
        self._open.push_async_callback(self.cluster.stop)
        await asyncio.shield(database)
        self._deploy()
        await self.cluster_metrics.start()
        self._open.push_async_callback(self.cluster_metrics.stop)

    async def _stop_database(self, starting: asyncio.Task[None]) -> None:
        """A thread can't be cancelled: a start that is under way is awaited."""
        if self.orders is not None:
            await self.orders.close()
        await asyncio.gather(starting, return_exceptions=True)
        await asyncio.to_thread(self.database.stop)

    async def _keep_migrations(self) -> None:
        for env in self.environments:
            with contextlib.suppress(psycopg.Error):  # it doesn't run: what was known before stays known
                self.kept.migrations[env] = await asyncio.to_thread(self.database.migrations, env)

    async def _start_shop(self) -> None:
        for (env, name), endpoint in self.shop.endpoints.items():
            if port := self.kept.ports.get(f"shop {env} {name}"):
                endpoint.url = f"http://127.0.0.1:{port}"
        try:
            await self.shop.start()
        except OSError:
            for endpoint in self.shop.endpoints.values():
                endpoint.url = ""
            await self.shop.start()
        self._open.push_async_callback(self.shop.stop)
        for (env, name), endpoint in self.shop.endpoints.items():
            self.kept.ports[f"shop {env} {name}"] = int(endpoint.url.rpartition(":")[2])

    def _deploy(self) -> None:
        """What ran before, or the released version; and the Secrets that Jobs are given."""
        wanted = {workloads.key_of(each): each for env in self.environments for each in self._released(env)}
        wanted |= {workloads.key_of(each): each for each in self.kept.manifests if self._is_known(each)}
        for env in self.environments:
            self.cluster.apply(self.database.secret(env))
            self.cluster.apply(secret(settings.CUSTOMER_SECRET, env, {"SHOP_CUSTOMER_TOKEN": self.shop.token}))
        for manifest in wanted.values():
            self.cluster.apply(manifest)
        self.cluster.kubeconfig(self.folder / "kubeconfig", contexts={env: env for env in self.environments})

    def _released(self, env: str) -> list[Obj]:
        """The released version as the environment began with it."""
        images = {name: self.releases.image(name, RUNNING) for name in self.shop.everything}
        return workloads.manifests(env, images, self.shop.workloads)

    def _is_known(self, manifest: Obj) -> bool:
        """Whether it is of this world, its image included."""
        if manifest["metadata"]["namespace"] not in self.environments:
            return False
        image = workloads.image_of(manifest) if manifest["kind"] == "Deployment" else ""
        return not image or (image.startswith(self.registry.host) and self.registry.has(image))

    async def _start_prometheus(self) -> None:
        targets: list[str | Target] = [
            Target(address, path=path) for address, path in map(self.shop.metrics_target, self.environments)
        ]
        targets.append(self.cluster_metrics.url.removeprefix("http://"))
        rules = self.product.rules(self.tempo.window, self.tempo.interval, beside=self.tempo.beside)
        self.prometheus = LocalPrometheus(
            targets, rules, scrape_interval=self.tempo.interval, evaluation_interval=self.tempo.interval,
            folder=self.folder / "prometheus",
        )  # fmt: skip
        self._open.push_async_callback(self.prometheus.stop)
        await self.prometheus.start()
        self.prometheus_front = PrometheusFront(self.prometheus.url)
        await self.kept.listen("prometheus", lambda port: self.prometheus_front.start(port=port))
        self._open.push_async_callback(self.prometheus_front.stop)
        for env in self.environments:
            rates = {"staging": self.tempo.traffic_per_s, workloads.PRODUCTION: self.tempo.production_per_s}
            self.traffic[env] = self.shop.traffic(env, rates.get(env, TRAFFIC_ELSEWHERE_PER_S))
            await self.traffic[env].start()
            self._open.push_async_callback(self.traffic[env].stop)

    async def _start_ci(self) -> None:
        """It scanned the images when they were built, and is about to tell."""
        now = datetime.now(UTC)
        at = max(self.kept.began_at, now - SCANNED_EVERY)
        for tag in (*TAGS, *FINALS):
            if not tag.of:  # else they are the candidate's
                self.ci.scan(self._images_of(tag.version), tag.scan, at)
        await self.ci.start()
        self._open.push_async_callback(self.ci.stop)

    # --- the bot

    @property
    def config_path(self) -> Path:
        return self.folder / "forge.yaml"

    def bot_environment(self) -> dict[str, str]:
        """Tokens and places as the bot's environment has them; addresses are in its forge.yaml."""
        backups = self.backups.environment(self.database) if self.backups is not None else {}
        return settings.own_environment(
            {
                **backups,
                "FORGE_CONFIG": str(self.config_path),
                "FORGE_DATA_DIR": str(self.folder),
                "FORGE_AUDIT_KEY": self.kept.audit_key,
                "SLACK_BOT_TOKEN": self.slack.bot_token,
                "SLACK_APP_TOKEN": self.slack.app_token,
                "GITHUB_TOKEN": self.github.token,
                "FORGE_CI_TOKEN": self.kept.ci_token,
                "GITHUB_WEBHOOK_SECRET": self.kept.hook_secret,
                "SHOP_CUSTOMER_TOKEN": self.shop.token,
            }
        )

    def _write_settings(self) -> None:
        values = settings.forge_yaml(
            self.shop, self.tempo, team=self.slack.workspace.team_id, registry=self.registry.host, signer=self.signer,
            environments=self.environments, folder=self.folder,
            restores=self.backups.service() if self.backups is not None else {},
        )  # fmt: skip
        values["slack"]["api_url"] = self.slack.api_url
        values["integrations"]["prometheus"] = {"url": self.prometheus_front.url}
        values["integrations"]["github"] = {"api_url": self.github.url}
        if self.backups is not None:
            values["integrations"]["postgres"] = self.backups.integration(self.database)
        if self.tempo.notice:
            values["notice"] = self.tempo.notice
        (self.folder / "checkpoints").mkdir(exist_ok=True)
        settings.write_yaml(self.config_path, values)

    async def start_bot(self) -> None:
        """Start it and wait until it listens to Slack. Raises BotEnded, TimeoutError."""
        await self.bot.start()
        async with asyncio.timeout(CONNECTED_WITHIN_S):
            while self.slack.connection_state() not in ("connected", "down"):
                if self.bot.pid is None:
                    self.bot.wanted = False
                    raise BotEnded(f"the bot ended: {self.bot.last_lines()}")
                await asyncio.sleep(0.05)
            await self._lead_hook()

    async def _lead_hook(self) -> None:
        """GitHub's webhook follows the bot to its new port."""
        while self.development is not None:
            if (address := self.bot.address()) is not None:
                self.development.lead(address, self.kept.hook_secret)
                return
            await asyncio.sleep(0.05)

    async def restart_bot(self) -> None:
        await self.bot.stop()
        await self.start_bot()

    def on_bot_change(self, callback: Callable[[], None]) -> None:
        """Call it whenever the bot's process has started or ended."""
        self._bot_changed = callback

    # --- what may go wrong

    def spoil(self, version: str, how: str, *, env: str = "", track: str = "") -> None:
        """how: one of SPOILS; `good` heals, and lets the scanner look again. Raises KeyError.

        env, track: only the version's pods there. What an image's Jobs do, and what its scan says, is so everywhere: ValueError.
        """
        way = SPOILS[how]
        if env or track:
            self._spoil_place(version, way, env, track)
            return
        was_critical = version in self._critical
        self._critical.discard(version)
        if way.shop is None:
            self.shop.heal(version)
        else:
            self.shop.spoil(version, way.shop)
        self.releases.behave(version, way)
        (self._unschedulable.add if way.unschedulable else self._unschedulable.discard)(version)
        if way.critical or was_critical:
            self.ci.scan(self._images_of(version), "critical" if way.critical else "clean")
        if way.critical:
            self._critical.add(version)

    def _spoil_place(self, version: str, way: Way, env: str, track: str) -> None:
        if not way.is_of_pods:
            raise ValueError(f"{way.words}: not in one place alone")
        if way.shop is None:
            self.shop.heal(version, env=env, track=track)
        else:
            self.shop.spoil(version, way.shop, env=env, track=track)

    def _images_of(self, version: str) -> list[str]:
        return [self.releases.image(name, version) for name in self.shop.everything]

    def _has_no_room(self, pod: Obj) -> bool:
        """A Job's pod of a version whose Jobs shall never start."""
        owners = pod["metadata"].get("ownerReferences") or ()
        image = pod["spec"]["containers"][0]["image"]
        return any(owner["kind"] == "Job" for owner in owners) and any(
            self.shop.spoils.is_version(image, version) for version in self._unschedulable
        )

    def begin_anew(self, env: str) -> None:
        """The released version and the first schema again, no canary, all traffic to stable; returns before the pods have followed."""
        self.database.reset(env)
        released = self._released(env)
        for each in self.cluster.list("Deployment", env):
            if workloads.key_of(each) not in map(workloads.key_of, released):
                self.cluster.delete("Deployment", env, each["metadata"]["name"])
        for manifest in released:
            self.cluster.apply(manifest)

    def heal(self) -> None:
        """Every version is good again, and so is what surrounds production."""
        self.shop.heal()
        self.production.heal()
        for version in self.releases.commits:
            self.spoil(version, "good")

    async def set_prometheus(self, state: str) -> None:
        """`up`, `down` (connections are refused) or `hanging` (connections are taken and never answered)."""
        was_down = self.prometheus_state == "down"
        self.prometheus_state = state
        self.prometheus_front.faults.clear()
        if state == "hanging":
            self.prometheus_front.faults.add(Fault(kind="hang", times=-1))
        if state == "down" and not was_down:
            await self.prometheus_front.stop()
        if state != "down" and was_down:
            await self.prometheus_front.start(port=self.kept.ports["prometheus"])

    def set_kubernetes(self, state: str) -> None:
        """`fine`, `hanging` or `errors` (every request ends in a 500)."""
        self.kubernetes_state = state
        self.cluster.faults.clear()
        if state != "fine":
            self.cluster.faults.add(Fault(kind="hang" if state == "hanging" else "status", status=500, times=-1))

    async def take_slack_down(self, seconds: float) -> None:
        """Returns when it is back."""
        self.slack.go_down()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.slack.come_back()

    # --- looking

    def images(self, env: str) -> dict[str, str]:
        """What each Deployment is told to run: its name -> version, or the digest where it is no version's.

        An image of several versions is the candidate, and in production what it was released as.
        """
        return {
            name.partition("/")[2]: self._version_of(image, env)
            for name, image in workloads.images(self.cluster).items()
            if name.startswith(f"{env}/")
        }

    def _version_of(self, image: str, env: str) -> str:
        known = self.shop.spoils.versions.get(image.partition("@")[2], ())
        return known[-1] if known and env == workloads.PRODUCTION else self.shop.spoils.version_of(image)

    def serves(self, env: str, version: str) -> bool:
        """Whether every pod that gets requests there is of this version, and each workload has all of its pods."""
        for name in self.shop.everything:
            pods = self.shop.in_rotation(env, name)
            others = [pod for pod in pods if not self.shop.spoils.is_version(pod.image, version)]
            if others or len(pods) != workloads.replicas(name, env):
                return False
        return True

    def weights(self, workload: str) -> dict[str, int]:
        """How production's traffic is shared out now: Service -> weight of the route that the gateway follows; empty without one."""
        route = self.shop.route_of(workloads.PRODUCTION, workload)
        return {} if route is None else {each.service: each.weight for rule in route.rules for each in rule.backends}

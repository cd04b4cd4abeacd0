"""The controls that the world puts beside Slack's page: spoil a version, break a dependency, kill the bot."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from sandbox.prometheus.process import ProcessFailed
from sandbox.world.backups import Backups
from sandbox.world.bot_process import BotEnded
from sandbox.world.development import Development, development_panel
from sandbox.world.production import DATABASE_STATES, GATEWAY_STATES
from sandbox.world.releases import CONCLUSIONS
from sandbox.world.tags import CANDIDATES, FINALS
from sandbox.world.ways import SPOILS
from sandbox.world.workloads import PRODUCTION
from sandbox.world.world import World

Json = dict[str, Any]
SLACK_OUTAGE_S = 10.0
PLAIN = tuple(tag for tag in CANDIDATES if tag.is_plain)
RELEASABLE = tuple(tag for tag in FINALS if tag.is_plain)


class Controls:
    """Draws the panel and does what is clicked there."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._spoilt: dict[str, str] = {}
        self._spoilt_in_production: dict[str, str] = {}
        self._work: set[asyncio.Task[None]] = set()
        self._acts: dict[str, Callable[[str, Any], Awaitable[str]]] = {
            "version": self._spoil,
            "prod": self._spoil_in_production,
            "gateway": self._set_gateway,
            "database": self._set_database,
            "shrink": self._shrink,
            "drop": self._drop_orders,
            "count": self._count_orders,
            "merge": self._merge,
            "tag": self._tag,
            "ci": self._set_ci,
            "move": self._move_tag,
            "prometheus": self._set_prometheus,
            "kubernetes": self._set_kubernetes,
            "limits": self._set_limits,
            "outage": self._cut_slack,
            "restart": self._restart,
            "kill": self._kill,
        }

    def install(self) -> None:
        """Put everything on the page, and keep it right from now on."""
        slack = self._world.slack
        slack.on_panel(self._use)
        slack.set_hints(list(map(self._hint, self._world.product.hints)))
        self._world.on_bot_change(self.draw)
        self.draw()

    async def close(self) -> None:
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    def _hint(self, hint: Json) -> Json:
        """With the words that may stand at each place, as far as the world knows them."""
        words = {"env": list(self._world.environments), "version": [tag.version for tag in (*CANDIDATES, *FINALS)]}
        places = [part.strip("<>[]") for part in str(hint.get("usage", "")).split() if part[0] in "<["]
        return {**hint, "words": [words.get(place, []) for place in places]}

    # --- drawing

    def draw(self) -> None:
        bot, tempo = self._world.bot, self._world.tempo
        crashed = f"The bot has ended ({_ending(bot.exit_code)}): restart it at the right, and see what it still knows."
        self._world.slack.set_notice(crashed if bot.crashed else tempo.notice)
        production = [self._production()] if PRODUCTION in self._world.environments else []
        databases = [self._databases(self._world.backups)] if self._world.backups is not None else []
        development = [development_panel(self._world.development)] if self._world.development is not None else []
        self._world.slack.set_panel(
            [
                self._bot(),
                *development,
                self._versions(),
                *production,
                *databases,
                self._dependencies(),
                self._continuous_integration(),
            ]
        )

    def _bot(self) -> Json:
        bot = self._world.bot
        state = f"runs as process {bot.pid}" if bot.pid else f"does not run ({_ending(bot.exit_code)})"
        controls = [
            {"id": "restart", "kind": "button", "label": "Restart the bot" if bot.pid else "Start the bot"},
            {"id": "kill", "kind": "button", "label": "Kill the bot (SIGKILL)", "danger": True},
        ]
        return {
            "title": "The bot",
            "help": f"It {state}. It forgets nothing, whenever it is killed.",
            "controls": controls,
        }

    def _versions(self) -> Json:
        options = [{"value": how, "label": way.words, "group": way.group} for how, way in SPOILS.items()]
        controls = [
            {
                "id": f"version {tag.version}",
                "kind": "select",
                "label": tag.version,
                "value": self._spoilt.get(tag.version, "good"),
                "options": options,
                "help": tag.about,
            }
            for tag in PLAIN
        ]
        refused = ", ".join(f"{tag.version} ({tag.about})" for tag in CANDIDATES if not tag.is_plain)
        words = f"How a version behaves, also where it runs already. Bad as they are: {refused}."
        return {"title": "Versions", "help": words, "controls": controls}

    def _production(self) -> Json:
        options = [
            {"value": how, "label": way.words, "group": way.group} for how, way in SPOILS.items() if way.is_of_pods
        ]
        spoilt = self._spoilt_in_production
        versions = [
            _select(f"prod {tag.version}", tag.version, spoilt.get(tag.version, "good"), options) | {"help": tag.about}
            for tag in RELEASABLE
        ]
        gateways = [{"value": state, "label": words} for state, words in GATEWAY_STATES.items()]
        databases = [{"value": state, "label": words} for state, words in DATABASE_STATES.items()]
        front = self._world.shop.workloads[-1]
        others: list[Json] = [
            _select("gateway", "The gateway", self._world.production.gateway, gateways),
            _select("database", "The database", self._world.production.database, databases),
            {
                "id": f"shrink {front}",
                "kind": "button",
                "label": f"Shrink stable's {front} to 1 pod, as an autoscaler does",
            },
        ]
        refused = ", ".join(f"{tag.version} ({tag.about})" for tag in FINALS if not tag.is_plain)
        words = (
            "Promote a version that got its go: /forge promote v1.4.0 prod. Sam approves, and Pia or Olly; Olly is on call and "
            "answers prompts; Dora decides what becomes of a schema. Below: how a version behaves there alone, first of all "
            f"as the canary. Bad as they are: {refused}."
        )
        return {"title": "Production", "help": words, "controls": versions + others}

    def _databases(self, backups: Backups) -> Json:
        controls = []
        for env in backups.environments:
            controls += [
                {"id": f"drop {env}", "kind": "button", "label": f"Drop the orders of {env}", "danger": True},
                {"id": f"count {env}", "kind": "button", "label": f"Count the orders of {env}"},
            ]
        words = (
            "Every order is a row. As Dora /forge backup run staging, then --kind base, and /forge backup drill staging; "
            "/forge backup list staging says to which moments it can be restored. Drop the orders, /forge restore staging to the "
            "moment before, and Dan signs off: a Job leads the shop to what was restored."
        )
        return {"title": "Databases", "help": words, "controls": controls}

    def _dependencies(self) -> Json:
        world = self._world
        controls = [
            _select("prometheus", "Prometheus", world.prometheus_state, ("up", "down", "hanging")),
            _select("kubernetes", "Kubernetes", world.kubernetes_state, ("fine", "hanging", "errors")),
            {"id": "limits", "kind": "toggle", "label": "Slack's rate limits", "value": world.slack.rate_limits},
            {"id": "outage", "kind": "button", "label": f"Slack is down for {SLACK_OUTAGE_S:g} s", "danger": True},
        ]
        return {"title": "What the bot depends on", "controls": controls}

    def _continuous_integration(self) -> Json:
        versions = [tag.version for tag in PLAIN]
        ci = self._world.releases.ci
        controls = [_select(f"ci {name}", f"CI of {name}", ci[name], CONCLUSIONS) for name in versions]
        movable = [*versions, *(tag.version for tag in RELEASABLE)]
        moves = [{"id": f"move {name}", "kind": "button", "label": f"Move the tag {name}"} for name in movable]
        title, words = "GitHub", "A tag that forge has seen must never move."
        return {"title": title, "help": words, "controls": controls + moves}

    # --- doing

    async def _use(self, control: str, value: Any) -> str:
        name, _, version = control.partition(" ")
        said = await self._acts[name](version, value)
        self.draw()
        return said

    async def _spoil(self, version: str, how: Any) -> str:
        if how not in SPOILS:
            raise ValueError(f"no way to spoil a version: {how!r}")
        self._spoilt[version] = how
        self._world.spoil(version, how)
        return f"{version} is good" if how == "good" else f"{version}: {SPOILS[how].words}"

    async def _spoil_in_production(self, version: str, how: Any) -> str:
        if how not in SPOILS:
            raise ValueError(f"no way to spoil a version: {how!r}")
        self._world.spoil(version, how, env=PRODUCTION)
        self._spoilt_in_production[version] = how
        return f"{version} in {PRODUCTION}: {SPOILS[how].words}"

    async def _set_gateway(self, _: str, state: Any) -> str:
        if state not in GATEWAY_STATES:
            raise ValueError(f"no state of the gateway: {state!r}")
        self._world.production.set_gateway(state)
        return f"The gateway {GATEWAY_STATES[state]}"

    async def _set_database(self, _: str, state: Any) -> str:
        if state not in DATABASE_STATES:
            raise ValueError(f"no state of the database: {state!r}")
        self._world.production.set_database(state)
        return f"The database of {PRODUCTION}: {DATABASE_STATES[state]}"

    async def _shrink(self, workload: str, _: Any) -> str:
        left = self._world.production.shrink(workload)
        if left == 1:
            return f"The autoscaler has shrunk {workload} to 1 pod"
        return f"The autoscaler leaves {workload} {left} pods: its minReplicas says so"

    async def _drop_orders(self, env: str, _: Any) -> str:
        """As somebody does who took it for the database on their own laptop."""
        count = await asyncio.to_thread(self._world.database.orders, env)
        if count is None:
            return f"{env} has no table of orders any more"
        await asyncio.to_thread(self._world.database.execute, env, "DROP TABLE orders")
        return f"The table of {count} orders in {env} is dropped, at {datetime.now(UTC):%H:%M:%S} UTC"

    async def _count_orders(self, env: str, _: Any) -> str:
        count = await asyncio.to_thread(self._world.database.orders, env)
        when = f"at {datetime.now(UTC):%H:%M:%S} UTC"
        return f"{env} has no table of orders" if count is None else f"{env} has {count} orders, {when}"

    def _developers(self) -> Development:
        if self._world.development is None:
            raise ValueError("there is no dev here")
        return self._world.development

    async def _merge(self, ci: str, _: Any) -> str:
        number, title = self._developers().waiting
        sha = self._developers().merge(ci)
        return f"#{number} is merged as {sha[:7]}: {title}. Its CI begins"

    async def _tag(self, kind: str, _: Any) -> str:
        development = self._developers()
        return f"{development.tag_candidate() if kind == 'candidate' else development.tag_final()} is signed"

    async def _set_ci(self, version: str, state: Any) -> str:
        if state not in CONCLUSIONS:
            raise ValueError(f"no state of CI: {state!r}")
        self._world.releases.set_ci(version, state)
        return f"CI of {version} is {state}"

    async def _move_tag(self, version: str, _: Any) -> str:
        return f"{version} is now on commit {self._world.releases.move_tag(version)[:12]}"

    async def _set_prometheus(self, _: str, state: Any) -> str:
        await self._world.set_prometheus(str(state))
        return f"Prometheus is {state}"

    async def _set_kubernetes(self, _: str, state: Any) -> str:
        self._world.set_kubernetes(str(state))
        return f"Kubernetes: {state}"

    async def _set_limits(self, _: str, is_on: Any) -> str:
        self._world.slack.rate_limits = bool(is_on)
        return f"Slack's rate limits are {'on' if is_on else 'off'}"

    async def _cut_slack(self, _: str, __: Any) -> str:
        self._soon(self._world.take_slack_down(SLACK_OUTAGE_S))
        return f"Slack is down for {SLACK_OUTAGE_S:g} s"

    async def _restart(self, _: str, __: Any) -> str:
        try:
            await self._world.restart_bot()
        except (BotEnded, TimeoutError, ProcessFailed) as failed:
            return str(failed) or "the bot isn't connected yet"
        return "The bot runs"

    async def _kill(self, _: str, __: Any) -> str:
        await self._world.bot.kill()
        return "The bot is killed"

    def _soon(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)


def _select(control: str, label: str, value: str, options: Iterable[str | Json]) -> Json:
    return {"id": control, "kind": "select", "label": label, "value": value, "options": list(options)}


def _ending(code: int | None) -> str:
    if code is None:
        return "not started"
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"

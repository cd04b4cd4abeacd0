"""The real Prometheus on targets and rules of a test or of the sandbox."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from sandbox.prometheus.packages import find_or_unpack
from sandbox.prometheus.process import Served
from sandbox.prometheus.remote_write import HEADERS, Series, write_request


@dataclass(frozen=True)
class Target:
    """address: `host:port`. labels: put on every sample. path: where its metrics are."""

    address: str
    labels: Mapping[str, str] = field(default_factory=dict)
    path: str = "/metrics"


class PrometheusRefused(RuntimeError):
    """It answered with an error; the message is its own."""


class LocalPrometheus(Served):
    """A Prometheus of its own port and data.

    targets: `host:port` or Target. rules_text: the YAML of one rules file. remote_write: takes samples of the last
    48 h by `write_samples`, in any order. alertmanager: `host:port` that its alerts go to. folder: None makes a temporary one.
    """

    def __init__(
        self,
        targets: Sequence[str | Target] = (),
        rules_text: str | None = None,
        *,
        scrape_interval: str = "1s",
        evaluation_interval: str = "1s",
        remote_write: bool = False,
        alertmanager: str | None = None,
        folder: Path | None = None,
    ) -> None:
        super().__init__("prometheus", folder)
        self.targets = list(targets)
        self.rules_text = rules_text
        self.scrape_interval = scrape_interval
        self.evaluation_interval = evaluation_interval
        self.remote_write = remote_write
        self.alertmanager = alertmanager

    async def command(self, host: str, port: int) -> list[str]:
        programs = await asyncio.to_thread(find_or_unpack, "prometheus")
        self._write_config()
        options = {
            "config.file": self.folder / "prometheus.yml",
            "storage.tsdb.path": self._data,
            "storage.tsdb.retention.time": "3d",
            "web.listen-address": f"{host}:{port}",
            "log.level": "warn",
            # what was fired before the Alertmanager was discovered is sent again after a minute by default
            "rules.alert.resend-delay": "2s",
        }
        switches = ["--web.enable-lifecycle"] + ["--web.enable-remote-write-receiver"] * self.remote_write
        return [str(programs["prometheus"]), *(f"--{name}={value}" for name, value in options.items()), *switches]

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    async def is_ours(self, session: aiohttp.ClientSession) -> bool:
        async with session.get("/api/v1/status/flags") as answer:
            flags = (await answer.json())["data"]
            return bool(flags["storage.tsdb.path"] == str(self._data))

    def _write_config(self) -> None:
        """JSON is YAML."""
        config: dict[str, Any] = {
            "global": {"scrape_interval": self.scrape_interval, "evaluation_interval": self.evaluation_interval},
            "scrape_configs": self._scrape_configs(),
        }
        # a scrape may not wait longer than its interval
        config["global"]["scrape_timeout"] = self.scrape_interval
        if self.remote_write:
            config["storage"] = {"tsdb": {"out_of_order_time_window": "48h"}}
        if self.alertmanager:
            config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [self.alertmanager]}]}]}
        if self.rules_text is not None:
            (self.folder / "rules.yml").write_text(self.rules_text)
            config["rule_files"] = [str(self.folder / "rules.yml")]
        (self.folder / "prometheus.yml").write_text(json.dumps(config, indent=2))

    def _scrape_configs(self) -> list[dict[str, Any]]:
        by_path: dict[str, list[dict[str, Any]]] = {}
        for each in self.targets:
            target = Target(each) if isinstance(each, str) else each
            by_path.setdefault(target.path, []).append({"targets": [target.address], "labels": dict(target.labels)})
        return [
            {"job_name": path.strip("/") or "root", "metrics_path": path, "static_configs": groups}
            for path, groups in by_path.items()
        ]

    async def reload(self, *, targets: Sequence[str | Target] | None = None, rules_text: str | None = None) -> None:
        """Take other targets or rules without a restart. Raises PrometheusRefused, and the old ones stay in force."""
        self.targets = self.targets if targets is None else list(targets)
        self.rules_text = self.rules_text if rules_text is None else rules_text
        self._write_config()
        await self._ask("POST", "/-/reload")

    async def query(self, expression: str, at: float | None = None) -> list[tuple[dict[str, str], float]]:
        """An instant query: each series' labels and value. at: Unix seconds, None is now. Raises PrometheusRefused."""
        asked = {"query": expression} | ({} if at is None else {"time": str(at)})
        data = json.loads(await self._ask("GET", "/api/v1/query", params=asked))["data"]
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(each["metric"], float(each["value"][1])) for each in data["result"]]

    async def write_samples(self, series: Iterable[Series]) -> None:
        """Put samples into its history, needs `remote_write`; see `write_request`. Raises PrometheusRefused."""
        await self._ask("POST", "/api/v1/write", data=write_request(series), headers=HEADERS)

    async def _ask(self, method: str, path: str, **more: Any) -> str:
        timeout = aiohttp.ClientTimeout(total=10)
        async with (
            aiohttp.ClientSession(self.url, timeout=timeout) as session,
            session.request(method, path, **more) as answer,
        ):
            text = await answer.text()
            if answer.status >= 300:
                raise PrometheusRefused(f"{answer.status}: {text.strip()}")
            return text

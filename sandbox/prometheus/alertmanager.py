"""The real Alertmanager, sending to one webhook."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from sandbox.prometheus.packages import find_or_unpack
from sandbox.prometheus.process import Served


class LocalAlertmanager(Served):
    """webhook_url: where it posts alerts; None: nowhere. bearer_token: sent along. group_interval: between two posts."""

    def __init__(
        self,
        webhook_url: str | None = None,
        *,
        bearer_token: str | None = None,
        group_interval: str = "1s",
        folder: Path | None = None,
    ) -> None:
        super().__init__("alertmanager", folder)
        self.webhook_url = webhook_url
        self.bearer_token = bearer_token
        self.group_interval = group_interval
        self._cwd = self.folder

    def cwd(self) -> Path:
        return self._cwd

    @property
    def address(self) -> str:
        """`host:port`, as Prometheus wants it."""
        return self.url.removeprefix("http://")

    async def command(self, host: str, port: int) -> list[str]:
        program = (await asyncio.to_thread(find_or_unpack, "prometheus-alertmanager"))["alertmanager"]
        # an unpacked one finds its templates from the folder above usr/bin
        self._cwd = program.parents[2] if program.parent.name == "bin" else self.folder
        config = self.folder / "alertmanager.yml"
        config.write_text(json.dumps(self._config(), indent=2))
        return [
            str(program),
            f"--config.file={config}",
            f"--storage.path={self._data}",
            f"--web.listen-address={host}:{port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _receiver(self) -> str:
        """A name that no other Alertmanager has, to know ours by."""
        return f"webhook-{self.folder.name}"

    def _config(self) -> dict[str, Any]:
        receiver: dict[str, Any] = {"name": self._receiver}
        if self.webhook_url:
            hook: dict[str, Any] = {"url": self.webhook_url, "send_resolved": True}
            if self.bearer_token:
                hook["http_config"] = {"authorization": {"type": "Bearer", "credentials": self.bearer_token}}
            receiver["webhook_configs"] = [hook]
        route = {"receiver": self._receiver, "group_by": ["alertname", "service", "env"], "group_wait": "0s"}
        return {
            "route": route | {"group_interval": self.group_interval, "repeat_interval": "1h"},
            "receivers": [receiver],
        }

    async def is_ours(self, session: aiohttp.ClientSession) -> bool:
        async with session.get("/api/v2/status") as answer:
            return self._receiver in (await answer.json())["config"]["original"]

    async def alert(
        self, labels: Mapping[str, str], *, annotations: Mapping[str, str] | None = None, resolved: bool = False
    ) -> None:
        """Fire an alert as Prometheus does, or end it."""
        body: dict[str, Any] = {"labels": dict(labels), "annotations": dict(annotations or {})}
        if resolved:
            body["endsAt"] = datetime.now(UTC).isoformat()
        async with (
            aiohttp.ClientSession(self.url, timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.post("/api/v2/alerts", json=[body]) as answer,
        ):
            if answer.status != 200:
                raise RuntimeError(f"Alertmanager answered {answer.status}: {await answer.text()}")

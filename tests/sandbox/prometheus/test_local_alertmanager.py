"""The real Alertmanager, fed by hand and by the real Prometheus."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from sandbox.prometheus import LocalAlertmanager, LocalPrometheus
from sandbox.serving import listen

RULES = """
groups:
  - name: alerts
    rules:
      - alert: Always
        expr: vector(1)
        labels: {service: shop, env: staging, severity: critical}
"""


class Hook:
    """A webhook that keeps what it is sent."""

    def __init__(self) -> None:
        self.posts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.tokens: list[str] = []

    async def take(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("Authorization", ""))
        self.posts.put_nowait(await request.json())
        return web.Response()


@pytest.mark.parametrize("source", ["by hand", "by Prometheus"])
async def test_an_alert_reaches_the_webhook_with_its_token(source: str) -> None:
    hook = Hook()
    runner, url = await listen([web.post("/webhooks/alertmanager", hook.take)], [], "127.0.0.1", 0)
    alertmanager = LocalAlertmanager(f"{url}/webhooks/alertmanager", bearer_token="hook-token")
    prometheus: LocalPrometheus | None = None
    try:
        await alertmanager.start()
        if source == "by hand":
            await alertmanager.alert({"alertname": "Always", "service": "shop", "env": "staging"})
        else:
            prometheus = LocalPrometheus(rules_text=RULES, alertmanager=alertmanager.address)
            await prometheus.start()
        post = await asyncio.wait_for(hook.posts.get(), 20)
        assert (post["status"], post["version"]) == ("firing", "4")
        assert post["alerts"][0]["labels"]["service"] == "shop"
        assert hook.tokens == ["Bearer hook-token"]
        if source == "by hand":
            await alertmanager.alert({"alertname": "Always", "service": "shop", "env": "staging"}, resolved=True)
            assert (await asyncio.wait_for(hook.posts.get(), 20))["status"] == "resolved"
    finally:
        if prometheus is not None:
            await prometheus.discard()
        await alertmanager.discard()
        await runner.cleanup()

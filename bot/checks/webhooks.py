"""What must be right for deliveries of GitHub: a secret that nobody guesses, where something is deployed by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bot.checks.findings import Finding, ok, warn
from bot.configuration.connections import Connections
from runbook.policy import Setting
from runbook.values import Environment
from runbook.wording import duration

NAME = "github.webhook"
_SHORTEST_SECRET = 16


def is_wanted(connections: Connections, setting: Setting) -> bool:
    """Where something is deployed by itself, or a secret is configured."""
    dev = Environment.DEV
    follows = dev in connections.clusters and any(dev in service.urls for service in setting.services.values())
    return connections.github.webhook_secret is not None or (follows and setting.policy.dev.auto_deploy)


async def check_webhook(connections: Connections, setting: Setting) -> AsyncIterator[Finding]:
    """Sends nothing. Raises Permanent where the secret has no value."""
    secret = connections.github.webhook_secret
    if secret is None:
        pace = duration(setting.policy.dev.poll_s)
        remedy = "Set GITHUB_WEBHOOK_SECRET and add a webhook to the repository (docs/webhooks.md)"
        yield warn(NAME, f"GitHub can't tell of pushes: what is green comes to dev up to {pace} later", remedy)
    elif len(secret.reveal()) < _SHORTEST_SECRET:
        remedy = "Take a longer one, such as `openssl rand -hex 32` gives, here and at GitHub"
        yield warn(NAME, f"the webhook's secret has fewer than {_SHORTEST_SECRET} characters", remedy)
    else:
        yield ok(NAME, "GitHub can tell of pushes at /webhooks/github")

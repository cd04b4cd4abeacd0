"""The doctor's look at the webhook's secret, and the secret's place in the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.checks import webhooks
from bot.checks.findings import Finding, State, carry_out
from bot.configuration.loading import Configuration, load
from state.checkpoints import new_private_key

FILE = """
slack: {channel: C0RELEASE1, team: T0FORGE}
roles: {service_owner: [U0ALICE]}
policy: {dev: {auto_deploy: AUTO, poll: 5m}}
services:
  shop:
    repository: acme/shop
    workloads: [{name: web, container: web, image: "r.test/acme/web"}]
    urls: {ENV: "http://127.0.0.1:9"}
    smoke: [{name: alive, path: /health/live}]
environments:
  ENV:
    kubernetes: {host: "http://127.0.0.1:9", namespace: dev}
    prometheus: {url: "http://127.0.0.1:9"}
integrations:
  github: {HOOK}
"""


def configured(
    folder: Path, *, auto: bool = True, env: str = "dev", hook: str = "", environ: dict[str, str] | None = None
) -> Configuration:
    path = folder / "forge.yaml"
    path.write_text(FILE.replace("AUTO", str(auto).lower()).replace("ENV", env).replace("HOOK", hook))
    given = {"FORGE_AUDIT_KEY": new_private_key(), "FORGE_DATA_DIR": str(folder / "data"), **(environ or {})}
    return load(path, given)


async def findings(configuration: Configuration) -> list[Finding]:
    """None where nothing is looked at."""
    connections, setting = configuration.connections, configuration.setting
    if not webhooks.is_wanted(connections, setting):
        return []
    return await carry_out(webhooks.NAME, lambda: webhooks.check_webhook(connections, setting), 10)


async def test_a_missing_secret_is_a_warning_where_something_is_deployed_by_itself(tmp_path: Path) -> None:
    (found,) = await findings(configured(tmp_path))
    assert found.state is State.WARN
    assert "up to 5 min later" in found.text
    assert "GITHUB_WEBHOOK_SECRET" in found.remedy


async def test_a_short_secret_is_a_warning_and_is_not_shown(tmp_path: Path) -> None:
    (found,) = await findings(configured(tmp_path, environ={"GITHUB_WEBHOOK_SECRET": "hunter2"}))
    assert found.state is State.WARN
    assert "fewer than 16" in found.text
    assert "hunter2" not in found.text + found.remedy


async def test_a_long_secret_is_well(tmp_path: Path) -> None:
    (found,) = await findings(configured(tmp_path, environ={"GITHUB_WEBHOOK_SECRET": "s" * 32}))
    assert found.state is State.OK


async def test_a_secret_that_is_named_and_has_no_value_is_a_failure(tmp_path: Path) -> None:
    (found,) = await findings(configured(tmp_path, hook="webhook_secret: {env: NOT_THERE}"))
    assert found.state is State.FAIL


@pytest.mark.parametrize(("auto", "env"), [(False, "dev"), (True, "staging")])
async def test_where_nothing_is_deployed_by_itself_no_secret_is_missed(tmp_path: Path, auto: bool, env: str) -> None:
    assert await findings(configured(tmp_path, auto=auto, env=env)) == []


def test_the_secret_may_stand_in_another_variable_or_a_file_and_is_known_for_redaction(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    for hook, environ in (
        ("webhook_secret: {env: HOOK}", {"HOOK": "from a file", "GITHUB_WEBHOOK_SECRET": "another"}),
        ("webhook_secret: {file: secret}", {}),
        ("", {"GITHUB_WEBHOOK_SECRET": "from a file"}),
    ):
        connections = configured(tmp_path, hook=hook, environ=environ).connections
        assert connections.github.webhook_secret is not None
        assert connections.github.webhook_secret.reveal() == "from a file"
        assert "integrations.github.webhook_secret" in connections.secrets

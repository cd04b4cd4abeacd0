"""The whole bot with a local Slack and a local PagerDuty: who is on call reaches roles, mentions and `/forge oncall`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bot.assembly import Bot
from bot.configuration.loading import load
from runbook.values import Role
from sandbox.pagerduty import LocalPagerDuty
from sandbox.serving import until
from sandbox.slack import LocalSlack
from state.checkpoints import new_private_key
from state.store import open_store

CHANNEL = "C0RELEASE1"
FILE = """
slack: {{channel: C0RELEASE1, team: T0FORGE, api_url: "{slack}"}}
roles: {{service_owner: [U0ALICE], on_call: [U0ALICE]}}
services:
  shop:
    repository: acme/shop
    workloads: [{{name: web, container: web, image: registry.test/acme/web}}]
    urls: {{staging: "http://127.0.0.1:9"}}
environments:
  staging:
    kubernetes: {{host: "http://127.0.0.1:9", namespace: staging}}
    prometheus: {{url: "http://127.0.0.1:9"}}
integrations:
  pagerduty: {{schedule: PSHOP, api_url: "{pagerduty}"}}
server: {{port: 0}}
"""


async def wait(condition: Callable[[], bool], what: str) -> None:
    async def holds() -> bool:
        return condition()

    await until(holds, 90, what)


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    made = LocalSlack()
    made.add_user("U0ALICE", "alice", email="alice@acme.test")
    made.add_user("U0OLGA", "olga", email="olga@acme.test")
    made.add_channel(CHANNEL, "releases", ["U0ALICE", "U0OLGA"])
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def pagerduty() -> AsyncIterator[LocalPagerDuty]:
    made = LocalPagerDuty()
    made.add_user("POLGA", "Olga of PagerDuty", "olga@acme.test")
    made.add_schedule("PSHOP", "Shop primary")
    made.put_on_call("PSHOP", "POLGA")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def bot(tmp_path: Path, slack: LocalSlack, pagerduty: LocalPagerDuty) -> AsyncIterator[Bot]:
    path = tmp_path / "forge.yaml"
    path.write_text(FILE.format(slack=slack.api_url, pagerduty=pagerduty.url), encoding="utf-8")
    environ = {
        "FORGE_DATA_DIR": str(tmp_path / "data"),
        "FORGE_AUDIT_KEY": new_private_key(),
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "PAGERDUTY_TOKEN": pagerduty.token,
    }
    configuration = load(path, environ)
    store = open_store("", data_dir=tmp_path / "data", ballast_bytes=0)
    made = Bot(configuration, store)
    await made.start()
    await wait(lambda: slack.connection_state() == "connected", "the bot listens")
    yield made
    await made.stop()
    store.close()


async def test_the_schedule_reaches_mentions_roles_and_the_command(bot: Bot, slack: LocalSlack) -> None:
    await wait(lambda: bot.settings.current.on_call == ("U0OLGA",), "mentions know who is on call")
    assert Role.ON_CALL in (await bot.directory.actor("T0FORGE", "U0OLGA")).roles
    assert Role.ON_CALL not in (await bot.directory.actor("T0FORGE", "U0ALICE")).roles
    await slack.command("U0ALICE", "oncall", channel_id=CHANNEL)
    await wait(lambda: any("On call: olga" in m.text for m in slack.workspace.ephemerals), "the caller is told")

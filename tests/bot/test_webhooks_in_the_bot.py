"""The whole bot with local stand-ins: GitHub's own deliveries and another CI system's results lead to a run in dev, and a forged one to nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.assembly import Bot
from bot.configuration.loading import load
from engine.records import CiResult, Delivery, Run
from runbook.values import FORGE
from sandbox.github import LocalGitHub
from sandbox.registry import LocalRegistry
from sandbox.serving import until
from sandbox.slack import LocalSlack
from state.checkpoints import new_private_key
from state.store import open_store

REPOSITORY = "acme/shop"
SECRET, TOKEN = "s" * 32, "c" * 32
FILE = """
slack: {{channel: C0RELEASE1, team: T0FORGE, api_url: "{slack}"}}
roles: {{service_owner: [U0ALICE]}}
policy:
  dev: {{settle: 0.2s, poll: 10m}}
services:
  shop:
    repository: acme/shop
    required_checks: [build]
    workloads: [{{name: web, container: web, image: "{registry}/acme/web"}}]
    urls: {{dev: "http://127.0.0.1:9"}}
    secrets: {{buyer: {{env: GITHUB_TOKEN}}}}
    smoke: [{{name: order, path: /api/orders, token: buyer}}]
environments:
  dev:
    kubernetes: {{host: "http://127.0.0.1:9", namespace: dev}}
    prometheus: {{url: "http://127.0.0.1:9"}}
integrations:
  github: {{api_url: "{github}"}}
  registry: {{insecure_hosts: ["{registry}"]}}
server: {{port: 0}}
"""


@dataclass
class Town:
    bot: Bot
    github: LocalGitHub
    registry: LocalRegistry

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.bot.server.port}/webhooks"

    def rows(self, kind: Any) -> list[Any]:
        return self.bot.store.read_now(lambda ledger: ledger.find(kind))

    def commit(self) -> str:
        """On main, with its image."""
        sha = self.github.commit(REPOSITORY)
        self.registry.push("acme/web", sha)
        return sha

    async def send(self, path: str, body: Any, **headers: str) -> int:
        given = {"Content-Type": "application/json", **headers}
        url = f"{self.address}/{path}"
        async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=given) as answer:
            await answer.read()
            return answer.status


async def wait(condition: Callable[[], bool], what: str) -> None:
    async def holds() -> bool:
        return condition()

    await until(holds, 90, what)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    slack, github, registry = LocalSlack(), LocalGitHub(), LocalRegistry()
    slack.add_user("U0ALICE", "alice")
    slack.add_channel("C0RELEASE1", "releases", ["U0ALICE"])
    for part in (slack, github, registry):
        await part.start()
    first = github.commit(REPOSITORY)
    github.set_checks(REPOSITORY, first, {"build": "failure"})
    path = tmp_path / "forge.yaml"
    path.write_text(FILE.format(slack=slack.api_url, github=github.url, registry=registry.host), encoding="utf-8")
    environ = {
        "FORGE_DATA_DIR": str(tmp_path / "data"),
        "FORGE_AUDIT_KEY": new_private_key(),
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "GITHUB_TOKEN": github.token,
        "GITHUB_WEBHOOK_SECRET": SECRET,
        "FORGE_CI_TOKEN": TOKEN,
    }
    store = open_store("", data_dir=tmp_path / "data", ballast_bytes=0)
    bot = Bot(load(path, environ), store)
    await bot.start()
    # What is pushed now is not seen by the look at the start: the list that it decides about is read. The next comes by itself in ten minutes.
    await wait(lambda: any(first in asked.path for asked in github.requests), "the look at the start")
    yield Town(bot, github, registry)
    await bot.stop()
    for part in (slack, github, registry):
        await part.stop()
    store.close()


async def test_a_push_and_its_green_ci_bring_the_commit_to_dev(town: Town) -> None:
    town.github.add_hook(REPOSITORY, f"{town.address}/github", SECRET)
    sha = town.commit()
    ci = town.github.begin_ci(REPOSITORY, sha, ["build"])
    await town.github.hooks.settled(90)
    assert town.rows(Run) == []
    town.github.conclude_ci(REPOSITORY, ci)
    await wait(lambda: bool(town.rows(Run)), "a run was opened")
    (run,) = town.rows(Run)
    assert (run.version, run.requester, run.environment) == (sha[:12], FORGE.id, "dev")
    await town.github.hooks.settled(90)
    assert {each.status_code for each in town.github.hooks.deliveries} == {200, 202}
    first = next(each for each in town.github.hooks.deliveries if each.event == "push")
    again = town.github.redeliver(first.guid)
    await town.github.hooks.settled(90)
    assert again.status_code == 200
    assert len([row for row in town.rows(Delivery) if row.guid == first.guid]) == 1


async def test_a_hook_with_another_secret_is_refused_and_nothing_is_deployed(town: Town) -> None:
    town.github.add_hook(REPOSITORY, f"{town.address}/github", "another secret")
    sha = town.commit()
    town.github.set_checks(REPOSITORY, sha, {"build": "success"})
    await town.github.hooks.settled(90)
    assert {each.status_code for each in town.github.hooks.deliveries} == {401}
    assert town.rows(Delivery) == []
    assert town.rows(Run) == []


async def test_another_ci_systems_result_brings_the_commit_to_dev(town: Town) -> None:
    sha = town.commit()
    result = {"kind": "result", "repository": REPOSITORY, "commit": sha, "name": "build", "state": "success"}
    assert await town.send("ci", result) == 401
    assert await town.send("ci", result, Authorization=f"Bearer {TOKEN}") == 201
    await wait(lambda: bool(town.rows(Run)), "a run was opened")
    assert [row.state for row in town.rows(CiResult)] == ["success"]
    assert await town.send("ci", result, Authorization=f"Bearer {TOKEN}") == 200

"""Integrations are built from the configuration alone, when they are first asked for."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from bot.adapters import Adapters, credentials_of
from bot.configuration.connections import ClusterConnection, Secret
from bot.configuration.loading import load
from engine.clock import SteadyClock
from integrations.kubernetes import Direct, InCluster, Kubeconfig
from runbook.errors import Permanent
from runbook.ports import Memory
from runbook.values import Environment

EXAMPLE = Path(__file__).parents[2] / "examples" / "forge.yaml"


class NothingSeen:
    """A memory without any tag."""

    async def first_seen(self, service: str, tag: str) -> tuple[str, str] | None:
        return None

    async def remember_tag(self, service: str, tag: str, tag_object: str, commit: str) -> None: ...


async def test_every_port_is_there_for_every_environment() -> None:
    adapters = Adapters(load(EXAMPLE, {}).connections)
    memory: Memory = NothingSeen()
    ports = adapters.ports(SteadyClock(), memory)
    assert set(ports.clusters) == set(ports.metrics) == set(Environment)
    assert isinstance(ports.clock.now(), datetime)
    await adapters.aclose()


async def test_environments_with_one_prometheus_share_its_connections(tmp_path: Path) -> None:
    text = EXAMPLE.read_text().replace("https://prometheus.staging.example", "https://prometheus.example")
    (tmp_path / "forge.yaml").write_text(text)
    adapters = Adapters(load(tmp_path / "forge.yaml", {}).connections)
    assert adapters.metrics[Environment.STAGING] is adapters.metrics[Environment.PROD]
    await adapters.aclose()


async def test_a_missing_bot_token_is_told_by_name() -> None:
    with pytest.raises(Permanent, match="SLACK_BOT_TOKEN"):
        _ = Adapters(load(EXAMPLE, {}).connections).slack


def test_a_cluster_is_reached_the_way_it_is_configured() -> None:
    token = Secret("TOKEN", None, {"TOKEN": "abc"})
    assert credentials_of(ClusterConnection("shop", in_cluster=True)) == InCluster()
    assert credentials_of(ClusterConnection("shop", context="prod")) == Kubeconfig(None, "prod")
    direct = credentials_of(ClusterConnection("shop", host="https://api.example", token=token))
    assert isinstance(direct, Direct)
    assert direct.token is not None
    assert direct.token() == "abc"

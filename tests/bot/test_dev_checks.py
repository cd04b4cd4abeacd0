"""The doctor's look at dev: how small it is, and whether anything of production is named there. Against the cluster stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.adapters import Adapters
from bot.checks import dev
from bot.checks.dev_isolation import judge_place, judge_servers, names_host
from bot.checks.findings import Check, Finding, State, carry_out
from bot.configuration.loading import load
from runbook.backups import ServerFacts
from runbook.values import Environment
from sandbox.kubernetes import LocalKubernetes, Rule, User
from state.checkpoints import new_private_key

TOKEN = "a-token-nobody-may-see"
LIMITS = {"cpu": "250m", "memory": "256Mi"}


@dataclass
class Town:
    """Two clusters in one process: dev's and production's namespaces of one API server."""

    kubernetes: LocalKubernetes
    folder: Path
    dev_namespace: str = "dev"
    profile: str = "profile: {max_replicas: 1, max_cpu: 500m, max_memory: 512Mi}"
    isolation: str = ""
    databases: str = ""
    environ: dict[str, str] = field(default_factory=lambda: {"FORGE_AUDIT_KEY": new_private_key(), "WORD": "word"})

    def deploy(
        self, namespace: str, replicas: int = 1, limits: Mapping[str, str] | None = None, **container: Any
    ) -> None:
        given = LIMITS if limits is None else limits
        web = {"name": "web", "image": "registry.local/web:1", "resources": {"limits": dict(given)}, **container}
        pods = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [web]}}
        spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": pods}
        metadata = {"name": "web", "namespace": namespace}
        self.kubernetes.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})

    def configuration(self) -> Path:
        cluster = f'host: "{self.kubernetes.url}", token: {{env: WORD}}'
        text = f"""
slack: {{channel: C0RELEASE1, team: T0FORGE}}
services:
  shop:
    repository: acme/shop
    workloads: [{{name: web, container: web, image: registry.local/acme/web}}]
    urls: {{dev: "http://127.0.0.1:9", prod: "http://127.0.0.1:9"}}
environments:
  dev:
    kubernetes: {{{cluster}, namespace: {self.dev_namespace}}}
    {self.profile}
    {self.isolation}
  prod:
    kubernetes: {{{cluster}, namespace: prod}}
integrations:
  prometheus: {{url: "http://127.0.0.1:9"}}
  {self.databases}
"""
        path = self.folder / "forge.yaml"
        path.write_text(text)
        return path

    async def asked(self, name: str) -> list[Finding]:
        """name: `profile` or `isolation`."""
        found = load(self.configuration(), {**self.environ, "FORGE_DATA_DIR": str(self.folder / "data")})
        adapters = Adapters(found.connections)
        function = dev.check_profile if name == "profile" else dev.check_isolation
        check: Check = lambda: function(adapters, found.connections, found.setting)  # noqa: E731
        assert dev.has_dev(found.connections, found.setting)
        findings = await carry_out(name, check, 120)
        await adapters.aclose()
        return findings


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    local = LocalKubernetes(tokens={"word": User.admin()})
    await local.start()
    made = Town(local, tmp_path)
    made.deploy("dev")
    made.deploy("prod", replicas=3, limits={"cpu": "1", "memory": "1Gi"})
    yield made
    await local.stop()


def bad(findings: list[Finding]) -> list[str]:
    assert all(finding.remedy for finding in findings if finding.state is not State.OK)
    return [finding.text for finding in findings if finding.state is not State.OK]


# --- the profile ----------------------------------------------------------------------------------------------------------


async def test_a_small_dev_keeps_to_its_profile(town: Town) -> None:
    findings = await town.asked("profile")
    assert bad(findings) == []
    assert [finding.text for finding in findings] == [
        "web keeps to dev's profile: 1 × 0.25 CPU and 268 MB",
        "web is smaller in dev than in prod: 1 × 0.25 CPU and 268 MB, in prod 3 × 1 CPU and 1.07 GB",
    ]


@pytest.mark.parametrize(
    ("replicas", "limits", "words"),
    [
        (2, LIMITS, "2 replicas, at most 1 in dev"),
        (1, {"cpu": "2", "memory": "1Mi"}, "its pods may use 2 cores, at most 0.5 cores in dev"),
        (1, {"cpu": "1m", "memory": "1Gi"}, "its pods may use 1.07 GB, at most 537 MB in dev"),
        (1, {"memory": "1Mi"}, "a container without a CPU limit may use all of its node"),
        (1, {}, "a container without a memory limit may use all of its node"),
    ],
)
async def test_what_is_over_the_profile_is_told_with_the_remedy(
    town: Town, replicas: int, limits: dict[str, str], words: str
) -> None:
    town.deploy("dev", replicas, limits)
    findings = await town.asked("profile")
    assert any(text == f"web: {words}" for text in bad(findings))
    assert State.FAIL in {finding.state for finding in findings}


async def test_a_dev_as_big_as_production_is_a_warning(town: Town) -> None:
    town.profile = "profile: {max_replicas: 9, max_cpu: '9', max_memory: 9Gi}"
    town.deploy("dev", 3, {"cpu": "1", "memory": "1Gi"})
    assert bad(await town.asked("profile")) == ["web is no smaller in dev than in prod: 3 × 1 CPU and 1.07 GB"]
    town.deploy("dev", 3, {"cpu": "2", "memory": "1Mi"})
    assert bad(await town.asked("profile")) == [
        "web has more CPU in dev than in prod: 3 × 2 CPU and 1.05 MB, in prod 3 × 1 CPU and 1.07 GB"
    ]


async def test_without_a_profile_it_is_asked_for(town: Town) -> None:
    town.profile = ""
    assert bad(await town.asked("profile")) == ["nothing says how small dev is to be"]


# --- isolation --------------------------------------------------------------------------------------------------------------

PROD_DATABASE = """postgres:
    databases:
      prod: {shop: {host: db.example, name: shop, user: forge, password: {env: WORD}}}"""


async def test_a_dev_of_its_own_reaches_nothing_of_production(town: Town) -> None:
    town.databases = PROD_DATABASE
    town.deploy("dev", env=[{"name": "DATABASE", "value": "postgres://shop@db.dev.example/shop"}])
    findings = await town.asked("isolation")
    assert bad(findings) == []
    assert findings[0].text == "dev is another namespace (dev) than prod's"
    assert findings[-1].text == "nothing that web is given in the open names a host of production's"


async def test_production_s_namespace_is_no_dev(town: Town) -> None:
    town.dev_namespace = "prod"
    secret = {"name": "DATABASE", "valueFrom": {"secretKeyRef": {"name": "shop-database", "key": "url"}}}
    town.deploy("prod", env=[secret])
    found = bad(await town.asked("isolation"))
    assert found[0].startswith("dev and prod are the same namespace prod of http://")
    assert found[1] == "web of dev names shop-database, which production's pods use"


async def test_a_secret_that_may_be_shared_is_named_in_the_file(town: Town) -> None:
    town.dev_namespace = "prod"
    town.isolation = "isolation: {shared_secrets: [registry-login]}"
    town.deploy("prod", envFrom=[{"secretRef": {"name": "registry-login"}}])
    found = bad(await town.asked("isolation"))
    assert len(found) == 1
    assert "same namespace" in found[0]


@pytest.mark.parametrize(
    "container",
    [
        {"env": [{"name": "DATABASE", "value": "postgres://shop:hunter2@db.example:5432/shop"}]},
        {"args": ["--database-host=DB.EXAMPLE"]},
        {"command": ["serve", "db.example"]},
    ],
)
async def test_production_s_database_in_the_open_is_told_without_its_password(
    town: Town, container: dict[str, Any]
) -> None:
    town.databases = PROD_DATABASE
    town.deploy("dev", **container)
    (text,) = bad(await town.asked("isolation"))
    assert text.endswith("names db.example, which is production's")
    assert "hunter2" not in text


async def test_a_config_map_of_dev_is_read_too(town: Town) -> None:
    town.databases = PROD_DATABASE
    metadata = {"name": "settings", "namespace": "dev"}
    data = {"application.yaml": "database:\n  host: db.example\n"}
    town.kubernetes.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    town.deploy("dev", envFrom=[{"configMapRef": {"name": "settings"}}])
    assert bad(await town.asked("isolation")) == [
        "web of dev (ConfigMap settings, application.yaml) names db.example, which is production's"
    ]


async def test_a_config_map_that_may_not_be_read_is_a_warning(town: Town, tmp_path: Path) -> None:
    rules = (Rule(("get", "list"), ("deployments",), ("apps",), ("dev", "prod")),)
    local = LocalKubernetes(tokens={"word": User("forge", rules=rules)})
    await local.start()
    other = Town(local, tmp_path)
    other.deploy("dev", envFrom=[{"configMapRef": {"name": "settings"}}])
    findings = await other.asked("isolation")
    await local.stop()
    assert bad(findings) == ["forge may not read the ConfigMap settings of web: what it names is not known"]
    assert "deploy/dev.yaml" in next(f.remedy for f in findings if f.state is State.WARN)


async def test_hosts_beside_the_databases_can_be_named(town: Town) -> None:
    town.isolation = "isolation: {production_hosts: [pay.example]}"
    town.deploy("dev", env=[{"name": "PAY", "value": "https://pay.example/v1"}])
    assert bad(await town.asked("isolation")) == [
        "web of dev (web, variable PAY) names pay.example, which is production's"
    ]


async def test_forges_own_databases_of_dev_and_production_are_two(town: Town) -> None:
    database = "{shop: {host: db.example, name: shop, user: forge, password: {env: WORD}}}"
    town.databases = f"""postgres:
    databases:
      dev: {database}
      prod: {database}"""
    assert bad(await town.asked("isolation")) == [
        "the database of shop in dev is that of shop in prod: db.example:5432/shop"
    ]


def facts(identity: str, name: str = "shop") -> ServerFacts:
    return ServerFacts(170006, "17.6", identity, 1, False, 1, "0/1", "replica", None, True, datetime.now(UTC), name)


def test_a_server_under_another_name_is_known_by_its_identity() -> None:
    here, there = ("shop", Environment.DEV), ("shop", Environment.PROD)
    assert [f.state for f in judge_servers({here: facts("7"), there: facts("7")})] == [State.FAIL]
    assert list(judge_servers({here: facts("8"), there: facts("7")})) == []
    assert list(judge_servers({here: facts("7", "shop_dev"), there: facts("7")})) == []
    assert list(judge_servers({here: facts("7")})) == []


def test_another_cluster_is_another_place_whatever_its_namespace() -> None:
    assert judge_place(("https://a", "shop"), ("https://b", "shop")).state is State.OK
    assert judge_place(("https://a", "shop"), ("https://a", "shop")).state is State.FAIL


@pytest.mark.parametrize(
    ("text", "is_named"),
    [
        ("db.example", True), ("postgres://u@db.example:5432/x", True), ("host=db.example user=x", True),
        ("DB.Example", True), ("see db.example.", True), ("db.example,db2.example", True),
        ("olddb.example", False), ("db.example.test", False), ("db.example-2", False), ("a-db.example", False),
        ("dbXexample", False), ("", False),
    ],
)  # fmt: skip
def test_a_host_is_found_as_a_whole_name(text: str, is_named: bool) -> None:
    assert names_host(text, "db.example") is is_named

"""`python -m tests.conformance.stand_ins`: the sandbox's systems in a process of their own; prints what a user would put into the environment.

The tests are given these addresses and nothing else: they can't tell a stand-in from the real thing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import signal
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from sandbox.github import LocalGitHub
from sandbox.kubernetes import LocalKubernetes, ScriptedRuntime
from sandbox.pagerduty import LocalPagerDuty
from sandbox.postgres import LocalPostgres
from sandbox.prometheus import LocalPrometheus
from sandbox.registry import LocalRegistry
from sandbox.signing import SshSigner
from sandbox.slack import LocalSlack
from sandbox.world import staff
from tests.fakes.atomic_s3 import start_moto

REPOSITORY, TAG = "acme/shop", "v1.4.0-rc.2"
OLD, NEW = (f"registry.local/web@sha256:{sign * 64}" for sign in "ab")
TOOLS = f"registry.local/tools@sha256:{'c' * 64}"


def programs(image: str) -> tuple[str, ...] | None:
    """The tools' image runs what it is told to, as an image without an entrypoint does."""
    return ("env",) if image == TOOLS else None


def deployment() -> dict[str, Any]:
    web = {
        "name": "web",
        "image": OLD,
        "env": [{"name": "GREETING", "value": "hello"}],
        "readinessProbe": {"httpGet": {"path": "/health/ready", "port": 8080}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health/live", "port": 8080}, "periodSeconds": 2},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "conformance"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [web, {"name": "proxy", "image": "registry.local/proxy:1.0"}]},
            },
        },
    }


def tracked() -> list[dict[str, Any]]:
    """A Deployment that is told by its track, its Services, and an HTTPRoute with another rule beside theirs."""
    shop = deployment()
    labels = {"app": "shop", "forge/track": "stable"}
    shop["metadata"]["name"] = "shop"
    shop["spec"]["selector"] = {"matchLabels": labels}
    shop["spec"]["template"]["metadata"] = {"labels": labels}
    place = {"namespace": "conformance"}
    services = [
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, **place},
            "spec": {"selector": {"app": "shop", "forge/track": track}, "ports": [{"port": 8080}]},
        }
        for name, track in (("shop", "stable"), ("shop-canary", "canary"))
    ]  # fmt: skip
    gateway = {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "edge", **place},
        "spec": {"gatewayClassName": "sandbox", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
    }  # fmt: skip
    refs = [{"name": "shop", "port": 8080, "weight": 100}, {"name": "shop-canary", "port": 8080, "weight": 0}]
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "shop", **place},
        "spec": {
            "parentRefs": [{"name": "edge"}],
            "rules": [
                {"matches": [{"path": {"type": "PathPrefix", "value": "/old"}}], "backendRefs": refs[:1]},
                {"backendRefs": refs},
            ],
        },
    }  # fmt: skip
    return [shop, *services, gateway, route]


async def kubernetes(open_: contextlib.AsyncExitStack, folder: Path) -> dict[str, str]:
    local = LocalKubernetes(runtime=ScriptedRuntime(), time_scale=0.02, programs=programs)
    await local.start()
    open_.push_async_callback(local.stop)
    path = local.kubeconfig(folder / "kubeconfig", contexts={"conformance": "conformance"})
    for manifest in (deployment(), *tracked()):
        local.apply(manifest)
    return {
        "CONFORMANCE_KUBECONFIG": str(path),
        "CONFORMANCE_KUBE_CONTEXT": "conformance",
        "CONFORMANCE_NAMESPACE": "conformance",
        "CONFORMANCE_DEPLOYMENT": "web",
        "CONFORMANCE_CONTAINER": "web",
        "CONFORMANCE_OTHER_IMAGE": NEW,
        "CONFORMANCE_JOB_IMAGE": TOOLS,
        "CONFORMANCE_TRACKED": "shop",
        "CONFORMANCE_ROUTE": "shop",
    }


async def prometheus(open_: contextlib.AsyncExitStack, folder: Path) -> dict[str, str]:
    real = LocalPrometheus(folder=folder / "prometheus")
    await real.start()
    open_.push_async_callback(real.stop)
    return {"CONFORMANCE_PROMETHEUS_URL": real.url}


async def github(open_: contextlib.AsyncExitStack) -> dict[str, str]:
    local = LocalGitHub()
    await local.start()
    open_.push_async_callback(local.stop)
    commit = local.commit(REPOSITORY, "Sell tongs", files={"README.md": "# The shop\n", "docs/a.md": "A page\n"})
    local.tag(REPOSITORY, TAG, commit, signer=SshSigner.generate("releases@acme.test"))
    local.set_checks(REPOSITORY, commit, {"build": "success"})
    local.set_code_scanning(REPOSITORY, commit, {"py/sql-injection": "critical", "py/log-injection": "medium"})
    for number in range(3):
        topic = local.commit(
            REPOSITORY, f"Try {number}", parent=commit, branch=f"try-{number}", files={f"{number}": ""}
        )
        pull = local.pull_request(REPOSITORY, f"Sell more ({number})", [topic], merged=False, head=f"try-{number}")
        local.merge(REPOSITORY, pull.number, squash=number == 1)
    return {
        "CONFORMANCE_GITHUB_URL": local.url,
        "CONFORMANCE_GITHUB_TOKEN": local.token,
        "CONFORMANCE_GITHUB_REPOSITORY": REPOSITORY,
        "CONFORMANCE_GITHUB_TAG": TAG,
        "CONFORMANCE_GITHUB_SCRATCH": REPOSITORY,
    }


async def registry(open_: contextlib.AsyncExitStack) -> dict[str, str]:
    local = LocalRegistry()
    await local.start()
    open_.push_async_callback(local.stop)
    local.push("acme/web", TAG)
    return {"CONFORMANCE_IMAGE": f"{local.host}/acme/web", "CONFORMANCE_IMAGE_TAG": TAG}


async def slack(open_: contextlib.AsyncExitStack) -> dict[str, str]:
    local = LocalSlack()
    await local.start()
    open_.push_async_callback(local.stop)
    staff.settle(local)
    return {
        "CONFORMANCE_SLACK_API_URL": local.api_url,
        "CONFORMANCE_SLACK_BOT_TOKEN": local.bot_token,
        "CONFORMANCE_SLACK_APP_TOKEN": local.app_token,
        "CONFORMANCE_SLACK_CHANNEL": staff.RELEASES,
        "CONFORMANCE_SLACK_USER": staff.ADA,
        "CONFORMANCE_SLACK_USERGROUP": staff.ON_CALL,
    }


async def pagerduty(open_: contextlib.AsyncExitStack) -> dict[str, str]:
    local = LocalPagerDuty()
    await local.start()
    open_.push_async_callback(local.stop)
    local.add_user("POLGA", "Olga", "olga@acme.test")
    local.add_schedule("PSHOP", "Shop primary")
    local.put_on_call("PSHOP", "POLGA", end=datetime.now(UTC) + timedelta(hours=8))
    return {
        "CONFORMANCE_PAGERDUTY_URL": local.url,
        "CONFORMANCE_PAGERDUTY_TOKEN": local.token,
        "CONFORMANCE_PAGERDUTY_SCHEDULE": "PSHOP",
    }


async def database(open_: contextlib.AsyncExitStack) -> dict[str, str]:
    """Debian's, with TLS, and with a role as docs/operations.md has it made."""
    server = LocalPostgres(major=15, tcp=True, tls=True, segment_mib=1, settings=("max_slot_wal_keep_size=1GB",))
    await asyncio.to_thread(server.start)
    open_.callback(server.stop)
    word = secrets.token_urlsafe(12)
    await asyncio.to_thread(_fill, server, word)
    return {
        "CONFORMANCE_DATABASE_HOST": "127.0.0.1",
        "CONFORMANCE_DATABASE_PORT": str(server.port),
        "CONFORMANCE_DATABASE_NAME": "shop",
        "CONFORMANCE_DATABASE_USER": "forge_backup",
        "CONFORMANCE_DATABASE_PASSWORD": word,
        "CONFORMANCE_DATABASE_SSLROOTCERT": str(server.authority),
        "CONFORMANCE_DATABASE_COPY": "yes",
        "CONFORMANCE_DATABASE_WAL": "yes",
    }


def _fill(server: LocalPostgres, word: str) -> None:
    with psycopg.connect(server.url(), autocommit=True) as session:
        session.execute("CREATE ROLE forge_backup LOGIN REPLICATION IN ROLE pg_read_all_data, pg_monitor")
        session.execute(sql.SQL("ALTER ROLE forge_backup PASSWORD {}").format(sql.Literal(word)))
        session.execute("CREATE DATABASE shop")
    with psycopg.connect(server.url("shop"), autocommit=True) as session:
        session.execute("GRANT EXECUTE ON FUNCTION pg_switch_wal() TO forge_backup")
        session.execute("CREATE TABLE orders AS SELECT g AS id FROM generate_series(1, 1000) g")


async def storage(open_: contextlib.AsyncExitStack) -> dict[str, str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = await asyncio.to_thread(start_moto)
    open_.callback(server.stop)
    host, port = server.get_host_and_port()
    bucket = urllib.request.Request(f"http://{host}:{port}/backups", method="PUT")
    await asyncio.to_thread(lambda: urllib.request.urlopen(bucket).close())
    return {
        "CONFORMANCE_STORAGE": "s3://backups/somewhere",
        "CONFORMANCE_STORAGE_ENDPOINT": f"http://{host}:{port}",
        "CONFORMANCE_STORAGE_REGION": "us-east-1",
        "CONFORMANCE_STORAGE_ACCESS_KEY_ID": "AKIACONFORMANCE00000",
        "CONFORMANCE_STORAGE_SECRET_ACCESS_KEY": "not-for-anybody",
    }


async def main(folder: Path) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with contextlib.AsyncExitStack() as open_:
        addresses = {
            **await kubernetes(open_, folder),
            **await prometheus(open_, folder),
            **await github(open_),
            **await registry(open_),
            **await slack(open_),
            **await pagerduty(open_),
            **await database(open_),
            **await storage(open_),
        }
        sys.stdout.write(json.dumps(addresses) + "\n")
        sys.stdout.flush()
        await stopping.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

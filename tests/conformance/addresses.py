"""Where the systems are that the contracts are tested against: CONFORMANCE_* variables, then a forge.yaml, else the stand-ins.

docs/conformance.md explains each variable. Nothing here opens a connection, and no value of a token is ever shown.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from integrations.children import ending_with_us

if TYPE_CHECKING:
    from bot.configuration.connections import DatabaseConnection, PagerdutyConnection

DATABASE = ("CONFORMANCE_DATABASE_HOST", "CONFORMANCE_DATABASE_NAME", "CONFORMANCE_DATABASE_USER")

NEEDED: Mapping[str, tuple[str, ...]] = {
    "kubernetes": ("CONFORMANCE_NAMESPACE", "CONFORMANCE_DEPLOYMENT", "CONFORMANCE_CONTAINER"),
    "changing": ("CONFORMANCE_OTHER_IMAGE", "CONFORMANCE_NAMESPACE", "CONFORMANCE_DEPLOYMENT", "CONFORMANCE_CONTAINER"),
    "traffic": ("CONFORMANCE_ROUTE", "CONFORMANCE_TRACKED", "CONFORMANCE_NAMESPACE"),
    "jobs": ("CONFORMANCE_JOB_IMAGE", "CONFORMANCE_NAMESPACE"),
    "prometheus": ("CONFORMANCE_PROMETHEUS_URL",),
    "github": ("CONFORMANCE_GITHUB_REPOSITORY", "CONFORMANCE_GITHUB_TAG"),
    "marking": ("CONFORMANCE_GITHUB_SCRATCH", "CONFORMANCE_GITHUB_TOKEN"),
    "registry": ("CONFORMANCE_IMAGE", "CONFORMANCE_IMAGE_TAG"),
    "pagerduty": ("CONFORMANCE_PAGERDUTY_TOKEN", "CONFORMANCE_PAGERDUTY_SCHEDULE"),
    "database": DATABASE,
    "database_copies": (*DATABASE, "CONFORMANCE_DATABASE_COPY"),
    "database_wal": (*DATABASE, "CONFORMANCE_DATABASE_WAL"),
    "storage": ("CONFORMANCE_STORAGE",),
    "slack": ("CONFORMANCE_SLACK_BOT_TOKEN", "CONFORMANCE_SLACK_APP_TOKEN", "CONFORMANCE_SLACK_CHANNEL"),
}
"""A contract is tested when all of its variables have a value. `changing`: those Kubernetes contracts that change an image and put it back.
`marking`: what is written at GitHub."""

Addresses = Mapping[str, str]


def given(environ: Addresses) -> dict[str, str]:
    """What the user named: CONFORMANCE_* as they are; with FORGE_CONFIG what its forge.yaml says, where a variable doesn't."""
    named = {name: value for name, value in environ.items() if name.startswith("CONFORMANCE_") and value}
    if environ.get("FORGE_CONFIG"):
        named = {**_of_configuration(Path(environ["FORGE_CONFIG"]), environ), **named}
    return named


def tested(addresses: Addresses) -> set[str]:
    """The contracts whose variables are all there."""
    return {name for name, variables in NEEDED.items() if all(addresses.get(each) for each in variables)}


def _of_configuration(path: Path, environ: Addresses) -> dict[str, str]:
    """The first service in staging. Never the release channel: what is posted for a test belongs into a test's channel."""
    from bot.configuration.loading import load
    from runbook.values import Environment

    found = load(path, environ)
    connections, service = found.connections, next(iter(found.setting.services.values()))
    cluster, metrics = connections.clusters[Environment.STAGING], connections.prometheus.get(Environment.STAGING)
    workload = service.workloads[0]
    by_kubeconfig = not (cluster.host or cluster.in_cluster)  # else the kubeconfig that lies about is another cluster's
    values = {
        "CONFORMANCE_KUBECONFIG": str(cluster.kubeconfig or ""),
        "CONFORMANCE_KUBE_CONTEXT": cluster.context,
        "CONFORMANCE_NAMESPACE": cluster.namespace if by_kubeconfig else "",
        "CONFORMANCE_DEPLOYMENT": workload.name,
        "CONFORMANCE_CONTAINER": workload.container,
        "CONFORMANCE_PROMETHEUS_URL": metrics.url if metrics else "",
        "CONFORMANCE_PROMETHEUS_TOKEN": metrics.token.reveal() if metrics and metrics.token else "",
        "CONFORMANCE_GITHUB_URL": connections.github.api_url,
        "CONFORMANCE_GITHUB_TOKEN": connections.github.token.reveal() if connections.github.token else "",
        "CONFORMANCE_GITHUB_REPOSITORY": service.repository,
        "CONFORMANCE_IMAGE": workload.image,
        "CONFORMANCE_IMAGE_TAG": environ.get("CONFORMANCE_GITHUB_TAG", ""),
        **_of_pagerduty(connections.pagerduty),
        **_of_database(connections.postgres.databases.get((service.name, Environment.STAGING))),
        "CONFORMANCE_SLACK_API_URL": connections.slack.api_url,
        "CONFORMANCE_SLACK_BOT_TOKEN": connections.slack.bot_token.reveal(),
        "CONFORMANCE_SLACK_APP_TOKEN": connections.slack.app_token.reveal(),
    }
    return {name: value for name, value in values.items() if value}


def _of_database(found: DatabaseConnection | None) -> dict[str, str]:
    """To be looked at. Whether it is copied, or gets a slot, is never taken from a configuration, and neither is the place of its backups."""
    if found is None:
        return {}
    return {
        "CONFORMANCE_DATABASE_HOST": found.host,
        "CONFORMANCE_DATABASE_PORT": str(found.port),
        "CONFORMANCE_DATABASE_NAME": found.name,
        "CONFORMANCE_DATABASE_USER": found.user,
        "CONFORMANCE_DATABASE_PASSWORD": found.password.reveal() if found.password is not None else "",
        "CONFORMANCE_DATABASE_SSLMODE": found.sslmode,
        "CONFORMANCE_DATABASE_SSLROOTCERT": str(found.sslrootcert or ""),
    }


def _of_pagerduty(connection: PagerdutyConnection | None) -> dict[str, str]:
    if connection is None:
        return {}
    return {
        "CONFORMANCE_PAGERDUTY_URL": connection.api_url,
        "CONFORMANCE_PAGERDUTY_TOKEN": connection.token.reveal(),
        "CONFORMANCE_PAGERDUTY_SCHEDULE": connection.schedule,
    }


@contextmanager
def stand_ins(folder: Path) -> Iterator[dict[str, str]]:
    """The sandbox's addresses, until the block ends. Raises RuntimeError where they don't start."""
    command = ending_with_us([sys.executable, "-m", "tests.conformance.stand_ins", str(folder)])
    with (folder / "stand-ins.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=dict(os.environ))
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError((folder / "stand-ins.log").read_text(errors="replace")[-2000:])
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait(120)
        if process.stdout is not None:
            process.stdout.close()

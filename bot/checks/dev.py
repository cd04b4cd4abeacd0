"""Dev's lower resource profile and its distance from production, as the clusters have it. Reads only, and never a Secret."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from bot.adapters import Adapters
from bot.checks import dev_profile
from bot.checks.dev_isolation import (
    NAME,
    judge_databases,
    judge_place,
    judge_secrets,
    judge_servers,
    judge_values,
    production_hosts,
)
from bot.checks.dev_profile import judge_lower, judge_profile
from bot.checks.findings import Finding, of_error, ok, warn
from bot.configuration.connections import Connections
from bot.databases import DatabaseAdapters
from runbook.backups import ServerFacts
from runbook.errors import ForgeError
from runbook.policy import Setting
from runbook.values import Environment

if TYPE_CHECKING:
    from integrations.kubernetes import KubernetesCluster
    from integrations.kubernetes.templates import PodTemplate

DEV, PROD = Environment.DEV, Environment.PROD


def has_dev(connections: Connections, setting: Setting) -> bool:
    return DEV in connections.clusters and any(DEV in service.urls for service in setting.services.values())


async def check_profile(adapters: Adapters, connections: Connections, setting: Setting) -> AsyncIterator[Finding]:
    """What dev's workloads may use, against its profile and against production's."""
    cluster, prod = adapters.clusters[DEV], adapters.clusters.get(PROD)
    profile = connections.dev.profile
    if profile is None:
        remedy = "Write environments.dev.profile: {max_replicas, max_cpu, max_memory}"
        yield warn(dev_profile.NAME, "nothing says how small dev is to be", remedy)
    for name in _workloads(setting):
        found = await cluster.template(name)
        if found is None:
            continue  # the cluster's own check says so
        if profile is not None:
            for finding in judge_profile(found, profile):
                yield finding
        theirs = await _readable(prod, name)
        if theirs is not None:
            yield judge_lower(found, theirs)


async def check_isolation(adapters: Adapters, connections: Connections, setting: Setting) -> AsyncIterator[Finding]:
    """That nothing of production is named in dev: no namespace, no Secret, no database."""
    databases, bounds = connections.postgres.databases, connections.dev
    cluster, prod = adapters.clusters[DEV], adapters.clusters.get(PROD)
    same_place = False
    secrets: frozenset[str] = frozenset()
    if prod is None:
        yield ok(NAME, "no cluster of production is configured")
    else:
        here, there = await cluster.place(), await prod.place()
        same_place = here == there
        yield judge_place(here, there)
        for name in _workloads(setting):
            theirs = await _readable(prod, name)
            secrets |= theirs.secrets if theirs is not None else frozenset()
    hosts = production_hosts(databases, bounds.production_hosts, same_place=same_place)
    for name in _workloads(setting):
        found = await cluster.template(name)
        if found is None:
            continue
        yield judge_secrets(found, secrets, bounds.shared_secrets, same_place=same_place)
        values, unread = await _values(cluster, found)
        for finding in (*unread, *judge_values(name, values, hosts)):
            yield finding
    for finding in judge_databases(databases):
        yield finding
    facts = await _facts(adapters.postgres)
    for finding in judge_servers(facts):
        yield finding


def _workloads(setting: Setting) -> tuple[str, ...]:
    names = (w.name for service in setting.services.values() if DEV in service.urls for w in service.workloads)
    return tuple(dict.fromkeys(names))


async def _readable(prod: KubernetesCluster | None, workload: str) -> PodTemplate | None:
    """Production's of the same name; None where it can't be read: that is another check's matter."""
    try:
        return None if prod is None else await prod.template(workload)
    except ForgeError:
        return None


async def _facts(adapters: DatabaseAdapters) -> dict[tuple[str, Environment], ServerFacts]:
    """Of the databases of dev and production, as far as they answer."""
    wanted = {place: found for place, found in adapters.databases.items() if place[1] in (DEV, PROD)}
    if not {DEV, PROD} <= {env for _, env in wanted}:
        return {}
    answers = await asyncio.gather(*(found.look() for found in wanted.values()), return_exceptions=True)
    return {place: found for place, found in zip(wanted, answers, strict=True) if isinstance(found, ServerFacts)}


async def _values(
    cluster: KubernetesCluster, found: PodTemplate
) -> tuple[tuple[tuple[str, str], ...], tuple[Finding, ...]]:
    """(what stands in the open in template and ConfigMaps, findings on ConfigMaps that can't be read)."""
    values, unread = [*found.values], []
    for name in sorted(found.config_maps):
        try:
            texts = await cluster.config_map(name)
        except ForgeError as error:
            if error.code == "kubernetes.forbidden":
                text = f"forge may not read the ConfigMap {name} of {found.workload}: what it names is not known"
                unread.append(warn(NAME, text, "Apply deploy/dev.yaml in dev's namespace"))
            else:
                unread.append(of_error(NAME, error))
            continue
        values += [(f"ConfigMap {name}, {key}", text) for key, text in (texts or {}).items()]
    return tuple(values), tuple(unread)

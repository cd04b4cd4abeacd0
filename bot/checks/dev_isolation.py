"""Whether anything of production can be reached from dev. Runbook: Environment Topology, "uses synthetic/test data". Pure.

It looks at what is named, and proves no more than that: a network policy is what keeps dev out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from bot.checks.findings import Finding, fail, ok
from bot.configuration.connections import DatabaseConnection
from runbook.backups import ServerFacts
from runbook.values import Environment
from runbook.wording import listing

if TYPE_CHECKING:
    from integrations.kubernetes.templates import PodTemplate

NAME = "dev.isolation"
Place = tuple[str, str]
"""(the API server's address, the namespace)."""


def judge_place(dev: Place, prod: Place) -> Finding:
    if dev == prod:
        text = f"dev and prod are the same namespace {dev[1]} of {dev[0]}"
        return fail(
            NAME, text, "Give dev a namespace of its own, best a cluster, and correct environments.dev.kubernetes"
        )
    where = "another cluster" if dev[0] != prod[0] else f"another namespace ({dev[1]})"
    return ok(NAME, f"dev is {where} than prod's")


def judge_secrets(
    dev: PodTemplate, production: Collection[str], shared: Collection[str], *, same_place: bool
) -> Finding:
    """production: Secrets that production's templates name. In another namespace or cluster the same name is another Secret."""
    found = sorted(dev.secrets & set(production) - set(shared)) if same_place else []
    if not found:
        return ok(NAME, f"{dev.workload} names no Secret of production")
    text = f"{dev.workload} of dev names {listing(found)}, which production's pods use"
    remedy = (
        "Give dev a Secret of its own with test data behind it, or list it in environments.dev.isolation.shared_secrets"
    )
    return fail(NAME, text, remedy)


def judge_values(
    workload: str, values: Collection[tuple[str, str]], hosts: Collection[str]
) -> Iterator[Finding]:  # fmt: skip
    """values: (where, text) of what dev's pods are given in the open. The text itself is never shown: it may hold a password."""
    bad = False
    for where, text in values:
        for host in hosts:
            if names_host(text, host):
                bad = True
                remedy = "Point it at a database of dev's own with synthetic data"
                yield fail(NAME, f"{workload} of dev ({where}) names {host}, which is production's", remedy)
    if hosts and not bad:
        yield ok(NAME, f"nothing that {workload} is given in the open names a host of production's")


def names_host(text: str, host: str) -> bool:
    """As a whole name: `db.example` is not in `olddb.example`, nor in `db.example.test`."""
    return re.search(rf"(?<![\w.-]){re.escape(host)}(?!\.?[\w-])", text, re.IGNORECASE) is not None


def production_hosts(
    databases: Mapping[tuple[str, Environment], DatabaseConnection], more: Collection[str], *, same_place: bool
) -> tuple[str, ...]:  # fmt: skip
    """A short name such as `db` is another host in another namespace or cluster; one of this machine says nothing."""
    found = [each.host for (_, env), each in databases.items() if env is Environment.PROD]
    named = [host for host in found if not host.startswith("/") and host not in ("localhost", "127.0.0.1", "::1")]
    return tuple(dict.fromkeys((*(host for host in named if same_place or "." in host or ":" in host), *more)))


def judge_databases(databases: Mapping[tuple[str, Environment], DatabaseConnection]) -> Iterator[Finding]:
    """forge's own connections: a backup or a restore of dev must never be one of production."""
    production = {
        (each.host, each.port, each.name): service
        for (service, env), each in databases.items()
        if env is Environment.PROD
    }
    for (service, env), each in databases.items():
        if env is not Environment.DEV:
            continue
        theirs = production.get((each.host, each.port, each.name))
        if theirs is None:
            yield ok(NAME, f"the database of {service} in dev ({each.where}) is none of production's")
        else:
            remedy = f"Correct integrations.postgres.databases.dev.{service}"
            yield fail(NAME, f"the database of {service} in dev is that of {theirs} in prod: {each.where}", remedy)


def judge_servers(facts: Mapping[tuple[str, Environment], ServerFacts]) -> Iterator[Finding]:
    """Under whatever names they are reached: two with one identity are one server, or one is a physical copy of the other."""
    production = {
        (found.system_identifier, found.database): service
        for (service, env), found in facts.items()
        if env is Environment.PROD
    }
    for (service, env), found in facts.items():
        theirs = production.get((found.system_identifier, found.database))
        if env is Environment.DEV and theirs is not None:
            text = f"the database of {service} in dev is that of {theirs} in prod, or a physical copy of it"
            yield fail(NAME, text, "Give dev a server of its own (initdb), with synthetic data")

"""The bot's forge.yaml and its environment, as somebody would write them for this company."""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from sandbox.shop import Shop
from sandbox.signing import SshSigner
from sandbox.world import staff
from sandbox.world.database import SECRET
from sandbox.world.tags import CHECKS, REPOSITORY
from sandbox.world.tempo import Tempo

HEAD = "# Written by the sandbox at each start. Beside the addresses only `policy` differs from what production would have.\n"
CUSTOMER_SECRET = "shop-customer"  # noqa: S105 - the Secret's name
LOAD_PER_S = 20
FOREIGN = ("FORGE_", "SLACK_", "GITHUB_", "PROMETHEUS_", "PAGERDUTY_", "KUBE", "DOCKER_CONFIG")
"""Variables that could lead the sandbox's bot to somebody's real systems; it is started without them."""


def forge_yaml(
    shop: Shop,
    tempo: Tempo,
    *,
    team: str,
    registry: str,
    signer: SshSigner,
    environments: tuple[str, ...],
    folder: Path,
    restores: Mapping[str, Any],
) -> dict[str, Any]:
    """registry: `host:port`. folder: where the checkpoints of the audit log go. restores: what the service says of them."""
    return {
        "slack": {"channel": staff.RELEASES, "team": team},
        "roles": {role: list(members) for role, members in staff.ROLES.items()},
        "services": {"shop": _service(shop, registry, environments, tempo) | _validation(tempo) | dict(restores)},
        "environments": {env: {"kubernetes": {"context": env, "namespace": env}} for env in environments},
        "integrations": {
            "kubernetes": {"kubeconfig": "kubeconfig"},
            "registry": {"insecure_hosts": [registry]},
            "signers": {"ssh": [{"principal": signer.principal, "key": signer.public_line}]},
        },
        "server": {"port": 0},
        "audit": {"checkpoints": [str(folder / "checkpoints")]},
        "policy": dict(tempo.policy),
    }


def _service(shop: Shop, registry: str, environments: tuple[str, ...], tempo: Tempo) -> dict[str, Any]:
    order = {"product": 1, "quantity": 1}
    front = shop.workloads[-1]
    return {
        "repository": REPOSITORY,
        "workloads": [
            {"name": workload, "container": workload, "image": f"{registry}/acme/{workload}"}
            | ({} if workload in shop.workloads else {"traffic": "replicas"})
            for workload in shop.everything
        ],
        "database": tempo.database,
        "urls": {env: shop.endpoint_url(env, front) for env in environments if env != "dev" or tempo.dev},
        "required_checks": list(CHECKS),
        "secrets": {"customer": {"env": "SHOP_CUSTOMER_TOKEN"}},
        "smoke": [
            {"name": "the products are listed", "path": "/api/products", "body_contains": "Anvil"},
            {
                "name": "a customer buys something",
                "method": "POST",
                "path": "/api/orders",
                "body": order,
                "token": "customer",
                "statuses": [201],
                "json_subset": {"status": "accepted"},
            },
        ],
    }


def _validation(tempo: Tempo) -> dict[str, Any]:
    """What proves a candidate beside the smoke tests. The targets are generous: a busy laptop has to reach them."""

    def suite(name: str, kind: str, program: str, **more: Any) -> dict[str, Any]:
        job = {
            "workload": "web",
            "args": ["suite", program],
            "env_from_secrets": [CUSTOMER_SECRET, SECRET],
            "timeout": tempo.suite_timeout,
            "start_within": tempo.start_within,
        }
        return {"name": name, "kind": kind, "job": job | more}

    load = {
        "workload": "web",
        "args": ["load"],
        "env_from_secrets": [CUSTOMER_SECRET],
        "timeout": "1m" if tempo.load_for.endswith("s") else "10m",
        "start_within": tempo.start_within,
    }
    suites = [
        suite("api", "integration", "integration"),
        suite("orders", "end_to_end", "e2e"),
        suite("schema", "migration", "migration"),
        suite("old-queries", "compatibility", "compatibility", previous=True),
    ]
    performance = {
        "job": load,
        "target": dict(zip(("p50", "p95", "p99"), tempo.load_within, strict=True)) | {"throughput": LOAD_PER_S},
        "rate": LOAD_PER_S,
        "duration": tempo.load_for,
    }
    chosen = {"suites": [each for each in suites if each["name"] in tempo.validates]}
    return chosen | ({"performance": performance} if "load" in tempo.validates else {})


def write_yaml(path: Path, values: Mapping[str, Any]) -> None:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # its own type knows no other value
    out = StringIO()
    yaml.dump(dict(values), out)
    path.write_text(HEAD + out.getvalue(), encoding="utf-8")


def own_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The machine's variables without those of anybody's real systems, and `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return kept | dict(extra)

"""deploy/: the manifests are valid, the rights are exactly those that the Kubernetes integration asks for, the image runs as nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from integrations.kubernetes.rights import DEV_RIGHTS, PRODUCTION_RIGHTS, RESTORE_RIGHTS, RIGHTS

DEPLOY = Path(__file__).parents[2] / "deploy"


def documents(name: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all((DEPLOY / name).read_text(encoding="utf-8")))


def one(name: str, kind: str) -> dict[str, Any]:
    return next(document for document in documents(name) if document["kind"] == kind)


@pytest.mark.parametrize("name", ["forge.yaml", "environment.yaml", "production.yaml", "restores.yaml", "dev.yaml"])
def test_the_manifests_are_valid(name: str) -> None:
    for document in documents(name):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize(
    ("name", "rights"),
    [
        ("environment.yaml", RIGHTS),
        ("production.yaml", PRODUCTION_RIGHTS),
        ("restores.yaml", RESTORE_RIGHTS),
        ("dev.yaml", DEV_RIGHTS),
    ],
)
def test_the_role_grants_exactly_what_the_integration_asks_for(name: str, rights: tuple[str, ...]) -> None:
    granted = set()
    for rule in one(name, "Role")["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                suffix = f".{group}" if group else ""
                granted |= {f"{verb} {resource}{suffix}" for verb in rule["verbs"]}
    assert granted == set(rights)


@pytest.mark.parametrize("name", ["environment.yaml", "production.yaml", "restores.yaml", "dev.yaml"])
def test_the_role_is_bound_to_the_bots_account(name: str) -> None:
    binding, account = one(name, "RoleBinding"), one("forge.yaml", "ServiceAccount")
    subject = binding["subjects"][0]
    assert (subject["name"], subject["namespace"]) == (account["metadata"]["name"], account["metadata"]["namespace"])
    assert binding["roleRef"]["name"] == one(name, "Role")["metadata"]["name"]


def test_one_bot_at_a_time_and_as_nobody() -> None:
    deployment = one("forge.yaml", "Deployment")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    pod = deployment["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_image_carries_every_layer_and_runs_as_the_pods_user() -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    for folder in ("bot", "engine", "handlers", "integrations", "messages", "runbook", "sandbox", "state"):
        assert f"COPY {folder} {folder}\n" in text
    user = one("forge.yaml", "Deployment")["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
    assert f"USER {user}:{user}\n" in text
    assert "--require-hashes" in text

"""Kubeconfig files for the stand-in: one cluster, one user, a context per environment."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML


def write_kubeconfig(
    path: Path, url: str, contexts: Mapping[str, str], token: str | None, certificate: bytes | None
) -> Path:
    """contexts: name -> namespace; the first one is current. certificate: PEM to trust, None for plain HTTP.

    The file is readable by its owner alone.
    """
    user = {"token": token} if token else {}
    cluster = {"server": url}
    if certificate is not None:
        cluster["certificate-authority-data"] = base64.b64encode(certificate).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sandbox", "cluster": cluster}],
        "users": [{"name": "sandbox", "user": user}],
        "contexts": [
            {"name": name, "context": {"cluster": "sandbox", "user": "sandbox", "namespace": namespace}}
            for name, namespace in contexts.items()
        ],
        "current-context": next(iter(contexts)),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(config, file)
    return path

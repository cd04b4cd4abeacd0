"""The manifests of a PostgreSQL server for one restore, made of a template: pure. What it may hold is listed here, and nothing else is applied."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Template
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from runbook.errors import Permanent

SYSTEM: Final = "kubernetes"
SECRET_KEY: Final = "password"  # noqa: S105 - the key's name

KINDS: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("v1", "ConfigMap"): ("config_map", "configmaps"),
    ("v1", "PersistentVolumeClaim"): ("persistent_volume_claim", "persistentvolumeclaims"),
    ("v1", "Service"): ("service", "services"),
    ("networking.k8s.io/v1", "NetworkPolicy"): ("network_policy", "networkpolicies.networking.k8s.io"),
    ("apps/v1", "StatefulSet"): ("stateful_set", "statefulsets.apps"),
    ("apps/v1", "Deployment"): ("deployment", "deployments.apps"),
}
"""What a template may hold -> the library's word for it, and the right's."""

WORKLOADS: Final = ("StatefulSet", "Deployment")
_NOT_IN_A_NAME: Final = re.compile("[^a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class RestoreNames:
    """Of the objects of one restore. name: `$NAME`, of the instance. secret: `$SECRET`; nobody else's has this name. labels: all carry them."""

    name: str
    secret: str
    labels: Mapping[str, str]

    @property
    def selector(self) -> str:
        return ",".join(f"{name}={value}" for name, value in sorted(self.labels.items()))


def object_name(name: str) -> str:
    """As Kubernetes takes it: lower case, digits and `-`, at most 40 characters, so that a StatefulSet's pods have room."""
    return _NOT_IN_A_NAME.sub("-", name.lower())[:40].strip("-")


def parse(text: str) -> tuple[dict[str, Any], ...]:
    """The template's objects. Raises Permanent("kubernetes.template") with what is wrong of it."""
    try:
        found = [each for each in YAML(typ="safe", pure=True).load_all(text) if each is not None]
    except YAMLError as error:
        raise _wrong(f"it is no YAML: {str(error).splitlines()[0]}") from None
    for each in found:
        if not isinstance(each, dict) or not isinstance(each.get("metadata"), dict):
            raise _wrong("each document has to be an object with metadata")
        kind = (each.get("apiVersion"), each.get("kind"))
        if kind not in KINDS:
            raise _wrong(f"{kind[1]} of {kind[0]} is none of {', '.join(name for _, name in KINDS)}")
        if "$NAME" not in str(each["metadata"].get("name")):
            raise _wrong(f"the {kind[1]}'s name has no $NAME: two restores would take the same")
        if each["metadata"].get("namespace"):
            raise _wrong(f"the {kind[1]} names a namespace: it is the environment's, and forge says it")
    if sum(each["kind"] in WORKLOADS for each in found) != 1:
        raise _wrong("it has to have exactly one StatefulSet or Deployment")
    if not any(each["kind"] == "Service" for each in found):
        raise _wrong("it has no Service, so that nobody would reach the server")
    return tuple(found)


def objects(template: tuple[dict[str, Any], ...], names: RestoreNames, major: int) -> Iterator[dict[str, Any]]:
    """With `$NAME`, `$SECRET` and `$MAJOR` filled in and the labels added: to volume claims of a StatefulSet too, which outlive it."""
    words = {"NAME": names.name, "SECRET": names.secret, "MAJOR": str(major)}
    for each in template:
        made: dict[str, Any] = _filled(each, words)
        _label(made, names.labels)
        for claim in made.get("spec", {}).get("volumeClaimTemplates") or ():
            _label(claim, names.labels)
        yield made


def secret(names: RestoreNames, password: str) -> dict[str, Any]:
    labels = dict(names.labels)
    metadata = {"name": names.secret, "labels": labels}
    return {
        "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": {SECRET_KEY: password},
    }  # fmt: skip


def _filled(found: Any, words: Mapping[str, str]) -> Any:
    """In texts alone, after parsing: no value can change the form. What else begins with `$` stays."""
    if isinstance(found, str):
        return Template(found).safe_substitute(words)
    if isinstance(found, dict):
        return {key: _filled(value, words) for key, value in found.items()}
    if isinstance(found, list):
        return [_filled(value, words) for value in found]
    return found


def _label(found: dict[str, Any], labels: Mapping[str, str]) -> None:
    metadata = found.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}


def _wrong(cause: str) -> Permanent:
    remedy = "Correct the template; docs/backups.md has one that works"
    return Permanent(SYSTEM, "template", f"the template of servers for restores can't be used: {cause}", remedy)

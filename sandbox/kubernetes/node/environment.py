"""A container's environment and arguments, from its spec and the objects that it refers to, as the kubelet makes them.

Source: kubernetes/pkg/kubelet/kubelet_pods.go, `makeEnvironmentVariables`, and third_party/forked/golang/expansion.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence

from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.objects import Obj, at, name_of, namespace_of
from sandbox.kubernetes.resources import CONFIG_MAPS, SECRETS

REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_.-][A-Za-z0-9_.-]*)\))")


class Unconfigured(Exception):
    """The container can't be made: something that it refers to isn't there. The message is the kubelet's."""


def variables(cluster: Cluster, pod: Obj, container: Obj) -> dict[str, str]:
    """Raises Unconfigured."""
    found: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        prefix = source.get("prefix", "")
        for kind in ("configMapRef", "secretRef"):
            if kind in source:
                content = _content(cluster, namespace_of(pod), kind, source[kind])
                found.update({prefix + key: value for key, value in content.items()})
    for entry in container.get("env") or ():
        value = _value(cluster, pod, entry, found)
        if value is not None:
            found[entry["name"]] = value
    return found


def expanded(words: Sequence[str], known: Mapping[str, str]) -> list[str]:
    """`$(NAME)` is replaced where NAME is known; `$$` is one dollar."""

    def put(match: re.Match[str]) -> str:
        return "$" if match[1] == "$" else known.get(match[2], match[0])

    return [REFERENCE.sub(put, word) for word in words]


def _value(cluster: Cluster, pod: Obj, entry: Obj, known: Mapping[str, str]) -> str | None:
    source = entry.get("valueFrom")
    if source is None:
        return expanded([str(entry.get("value") or "")], known)[0]
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if kind in source:
            return _key(cluster, pod, kind, source[kind])
    field = at(source, "fieldRef.fieldPath")
    return str(at(pod, field) or "") if field else None


def _key(cluster: Cluster, pod: Obj, kind: str, reference: Obj) -> str | None:
    namespace, key = namespace_of(pod), reference["key"]
    content = _content(cluster, namespace, kind, reference)
    if key not in content and not reference.get("optional"):
        what = "Secret" if kind.startswith("secret") else "ConfigMap"
        raise Unconfigured(f"couldn't find key {key} in {what} {namespace}/{reference['name']}")
    return content.get(key)


def _content(cluster: Cluster, namespace: str, kind: str, reference: Obj) -> dict[str, str]:
    resource = SECRETS if kind.startswith("secret") else CONFIG_MAPS
    obj = cluster.store.find(resource, namespace, reference["name"])
    if obj is None:
        if reference.get("optional"):
            return {}
        raise Unconfigured(f'{resource.singular} "{reference["name"]}" not found')
    if resource is CONFIG_MAPS:
        return dict(obj.get("data") or {})
    return {key: _plain(obj, key, value) for key, value in (obj.get("data") or {}).items()}


def _plain(secret: Obj, key: str, value: str) -> str:
    try:
        return base64.b64decode(value).decode()
    except ValueError as error:
        raise Unconfigured(f"secret {name_of(secret)}: the value of {key} is no text") from error

"""What a Deployment's pod template asks for and names: resources, Secrets, ConfigMaps and values in the open. It only reads, and never a Secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from integrations.kubernetes.calls import Json, KubernetesCalls
from integrations.kubernetes.pods import core
from integrations.kubernetes.quantities import quantity
from runbook.errors import Permanent


@dataclass(frozen=True)
class PodTemplate:
    """cpu: cores, memory: bytes, of all containers of one pod together; None where one of them has no limit. values: (where, text) of what
    stands there in the open: variables, arguments and commands."""

    workload: str
    replicas: int
    cpu: float | None
    memory: float | None
    secrets: frozenset[str]
    config_maps: frozenset[str]
    values: tuple[tuple[str, str], ...]


def template_of(found: Json) -> PodTemplate:
    """Raises KeyError and the like for what is no Deployment."""
    spec = found["spec"]
    pod = spec["template"]["spec"]
    containers = [*pod["containers"], *(pod.get("initContainers") or [])]
    replicas = spec.get("replicas")
    return PodTemplate(
        workload=str(found["metadata"]["name"]),
        replicas=1 if replicas is None else int(replicas),
        cpu=_limit(pod["containers"], "cpu"),
        memory=_limit(pod["containers"], "memory"),
        secrets=frozenset(_named(pod, containers, "secret")),
        config_maps=frozenset(_named(pod, containers, "configMap")),
        values=tuple(_values(containers)),
    )


def _limit(containers: Iterable[Json], resource: str) -> float | None:
    found = [quantity(((each.get("resources") or {}).get("limits") or {}).get(resource)) for each in containers]
    known = [value for value in found if value is not None]
    return sum(known) if len(known) == len(found) else None


_VOLUME = {"secret": "secretName", "configMap": "name"}


def _named(pod: Json, containers: Iterable[Json], kind: str) -> Iterator[str]:
    """By variables, by whole environments, by volumes (projected ones too) and, of Secrets, for pulling images."""
    for container in containers:
        for variable in container.get("env") or []:
            yield from _name((variable.get("valueFrom") or {}).get(f"{kind}KeyRef"), "name")
        for source in container.get("envFrom") or []:
            yield from _name(source.get(f"{kind}Ref"), "name")
    for volume in pod.get("volumes") or []:
        yield from _name(volume.get(kind), _VOLUME[kind])
        for source in (volume.get("projected") or {}).get("sources") or []:
            yield from _name(source.get(kind), "name")
    if kind == "secret":
        for each in pod.get("imagePullSecrets") or []:
            yield from _name(each, "name")


def _name(reference: Mapping[str, Any] | None, key: str) -> Iterator[str]:
    if reference and reference.get(key):
        yield str(reference[key])


def _values(containers: Iterable[Json]) -> Iterator[tuple[str, str]]:
    for container in containers:
        name = str(container.get("name", ""))
        for variable in container.get("env") or []:
            if variable.get("value"):
                yield f"{name}, variable {variable['name']}", str(variable["value"])
        for word in (*(container.get("command") or []), *(container.get("args") or [])):
            yield f"{name}, its command", str(word)


class ConfigMaps:
    """Reads them by name, for the doctor."""

    def __init__(self, calls: KubernetesCalls, namespace: str) -> None:
        self._calls = calls
        self._namespace = namespace

    async def read(self, name: str) -> Mapping[str, str] | None:
        """Its texts by key; None when there is none. Raises the calls' errors."""
        try:
            found = await self._calls.json(
                "get configmaps",
                lambda client: core(client).read_namespaced_config_map(name, self._namespace, **self._calls.options),
            )
        except Permanent as error:
            if error.code == "kubernetes.not_found":
                return None
            raise
        return {str(key): str(text) for key, text in (found.get("data") or {}).items()}

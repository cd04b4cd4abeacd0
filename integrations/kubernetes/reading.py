"""Kubernetes' JSON as the port's values: pure, and tolerant of fields that a server leaves out because they are zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from integrations.kubernetes.calls import Json
from integrations.kubernetes.ownership import image_owner
from runbook.ports import ContainerSpec, Deployment, PodTrouble, Rollout

REVISION = "deployment.kubernetes.io/revision"
TEMPLATE_HASH = "pod-template-hash"


def deployment_of(found: Json) -> Deployment:
    """annotations: those of the pod template, where forge leaves its run and step."""
    metadata, spec = found["metadata"], found["spec"]
    template = spec["template"]
    replicas = spec.get("replicas")
    return Deployment(
        name=metadata["name"],
        containers=tuple(_container(entry) for entry in template["spec"]["containers"]),
        replicas=1 if replicas is None else int(replicas),
        generation=int(metadata.get("generation", 0)),
        annotations=dict((template.get("metadata") or {}).get("annotations") or {}),
        owner=image_owner(metadata),
        labels=dict((template.get("metadata") or {}).get("labels") or {}),
        selector=dict((spec.get("selector") or {}).get("matchLabels") or {}),
        marks=dict(metadata.get("labels") or {}),
        rollout=rollout_of(found, ()),
    )


def _container(entry: Json) -> ContainerSpec:
    return ContainerSpec(
        name=entry["name"],
        image=entry.get("image", ""),
        live_path=_path(entry.get("livenessProbe")),
        ready_path=_path(entry.get("readinessProbe")),
        startup_path=_path(entry.get("startupProbe")),
    )


def _path(probe: Json | None) -> str | None:
    action = (probe or {}).get("httpGet")
    return None if action is None else str(action.get("path") or "/")


def rollout_of(found: Json, troubles: Sequence[PodTrouble]) -> Rollout:
    """Source of the counting: kubectl's `polymorphichelpers/rollout_status.go`."""
    status = found.get("status") or {}
    generation = int(found["metadata"].get("generation", 0))
    observed = int(status.get("observedGeneration") or 0) >= generation
    replicas = found["spec"].get("replicas")
    return Rollout(
        generation=generation,
        observed=observed,
        desired=1 if replicas is None else int(replicas),
        updated=int(status.get("updatedReplicas") or 0),
        available=int(status.get("availableReplicas") or 0),
        total=int(status.get("replicas") or 0),
        # Until the controller has seen this generation its conditions speak of the one before.
        deadline_exceeded=observed and (condition(found, "Progressing") or {}).get("status") == "False",
        troubles=tuple(troubles),
    )


def condition(found: Json, kind: str) -> Json | None:
    conditions = (found.get("status") or {}).get("conditions") or []
    return next((entry for entry in conditions if entry.get("type") == kind), None)


def label_selector(selector: Json) -> str:
    """A Deployment's `spec.selector` as the API's query text. Source: "Labels and Selectors", API."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for rule in selector.get("matchExpressions") or []:
        key, values = rule["key"], ",".join(rule.get("values") or ())
        match rule["operator"]:
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
    return ",".join(parts)


def owned_by(objects: Sequence[Json], owner: Json) -> list[Json]:
    uid = owner["metadata"].get("uid")
    return [
        entry
        for entry in objects
        if any(reference.get("uid") == uid for reference in entry["metadata"].get("ownerReferences") or [])
    ]


def newest_replica_set(replica_sets: Sequence[Json]) -> Json | None:
    """By the revision that the Deployment controller numbers; a template that comes back gets the highest number again."""
    return max(replica_sets, key=_revision, default=None)


def _revision(replica_set: Json) -> int:
    text = str((replica_set["metadata"].get("annotations") or {}).get(REVISION, "0"))
    return int(text) if text.isdigit() else 0


def images_differ(found: Json, images: Mapping[str, str]) -> bool:
    return any(images.get(entry["name"], entry.get("image")) != entry.get("image") for entry in _containers(found))


def unknown_containers(found: Json, images: Mapping[str, str]) -> list[str]:
    return sorted(set(images).difference(entry["name"] for entry in _containers(found)))


def _containers(found: Json) -> list[Json]:
    containers: list[Json] = found["spec"]["template"]["spec"]["containers"]
    return containers

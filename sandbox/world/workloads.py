"""What somebody once applied by hand: the shop's Deployments with probes and labels, and in production what leads traffic to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.kubernetes import LocalKubernetes
from sandbox.kubernetes.gateway_rules import GROUP
from sandbox.kubernetes.objects import Obj, clone

PRODUCTION = "prod"
REPLICAS = 2
REPLICAS_IN_PRODUCTION = {"web": 4, "catalog": 3}
PORT, SERVICE_PORT = 8080, 80
GATEWAY = "shop"
TRACKS = {"": "stable", "-canary": "canary"}
KEPT_KINDS = ("Deployment", "HTTPRoute")
OWN_ANNOTATIONS = "deployment.kubernetes.io/"


def replicas(workload: str, env: str) -> int:
    return REPLICAS_IN_PRODUCTION.get(workload, REPLICAS) if env == PRODUCTION else REPLICAS


def manifests(env: str, images: Mapping[str, str], with_http: Sequence[str]) -> list[Obj]:
    """All of an environment. images: workload -> image reference. with_http: in this order, what customers see last."""
    made = [deployment(name, env, image, has_http=name in with_http) for name, image in images.items()]
    if env == PRODUCTION:
        made += [gateway(env), autoscaler(with_http[-1], env)]
        made += [each for name in with_http for each in entrance(name, env)]
    return made


def deployment(workload: str, env: str, image: str, *, has_http: bool = True) -> Obj:
    """The namespace is the environment's name."""
    labels = {
        "app.kubernetes.io/name": workload,
        "app.kubernetes.io/part-of": "shop",
        "forge/service": "shop",
        "forge/env": env,
        "forge/track": "stable",
    }
    chosen = {"app.kubernetes.io/name": workload, "forge/track": "stable"}
    container = _container(workload, image) if has_http else _worker(workload, image)
    spec = {
        "replicas": replicas(workload, env),
        "selector": {"matchLabels": chosen},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    metadata = {"name": workload, "namespace": env, "labels": labels}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def _container(workload: str, image: str) -> Obj:
    def probe(path: str, **more: int) -> Obj:
        return {"httpGet": {"path": f"/health/{path}", "port": PORT}, "periodSeconds": 1, **more}

    return {
        "name": workload,
        "image": image,
        "ports": [{"name": "http", "containerPort": PORT}],
        "startupProbe": probe("startup", failureThreshold=30),
        "readinessProbe": probe("ready"),
        "livenessProbe": probe("live", failureThreshold=3),
    }


def _worker(workload: str, image: str) -> Obj:
    def probe(word: str) -> Obj:
        return {"exec": {"command": ["worker", word]}, "periodSeconds": 1}

    return {"name": workload, "image": image, "readinessProbe": probe("ready"), "livenessProbe": probe("live")}


def entrance(workload: str, env: str) -> list[Obj]:
    """A Service for each track, and the HTTPRoute that sends everything to stable."""
    labels = {"app.kubernetes.io/name": workload, "app.kubernetes.io/part-of": "shop"}
    services = [_service(f"{workload}{end}", workload, env, track) for end, track in TRACKS.items()]
    backends = [
        {"name": f"{workload}{end}", "port": SERVICE_PORT, "weight": weight}
        for end, weight in zip(TRACKS, (100, 0), strict=True)
    ]
    spec = {
        "parentRefs": [{"name": GATEWAY}],
        "hostnames": [f"{workload}.shop.test"],
        "rules": [{"backendRefs": backends}],
    }
    metadata = {"name": workload, "namespace": env, "labels": labels}
    return [*services, {"apiVersion": f"{GROUP}/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": spec}]


def _service(name: str, workload: str, env: str, track: str) -> Obj:
    ports = [{"name": "http", "port": SERVICE_PORT, "targetPort": PORT}]
    spec = {"selector": {"app.kubernetes.io/name": workload, "forge/track": track}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": env}, "spec": spec}


def gateway(env: str) -> Obj:
    listeners = [{"name": "http", "port": 80, "protocol": "HTTP"}]
    spec = {"gatewayClassName": "sandbox", "listeners": listeners}
    metadata = {"name": GATEWAY, "namespace": env}
    return {"apiVersion": f"{GROUP}/v1", "kind": "Gateway", "metadata": metadata, "spec": spec}


def autoscaler(workload: str, env: str) -> Obj:
    """It may go down to one pod."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 2 * replicas(workload, env)}
    metadata = {"name": workload, "namespace": env}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def images(cluster: LocalKubernetes) -> dict[str, str]:
    """What every Deployment is told to run: `<namespace>/<name>` -> image reference."""
    return {
        f"{each['metadata']['namespace']}/{each['metadata']['name']}": image_of(each)
        for each in cluster.list("Deployment")
    }


def image_of(deployment: Obj) -> str:
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def asked_for(cluster: LocalKubernetes) -> list[Obj]:
    """The Deployments and HTTPRoutes as manifests: what people and programs have asked for, without what the cluster said to it."""
    return [_manifest(each) for kind in KEPT_KINDS for each in cluster.list(kind)]


def _manifest(obj: Obj) -> Obj:
    meta: dict[str, Any] = {name: obj["metadata"][name] for name in ("name", "namespace")}
    for part in ("labels", "annotations"):
        found = {
            name: value
            for name, value in (obj["metadata"].get(part) or {}).items()
            if not name.startswith(OWN_ANNOTATIONS)
        }
        if found:
            meta[part] = found
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": meta, "spec": clone(obj["spec"])}


def key_of(manifest: Obj) -> tuple[str, str, str]:
    """(kind, namespace, name)"""
    return manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"]

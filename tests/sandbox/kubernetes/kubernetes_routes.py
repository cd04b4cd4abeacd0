"""Gateways, Services and HTTPRoutes for the tests of the Kubernetes stand-in."""

from __future__ import annotations

from typing import Any

from sandbox.kubernetes import LocalKubernetes
from sandbox.kubernetes.controllers.http_routes import CONTROLLER

GROUP = "gateway.networking.k8s.io"
WHERE = (GROUP, "v1", "prod", "httproutes", "web")


def gateway(name: str = "shop", namespace: str = "prod", **listener: Any) -> dict[str, Any]:
    spec = {"gatewayClassName": "sandbox", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP", **listener}]}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": f"{GROUP}/v1", "kind": "Gateway", "metadata": metadata, "spec": spec}


def service(name: str, selector: dict[str, str], namespace: str = "prod") -> dict[str, Any]:
    spec = {"selector": selector, "ports": [{"port": 80, "targetPort": 8080}]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def backends(**weights: int) -> list[dict[str, Any]]:
    """Names with `_` for `-`."""
    return [{"name": name.replace("_", "-"), "port": 80, "weight": weight} for name, weight in weights.items()]


def route(rules: list[dict[str, Any]] | None = None, **spec: Any) -> dict[str, Any]:
    """`web` in prod, of the Gateway `shop`."""
    wanted = [{"backendRefs": backends(web=100, web_canary=0)}] if rules is None else rules
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "web", "namespace": "prod"},
        "spec": {"parentRefs": [{"name": "shop"}], "rules": wanted, **spec},
    }


def apply_shop(kubernetes: LocalKubernetes) -> None:
    """A Gateway, the two Services and the route."""
    kubernetes.apply(gateway())
    for name, track in (("web", "stable"), ("web-canary", "canary")):
        kubernetes.apply(service(name, {"app": "web", "forge/track": track}))
    kubernetes.apply(route())


def conditions(kubernetes: LocalKubernetes) -> dict[str, tuple[str, str, int]]:
    """What the stand-in's own controller says of the route: type -> (status, reason, observedGeneration)."""
    found = kubernetes.get("HTTPRoute", "prod", "web") or {}
    parents = (found.get("status") or {}).get("parents") or ()
    told = [each for parent in parents if parent["controllerName"] == CONTROLLER for each in parent["conditions"]]
    return {each["type"]: (each["status"], each["reason"], each["observedGeneration"]) for each in told}


def accepted(kubernetes: LocalKubernetes) -> bool:
    """As a client has to read it: both conditions hold for the present generation."""
    found = kubernetes.get("HTTPRoute", "prod", "web")
    generation = found["metadata"]["generation"] if found else 0
    told = conditions(kubernetes)
    return all(
        kind in told and told[kind][0] == "True" and told[kind][2] >= generation
        for kind in ("Accepted", "ResolvedRefs")
    )

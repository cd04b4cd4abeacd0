"""The rights that forge needs in an environment's namespace, and the question to the API server whether it has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

RIGHTS = (
    "get deployments.apps",
    "list deployments.apps",
    "patch deployments.apps",
    "get replicasets.apps",
    "list replicasets.apps",
    "create jobs.batch",
    "get jobs.batch",
    "list jobs.batch",
    "delete jobs.batch",
    "get pods",
    "list pods",
    "get pods/log",
    "list events",
)
"""In the words of `kubectl auth can-i`; `deploy/environment.yaml` grants exactly these."""

PRODUCTION_RIGHTS = (
    "create deployments.apps",
    "delete deployments.apps",
    "get httproutes.gateway.networking.k8s.io",
    "patch httproutes.gateway.networking.k8s.io",
    "get services",
    "list horizontalpodautoscalers.autoscaling",
    "patch horizontalpodautoscalers.autoscaling",
)
"""Beside those, where canaries are made and traffic is moved; `deploy/production.yaml` grants exactly these. Replicas are set by the right to
patch Deployments."""

DEV_RIGHTS = ("get configmaps",)
"""Beside those, where the doctor looks into dev's ConfigMaps for production's addresses; `deploy/dev.yaml` grants exactly these."""

RESTORE_RIGHTS = (
    "create secrets",
    "delete secrets",
    "create configmaps",
    "get configmaps",
    "list configmaps",
    "delete configmaps",
    "create persistentvolumeclaims",
    "get persistentvolumeclaims",
    "list persistentvolumeclaims",
    "delete persistentvolumeclaims",
    "create services",
    "get services",
    "list services",
    "delete services",
    "create networkpolicies.networking.k8s.io",
    "get networkpolicies.networking.k8s.io",
    "list networkpolicies.networking.k8s.io",
    "delete networkpolicies.networking.k8s.io",
    "create statefulsets.apps",
    "get statefulsets.apps",
    "list statefulsets.apps",
    "delete statefulsets.apps",
    "create deployments.apps",
    "get deployments.apps",
    "list deployments.apps",
    "delete deployments.apps",
)
"""Beside those, where servers for restores are made from a template; `deploy/restores.yaml` grants exactly these. No Secret is ever read."""


def attributes(right: str, namespace: str) -> dict[str, str]:
    """A right's words as SelfSubjectAccessReview's resourceAttributes."""
    verb, _, what = right.partition(" ")
    path, _, group = what.partition(".")
    resource, _, subresource = path.partition("/")
    return {"namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": subresource}


async def review(client: ApiClient, right: str, namespace: str, options: Mapping[str, Any]) -> Any:
    from kubernetes_asyncio.client import AuthorizationV1Api

    body: Any = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes(right, namespace)},
    }
    return await AuthorizationV1Api(client).create_self_subject_access_review(body, **options)

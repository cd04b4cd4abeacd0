"""The calls on Deployments of one namespace: read, create, patch, delete. They decide nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from integrations.http_calls import garbage
from integrations.kubernetes.calls import SYSTEM, Json, KubernetesCalls
from runbook.errors import Permanent

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient, AppsV1Api

T = TypeVar("T")

SHAPE_ERRORS = (KeyError, TypeError, AttributeError, ValueError)
MERGE = "application/merge-patch+json"


class Deployments:
    def __init__(self, calls: KubernetesCalls, namespace: str) -> None:
        self._calls = calls
        self._namespace = namespace

    async def read(self, name: str) -> Json | None:
        """None when there is none. Raises the calls' errors."""
        try:
            return await self._calls.json(
                "get deployments.apps",
                lambda client: apps(client).read_namespaced_deployment(name, self._namespace, **self._calls.options),
            )
        except Permanent as error:
            if error.code == "kubernetes.not_found":
                return None
            raise

    async def create(self, body: Json) -> Json:
        """Raises Conflict where there is one of that name, also where an earlier attempt's answer got lost."""
        manifest: Any = body
        return await self._calls.json(
            "create deployments.apps",
            lambda client: apps(client).create_namespaced_deployment(
                self._namespace, manifest, field_manager="forge", **self._calls.options
            ),
        )

    async def patch(self, name: str, body: Json, content_type: str = MERGE) -> Json:
        """content_type is always said: the library's default would be a JSON patch."""
        options = {**self._calls.options, "_content_type": content_type}
        return await self._calls.json(
            "patch deployments.apps",
            lambda client: apps(client).patch_namespaced_deployment(
                name, self._namespace, body, field_manager="forge", **options
            ),
        )

    async def delete(self, name: str, uid: str) -> None:
        """This very object, with its pods: while it is there, they may still run. Gone is fine. Raises Conflict for another object."""
        options: Any = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Foreground",
            "preconditions": {"uid": uid},
        }
        try:
            await self._calls.json(
                "delete deployments.apps",
                lambda client: apps(client).delete_namespaced_deployment(
                    name, self._namespace, body=options, **self._calls.options
                ),
            )
        except Permanent as error:
            if error.code != "kubernetes.not_found":
                raise

    def missing(self, name: str) -> Permanent:
        remedy = "Check the workload's name in the configuration, and the environment's namespace"
        return Permanent(
            SYSTEM, "not_found", f"there is no Deployment {name} in the namespace {self._namespace}", remedy
        )


def shaped(read: Callable[[], T], what: str = "Deployment") -> T:
    """What read() makes of an answer; an answer of another shape is garbage, not a bug of ours."""
    try:
        return read()
    except SHAPE_ERRORS as error:
        raise garbage(SYSTEM, "the Kubernetes API", what) from error


def apps(client: ApiClient) -> AppsV1Api:
    from kubernetes_asyncio.client import AppsV1Api

    return AppsV1Api(client)

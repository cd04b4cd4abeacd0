"""HorizontalPodAutoscalers of one namespace: which scale a Deployment, and the least number of pods that they leave it.

It must never write anything of them but minReplicas and the annotations that it was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from integrations.kubernetes.calls import Json, KubernetesCalls
from integrations.kubernetes.deployments import MERGE, shaped
from runbook.ports import Autoscaler

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient, AutoscalingV2Api

KIND = "HorizontalPodAutoscaler"
RESOURCE = "horizontalpodautoscalers.autoscaling"


class KubernetesAutoscalers:
    """Fulfils `runbook.ports.Autoscalers`."""

    def __init__(self, calls: KubernetesCalls, namespace: str) -> None:
        self._calls = calls
        self._namespace = namespace

    async def of(self, workload: str) -> tuple[Autoscaler, ...]:
        """See the port. By name, so that the order is always the same."""
        items = await self._calls.items(
            f"list {RESOURCE}",
            lambda client: _scaling(client).list_namespaced_horizontal_pod_autoscaler(
                self._namespace, **self._calls.options
            ),
        )
        found = shaped(lambda: [_read(item) for item in items if _scales(item, workload)], KIND)
        return tuple(sorted(found, key=lambda each: each.name))

    async def set_least(self, found: Autoscaler, least: int, marks: Mapping[str, str | None]) -> None:
        """See the port."""
        metadata = {"resourceVersion": found.version, "annotations": dict(marks)}
        body: Any = {"metadata": metadata, "spec": {"minReplicas": least}}
        options = {**self._calls.options, "_content_type": MERGE}
        await self._calls.json(
            f"patch {RESOURCE}",
            lambda client: _scaling(client).patch_namespaced_horizontal_pod_autoscaler(
                found.name, self._namespace, body, field_manager="forge", **options
            ),
        )


def _scales(item: Json, workload: str) -> bool:
    target = item["spec"]["scaleTargetRef"]
    group, _, _ = str(target.get("apiVersion") or "apps/").rpartition("/")
    return (group, target["kind"], target["name"]) == ("apps", "Deployment", workload)


def _read(item: Json) -> Autoscaler:
    """An unset minReplicas is 1. Source: kubernetes.io, API reference, HorizontalPodAutoscalerSpec."""
    spec, metadata = item["spec"], item["metadata"]
    least = spec.get("minReplicas")
    return Autoscaler(
        name=str(metadata["name"]),
        least=1 if least is None else int(least),
        most=int(spec["maxReplicas"]),
        marks=dict(metadata.get("annotations") or {}),
        owner=_owner(metadata),
        version=str(metadata["resourceVersion"]),
    )


def _owner(metadata: Json) -> str:
    """The controller that made it and keeps it as it wants it, such as KEDA's ScaledObject."""
    owners = metadata.get("ownerReferences") or ()
    return next((f"{each['kind']}/{each['name']}" for each in owners if each.get("controller")), "")


def _scaling(client: ApiClient) -> AutoscalingV2Api:
    from kubernetes_asyncio.client import AutoscalingV2Api

    return AutoscalingV2Api(client)

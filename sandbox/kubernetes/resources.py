"""The kinds that the API serves: a table. A new kind is one more `Resource` registered with the cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sandbox.kubernetes import autoscaling, columns, defaults, gateway_rules, job_rules, validation
from sandbox.kubernetes.columns import Column
from sandbox.kubernetes.objects import Obj
from sandbox.kubernetes.status import Cause

Validate = Callable[[Obj, Obj | None], list[Cause]]
VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
METADATA_FIELDS = ("metadata.name", "metadata.namespace")


def _nothing(_: Obj) -> None:
    """No defaults."""


def _valid(_: Obj, __: Obj | None) -> list[Cause]:
    return []


@dataclass(frozen=True)
class Resource:
    """One kind under one group and version.

    defaults: fills what the server fills, in place. validate: (new, old or None) -> causes of a 422.
    spec_bumps_generation: whether changes outside of metadata and status count generations (kinds with a controller).
    annotations_bump_generation: Deployments do (pkg/registry/apps/deployment/strategy.go). is_custom: defined by a
    CRD: no strategic merge. merge_keys: strategic merge keys that differ from the usual. default_propagation: of a deletion
    that names none; empty: Background.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = VERBS
    defaults: Callable[[Obj], None] = _nothing
    validate: Validate = _valid
    spec_bumps_generation: bool = False
    annotations_bump_generation: bool = False
    is_custom: bool = False
    default_propagation: str = ""
    merge_keys: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()
    columns: Sequence[Column] = columns.NAME_AND_AGE

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`deployments.apps`, as error messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def key(self) -> tuple[str, str]:
        return self.group, self.plural

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def selectable_fields(self) -> tuple[str, ...]:
        return METADATA_FIELDS + self.fields


DEPLOYMENTS = Resource(
    "apps", "v1", "deployments", "Deployment",
    short_names=("deploy",), categories=("all",), subresources=("status", "scale"),
    defaults=defaults.deployment, validate=validation.deployment,
    spec_bumps_generation=True, annotations_bump_generation=True, columns=columns.DEPLOYMENT,
)  # fmt: skip
REPLICA_SETS = Resource(
    "apps", "v1", "replicasets", "ReplicaSet",
    short_names=("rs",), categories=("all",), subresources=("status", "scale"),
    defaults=defaults.replica_set, validate=validation.replica_set,
    spec_bumps_generation=True, columns=columns.REPLICA_SET, fields=("status.replicas",),
)  # fmt: skip
JOBS = Resource(
    "batch", "v1", "jobs", "Job",
    categories=("all",), subresources=("status",), defaults=job_rules.defaults, validate=job_rules.validate,
    spec_bumps_generation=True, columns=columns.JOB, fields=("status.successful",),
    default_propagation="Orphan",  # pkg/registry/batch/job/strategy.go, "for back compatibility"
)  # fmt: skip
PODS = Resource(
    "", "v1", "pods", "Pod",
    short_names=("po",), categories=("all",), subresources=("status", "log"),
    defaults=defaults.pod, validate=validation.pod, columns=columns.POD, spec_bumps_generation=True,
    fields=("spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "status.phase", "status.podIP"),
)  # fmt: skip
EVENTS = Resource(
    "", "v1", "events", "Event",
    short_names=("ev",), columns=columns.EVENT,
    fields=(
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath",
        "reason", "reportingComponent", "source", "type",
    ),
)  # fmt: skip
SERVICES = Resource(
    "", "v1", "services", "Service",
    short_names=("svc",), categories=("all",), subresources=("status",), defaults=defaults.service,
    columns=columns.SERVICE, merge_keys={"ports": "port"}, fields=("spec.clusterIP", "spec.type"),
)  # fmt: skip
NAMESPACES = Resource(
    "", "v1", "namespaces", "Namespace",
    namespaced=False, short_names=("ns",), subresources=("status",), defaults=defaults.namespace,
    columns=columns.NAMESPACE, fields=("status.phase",),
)  # fmt: skip
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", short_names=("cm",), columns=columns.CONFIG_MAP)
SECRETS = Resource(
    "", "v1", "secrets", "Secret", defaults=defaults.secret, columns=columns.SECRET, fields=("type",)
)  # fmt: skip
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease", columns=columns.LEASE)

AUTOSCALERS = Resource(
    "autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler",
    short_names=("hpa",), categories=("all",), subresources=("status",),
    defaults=autoscaling.defaults, validate=autoscaling.validate, columns=autoscaling.COLUMNS,
)  # fmt: skip
HTTP_ROUTES = Resource(
    gateway_rules.GROUP, "v1", "httproutes", "HTTPRoute",
    categories=("gateway-api",), subresources=("status",), is_custom=True,
    defaults=gateway_rules.fill_route, validate=gateway_rules.check_route, columns=columns.HTTP_ROUTE,
)  # fmt: skip
GATEWAYS = Resource(
    gateway_rules.GROUP, "v1", "gateways", "Gateway",
    short_names=("gtw",), categories=("gateway-api",), subresources=("status",), is_custom=True,
    defaults=gateway_rules.fill_gateway, validate=gateway_rules.check_gateway, columns=columns.GATEWAY,
)  # fmt: skip

BUILT_IN = (
    NAMESPACES, PODS, EVENTS, SERVICES, CONFIG_MAPS, SECRETS, DEPLOYMENTS, REPLICA_SETS, JOBS, LEASES, AUTOSCALERS,
    HTTP_ROUTES, GATEWAYS,
)  # fmt: skip

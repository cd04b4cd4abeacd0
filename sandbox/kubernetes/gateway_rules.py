"""Gateways and HTTPRoutes of the Gateway API v1 (standard channel): defaults, limits and rules of their CRDs, as far as deployers meet them."""

from __future__ import annotations

from sandbox.kubernetes.objects import Obj
from sandbox.kubernetes.schema import Schema, check, fill
from sandbox.kubernetes.status import Cause

GROUP = "gateway.networking.k8s.io"
SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
HOSTNAME = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
CONTROLLER = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$"
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
EPOCH = "1970-01-01T00:00:00Z"


def _text(most: int = 253, *, least: int | None = 1, pattern: str = "", default: str | None = None) -> Schema:
    return Schema("string", minimum=least, maximum=most, pattern=pattern, default=default)


def _choice(*words: str, default: str | None = None) -> Schema:
    return Schema("string", enum=words, default=default)


def _has_port(ref: Obj) -> bool:
    is_service = not ref.get("group") and ref.get("kind", "Service") == "Service"
    return not is_service or ref.get("port") is not None


PORT = Schema("integer", minimum=1, maximum=65535)
PATH_DEFAULT = {"type": "PathPrefix", "value": "/"}
MATCHES_DEFAULT = [{"path": PATH_DEFAULT}]
PARENT = Schema(
    "object",
    required=("name",),
    properties={
        "group": _text(least=None, default=GROUP),
        "kind": _text(63, default="Gateway"),
        "name": _text(),
        "namespace": _text(63),
        "port": PORT,
        "sectionName": _text(pattern=SUBDOMAIN),
    },
)
BACKEND = Schema(
    "object",
    required=("name",),
    properties={
        "group": Schema("string", maximum=253, default=""),
        "kind": _text(63, default="Service"),
        "name": _text(),
        "namespace": _text(63),
        "port": PORT,
        "weight": Schema("integer", minimum=0, maximum=1_000_000, default=1),
    },
    rules=((_has_port, "Must have port for Service reference"),),
)
HEADER = Schema(
    "object",
    required=("name", "value"),
    properties={
        "type": _choice("Exact", "RegularExpression", default="Exact"),
        "name": _text(256),
        "value": _text(4096),
    },
)
MATCH = Schema(
    "object",
    properties={
        "path": Schema(
            "object",
            default=PATH_DEFAULT,
            properties={
                "type": _choice("Exact", "PathPrefix", "RegularExpression", default="PathPrefix"),
                "value": _text(1024, least=None, default="/"),
            },
        ),
        "headers": Schema("array", maximum=16, items=HEADER),
        "method": _choice(*METHODS),
    },
)
RULE = Schema(
    "object",
    properties={
        "matches": Schema("array", maximum=64, items=MATCH, default=MATCHES_DEFAULT),
        "filters": Schema("array", maximum=16, items=Schema("object", required=("type",))),
        "backendRefs": Schema("array", maximum=16, items=BACKEND),
    },
)
CONDITION = Schema(
    "object",
    required=("lastTransitionTime", "message", "reason", "status", "type"),
    properties={
        "message": _text(32768, least=None),
        "observedGeneration": Schema("integer", minimum=0),
        "reason": _text(1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
        "status": _choice("True", "False", "Unknown"),
        "type": _text(316),
    },
)
PARENT_STATUS = Schema(
    "object",
    required=("controllerName", "parentRef"),
    properties={
        "conditions": Schema("array", minimum=1, maximum=8, items=CONDITION),
        "controllerName": _text(pattern=CONTROLLER),
        "parentRef": PARENT,
    },
)
HTTP_ROUTE = Schema(
    "object",
    required=("spec",),
    properties={
        "spec": Schema(
            "object",
            properties={
                "parentRefs": Schema("array", maximum=32, items=PARENT),
                "hostnames": Schema("array", maximum=16, items=_text(pattern=HOSTNAME)),
                "rules": Schema("array", maximum=16, items=RULE, default=[{"matches": MATCHES_DEFAULT}]),
            },
        ),
        "status": Schema(
            "object",
            required=("parents",),
            properties={"parents": Schema("array", maximum=32, items=PARENT_STATUS)},
        ),
    },
)
LISTENER = Schema(
    "object",
    required=("name", "port", "protocol"),
    properties={
        "name": _text(pattern=SUBDOMAIN),
        "hostname": _text(pattern=HOSTNAME),
        "port": PORT,
        "protocol": _text(255),
        "allowedRoutes": Schema(
            "object",
            default={"namespaces": {"from": "Same"}},
            properties={
                "namespaces": Schema(
                    "object",
                    default={"from": "Same"},
                    properties={"from": _choice("All", "Selector", "Same", default="Same")},
                )
            },
        ),
    },
)


def _pending(kind: str) -> Obj:
    waiting = {"status": "Unknown", "reason": "Pending", "message": "Waiting for controller"}
    return {"type": kind, "lastTransitionTime": EPOCH, **waiting}


GATEWAY = Schema(
    "object",
    required=("spec",),
    properties={
        "spec": Schema(
            "object",
            required=("gatewayClassName", "listeners"),
            properties={
                "gatewayClassName": _text(),
                "listeners": Schema("array", minimum=1, maximum=64, items=LISTENER),
            },
        ),
        "status": Schema(
            "object",
            default={"conditions": [_pending("Accepted"), _pending("Programmed")]},
            properties={"conditions": Schema("array", maximum=8, items=CONDITION)},
        ),
    },
)


def fill_route(obj: Obj) -> None:
    fill(HTTP_ROUTE, obj)


def check_route(new: Obj, _: Obj | None) -> list[Cause]:
    return check(HTTP_ROUTE, new)


def fill_gateway(obj: Obj) -> None:
    fill(GATEWAY, obj)


def check_gateway(new: Obj, _: Obj | None) -> list[Cause]:
    return check(GATEWAY, new)

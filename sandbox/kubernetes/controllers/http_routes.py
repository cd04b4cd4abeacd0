"""A gateway's controller for HTTPRoutes: it accepts them for its Gateways, says so in their status, and tells who carries the traffic.

It is slow, silent or unwilling as told. What it doesn't accept changes no traffic: the last accepted state goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.controllers.queue import WorkQueue
from sandbox.kubernetes.gateway_rules import GROUP
from sandbox.kubernetes.objects import Obj, at, clone, name_of, namespace_of, put_condition, uid_of
from sandbox.kubernetes.pace import Pace
from sandbox.kubernetes.resources import GATEWAYS, HTTP_ROUTES, SERVICES
from sandbox.kubernetes.store import Change, Key
from sandbox.routes import Backend, Match, Route, RouteRule

CONTROLLER = "gateway.sandbox.test/controller"
ACCEPTED_AFTER_S = 0.5
RESOLVED = (True, "ResolvedRefs", "Resolved all the Object references for the Route")


@dataclass(frozen=True)
class Reluctance:
    """Why a route isn't accepted. reason: of the condition Accepted that is False; empty: nothing is said at all."""

    reason: str = ""
    message: str = ""


Verdict = tuple[bool, str, str]  # holds, reason, message


class HttpRouteController:
    """Every Gateway is its own. delay_s: simulated seconds from a change of a route's spec to its acceptance; may be set at any time.

    followed: the routes as traffic follows them now.
    """

    def __init__(self, cluster: Cluster, pace: Pace) -> None:
        self._cluster = cluster
        self._pace = pace
        self._reluctance: dict[str, Reluctance] = {}  # name of a route, or "" for all
        self._noticed: dict[Key, tuple[str, int, float]] = {}  # uid, generation and when it was first seen
        self.delay_s = ACCEPTED_AFTER_S
        self.followed: dict[Key, Route] = {}
        self.listeners: list[Callable[[Key, Route | None], None]] = []
        self.queue = WorkQueue(self.sync, pace)

    # Faults

    def freeze(self, route: str = "") -> None:
        """From now on it doesn't react to this route (empty: to any): its status stays behind its generation."""
        self._reluctance[route] = Reluctance()

    def refuse(self, reason: str = "UnsupportedValue", message: str = "", route: str = "") -> None:
        """From now on this route (empty: any) is not accepted, and the reason is said. A generation that is accepted already stays so."""
        self._reluctance[route] = Reluctance(reason, message or "Route is not accepted")
        self._look_at_all()

    def heal(self) -> None:
        """Accept everything again, also what has waited."""
        self._reluctance.clear()
        self._look_at_all()

    # Work

    def notice(self, change: Change) -> None:
        if change.resource.key == HTTP_ROUTES.key:
            self.queue.add((namespace_of(change.obj), name_of(change.obj)))
        elif change.resource.key == GATEWAYS.key and _is_of_spec(change):
            self._look_at_all()
        elif change.resource.key == SERVICES.key:
            self._look_at_all(namespace_of(change.obj))

    def _look_at_all(self, namespace: str | None = None) -> None:
        for route in self._cluster.store.list(HTTP_ROUTES, namespace):
            self.queue.add((namespace_of(route), name_of(route)))

    def sync(self, key: Key) -> float | None:
        route = self._cluster.store.find(HTTP_ROUTES, *key)
        if route is None:
            self._noticed.pop(key, None)
            self._follow(key, None)
            return None
        left_s = self._left_s(key, route)
        if left_s > 0:
            return left_s
        reluctance = self._reluctance.get(key[1]) or self._reluctance.get("")
        if reluctance is not None and not reluctance.reason:
            return None
        self._settle(key, route, None if _is_accepted(route) else reluctance)
        return None

    def _left_s(self, key: Key, route: Obj) -> float:
        """Simulated seconds until this generation is looked at."""
        uid, generation = uid_of(route), route["metadata"]["generation"]
        if self._noticed.get(key, ("", 0, 0.0))[:2] != (uid, generation):
            self._noticed[key] = (uid, generation, self._pace.now())
        return self._noticed[key][2] + self.delay_s - self._pace.now()

    def _settle(self, key: Key, route: Obj, reluctance: Reluctance | None) -> None:
        """Traffic first, then the status: who reads that a weight is accepted may rely on it."""
        resolved = self._resolution(route)
        verdicts = [
            (parent, self._acceptance(route, parent, gateway, reluctance))
            for parent in at(route, "spec.parentRefs") or ()
            if (gateway := self._gateway_of(route, parent)) is not None
        ]
        if any(holds for _, (holds, _, _) in verdicts):
            self._follow(key, self._route(route))
        elif reluctance is None:
            self._follow(key, None)
        if verdicts or at(route, "status.parents"):
            self._write_status(key, route, verdicts, resolved)

    def _follow(self, key: Key, route: Route | None) -> None:
        if self.followed.get(key) == route:
            return
        if route is None:
            del self.followed[key]
        else:
            self.followed[key] = route
        for listener in list(self.listeners):
            listener(key, route)

    # What holds

    def _gateway_of(self, route: Obj, parent: Obj) -> Obj | None:
        if (parent.get("group", GROUP), parent.get("kind", "Gateway")) != (GROUP, "Gateway"):
            return None
        return self._cluster.store.find(GATEWAYS, parent.get("namespace") or namespace_of(route), parent["name"])

    def _acceptance(self, route: Obj, parent: Obj, gateway: Obj, reluctance: Reluctance | None) -> Verdict:
        listeners = gateway["spec"]["listeners"]
        section = parent.get("sectionName")
        chosen = [each for each in listeners if section in (None, each["name"])]
        if not chosen:
            return False, "NoMatchingParent", "No listeners match this parent ref"
        is_same = namespace_of(gateway) == namespace_of(route)
        if not any(is_same or at(each, "allowedRoutes.namespaces.from") == "All" for each in chosen):
            said = "No listeners included by this parent ref allowed this attachment."
            return False, "NotAllowedByListeners", said
        if reluctance is not None:
            return False, reluctance.reason, reluctance.message
        return True, "Accepted", "Route is accepted"

    def _resolution(self, route: Obj) -> Verdict:
        """The first reference that leads nowhere."""
        for number, rule in enumerate(route["spec"].get("rules") or ()):
            for index, ref in enumerate(rule.get("backendRefs") or ()):
                if wrong := self._wrong_with(route, ref):
                    reason, why = wrong
                    return False, reason, f"Failed to process route rule {number} backendRef {index}: {why}."
        return RESOLVED

    def _wrong_with(self, route: Obj, ref: Obj) -> tuple[str, str] | None:
        home = namespace_of(route)
        namespace = ref.get("namespace") or home
        if ref.get("group") or ref.get("kind", "Service") != "Service":
            return "InvalidKind", f"{ref.get('kind')} {ref['name']} is no Service"
        if namespace != home:
            return (
                "RefNotPermitted",
                f"backend ref to Service {namespace}/{ref['name']} not permitted by any ReferenceGrant",
            )
        service = self._cluster.store.find(SERVICES, namespace, ref["name"])
        if service is None:
            return "BackendNotFound", f"service {namespace}/{ref['name']} not found"
        if ref["port"] not in [port["port"] for port in service["spec"].get("ports") or ()]:
            return "PortNotFound", f"TCP Port {ref['port']} not found on service {namespace}/{ref['name']}"
        return None

    def _route(self, route: Obj) -> Route:
        rules = tuple(
            RouteRule(
                tuple(map(_match, rule.get("matches") or ())),
                tuple(self._backend(route, ref) for ref in rule.get("backendRefs") or ()),
            )
            for rule in route["spec"].get("rules") or ()
        )
        return Route(namespace_of(route), name_of(route), rules)

    def _backend(self, route: Obj, ref: Obj) -> Backend:
        """A Service without a selector has no pods of its own."""
        selector: dict[str, str] | None = None
        if self._wrong_with(route, ref) is None:
            service = self._cluster.get(SERVICES, namespace_of(route), ref["name"])
            selector = dict(service["spec"].get("selector") or {})
        return Backend(ref["name"], ref["weight"], selector)

    # What is said of it

    def _write_status(self, key: Key, route: Obj, verdicts: list[tuple[Obj, Verdict]], resolved: Verdict) -> None:
        generation = route["metadata"]["generation"]
        before = at(route, "status.parents") or []
        parents = [clone(each) for each in before if each["controllerName"] != CONTROLLER]
        for parent, accepted in verdicts:
            known = [each for each in before if (each["controllerName"], each["parentRef"]) == (CONTROLLER, parent)]
            conditions: list[Obj] = clone(known[0].get("conditions") or []) if known else []
            for kind, (holds, reason, message) in (("Accepted", accepted), ("ResolvedRefs", resolved)):
                entry = {"type": kind, "status": str(holds), "reason": reason, "message": message}
                put_condition(conditions, {**entry, "observedGeneration": generation})
            parents.append({"parentRef": clone(parent), "controllerName": CONTROLLER, "conditions": conditions})
        self._cluster.mutate(HTTP_ROUTES, *key, lambda obj: obj.update(status={"parents": parents}), "status")


def _is_accepted(route: Obj) -> bool:
    """This very generation, by us."""
    held = {"type": "Accepted", "status": "True", "observedGeneration": route["metadata"]["generation"]}
    return any(
        held.items() <= each.items()
        for parent in at(route, "status.parents") or ()
        if parent["controllerName"] == CONTROLLER
        for each in parent.get("conditions") or ()
    )


def _is_of_spec(change: Change) -> bool:
    return change.before is None or change.type == "DELETED" or change.before["spec"] != change.obj["spec"]


def _match(given: Obj) -> Match:
    path = given.get("path") or {}
    headers = tuple(
        (each["name"].lower(), each["value"], each.get("type") == "RegularExpression")
        for each in given.get("headers") or ()
    )
    return Match(path.get("value", "/"), path.get("type", "PathPrefix"), given.get("method", ""), headers)

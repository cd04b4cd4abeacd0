"""An HTTPRoute as it divides the traffic between two Services: what is so, and the smallest change that makes it so. Pure.

Whatever is not the weight of one of these two Services, in a rule that has both, is somebody else's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from integrations.kubernetes.calls import Json
from runbook.ports import Share, TrafficTarget

WHOLE = 100
_HOLDS = ("Accepted", "ResolvedRefs")
"""Conditions of each parent that must be True. Source: Gateway API v1, RouteConditionType."""
_GATEWAY = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
_PLACE = ("namespace", "name", "sectionName", "port")


@dataclass(frozen=True, slots=True)
class Pair:
    """Both backends in one rule, by their places in the lists. total: of all weights in that rule."""

    rule: int
    stable_at: int
    canary_at: int
    stable: int
    canary: int
    total: int

    @property
    def places(self) -> tuple[str, str]:
        return tuple(f"/spec/rules/{self.rule}/backendRefs/{at}/weight" for at in (self.stable_at, self.canary_at))  # type: ignore[return-value]

    def is_at(self, weight: int) -> bool:
        """Also by numbers that are no percentage: 1 and 1 are 50 %."""
        whole = self.stable + self.canary
        return whole > 0 and self.canary * WHOLE == weight * whole


def pairs(route: Json, target: TrafficTarget, namespace: str) -> tuple[Pair, ...]:
    """Every rule that holds both backends once. Raises KeyError, TypeError, AttributeError for what is no HTTPRoute."""
    found = []
    for number, rule in enumerate(route["spec"].get("rules") or ()):
        refs = rule.get("backendRefs") or ()
        stable, canary = (
            _places(refs, target.stable_backend, namespace),
            _places(refs, target.canary_backend, namespace),
        )
        if len(stable) == len(canary) == 1:
            weights = [_weight(ref) for ref in refs]
            at, beside = stable[0], canary[0]
            found.append(Pair(number, at, beside, weights[at], weights[beside], sum(weights)))
    return tuple(found)


def share_of(route: Json, target: TrafficTarget, namespace: str) -> Share:
    """See `runbook.ports.Share`. Codes: `no_backend`, `ambiguous`."""
    code, reason, remedy = _obstacle(route, target, namespace)
    if code:
        return Share(None, _reach(route, target, namespace), False, reason, code, remedy)
    both = pairs(route, target, namespace)
    objections = "; ".join(unaccepted(route, namespace))
    weight = _common_weight(both)
    odd = "" if weight is not None else f"the weights are {_numbers(both)}"
    ratio = max(pair.canary / pair.total if pair.total else 0.0 for pair in both)
    return Share(weight, ratio, not objections, objections or odd, places=tuple(pair.places for pair in both))


def patch(route: Json, both: tuple[Pair, ...], weight: int) -> list[Json]:
    """A JSON patch of weights alone, bound to the version that was read; empty where nothing differs.

    Unlike a merge it names single values of the lists, and unlike a replacement it can't lose a field that this program doesn't know.
    """
    differing = [pair for pair in both if not pair.is_at(weight)]
    if not differing:
        return []
    changes = [
        {"op": "add", "path": place, "value": value}
        for pair in differing
        for place, value in zip(pair.places, (WHOLE - weight, weight), strict=True)
    ]
    version = route["metadata"]["resourceVersion"]
    return [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}, *changes]


def unaccepted(route: Json, namespace: str) -> Iterator[str]:
    """Why the newest generation is not in force everywhere, in the routers' words, one sentence per parent; nothing when it is."""
    parents = route["spec"].get("parentRefs") or ()
    if not parents:
        yield "the route names no Gateway in parentRefs"
    said = (route.get("status") or {}).get("parents") or ()
    generation = int(route["metadata"].get("generation") or 0)
    for parent in parents:
        name = _parent_name(parent)
        about = [each for each in said if _place(each.get("parentRef") or {}, namespace) == _place(parent, namespace)]
        if not about:
            yield f"no controller has answered for {name}"
        for each in about:
            if words := _objection(each, generation):
                yield f"{name}: {words}"


def _objection(said: Json, generation: int) -> str:
    conditions = {entry.get("type"): entry for entry in said.get("conditions") or ()}
    for kind in _HOLDS:
        entry = conditions.get(kind)
        if entry is None:
            return f"{said.get('controllerName', 'the controller')} says nothing of {kind}"
        if int(entry.get("observedGeneration") or 0) < generation:
            return (
                f"{kind} is about generation {entry.get('observedGeneration') or 'unknown'}, the newest is {generation}"
            )
        if entry.get("status") != "True":
            return f"{kind} is {entry.get('status')}: {_words(entry)}"
    partly = conditions.get("PartiallyInvalid") or {}
    return f"PartiallyInvalid: {_words(partly)}" if partly.get("status") == "True" else ""


def _obstacle(route: Json, target: TrafficTarget, namespace: str) -> tuple[str, str, str]:
    """(code, reason, remedy); all empty where both backends stand beside each other in a rule."""
    rules = [rule.get("backendRefs") or () for rule in route["spec"].get("rules") or ()]
    for number, refs in enumerate(rules):
        counts = [len(_places(refs, name, namespace)) for name in (target.stable_backend, target.canary_backend)]
        if all(counts) and counts != [1, 1]:
            names = f"{target.stable_backend} or {target.canary_backend}"
            reason = f"rule {number} of the HTTPRoute {target.route} names {names} more than once"
            return "ambiguous", reason, "Leave one backendRef for each of them in a rule"
    if pairs(route, target, namespace):
        return "", "", ""
    for missing, other in (
        (target.canary_backend, target.stable_backend),
        (target.stable_backend, target.canary_backend),
    ):
        for number, refs in enumerate(rules):
            if at := _places(refs, other, namespace):
                port = refs[at[0]].get("port", "…")
                weight = 0 if missing == target.canary_backend else WHOLE
                line = f"- {{name: {missing}, port: {port}, weight: {weight}}}"
                reason = f"no rule of the HTTPRoute {target.route} has the backend {missing} beside {other}"
                return "no_backend", reason, f"Add to `backendRefs` of rule {number}, beside {other}: `{line}`"
    names = f"{target.stable_backend} and {target.canary_backend}"
    lines = (
        f"- {{name: {target.stable_backend}, port: …, weight: {WHOLE}}}` and "
        f"`- {{name: {target.canary_backend}, port: …, weight: 0}}`"
    )
    reason = f"no rule of the HTTPRoute {target.route} has the backends {names}"
    return "no_backend", reason, f"Add to a rule's `backendRefs`: `{lines}"


def _reach(route: Json, target: TrafficTarget, namespace: str) -> float:
    """The largest part of a rule's requests that goes to the canary, where there is no pair: 0 when none leads there."""
    found = [0.0]
    for rule in route["spec"].get("rules") or ():
        refs = rule.get("backendRefs") or ()
        total = sum(_weight(ref) for ref in refs)
        ours = sum(_weight(refs[at]) for at in _places(refs, target.canary_backend, namespace))
        found.append(ours / total if total else 0.0)
    return max(found)


def _places(refs: Any, service: str, namespace: str) -> list[int]:
    return [at for at, ref in enumerate(refs) if _is(ref, service, namespace)]


def _is(ref: Json, service: str, namespace: str) -> bool:
    is_service = not ref.get("group") and (ref.get("kind") or "Service") == "Service"
    return is_service and ref.get("name") == service and (ref.get("namespace") or namespace) == namespace


def _weight(ref: Json) -> int:
    """Without a weight it is 1. Source: Gateway API v1, BackendRef."""
    weight = ref.get("weight")
    return 1 if weight is None else int(weight)


def _common_weight(both: tuple[Pair, ...]) -> int | None:
    """In whole percent; None where the rules differ, or where it is none."""
    first = both[0]
    whole = first.stable + first.canary
    if whole < 1 or first.canary * WHOLE % whole:
        return None
    weight = first.canary * WHOLE // whole
    return weight if all(pair.is_at(weight) for pair in both) else None


def _numbers(both: tuple[Pair, ...]) -> str:
    return ", ".join(f"{pair.stable} to {pair.canary} in rule {pair.rule}" for pair in both)


def _place(parent: Json, namespace: str) -> tuple[Any, ...]:
    place = {**_GATEWAY, "namespace": namespace, **{key: value for key, value in parent.items() if value is not None}}
    return tuple(place.get(key) for key in ("group", "kind", *_PLACE))


def _parent_name(parent: Json) -> str:
    section = f", section {parent['sectionName']}" if parent.get("sectionName") else ""
    return f"{parent.get('kind') or 'Gateway'} {parent.get('name')}{section}"


def _words(entry: Json) -> str:
    return ": ".join(str(entry[key]) for key in ("reason", "message") if entry.get(key)) or "no reason given"

"""How production's traffic is divided, step by step: numbers of pods, the largest safe step back, whether a share is what was asked for.

Pure. It must never put traffic onto pods that aren't Available. Runbook: Production Deployment 4, Rollback Procedure 2.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from runbook.ports import Deployment, Rollout, Share, TrafficTarget
from runbook.verdicts import Evidence, Verdict
from runbook.wording import percent

ROUTE, REPLICAS = "route", "replicas"
STABLE, CANARY = "stable", "canary"
WHOLE = 100
SMALL = 10
"""Percent. A canary with no more of the traffic than this goes at once: what stable's Available pods carry already is nine tenths and
more of it, and a bad canary must not be kept in the traffic by one pod of stable that restarts."""


# --- numbers of pods --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Numbers:
    """Replicas of both Deployments."""

    stable: int
    canary: int


@dataclass(frozen=True, slots=True)
class Pods:
    """Of one Deployment. wanted: as its spec says. available: that serve now."""

    wanted: int
    available: int


def canary_replicas(driver: str, weight: int, size: int) -> int:
    """How many pods a canary needs for this percentage of the traffic of `size` pods; by weights it is never fewer than one."""
    if driver == REPLICAS:
        return replicas_for(weight, size).canary
    return max(1, -(-size * weight // WHOLE))


def replicas_for(weight: int, size: int) -> Numbers:
    """Pods whose share comes nearest to the weight without exceeding it, but never fewer than one canary.

    Up to 50 % the canary's pods come on top of a stable at full strength; above it stable shrinks, and at 100 % it has none.
    """
    if weight <= 0:
        return Numbers(size, 0)
    if weight >= WHOLE:
        return Numbers(0, size)
    if weight * 2 <= WHOLE:
        return Numbers(size, max(1, size * weight // (WHOLE - weight)))
    return Numbers(-(-size * (WHOLE - weight) // weight), size)


def next_replicas(weight: int, size: int, stable: Pods, canary: Pods) -> Numbers:
    """The numbers that may be set now on the way to this weight: growing comes first, and whoever shrinks waits for the other's Available
    pods. Below full strength stable is never shrunk by a weight that leaves it whole: an autoscaler may have made it larger."""
    goal = replicas_for(weight, size)
    return Numbers(_next_stable(goal, size, stable, canary), _next_canary(goal, size, stable, canary))


def _next_stable(goal: Numbers, size: int, stable: Pods, canary: Pods) -> int:
    if goal.stable >= size or goal.stable >= stable.wanted:
        return max(stable.wanted, goal.stable)
    return goal.stable if canary.available >= goal.canary else stable.wanted


def _next_canary(goal: Numbers, size: int, stable: Pods, canary: Pods) -> int:
    if goal.canary >= canary.wanted:
        return goal.canary
    is_small = canary.wanted * WHOLE <= SMALL * (canary.wanted + stable.available)
    if stable.available and is_small:
        return goal.canary
    return max(goal.canary, min(canary.wanted, size - stable.available))


def strength(size: int, *wanted: int) -> int:
    """Replicas that carry all of the traffic today: an autoscaler may have found that more are needed than when the run began."""
    return max(1, size, *wanted)


def pods_ratio(stable: int, canary: int) -> float:
    """The canary's part of the pods, in [0, 1]."""
    return canary / (stable + canary) if canary else 0.0


# --- weights ----------------------------------------------------------------------------------------------------------


def next_weight_back(stable_available: int, size: int, current: int) -> int:
    """The canary's weight on the way back to 0: what stable's Available pods can't take yet stays where it is, and never grows.

    size: replicas at full strength. current: the canary's weight now. With enough pods it is 0 at once.
    """
    if stable_available >= size or current <= 0:
        return 0
    if stable_available < 1:
        return current
    if current <= SMALL:
        return 0
    return min(current, WHOLE - WHOLE * stable_available // size)


def usable(rollout: Rollout | None) -> int:
    """Available pods that certainly are of the newest template. During a roll-out the others are not counted on."""
    if rollout is None or not rollout.observed:
        return 0
    return max(0, rollout.available - (rollout.total - rollout.updated))


# --- verdicts ---------------------------------------------------------------------------------------------------------


def share_gate(workload: str) -> str:
    return f"traffic of {workload}"


def share_words(share: Share) -> str:
    """The true share, and the weight where that is another number."""
    true = percent(round(share.true_ratio, 4))
    if share.weight is None or round(share.true_ratio * WHOLE, 6) == share.weight:
        return true
    return f"{true} (weight {share.weight} %)"


def judge_share(share: Share | None, wanted: int, target: TrafficTarget) -> Verdict:
    """Whether the canary gets what was asked for and the router has accepted it.

    Codes: `traffic.no_route`, the share's own (`traffic.no_backend`), `traffic.foreign_weights`: FAIL; `traffic.not_accepted`: NO_DATA.
    """
    gate = share_gate(target.workload)
    if share is None:
        what = f"HTTPRoute {target.route}" if target.driver == ROUTE else f"Deployment {target.workload}"
        return Verdict.failed(gate, "traffic.no_route", f"there is no {what}", _seen(None, wanted, target))
    seen = _seen(share, wanted, target)
    if share.code:
        return Verdict.failed(gate, f"traffic.{share.code}", share.reason, seen, remedy=share.remedy)
    if share.weight != wanted and target.driver == ROUTE:
        reason = f"the canary of {target.workload} gets {share_words(share)} of the traffic, not {wanted} %: somebody else has changed it"
        remedy = f"Find out who else writes the HTTPRoute {target.route}, then retry or abort"
        return Verdict.failed(gate, "traffic.foreign_weights", reason, seen, remedy=remedy)
    if share.weight != wanted or not share.accepted:
        why = share.reason or "nothing is said about the newest generation yet"
        reason = f"{wanted} % for the canary of {target.workload} is not accepted yet: {why}"
        return Verdict.no_data(gate, "traffic.not_accepted", reason, seen, remedy=_patience(target))
    return Verdict.passed(gate, f"the canary of {target.workload} gets {share_words(share)} of the traffic", seen)


def _seen(share: Share | None, wanted: int, target: TrafficTarget) -> Evidence:
    source = f"httproute/{target.route}" if target.driver == ROUTE else f"pods of {target.workload} and {target.canary}"
    value = None if share is None else round(share.true_ratio, 4)
    return Evidence(name="canary's true share", value=value, limit=wanted / WHOLE, unit="ratio", source=source)


def _patience(target: TrafficTarget) -> str:
    if target.driver == ROUTE:
        return f"Look at the Gateway's controller, and at `status.parents` of the HTTPRoute {target.route}"
    return f"Look at the pods of {target.workload} and {target.canary}"


# --- by hand ----------------------------------------------------------------------------------------------------------


def by_hand(kubectl: str, target: TrafficTarget, weight: int, places: Sequence[Sequence[str]] = ()) -> str:
    """The exact command by which a person sets this weight. places: see `Share.places`; without them the route is opened in an editor."""
    if target.driver == REPLICAS:
        goal = replicas_for(weight, target.size)
        return (
            f"{kubectl} scale {shlex.quote(f'deployment/{target.workload}')} --replicas={goal.stable} && "
            f"{kubectl} scale {shlex.quote(f'deployment/{target.canary}')} --replicas={goal.canary}"
        )
    if not places:
        wanted = f"weight {WHOLE - weight} for {target.stable_backend}, {weight} for {target.canary_backend}"
        return f"{kubectl} edit httproute {shlex.quote(target.route)}  # {wanted}"
    patch = [
        {"op": "add", "path": path, "value": value}
        for stable, canary in places
        for path, value in ((stable, WHOLE - weight), (canary, weight))
    ]
    text = shlex.quote(json.dumps(patch, separators=(",", ":")))
    return f"{kubectl} patch httproute {shlex.quote(target.route)} --type json -p {text}"


# --- before anything is changed ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Beginning:
    """What stands before a roll-out. stable, canary: the Deployments, None where there is none. share: None without a route.

    selectors: of stable's and the canary's Service, None where there is none. prefix: of forge's labels. run: the run that asks.
    kubectl: how a person reaches the place.
    """

    target: TrafficTarget
    stable: Deployment | None
    canary: Deployment | None
    share: Share | None
    prefix: str
    run: str
    kubectl: str
    selectors: tuple[Mapping[str, str] | None, Mapping[str, str] | None] = (None, None)


def check_canary_ready_to_begin(found: Beginning) -> tuple[Verdict, ...]:
    """Every obstacle is a verdict of its own; without one, a single PASS that names the true share at 5 %."""
    obstacles = (
        *_stable_obstacles(found),
        *_canary_obstacles(found),
        *_service_obstacles(found),
        *_route_obstacles(found),
    )
    if obstacles:
        return obstacles
    target = found.target
    how = f"by the HTTPRoute {target.route}" if target.driver == ROUTE else "by the number of pods"
    evidence = Evidence(name="replicas", value=target.size, unit="count", source=f"deployment/{target.workload}")
    reason = f"the traffic of {target.workload} can be divided {how}"
    if target.driver == REPLICAS:
        least = replicas_for(1, target.size)
        reason += f"; the smallest share is {percent(round(pods_ratio(least.stable, least.canary), 4))}"
    return (Verdict.passed(share_gate(target.workload), reason, evidence),)


def _stable_obstacles(found: Beginning) -> Iterator[Verdict]:
    target, stable = found.target, found.stable
    track = f"{found.prefix}/track"
    source = f"deployment/{target.workload}"
    if stable is None:
        reason = f"the Deployment {target.workload} doesn't exist"
        yield Verdict.failed(
            share_gate(target.workload),
            "workload.missing",
            reason,
            Evidence(name="deployment", value=None, source=source),
        )
        return
    if stable.replicas < 1:
        remedy = f"{found.kubectl} scale {shlex.quote(source)} --replicas=1"
        reason = f"{target.workload} is scaled to 0 replicas: it has no strength that a canary could be measured by"
        evidence = Evidence(name="replicas", value=stable.replicas, limit=1, unit="count", source=source)
        yield Verdict.failed(share_gate(target.workload), "workload.no_replicas", reason, evidence, remedy=remedy)
    for where, labels in (("pod template", stable.labels), ("selector", stable.selector)):
        if labels.get(track) != STABLE:
            evidence = Evidence(name=f"{track} in the {where}", value=labels.get(track), limit=STABLE, source=source)
            reason = f"the {where} of {target.workload} has no {track}: {STABLE}, so that its pods can't be told from a canary's"
            yield Verdict.failed(
                share_gate(target.workload), "traffic.no_track", reason, evidence, remedy=_track_remedy(found, where)
            )
            return


def _track_remedy(found: Beginning, where: str) -> str:
    """A Deployment's selector can't be changed in place. Source: kubernetes.io, Deployment, "Label selector updates"."""
    name, track = shlex.quote(f"deployment/{found.target.workload}"), f"{found.prefix}/track"
    label = json.dumps({"spec": {"template": {"metadata": {"labels": {track: STABLE}}}}}, separators=(",", ":"))
    labelled = f"`{found.kubectl} patch {name} -p {shlex.quote(label)}`, wait for its rollout, then "
    rest = (
        f"add `{track}: {STABLE}` to spec.selector.matchLabels and to the pods' labels in its manifest, and make it anew around its "
        f"running pods: `{found.kubectl} delete {name} --cascade=orphan` and apply the manifest"
    )
    return f"{labelled if where == 'pod template' else ''}{rest}"


def _canary_obstacles(found: Beginning) -> Iterator[Verdict]:
    canary = found.canary
    if canary is None or canary.marks.get(f"{found.prefix}/run") == found.run:
        return
    owner = canary.marks.get(f"{found.prefix}/run")
    whose = f"belongs to {owner}" if owner else "wasn't made by forge"
    source = f"deployment/{canary.name}"
    yield Verdict.failed(
        share_gate(found.target.workload),
        "traffic.canary_exists",
        f"there is a Deployment {canary.name} already, and it {whose}",
        Evidence(name=f"{found.prefix}/run", value=owner, limit=found.run, source=source),
        remedy=f"If nobody needs it: `{found.kubectl} delete {shlex.quote(source)}`",
    )


def _service_obstacles(found: Beginning) -> Iterator[Verdict]:
    """A Service that chooses the pods of both tracks would give the canary more than its weight, and nobody would see it."""
    target, track = found.target, f"{found.prefix}/track"
    if target.driver != ROUTE:
        return
    gate, names = share_gate(target.workload), (target.stable_backend, target.canary_backend)
    for name, selector, wanted in zip(names, found.selectors, (STABLE, CANARY), strict=True):
        value = None if selector is None else selector.get(track)
        evidence = Evidence(name=f"{track} in the selector", value=value, limit=wanted, source=f"service/{name}")
        if selector is None:
            reason, remedy = (
                f"there is no Service {name}",
                f"Apply a Service {name} whose selector has `{track}: {wanted}`",
            )
            yield Verdict.failed(gate, "traffic.no_service", reason, evidence, remedy=remedy)
        elif value != wanted:
            patch = json.dumps({"spec": {"selector": {track: wanted}}}, separators=(",", ":"))
            reason = f"the Service {name} doesn't choose pods by {track}: {wanted}, so that weights would not be what they say"
            remedy = f"`{found.kubectl} patch service {shlex.quote(name)} -p {shlex.quote(patch)}`"
            yield Verdict.failed(gate, "traffic.service_without_track", reason, evidence, remedy=remedy)


def _route_obstacles(found: Beginning) -> Iterator[Verdict]:
    target, share = found.target, found.share
    if target.driver != ROUTE:
        return
    if share is not None and not share.code and share.weight != 0:
        reason = f"the HTTPRoute {target.route} gives {share_words(share)} to {target.canary_backend} already, before there is a canary"
        evidence = _seen(share, 0, target)
        remedy = f"`{by_hand(found.kubectl, target, 0, share.places)}`"
        yield Verdict.failed(share_gate(target.workload), "traffic.not_at_rest", reason, evidence, remedy=remedy)
        return
    verdict = judge_share(share, 0, target)
    if share is None:
        backends = f"{target.stable_backend} (weight 100) and {target.canary_backend} (weight 0)"
        remedy = f"Apply an HTTPRoute {target.route} with a rule that has backendRefs to {backends}"
        verdict = Verdict.failed(verdict.gate, verdict.code, verdict.reason, *verdict.evidence, remedy=remedy)
    if verdict.code != "ok":
        yield verdict

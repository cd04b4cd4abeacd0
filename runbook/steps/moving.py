"""One workload's traffic on its way to the canary: pods first, then the weight, then the router's word for it.

It must never set a weight that the step wasn't given, nor overwrite one that somebody else has set.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from runbook.errors import Conflict, Temporary
from runbook.plan import Scene
from runbook.ports import Deployment, Rollout, Share, TrafficTarget
from runbook.rules.traffic import (
    REPLICAS,
    canary_replicas,
    judge_share,
    share_gate,
    share_words,
    strength,
)
from runbook.rules.workloads import judge_rollout
from runbook.steps.dividing import Divided, remembered_size
from runbook.steps.moments import Looking, Moments
from runbook.steps.rolling_out import CONFLICTS, ERRORS_TOLERATED_S, POLL_S, await_rollout, still_ours, with_duration
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration

TRAFFIC = "traffic"
"""The fact: a list of {workload, driver, weight, true_ratio, at, places}, in the order in which they were accepted."""

T = TypeVar("T")


@dataclass(frozen=True)
class Bounds:
    """timeout_s: until pods are Available. trouble_within_s: crash loops are named within it. route_timeout_s: until a weight is accepted."""

    timeout_s: float
    trouble_within_s: float
    route_timeout_s: float


@dataclass(frozen=True)
class Moved:
    """entry: of the fact `traffic`; None where the weight was not accepted."""

    verdict: Verdict
    entry: Mapping[str, Any] | None = None


async def persistent(scene: Scene, call: Callable[[], Awaitable[T]]) -> T:
    """The integration reads anew before each write; a conflict that outlasts its attempts is tried again here, a few times."""
    clock = scene.ports.clock
    for _ in range(CONFLICTS - 1):
        try:
            return await call()
        except Conflict as error:
            if error.code != "kubernetes.conflict":
                raise
            await clock.sleep_until(clock.now() + timedelta(seconds=POLL_S))
    return await call()


class Patience:
    """Puts up with temporary errors for a while: an API server that restarts is no reason to hold a release."""

    def __init__(self, scene: Scene, tolerated_s: float = ERRORS_TOLERATED_S) -> None:
        self._scene = scene
        self._tolerated_s = tolerated_s
        self._since: datetime | None = None

    async def ask(self, what: str, call: Callable[[], Awaitable[T]]) -> T | None:
        """None where no answer came this time. Raises the Temporary that has lasted too long, and every other error."""
        try:
            answer = await call()
        except Temporary as error:
            now = self._scene.ports.clock.now()
            self._since = self._since or now
            if (now - self._since).total_seconds() >= self._tolerated_s:
                raise
            self._scene.doing(f"{what}: {error.cause}")
            return None
        self._since = None
        return answer


def last_weight(facts: Mapping[str, Any], workload: str) -> int:
    """The weight that this run has set last; 0 before the first."""
    entries = facts.get(TRAFFIC)
    known = [entry for entry in entries if entry.get("workload") == workload] if isinstance(entries, list) else []
    return int(known[-1]["weight"]) if known else 0


def entry_of(target: TrafficTarget, weight: int, share: Share, at: datetime) -> dict[str, Any]:
    return {
        "workload": target.workload,
        "driver": target.driver,
        "weight": weight,
        "true_ratio": round(share.true_ratio, 4),
        "at": at.isoformat(),
        "places": [list(place) for place in share.places],
    }


def traffic_fact(facts: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What was recorded before, and these at the end; the same weight of the same workload stands once, as it was accepted last."""
    before = facts.get(TRAFFIC)
    new = {(entry["workload"], entry["weight"]) for entry in entries}
    kept = [e for e in before if (e.get("workload"), e.get("weight")) not in new] if isinstance(before, list) else []
    return [*kept, *entries]


class Move:
    """One workload to one weight. Raises `runbook.errors` when it couldn't ask or write."""

    def __init__(self, scene: Scene, one: Divided, weight: int, bounds: Bounds, moments: Moments) -> None:
        self._scene = scene
        self._one = one
        self._weight = weight
        self._bounds = bounds
        self._moments = moments
        self._cluster = scene.ports.clusters[scene.environment]

    async def whole(self) -> Moved:
        stable = await self._cluster.deployment(self._one.workload)
        canary = await self._cluster.deployment(self._one.canary)
        if verdict := self._obstacle(stable, canary) or await self._still_ours():
            return Moved(verdict)
        assert stable is not None  # noqa: S101 - among the obstacles
        assert canary is not None  # noqa: S101 - among the obstacles
        size = strength(remembered_size(self._scene.facts, self._one.workload), stable.replicas, canary.replicas)
        target = self._one.target(size)
        if self._one.driver == REPLICAS:
            return await self._by_replicas(target)
        return await self._by_route(target, canary)

    def _obstacle(self, stable: Deployment | None, canary: Deployment | None) -> Verdict | None:
        """Somebody has taken one of the Deployments away, or put another in the canary's place."""
        gate, run = share_gate(self._one.workload), f"{self._scene.annotation_prefix}/run"
        for name, found in ((self._one.workload, stable), (self._one.canary, canary)):
            if found is None:
                evidence = Evidence(name="deployment", value=None, source=f"deployment/{name}")
                return Verdict.failed(gate, "workload.missing", f"the Deployment {name} isn't there any more", evidence)
        owner = canary.marks.get(run) if canary is not None else None
        if owner != self._scene.run:
            evidence = Evidence(name=run, value=owner, limit=self._scene.run, source=f"deployment/{self._one.canary}")
            return Verdict.failed(
                gate, "traffic.canary_exists", f"{self._one.canary} isn't this run's canary", evidence
            )
        return None

    # --- by weights -------------------------------------------------------------------------------------------------

    async def _by_route(self, target: TrafficTarget, canary: Deployment) -> Moved:
        foreign = await self._foreign_weight(target)
        if foreign is not None:
            return Moved(foreign)
        pods = await self._enough_pods(target, canary)
        if pods.outcome is not Outcome.PASS:
            return Moved(pods)
        self._say(f"setting {self._weight} % for {target.canary}")
        share: Share | None = await persistent(self._scene, lambda: self._cluster.set_weight(target, self._weight))
        asked_at = self._scene.ports.clock.now()
        since = await self._moments.first(f"set:{target.workload}")
        return await self._until_accepted(target, share, since, asked_at)

    async def _foreign_weight(self, target: TrafficTarget) -> Verdict | None:
        """Only the weight before this step's, and its own after an interruption, may stand there: another is somebody's decision."""
        share = await self._cluster.share(target)
        before = last_weight(self._scene.facts, target.workload)
        if share is not None and not share.code and share.weight in (before, self._weight):
            return None
        return judge_share(share, before, target)

    async def _enough_pods(self, target: TrafficTarget, canary: Deployment) -> Verdict:
        """Never fewer than there are. Crash loops and failing probes FAIL within trouble_within_s, before any traffic gets there."""
        wanted = max(canary.replicas, canary_replicas(target.driver, self._weight, target.size))
        self._say(f"scaling {target.canary} to {wanted} for {self._weight} % of the traffic")
        await persistent(self._scene, lambda: self._cluster.scale(target.canary, wanted))
        since = await self._moments.first(f"scaled:{target.workload}")
        bounds = self._bounds
        verdict = await await_rollout(
            self._scene, target.canary, 0, since, bounds.timeout_s, bounds.trouble_within_s
        )  # fmt: skip
        if verdict.outcome is not Outcome.PASS:
            return verdict
        return await self._still_ours() or verdict

    async def _still_ours(self) -> Verdict | None:
        return await still_ours(self._scene, self._one.canary, canary_images(self._scene.facts, self._one.canary))

    async def _until_accepted(
        self, target: TrafficTarget, share: Share | None, since: datetime, asked_at: datetime
    ) -> Moved:
        """asked_at: of that share: keeping a moment may take long when the store is in trouble, and that is not the router's time."""
        clock, patience = self._scene.ports.clock, Patience(self._scene)
        while True:
            now = clock.now()
            if share is not None:
                verdict = judge_share(share, self._weight, target)
                if verdict.outcome is Outcome.PASS:
                    at = await self._moments.first(f"accepted:{target.workload}")
                    return Moved(verdict, entry_of(target, self._weight, share, at))
                waited_s = (asked_at - since).total_seconds()
                if verdict.outcome is Outcome.FAIL or waited_s >= self._bounds.route_timeout_s:
                    return Moved(verdict)
                self._say(
                    f"{verdict.reason}; the canary's true share is {share_words(share)}, for {duration(round(waited_s))}"
                )
            await clock.sleep_until(now + timedelta(seconds=POLL_S))
            asked_at = clock.now()
            share = await patience.ask(f"waiting for {target.workload}", lambda: self._asked(target))

    async def _asked(self, target: TrafficTarget) -> Share:
        """A route that went is a share that nobody has: `judge_share` would tell None from no answer no more."""
        share = await self._cluster.share(target)
        return share or Share(None, 0.0, False, f"there is no HTTPRoute {target.route} any more", "no_route")

    # --- by pods ----------------------------------------------------------------------------------------------------

    async def _by_replicas(self, target: TrafficTarget) -> Moved:
        """Each round goes as far as is safe. The canary's pods take work as soon as they run, so their troubles are looked at all the while."""
        clock, looking = self._scene.ports.clock, Looking(self._scene)
        writing, reading = Patience(self._scene), Patience(self._scene)
        troubled: dict[tuple[str, str], datetime] = {}
        while True:
            what = f"scaling {target.canary}"
            share = await writing.ask(what, lambda: self._cluster.set_weight(target, self._weight))
            rollout = await reading.ask(f"waiting for {target.canary}", lambda: self._cluster.rollout(target.canary))
            now = clock.now()
            if share is not None and rollout is not None:
                since = await self._moments.first(f"scaled:{target.workload}")
                moved = await self._judged(target, share, with_duration(rollout, troubled, now), since)
                if moved is not None:
                    return moved
                if looking.is_over(since, self._bounds.timeout_s):
                    return Moved(judge_share(share, self._weight, target))
                self._say(f"{share.reason or 'waiting for the pods'}; the canary's true share is {share_words(share)}")
            await clock.sleep_until(now + timedelta(seconds=POLL_S))

    async def _judged(self, target: TrafficTarget, share: Share, rollout: Rollout, since: datetime) -> Moved | None:
        bounds, elapsed_s = self._bounds, (self._scene.ports.clock.now() - since).total_seconds()
        pods = judge_rollout(target.canary, rollout, elapsed_s, bounds.timeout_s, bounds.trouble_within_s)
        if pods is not None and pods.outcome is not Outcome.PASS:
            return Moved(pods)
        verdict = judge_share(share, self._weight, target)
        if verdict.outcome is Outcome.PASS:
            if other := await self._still_ours():
                return Moved(other)
            at = await self._moments.first(f"accepted:{target.workload}")
            return Moved(verdict, entry_of(target, self._weight, share, at))
        return Moved(verdict) if verdict.outcome is Outcome.FAIL else None

    def _say(self, text: str) -> None:
        self._scene.doing(text)


CANARY_IMAGES = "canary_images"
"""The fact of `StartCanary`: {canary: {container: image}}."""


def canary_images(facts: Mapping[str, Any], canary: str) -> Mapping[str, str]:
    known = facts.get(CANARY_IMAGES)
    images = known.get(canary) if isinstance(known, Mapping) else None
    return images if isinstance(images, Mapping) else {}

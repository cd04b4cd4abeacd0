"""One workload's traffic on its way back to stable: weight 0 at once where stable can take it, else as far as its Available capacity goes.

It must never put traffic onto pods that aren't Available, nor onto a version that the step didn't name.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from runbook.errors import ForgeError, Permanent, Temporary
from runbook.plan import Scene
from runbook.ports import Deployment, Share, TrafficTarget
from runbook.rules.readings import read_error
from runbook.rules.traffic import (
    REPLICAS,
    WHOLE,
    by_hand,
    judge_share,
    next_weight_back,
    share_gate,
    share_words,
    strength,
    usable,
)
from runbook.steps.dividing import Divided, remembered_size
from runbook.steps.moments import Looking, Moments
from runbook.steps.moving import TRAFFIC, Patience
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration

QUICK_S, QUICK_FOR_S, SLOW_S = 0.1, 5.0, 1.0
"""How often is looked: the seconds from decision to weight 0 are published."""

SURE_S = 1.0
"""For how long weight 0 must stand: a shift that was interrupted may have a write under way, which may still land where none came after it."""

SILENCE = 3.0
"""So many time-outs long an API that gives no answer is put up with: only what it answered counts for the time-out itself."""

NO_BACKEND = "no_backend"

LATER = "traffic.later"
"""The code of what is left to a later step: stable doesn't run the version that the traffic is to come back to."""


@dataclass(frozen=True)
class Home:
    """What became of one workload. at: when weight 0 was accepted; None where it was not. share: as it was seen last."""

    workload: str
    verdict: Verdict
    at: datetime | None = None
    share: Share | None = None
    target: TrafficTarget | None = None

    @property
    def is_left(self) -> bool:
        return self.verdict.code == LATER


class Homecoming:
    """images: container -> image that stable must run; empty: whatever it runs. may_be_later: a later step brings that image back.

    Errors that may pass are put up with until the time-out, because there is nowhere better to go.
    """

    def __init__(
        self,
        scene: Scene,
        one: Divided,
        images: Mapping[str, str],
        moments: Moments,
        *,
        timeout_s: float,
        route_timeout_s: float,
        may_be_later: bool,
    ) -> None:
        self._scene = scene
        self._one = one
        self._images = images
        self._moments = moments
        self._timeout_s = timeout_s
        self._route_timeout_s = route_timeout_s
        self._may_be_later = may_be_later
        self._cluster = scene.ports.clusters[scene.environment]
        self._patience = Patience(scene, SILENCE * timeout_s)
        self._stable: Deployment | None = None
        self._canary: Deployment | None = None
        self._looked = False
        self._answered = True
        self._share: Share | None = None
        self._stood_since: datetime | None = None
        self._zeros = 0

    async def _look(self) -> None:
        """The one question before the write: what stable runs, and how much of it is Available."""
        self._looked = self._answered = False
        answer = await self._patience.ask(f"reading {self._one.workload}", self._both)
        if answer is not None:
            self._stable, self._canary = answer
            self._looked = self._answered = True

    async def _both(self) -> tuple[Deployment | None, Deployment | None]:
        stable, canary = await asyncio.gather(
            self._cluster.deployment(self._one.workload), self._cluster.deployment(self._one.canary)
        )
        return stable, canary

    async def whole(self) -> Home:
        """Never raises `runbook.errors`: what could not be done is a verdict that carries the command for a person's hand."""
        try:
            home = await self._until_home()
        except (Temporary, Permanent) as error:
            home = self._failed(error)
        if home.verdict.outcome is Outcome.PASS:
            return home
        command = by_hand(self._cluster.kubectl, self._target(), 0, self._places())
        remedy = ". ".join(each.rstrip(".") for each in (home.verdict.remedy, f"By hand: {command}") if each)
        return replace(home, verdict=replace(home.verdict, remedy=remedy))

    async def _until_home(self) -> Home:
        clock, looking = self._scene.ports.clock, Looking(self._scene)
        since, silent_s = clock.now(), 0.0
        began: datetime | None = None
        while True:
            asked_at = clock.now()
            await self._look()
            home = await self._round() if self._looked else None
            if home is not None:
                return home
            if began is None:
                began = await self._moments.first(f"back:{self._one.workload}")
            elif self._answered and looking.is_over(began, self._timeout_s + silent_s):
                return self._too_late((clock.now() - began).total_seconds())
            await self._pause(since)
            if not self._answered:
                silent_s += (clock.now() - asked_at).total_seconds()

    async def _pause(self, since: datetime) -> None:
        clock = self._scene.ports.clock
        waited_s = (clock.now() - since).total_seconds()
        pause_s = QUICK_S if waited_s < QUICK_FOR_S else SLOW_S
        if self._stood_since is not None:
            pause_s = SURE_S
        await clock.sleep_until(clock.now() + timedelta(seconds=pause_s))

    async def _round(self) -> Home | None:
        """One look's consequences. None: go on."""
        if self._stable is None:
            evidence = Evidence(name="deployment", value=None, source=f"deployment/{self._one.workload}")
            reason = f"there is no Deployment {self._one.workload} that could take the traffic"
            return self._home(Verdict.failed(self._gate, "workload.missing", reason, evidence))
        if other := self._other_version(self._stable):
            what = f"reading the traffic of {self._one.workload}"
            return await self._patience.ask(what, lambda: self._not_yet(other))
        what = f"shifting the traffic of {self._one.workload} back"
        share = await self._patience.ask(what, self._step_back)
        if share is None:
            self._answered = False
            return None
        self._share = share
        if share.code and not share.true_ratio:
            evidence = Evidence(
                name="canary's true share", value=0, unit="ratio", source=f"httproute/{self._one.route}"
            )
            reason = f"no rule of the HTTPRoute {self._one.route} leads to {self._one.canary_backend} any more"
            return await self._stood(Verdict.passed(self._gate, reason, evidence))
        if share.weight != 0 or share.code:
            self._stood_since = None
            self._say(share)
            return None
        return await self._accepted(share)

    async def _step_back(self) -> Share | None:
        """The largest safe step. By route weight 0 is written without another question where stable has its pods."""
        target, stable = self._target(), self._stable
        assert stable is not None  # noqa: S101 - asked before
        if self._one.driver == REPLICAS:
            return await self._cluster.set_weight(target, 0)
        weight = 0
        available = usable(stable.rollout)
        if available < target.size:
            share = await self._cluster.share(target)
            if share is not None and not share.code:
                self._share = share
                current = share.weight if share.weight is not None else math.ceil(share.true_ratio * WHOLE)
                weight = next_weight_back(available, target.size, current)
                if weight and weight >= current:
                    await self._strengthen(stable, target)
                    return share
        try:
            share = await self._cluster.set_weight(target, weight)
        except Permanent as error:
            share = await self._cluster.share(target) if error.code == f"kubernetes.{NO_BACKEND}" else None
            if share is None or share.true_ratio:
                raise
        await self._strengthen(stable, target)
        return share

    async def _strengthen(self, stable: Deployment, target: TrafficTarget) -> None:
        """An autoscaler may have shrunk it: it is brought to full strength, after the write that must not wait."""
        if stable.replicas < target.size:
            await self._cluster.scale(target.workload, target.size)

    async def _accepted(self, share: Share) -> Home | None:
        """Weight 0 is set. By route its acceptance has a time-out of its own."""
        verdict = judge_share(share, 0, self._target())
        if verdict.outcome is Outcome.PASS:
            return await self._stood(verdict)
        self._stood_since = None
        if verdict.outcome is Outcome.FAIL:
            return self._home(verdict)
        # The time of this answer: keeping the moment may take long when the store is in trouble, and that isn't the router's.
        now = self._scene.ports.clock.now()
        set_at = await self._moments.first(f"set:{self._one.workload}")
        waited_s = (now - set_at).total_seconds()
        if self._one.driver != REPLICAS and waited_s >= self._route_timeout_s:
            return self._home(verdict)
        self._scene.doing(f"{verdict.reason}, for {duration(round(waited_s))}")
        return None

    async def _stood(self, verdict: Verdict) -> Home | None:
        """The moment that counts is the first at which it was accepted; it must stand for a while after it."""
        now = self._scene.ports.clock.now()
        if self._stood_since is None:
            self._stood_since = now
            self._zeros += 1
        at = await self._moments.first(f"zero:{self._one.workload}:{self._zeros}")
        if (now - self._stood_since).total_seconds() < SURE_S:
            return None
        return self._home(verdict, at)

    # --- another version --------------------------------------------------------------------------------------------

    def _other_version(self, stable: Deployment) -> str:
        """What stable runs in place of what the traffic is to come back to; empty where it is right."""
        for container, image in self._images.items():
            found = stable.image_of(container)
            if found != image:
                return found or "nothing"
        return ""

    async def _not_yet(self, runs: str) -> Home | None:
        """Where the canary has nothing any more there is nothing to move, whatever stable runs."""
        target = self._target()
        share = self._share = await self._cluster.share(target)
        evidence = Evidence(
            name="image", value=runs, limit=next(iter(self._images.values())), source=f"deployment/{target.workload}"
        )
        if share is not None and share.weight == 0 and not share.code:
            return await self._accepted(share)
        reason = f"{target.workload} runs {runs}, not the previous image: its traffic stays on the canary until it does"
        if self._may_be_later:
            return self._home(Verdict.passed(self._gate, reason, evidence, code=LATER))
        remedy = f"Bring the previous image of {target.workload} back first"
        return self._home(Verdict.failed(self._gate, "traffic.other_version", reason, evidence, remedy=remedy))

    # --- words ------------------------------------------------------------------------------------------------------

    @property
    def _gate(self) -> str:
        return share_gate(self._one.workload)

    def _target(self) -> TrafficTarget:
        wanted = [found.replicas for found in (self._stable, self._canary) if found is not None]
        return self._one.target(strength(remembered_size(self._scene.facts, self._one.workload), *wanted))

    def _home(self, verdict: Verdict, at: datetime | None = None) -> Home:
        return Home(self._one.workload, verdict, at, self._share, self._target())

    def _failed(self, error: ForgeError) -> Home:
        return self._home(read_error(self._gate, error))

    def _too_late(self, waited_s: float) -> Home:
        if self._share is None:
            reason = f"no word of the traffic of {self._one.workload} for {duration(round(waited_s))}"
            return self._home(Verdict.error(self._gate, "traffic.not_asked", reason))
        rollout = self._stable.rollout if self._stable is not None else None
        size, available = self._target().size, usable(rollout)
        evidence = Evidence(
            name="available", value=available, limit=size, unit="count", source=f"deployment/{self._one.workload}"
        )
        reason = (
            f"the canary of {self._one.workload} still gets {share_words(self._share)} after {duration(round(waited_s))}: "
            f"stable has {available} of {size} replicas Available"
        )
        return self._home(Verdict.failed(self._gate, "traffic.stuck", reason, evidence))

    def _say(self, share: Share) -> None:
        rollout = self._stable.rollout if self._stable is not None else None
        self._scene.doing(
            f"the canary of {self._one.workload} gets {share_words(share)}; stable has {usable(rollout)} of {self._target().size} replicas "
            f"Available, the rest of the traffic follows them"
        )

    def _places(self) -> tuple[tuple[str, ...], ...]:
        """As seen last, else as they were when the traffic was shifted."""
        if self._share is not None and self._share.places:
            return self._share.places
        entries = self._scene.facts.get(TRAFFIC)
        known = [e for e in entries if e.get("workload") == self._one.workload] if isinstance(entries, list) else []
        return tuple(tuple(place) for place in known[-1].get("places") or ()) if known else ()

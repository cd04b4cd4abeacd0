"""What people do to release and to roll back in production on a stage, and what a test may note meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.routes import Route
from sandbox.world.staff import ADA, OLLY, PIA, SAM
from tests.whole.stage import Stage

CANDIDATE, FINAL, BEFORE = "v1.4.0-rc.2", "v1.4.0", "v1.3.0"
PROD = "prod"
STABLE, CANARY = "stable", "canary"
COUNTED = "http_requests_total"


async def prove(stage: Stage, candidate: str = CANDIDATE) -> str:
    """The candidate gets its go in staging; returns the run."""
    run = await stage.deploy(candidate)
    await stage.decide_go(run)
    return run


async def began(stage: Stage, text: str, user: str = ADA) -> str:
    """Types a command that begins a run; returns it, else tells what the user was told in its place."""
    return await stage.began(user, text)


async def promote(stage: Stage, final: str = FINAL) -> str:
    """Ada asks for it, Sam and Pia approve; returns the run."""
    run = await began(stage, f"promote {final} {PROD}")
    await stage.approve(SAM, run, title="Ship to production")
    await stage.approve(PIA, run, title="Ship to production")
    return run


async def rolled_back(stage: Stage, run: str, *, within_s: float = 180.0) -> str:
    """Waits until the run has returned production, and its incident knows it; returns its one sentence."""
    sentence = await stage.until_ended(run, within_s=within_s)
    assert " – returned" in sentence, f"{sentence}\n{stage.headline(run)}"
    await stage.until(lambda: stage.world.serves(PROD, BEFORE), f"{BEFORE} serves alone")
    assert_stable_has_everything(stage)
    return sentence


def assert_stable_has_everything(stage: Stage) -> None:
    """All weight at stable, and no canary is left."""
    for workload in stage.world.shop.workloads:
        assert stage.world.weights(workload) == {workload: 100, f"{workload}-canary": 0}
    names = {each["metadata"]["name"] for each in stage.world.cluster.list("Deployment", PROD)}
    assert names == set(stage.world.shop.everything)


async def end_incidents(stage: Stage) -> None:
    """Olly resolves what is open, and waits until it is: a grave incident holds releases up. A run that has ended has opened its own."""
    await stage.until(lambda: stage.record.open_incidents() is not None, "what is open is known")
    for incident in stage.record.open_incidents() or ():
        await stage.command(OLLY, f"incident resolve {incident}")
    await stage.until(lambda: stage.record.open_incidents() == [], "no incident is open")


@dataclass
class Shares:
    """Which share of a workload's requests the canary really had at each weight that the gateway followed.

    weights: those that were seen, in order. requests: weight -> (the canary's requests, all requests) while it stood.
    """

    stage: Stage
    workload: str
    weights: list[int] = field(default_factory=list)
    requests: dict[int, tuple[float, float]] = field(default_factory=dict)

    def begin(self) -> None:
        self._last = self._counted()
        self.stage.world.cluster.on_route(self._follow)

    def _follow(self, namespace: str, name: str, route: Route | None) -> None:
        if namespace != PROD or name != self.workload or route is None:
            return
        weight = next(b.weight for rule in route.rules for b in rule.backends if b.service.endswith("-canary"))
        if self.weights and self.weights[-1] == weight:
            return
        self.settle()
        self.weights.append(weight)

    def settle(self) -> None:
        """Counts what came at the weight that stands. What a pod that has gone meanwhile counted is lost with it."""
        now = self._counted()
        if self.weights:
            canary, both = self.requests.get(self.weights[-1], (0.0, 0.0))
            more = {key: value - self._last.get(key, 0.0) for key, value in now.items()}
            canary += sum(value for (track, *_), value in more.items() if track == CANARY)
            self.requests[self.weights[-1]] = (canary, both + sum(more.values()))
        self._last = now

    def _counted(self) -> dict[tuple[str, ...], float]:
        """Answered requests by track, pod, method and code."""
        names = ("track", "pod", "method", "code")
        return {
            tuple(labels[name] for name in names): value
            for labels, value in answered(self.stage)
            if labels["workload"] == self.workload
        }


def answered(stage: Stage) -> Iterator[tuple[dict[str, str], float]]:
    """Production's counted answers: labels and number of each series."""
    for family in stage.world.shop.meters[PROD].answered.collect():
        for sample in family.samples:
            if sample.name == COUNTED:
                yield sample.labels, sample.value


def uploaded(stage: Stage, ending: str) -> Any:
    """The newest shared file whose name ends so."""
    return next(
        (
            f
            for f in reversed(list(stage.world.slack.workspace.files.values()))
            if f.is_shared and f.name.endswith(ending)
        ),
        None,
    )

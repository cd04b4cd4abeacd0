"""How a Deployment's roll-out is begun and waited for: set by digest, looked at once a second, its troubles named in Kubernetes' own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from runbook.errors import Conflict, Temporary
from runbook.plan import Scene
from runbook.ports import Rollout
from runbook.rules.workloads import judge_rollout, trouble_words
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration

POLL_S = 1.0
CONFLICTS = 5
ERRORS_TOLERATED_S = 60.0
"""For how long a rollout that can't be read is waited for: an API server that restarts is no reason to hold a release."""


async def roll_out(
    scene: Scene, name: str, images: Mapping[str, str], timeout_s: float, trouble_within_s: float
) -> Verdict:
    """Raises `runbook.errors` when the image couldn't be set, or the rollout not be read for too long."""
    scene.doing(f"setting the image of {name}")
    generation = await set_images(scene, name, images)
    since = await set_since(scene)
    verdict = await await_rollout(scene, name, generation, since, timeout_s, trouble_within_s)
    if verdict.outcome != Outcome.PASS:
        return verdict
    return await still_ours(scene, name, images) or verdict


async def set_images(scene: Scene, name: str, images: Mapping[str, str]) -> int:
    """The integration reads anew before each write; a conflict that outlasts its attempts is tried again here, a few times."""
    cluster, clock = scene.ports.clusters[scene.environment], scene.ports.clock
    prefix = scene.annotation_prefix
    annotations = {f"{prefix}/run": scene.run, f"{prefix}/step": f"{scene.run}/{scene.index}"}
    for _ in range(CONFLICTS - 1):
        try:
            return await cluster.set_images(name, images, annotations)
        except Conflict:
            await clock.sleep_until(clock.now() + timedelta(seconds=POLL_S))
    return await cluster.set_images(name, images, annotations)


async def set_since(scene: Scene) -> datetime:
    """When this attempt set the image for the first time: a restart doesn't prolong the wait, and our own downtime before isn't part of it."""
    known = scene.progress
    if isinstance(known, Mapping) and known.get("attempt") == scene.attempt:
        return datetime.fromisoformat(known["set_at"])
    now = scene.ports.clock.now()
    await scene.save({"attempt": scene.attempt, "set_at": now.isoformat()})
    return now


async def await_rollout(
    scene: Scene, name: str, generation: int, since: datetime, timeout_s: float, trouble_within_s: float
) -> Verdict:
    """Looks once a second. since: from when time counts."""
    cluster, clock = scene.ports.clusters[scene.environment], scene.ports.clock
    troubled: dict[tuple[str, str], datetime] = {}
    unread_since: datetime | None = None
    while True:
        try:
            rollout: Rollout | None = await cluster.rollout(name)
            unread_since = None
        except Temporary as error:
            rollout, now = None, clock.now()
            unread_since = unread_since or now
            if (now - unread_since).total_seconds() >= ERRORS_TOLERATED_S:
                raise
            scene.doing(f"waiting for {name}: {error.cause}")
        now = clock.now()
        if rollout is not None:
            rollout = newest_only(with_duration(rollout, troubled, now), generation)
            elapsed_s = (now - since).total_seconds()
            verdict = judge_rollout(name, rollout, elapsed_s, timeout_s, trouble_within_s)
            if verdict is not None:
                return verdict
            scene.doing(_progress(name, rollout, elapsed_s))
        await clock.sleep_until(now + timedelta(seconds=POLL_S))


def with_duration(rollout: Rollout, troubled: dict[tuple[str, str], datetime], now: datetime) -> Rollout:
    """A trouble lasts at least since it was first seen here: not every one carries a time of its own."""
    present = {(t.pod, t.container) for t in rollout.troubles}
    for gone in troubled.keys() - present:
        del troubled[gone]
    known = tuple(
        replace(t, since_s=max(t.since_s, (now - troubled.setdefault((t.pod, t.container), now)).total_seconds()))
        for t in rollout.troubles
    )
    return replace(rollout, troubles=known)


def newest_only(rollout: Rollout, generation: int) -> Rollout:
    """An answer from before our write (a lagging cache) says nothing of it."""
    if rollout.generation >= generation:
        return rollout
    return replace(rollout, observed=False, troubles=())


def _progress(name: str, rollout: Rollout, elapsed_s: float) -> str:
    counts = f"{rollout.available} of {rollout.desired} Available, {rollout.updated} updated"
    trouble = f"; {trouble_words(rollout.troubles[0])}" if rollout.troubles else ""
    return f"waiting for {name}: {counts}, for {duration(round(elapsed_s))}{trouble}"


async def still_ours(scene: Scene, name: str, images: Mapping[str, str]) -> Verdict | None:
    """Somebody may have set another image while we waited: then what is Available isn't what was deployed."""
    deployment = await scene.ports.clusters[scene.environment].deployment(name)
    runs: dict[str, Any] = {c.name: c.image for c in deployment.containers} if deployment is not None else {}
    for container, image in images.items():
        if runs.get(container) != image:
            found = runs.get(container) or "nothing"
            evidence = Evidence(name="image", value=runs.get(container), limit=image, source=f"deployment/{name}")
            reason = f"{name} runs {found} now, not {image}: somebody else has changed it meanwhile"
            remedy = "Find out who else deploys here (a GitOps controller, a person), then deploy again"
            return Verdict.failed(f"rollout of {name}", "rollout.overwritten", reason, evidence, remedy=remedy)
    return None

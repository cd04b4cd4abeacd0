"""A canary goes when it has no traffic any more. It must never be taken away from under live requests, nor somebody else's Deployment."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import timedelta

from runbook.errors import Permanent, Temporary
from runbook.plan import Scene
from runbook.ports import Share
from runbook.rules.readings import read_error
from runbook.rules.traffic import REPLICAS, by_hand, judge_share, share_gate, share_words, strength
from runbook.steps.dividing import Divided, remembered_size
from runbook.steps.moments import Looking, Moments
from runbook.steps.moving import Patience, persistent
from runbook.steps.rolling_out import POLL_S
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration


async def removed(scene: Scene, one: Divided, moments: Moments, timeout_s: float) -> Verdict:
    """Deletes this run's canary of one workload and waits until its pods are gone. What could not be done is a verdict with the command."""
    try:
        return await _until_gone(scene, one, moments, timeout_s)
    except (Temporary, Permanent) as error:
        command = f"{scene.ports.clusters[scene.environment].kubectl} delete {shlex.quote(f'deployment/{one.canary}')}"
        remedy = f"{error.remedy.rstrip('.')}. " if error.remedy else ""
        return replace(read_error(share_gate(one.workload), error), remedy=f"{remedy}By hand: {command}")


async def _until_gone(scene: Scene, one: Divided, moments: Moments, timeout_s: float) -> Verdict:
    clock, prefix, looking = scene.ports.clock, scene.annotation_prefix, Looking(scene)
    gate, patience = share_gate(one.workload), Patience(scene)
    source, absent = f"deployment/{one.canary}", False
    while True:
        owner = await patience.ask(f"reading {one.canary}", lambda: _owner(scene, one))
        if owner == "" and not absent:
            absent = True  # a creation that was interrupted may still be under way: it must be gone twice in a row
        elif owner is not None and owner != scene.run:
            evidence = Evidence(name=f"{prefix}/run", value=owner or None, source=source)
            words = f"{one.canary} is gone" if not owner else f"{one.canary} belongs to {owner} and stays"
            return Verdict.passed(gate, words, evidence)
        elif owner is not None:
            absent = False
            if verdict := await _next(scene, one, moments, looking, timeout_s):
                return verdict
        await clock.sleep_until(clock.now() + timedelta(seconds=POLL_S))


async def _next(scene: Scene, one: Divided, moments: Moments, looking: Looking, timeout_s: float) -> Verdict | None:
    """Deletes it once nothing goes to it any more. None: go on looking. What was deleted once isn't asked about its traffic again."""
    cluster = scene.ports.clusters[scene.environment]
    if moments.known(f"removed:{one.workload}") is None and (refused := await _refused(scene, one)):
        asked = await moments.first(f"asked:{one.workload}")
        if refused.outcome is Outcome.FAIL or looking.is_over(asked, timeout_s):
            return refused
        scene.doing(refused.reason)
        return None
    await persistent(scene, lambda: cluster.remove_canary(one.canary, scene.run, scene.annotation_prefix))
    since = await moments.first(f"removed:{one.workload}")
    if not looking.is_over(since, timeout_s):
        scene.doing(f"waiting until {one.canary} is gone")
        return None
    source, waited_s = f"deployment/{one.canary}", (scene.ports.clock.now() - since).total_seconds()
    evidence = Evidence(name="deployment", value=one.canary, source=source)
    reason = f"{one.canary} was deleted {duration(round(waited_s))} ago and still has pods"
    remedy = f"See what keeps them: `{cluster.kubectl} describe {shlex.quote(source)}`"
    return Verdict.failed(share_gate(one.workload), "traffic.canary_stays", reason, evidence, remedy=remedy)


async def _owner(scene: Scene, one: Divided) -> str:
    """The run that the canary belongs to; empty where there is none. A Deployment of nobody's has the owner `somebody else`."""
    found = await scene.ports.clusters[scene.environment].deployment(one.canary)
    if found is None:
        return ""
    return found.marks.get(f"{scene.annotation_prefix}/run") or "somebody else"


async def _refused(scene: Scene, one: Divided) -> Verdict | None:
    """None where nothing goes to the canary, or nothing could: there is no route. NO_DATA: the router hasn't accepted that yet."""
    cluster = scene.ports.clusters[scene.environment]
    target = one.target(strength(remembered_size(scene.facts, one.workload)))
    share: Share | None = await cluster.share(target)
    if share is None or (share.code and not share.true_ratio):
        return None
    if share.weight == 0:
        is_so = share.accepted or one.driver == REPLICAS
        return None if is_so else judge_share(share, 0, target)
    evidence = Evidence(name="canary's true share", value=round(share.true_ratio, 4), limit=0, unit="ratio")
    reason = f"{one.canary} still gets {share_words(share)} of the traffic: it stays"
    remedy = f"`{by_hand(cluster.kubectl, target, 0, share.places)}`, then retry"
    return Verdict.failed(share_gate(one.workload), "traffic.still_on_canary", reason, evidence, remedy=remedy)

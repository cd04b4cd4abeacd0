"""Stable stays at full size while its traffic is elsewhere: its autoscalers are kept from shrinking it, and let go when it is over.

Nothing here decides a release: an autoscaler that can't be held makes the way back slower, and that is told. It must never touch one that
something else manages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from runbook.errors import Conflict, ForgeError, Permanent, Temporary
from runbook.plan import Scene
from runbook.ports import Autoscaler
from runbook.rules.full_size import Change, floor, hold_of, is_changed, lowered, lowered_by_hand, raised
from runbook.rules.readings import read_error
from runbook.steps.dividing import Divided, remembered_size
from runbook.steps.moving import Patience
from runbook.steps.rolling_out import CONFLICTS, POLL_S
from runbook.verdicts import Evidence, Verdict

HELD_SIZES = "held_sizes"
"""The fact: {workload: {autoscaler: {before, least}}}, of minReplicas: what this run has raised."""

PAUSE_S = 0.2
"""After a conflict: an autoscaler's controller writes its status every few seconds."""


def size_gate(workload: str) -> str:
    return f"size of {workload}"


# --- before traffic moves ---------------------------------------------------------------------------------------------


async def held(scene: Scene, targets: Sequence[Divided], weight: int) -> tuple[tuple[Verdict, ...], Mapping[str, Any]]:
    """Every autoscaler of these workloads keeps stable at the size that the canary's weight leaves it. None of the verdicts binds.

    Raises Temporary where no answer came. The second: the fact `held_sizes`.
    """
    verdicts: list[Verdict] = []
    sizes: dict[str, Any] = dict(_known(scene))
    for one in targets:
        size = remembered_size(scene.facts, one.workload)
        if not size:
            continue
        try:
            said, now = await _held(scene, one, floor(one.driver, weight, size))
        except Permanent as error:
            verdicts.append(_unknown(one, size, error))
            continue
        verdicts.extend(said)
        if now or one.workload in sizes:
            sizes[one.workload] = now
    return tuple(replace(verdict, binding=False) for verdict in verdicts), sizes


async def _held(scene: Scene, one: Divided, size: int) -> tuple[list[Verdict], dict[str, Any]]:
    for _ in range(CONFLICTS - 1):
        try:
            return await _held_once(scene, one, size)
        except Conflict:
            await _pause(scene, PAUSE_S)
    return await _held_once(scene, one, size)


async def _held_once(scene: Scene, one: Divided, size: int) -> tuple[list[Verdict], dict[str, Any]]:
    """Reads, decides and writes what isn't as it should be."""
    cluster, prefix = scene.ports.clusters[scene.environment], scene.annotation_prefix
    verdicts, sizes = [], {}
    found = await cluster.autoscalers(one.workload)
    for each in found:
        if each.owner:
            verdicts.append(_not_ours(one, each))
            continue
        change = raised(each, size, scene.run, prefix)
        if change is not None:
            scene.doing(f"keeping {one.workload} at {size} replicas")
            await cluster.set_least(each, change.least, change.marks)
        now = each if change is None else _as_written(each, change)
        verdicts.append(_kept(one, now, size, scene.run, prefix))
        hold = hold_of(now, prefix)
        if hold is not None and hold.run == scene.run:
            sizes[each.name] = {"before": hold.before, "least": hold.least}
    if not found:
        reason = f"no HorizontalPodAutoscaler scales {one.workload}: it keeps its size"
        verdicts.append(Verdict.passed(size_gate(one.workload), reason, _evidence(one, None, size)))
    return verdicts, sizes


def _as_written(found: Autoscaler, change: Change) -> Autoscaler:
    marks = {**found.marks, **change.marks}
    return replace(found, least=change.least, marks={name: value for name, value in marks.items() if value is not None})


# --- when it is over --------------------------------------------------------------------------------------------------


async def let_go(scene: Scene, one: Divided) -> Verdict | None:
    """This run's hold on the workload's autoscalers ends. None where there was none, else PASS, or ERROR with the command for a person's hand.

    What the facts don't know may have been written all the same, by a step that was interrupted: the autoscalers themselves tell.
    """
    known = _known(scene).get(one.workload) or {}
    try:
        return await _let_go(scene, one, known)
    except (Temporary, Permanent) as error:
        if not known and isinstance(error, Permanent):
            return None  # without the right to look nothing was ever held
        return _left(scene, one, known, error)


async def _let_go(scene: Scene, one: Divided, known: Mapping[str, Any]) -> Verdict | None:
    """A conflict is one of the errors that are put up with: the next look reads what is there then."""
    patience, looked = Patience(scene), False
    while True:
        ended = await patience.ask(f"setting the autoscaler of {one.workload} back", lambda: _ended(scene, one))
        if ended is not None:
            if ended.words:
                reason = f"{one.workload} isn't kept at full size any more: {'; '.join(ended.words)}"
                return Verdict.passed(size_gate(one.workload), reason)
            if known or looked or not ended.found:
                return None
            looked = True  # a write that was interrupted may still be under way: it must be missing twice
        await _pause(scene, POLL_S)


@dataclass(frozen=True)
class _Ended:
    """found: how many autoscalers there are. words: what was set back."""

    found: int
    words: list[str]


async def _ended(scene: Scene, one: Divided) -> _Ended:
    cluster, prefix, words = scene.ports.clusters[scene.environment], scene.annotation_prefix, []
    found = await cluster.autoscalers(one.workload)
    for each in found:
        change = lowered(each, scene.run, prefix)
        if change is not None:
            await cluster.set_least(each, change.least, change.marks)
            meanwhile = is_changed(each, scene.run, prefix)
            how = ", which somebody has set meanwhile" if meanwhile else " again"
            words.append(f"{each.name} has minReplicas {change.least}{how}")
    return _Ended(len(found), words)


async def _pause(scene: Scene, seconds: float) -> None:
    clock = scene.ports.clock
    await clock.sleep_until(clock.now() + timedelta(seconds=seconds))


def _known(scene: Scene) -> Mapping[str, Any]:
    known = scene.facts.get(HELD_SIZES)
    return known if isinstance(known, Mapping) else {}


# --- words ------------------------------------------------------------------------------------------------------------


def _kept(one: Divided, found: Autoscaler, size: int, run: str, prefix: str) -> Verdict:
    gate, evidence, hold = size_gate(one.workload), _evidence(one, found, size), hold_of(found, prefix)
    if is_changed(found, run, prefix):
        reason = f"somebody has set minReplicas of the autoscaler {found.name} to {found.least} meanwhile: it stays so"
        return Verdict.failed(gate, "size.changed", f"{reason}, and {one.workload} may be shrunk", evidence)
    if found.least < size:
        reason = f"the autoscaler {found.name} allows at most {found.most} replicas of {one.workload}, which had {size}"
        return Verdict.failed(gate, "size.below", reason, evidence)
    kept = f"the autoscaler {found.name} keeps {one.workload} at {found.least} replicas or more"
    if hold is None:
        return Verdict.passed(gate, f"{kept} by itself", evidence)
    return Verdict.passed(gate, f"{kept} until the roll-out is over (minReplicas was {hold.before})", evidence)


def _not_ours(one: Divided, found: Autoscaler) -> Verdict:
    reason = (
        f"the autoscaler {found.name} belongs to {found.owner}, which would undo a change: it may shrink {one.workload} while that has no "
        f"traffic, and the way back then waits for its pods"
    )
    remedy = f"Raise the minimum of {found.owner} for the time of the release"
    return Verdict.failed(size_gate(one.workload), "size.not_ours", reason, _evidence(one, found, None), remedy=remedy)


def _unknown(one: Divided, size: int, error: ForgeError) -> Verdict:
    reason = (
        f"{error.cause}; so an autoscaler may shrink {one.workload} below {size} replicas while it has no traffic, and the way back then "
        f"waits for its pods"
    )
    return replace(read_error(size_gate(one.workload), error), reason=reason)


def _left(scene: Scene, one: Divided, known: Mapping[str, Any], error: ForgeError) -> Verdict:
    kubectl, prefix = scene.ports.clusters[scene.environment].kubectl, scene.annotation_prefix
    commands = [lowered_by_hand(kubectl, name, int(each["before"]), prefix) for name, each in known.items()]
    by_hand = f"By hand: {' && '.join(commands)}" if commands else ""
    remedy = ". ".join(each.rstrip(".") for each in (error.remedy, by_hand) if each)
    reason = f"the autoscaler of {one.workload} may still be kept from shrinking it: {error.cause}"
    return replace(read_error(size_gate(one.workload), error), reason=reason, remedy=remedy)


def _evidence(one: Divided, found: Autoscaler | None, size: int | None) -> Evidence:
    source = f"deployment/{one.workload}" if found is None else f"horizontalpodautoscaler/{found.name}"
    least = None if found is None else found.least
    return Evidence(name="minReplicas", value=least, limit=size, unit="count", source=source)

"""What a rollback would do, in words, and whether there is a way back at all. Runbook: Pre-Deployment, "rollback plan prepared"; Rollback
Procedure 2 to 4. The plan is computed from what runs and what the release declares; nobody writes it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runbook.jobs import Migration
from runbook.policy import Workload
from runbook.ports import Deployment
from runbook.verdicts import Evidence, Outcome, Verdict
from runbook.wording import duration, listing

PLAN_GATE = "rollback plan"

Images = Mapping[str, Mapping[str, str]]
"""workload -> container -> image, as the fact `previous` has it."""


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """What a rollback must know of one migration."""

    name: str
    backward_compatible: bool
    has_down: bool


def changes_of(migrations: Iterable[Migration]) -> tuple[SchemaChange, ...]:
    return tuple(SchemaChange(m.name, m.backward_compatible, m.down is not None) for m in migrations)


def rollback_words(
    previous: Images, changes: Sequence[SchemaChange] = (), lost_minutes: float | None = None
) -> tuple[str, ...]:
    """One sentence for each thing that a rollback does, in its order.

    previous: the images that it goes back to. changes: the release's migrations that have run or would have. lost_minutes: of data, by a
    restore to the newest recoverable moment; None: no restore is possible.
    """
    images = [
        f"{workload} goes back to {listing(containers.values())}" for workload, containers in sorted(previous.items())
    ]
    traffic = (
        "The traffic goes back to the previous version, which keeps its full size until the elevated watch is over"
    )
    return (traffic, *images, *_schema_words(changes, lost_minutes))


def _schema_words(changes: Sequence[SchemaChange], lost_minutes: float | None) -> tuple[str, ...]:
    if not changes:
        return ("The schema is not touched: the release brings no migrations",)
    words = []
    kept = [change.name for change in changes if change.backward_compatible]
    if kept:
        words.append(f"The schema keeps {listing(kept)}: the previous version works on it")
    undone = [change for change in reversed(changes) if not change.backward_compatible]
    if undone:
        ways = ["keep the schema"]
        if all(change.has_down for change in undone):
            ways.append(f"run the down Jobs of {listing(change.name for change in undone)}")
        if lost_minutes is not None:
            ways.append(f"restore to a point in time, with {duration(lost_minutes * 60)} of data at stake by now")
        names = listing(change.name for change in undone)
        words.append(
            f"The previous version can't be sure to work after {names}: the Database Owner chooses to {listing(ways, 'or')}"
        )
    return tuple(words)


def judge_rollback_plan(
    workloads: Sequence[Workload],
    deployments: Mapping[str, Deployment | None],
    changes: Sequence[SchemaChange] = (),
    lost_minutes: float | None = None,
) -> tuple[Verdict, ...]:
    """Every workload's image before the release is known, and every migration leads back. The plan stands in the evidence, in words.

    deployments: as the cluster has them now, by workload. lost_minutes: see `rollback_words`.
    """
    previous, obstacles = _previous(workloads, deployments)
    obstacles = (*obstacles, *_no_way_back(changes, lost_minutes))
    if obstacles:
        return obstacles
    words = rollback_words(previous, changes, lost_minutes)
    evidence = tuple(Evidence(name=f"{place}", value=sentence) for place, sentence in enumerate(words, 1))
    passed = Verdict.passed(PLAN_GATE, f"the way back is known: {_summary(previous, changes)}", *evidence)
    return (passed, *_by_tag(previous))


def _summary(previous: Images, changes: Sequence[SchemaChange]) -> str:
    undone = [change.name for change in changes if not change.backward_compatible]
    schema = "the schema stays" if not undone else f"the Database Owner decides about {listing(undone)}"
    return f"traffic and images of {listing(sorted(previous))}, {schema}"


def _previous(
    workloads: Sequence[Workload], deployments: Mapping[str, Deployment | None]
) -> tuple[dict[str, dict[str, str]], tuple[Verdict, ...]]:
    previous: dict[str, dict[str, str]] = {}
    obstacles = []
    for workload in workloads:
        deployment = deployments.get(workload.name)
        image = deployment.image_of(workload.container) if deployment is not None else None
        if image:
            previous.setdefault(workload.name, {})[workload.container] = image
            continue
        missing = "there is no such Deployment" if deployment is None else f"it has no container {workload.container}"
        reason = f"nobody knows what {workload.name} would go back to: {missing}"
        remedy = "Deploy a version by other means first: a canary needs a stable version beside it"
        evidence = Evidence(name=workload.name, value=None, source=workload.container)
        obstacles.append(Verdict.failed(PLAN_GATE, "rollback.no_previous", reason, evidence, remedy=remedy))
    return previous, tuple(obstacles)


def _no_way_back(changes: Sequence[SchemaChange], lost_minutes: float | None) -> tuple[Verdict, ...]:
    if lost_minutes is not None:
        return ()
    verdicts = []
    for change in changes:
        if not change.backward_compatible and not change.has_down:
            reason = (
                f"nothing leads back from {change.name}: it is not backward compatible, has no `down` Job, and there is "
                "no backup that can be restored to a point in time"
            )
            remedy = "Give it a `down` Job in the release file, split it (expand now, contract later), or make a restorable backup"
            evidence = Evidence(name="way back", value=None, source=change.name)
            verdicts.append(Verdict.failed(PLAN_GATE, "rollback.no_way_back", reason, evidence, remedy=remedy))
    return tuple(verdicts)


def _by_tag(previous: Images) -> tuple[Verdict, ...]:
    """Shown, and binds nobody: the first release that forge makes goes back to whatever was there before."""
    by_tag = [image for containers in previous.values() for image in containers.values() if "@sha256:" not in image]
    if not by_tag:
        return ()
    reason = f"{listing(by_tag)} runs without a digest: what the tag names may have changed meanwhile"
    remedy = "Set the image by digest; every release by forge does"
    evidence = tuple(Evidence(name="image", value=image) for image in by_tag)
    return (Verdict(PLAN_GATE, Outcome.FAIL, "rollback.by_tag", reason, evidence, remedy, binding=False),)

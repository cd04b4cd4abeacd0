"""Runbook: Rollback Procedure, after a release: what runs is asked of the cluster, and the target is on record or refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from runbook.errors import Temporary
from runbook.plan import Plan, canonical
from runbook.ports import Released
from runbook.procedures.base import Prepared, Request
from runbook.procedures.production import production
from runbook.procedures.rollback import DOWN, KEEP, RESTORE, WAYS
from runbook.procedures.rollback_release import rollback_release
from runbook.steps import Choice, ReturnWorkload
from runbook.values import Environment
from runbook.verdicts import Outcome
from tests.runbook.fakes import RELEASE_FILE, SERVICE, setting
from tests.runbook.test_promoting import Stage

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)


async def released(stage: Stage, run: str, *, facts: Mapping[str, Any] | None = None) -> Released:
    """v1.4.0 as it is on record after its run."""
    request = Request(service="shop", environment=Environment.PROD, version="v1.4.0")
    prepared = await production(request, setting(service=stage.service), stage.ports)
    assert prepared.plan is not None, [v.reason for v in prepared.verdicts]
    found = await stage.look()
    assert found[0] is not None
    return Released(run, "v1.4.0", found[0].release, canonical(prepared.plan), facts or {}, AT)


def previous_of(one: Released, digit: str) -> dict[str, dict[str, str]]:
    return {i.workload: {i.container: f"{i.repository}@sha256:{digit * 64}"} for i in one.release.images}


def older(one: Released, digit: str) -> Released:
    """v1.3.0, whose images have this digit's digests."""
    images = tuple(replace(image, digest=f"sha256:{digit * 64}") for image in one.release.images)
    release = replace(one.release, version="v1.3.0", images=images)
    return Released("prod-1", "v1.3.0", release, one.plan, {}, AT)


def running(stage: Stage, one: Released) -> None:
    """The cluster runs the images of this release."""
    for image in one.release.images:
        deployment = stage.cluster.deployments[image.workload]
        containers = tuple(
            replace(c, image=image.reference) if c.name == image.container else c for c in deployment.containers
        )
        stage.cluster.deployments[image.workload] = replace(deployment, containers=containers)


async def asked(stage: Stage, to: str = "") -> Prepared:
    request = Request(service="shop", environment=Environment.PROD, version="", to=to)
    return await rollback_release(request, setting(service=stage.service), stage.ports)


def refusal(prepared: Prepared) -> tuple[str, str]:
    assert prepared.plan is None
    (verdict,) = prepared.verdicts
    assert verdict.outcome is Outcome.FAIL
    return verdict.code, verdict.reason + verdict.remedy


def returned(plan: Plan | None) -> list[ReturnWorkload]:
    assert plan is not None
    return [step for step in plan.steps() if isinstance(step, ReturnWorkload)]


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_what_ran_before_comes_back_in_the_reverse_of_the_deployments_order(stage: Stage) -> None:
    one = await released(stage, "prod-2")
    before = previous_of(one, "3")
    stage.memory.releases = (replace(one, facts={"previous": before}), older(one, "3"))
    running(stage, one)
    prepared = await asked(stage)
    back = returned(prepared.plan)
    assert [step.workload for step in back] == [w.name for w in reversed(SERVICE.workloads)]
    assert all(dict(step.images) == before[step.workload] for step in back)
    assert prepared.plan is not None
    assert prepared.plan.about["to"] == "v1.3.0"
    assert "v1.4.0 runs; v1.3.0 is known" in prepared.verdicts[0].reason


async def test_another_version_that_was_released_may_be_named(stage: Stage) -> None:
    one = await released(stage, "prod-2")
    stage.memory.releases = (replace(one, facts={"previous": previous_of(one, "9")}), older(one, "3"))
    running(stage, one)
    back = returned((await asked(stage, to="v1.3.0")).plan)
    assert {image for step in back for _, image in step.images} == {i.reference for i in older(one, "3").release.images}


async def test_what_cant_be_gone_back_to_is_refused_with_what_is_known(stage: Stage) -> None:
    assert refusal(await asked(stage))[0] == "rollback.nothing"
    one = await released(stage, "prod-2")
    stage.memory.releases = (one, older(one, "3"))
    code, words = refusal(await asked(stage))
    assert code == "rollback.nothing"
    assert "what runs is no release of forge's: the newest was v1.4.0 (prod-2)" in words
    running(stage, one)
    assert refusal(await asked(stage))[0] == "rollback.no_previous"
    assert refusal(await asked(stage, to="v1.4.0"))[0] == "rollback.current"
    code, words = refusal(await asked(stage, to="v1.2.0"))
    assert code == "rollback.unknown"
    assert "Known: v1.3.0" in words


async def test_a_rollback_that_was_left_half_done_is_finished_by_asking_again(stage: Stage) -> None:
    one = await released(stage, "prod-2")
    before = previous_of(one, "3")
    stage.memory.releases = (replace(one, facts={"previous": before}), older(one, "3"))
    running(stage, one)
    running(stage, replace(one, release=replace(one.release, images=older(one, "3").release.images[:1])))
    prepared = await asked(stage)
    assert {step.workload for step in returned(prepared.plan)} == {image.workload for image in one.release.images}
    assert "v1.4.0 is the newest release, and doesn't run whole" in prepared.verdicts[0].reason


async def test_what_runs_may_be_no_release_where_the_version_to_go_to_is_named(stage: Stage) -> None:
    one = await released(stage, "prod-2")
    stage.memory.releases = (one, older(one, "3"))
    for version, images in (("v1.3.0", older(one, "3").release.images), ("v1.4.0", one.release.images)):
        back = returned((await asked(stage, to=version)).plan)
        assert {image for step in back for _, image in step.images} == {i.reference for i in images}


async def test_a_cluster_that_cant_be_asked_is_no_refusal(stage: Stage) -> None:
    stage.cluster.errors["deployment"] = [Temporary("kubernetes", "timeout", "no answer")]
    with pytest.raises(Temporary):
        await asked(stage)


async def test_a_release_that_changed_the_schema_for_good_asks_the_database_owner(stage: Stage) -> None:
    stage.code.files[SERVICE.release_file] = RELEASE_FILE
    one = await released(stage, "prod-2")
    stage.memory.releases = (
        replace(one, facts={"previous": previous_of(one, "3"), "before_effects_at": AT.isoformat()}),
    )
    running(stage, one)
    plan = (await asked(stage)).plan
    assert plan is not None
    (choice,) = (step for step in plan.steps() if isinstance(step, Choice))
    assert [option.name for option in choice.options] == [KEEP, DOWN, RESTORE]
    assert choice.options[-1].since == AT.isoformat()
    assert not returned(plan), "nothing moves before somebody has chosen"
    assert "Return web to its previous image" in [step["title"] for step in plan.about[WAYS][KEEP]]

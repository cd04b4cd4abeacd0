"""Runbook: Staging Deployment, as a plan; and the way back from it."""

from dataclasses import replace
from typing import Any

import pytest

from runbook.errors import ForgeError, Permanent, Temporary
from runbook.plan import CONTINUE, STOP, Plan, Work, canonical, hash_of, parse
from runbook.policy import Policy, Setting, SmokeRequest, StagingPolicy
from runbook.ports import SignatureCheck, Tag
from runbook.procedures import CONTINUATIONS, PROCEDURES, Prepared, Request
from runbook.procedures.return_to_previous import return_to_previous
from runbook.steps import (
    Approval,
    DeployWorkload,
    Gate,
    Observe,
    RecordDecision,
    RememberImages,
    ReturnWorkload,
    SmokeTest,
)
from runbook.values import Environment, Role
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON
from tests.runbook.fakes import COMMIT, RELEASE, SERVICE, VERSION, World, digest, setting, signed_tag

BACK = "procedure:return_to_previous"


@pytest.fixture
def world() -> World:
    return World()


async def prepared(world: World, version: str = VERSION, how: Setting | None = None, service: str = "shop") -> Prepared:
    request = Request(service=service, environment=Environment.STAGING, version=version)
    return await PROCEDURES["staging"](request, how or setting(), world.ports)


async def plan_of(world: World, how: Setting | None = None) -> Plan:
    plan = (await prepared(world, how=how)).plan
    assert plan is not None
    return plan


def failing(result: Prepared) -> list[str]:
    assert result.plan is None
    return [v.code for v in result.verdicts if v.outcome is not Outcome.PASS]


async def test_the_plan_has_the_runbook_s_steps_in_the_runbook_s_order(world: World) -> None:
    plan = await plan_of(world)
    assert [(step.kind, step.title) for step in plan.steps()] == [
        ("gate", "Release candidate"),
        ("gate", "CI green"),
        ("gate", "Workloads deployable"),
        ("approval", "Deploy to staging"),
        ("remember_images", "Remember the images that run now"),
        ("deploy_workload", "Deploy web"),
        ("deploy_workload", "Deploy worker"),
        ("smoke_test", "Smoke tests"),
        ("observe", "Observe key metrics and health"),
        ("gate", "Staging acceptance"),
        ("approval", "Go or no-go"),
        ("record_decision", "Record the result"),
        ("announce", "Announce the result"),
    ]


async def test_before_the_first_effect_a_failure_stops_and_afterwards_it_returns_until_the_go_is_given(
    world: World,
) -> None:
    steps = list((await plan_of(world)).steps())
    first_effect = next(i for i, step in enumerate(steps) if step.effect)
    recorded = next(i for i, step in enumerate(steps) if isinstance(step, RecordDecision))
    assert isinstance(steps[first_effect - 1], RememberImages)
    assert {step.on_fail for step in steps[:first_effect]} == {STOP}
    assert {step.on_fail for step in steps[first_effect:recorded]} == {BACK}
    assert BACK not in {step.on_fail for step in steps[recorded:]}


async def test_guards_watch_from_the_first_effect_until_the_go(world: World) -> None:
    ((first, last, span),) = list((await plan_of(world)).spans())
    steps = list((await plan_of(world)).steps())
    assert isinstance(steps[first], DeployWorkload)
    assert isinstance(steps[last], Approval)
    assert span.on_breach == "return_to_previous"
    assert [(g.metric, g.limit, g.for_s) for g in span.guards] == [
        ("forge:error_ratio:1m", 0.03, 300),
        ("forge:latency_p95_seconds:1m", 1.0, 300),
        ("forge:readiness_ratio:1m", 0.95, 300),
    ]


async def test_the_approvers_are_the_policy_s(world: World) -> None:
    approvals = [step for step in (await plan_of(world)).steps() if isinstance(step, Approval)]
    assert [(a.purpose, a.roles) for a in approvals] == [
        ("deploy", (Role.SERVICE_OWNER,)),
        ("go", (Role.PRODUCT, Role.SERVICE_OWNER)),
    ]


async def test_health_endpoints_are_smoke_tested_before_the_service_s_own_requests(world: World) -> None:
    smoke = next(step for step in (await plan_of(world)).steps() if isinstance(step, SmokeTest))
    assert [r.path for r in smoke.requests] == ["/health/live", "/health/ready", "/health/startup", "/api/orders"]
    assert [r.optional for r in smoke.requests] == [False, False, True, False]


async def test_the_same_facts_and_setting_give_the_same_bytes(world: World) -> None:
    one, other = canonical(await plan_of(world)), canonical(await plan_of(World()))
    assert one == other
    assert hash_of(one) == hash_of(canonical(await plan_of(world)))


async def test_a_stored_plan_reads_back_equal(world: World) -> None:
    plan = await plan_of(world)
    assert parse(canonical(plan)) == plan


async def test_the_release_is_frozen_with_tag_commit_signer_and_digests(world: World) -> None:
    about = (await plan_of(world)).about
    assert about["release"]["tag_object"] == RELEASE.tag_object
    assert about["release"]["commit"] == COMMIT
    assert about["images"] == [image.reference for image in RELEASE.images]


async def test_a_policy_with_other_numbers_makes_another_plan(world: World) -> None:
    how = setting(Policy(staging=StagingPolicy(observation_s=60.0)))
    observe = next(step for step in (await plan_of(world, how)).steps() if isinstance(step, Observe))
    assert observe.duration_s == 60


async def test_the_changes_are_shown_against_the_last_go(world: World) -> None:
    assert (await plan_of(world)).about["changes_url"] == ""
    world.memory.go = replace(RELEASE, version="v1.4.0-rc.1", commit="d" * 40)
    url = (await plan_of(world)).about["changes_url"]
    assert url == "https://github.example/acme/shop/compare/v1.4.0-rc.1...v1.4.0-rc.2"


async def test_a_tag_is_remembered_when_it_is_first_seen_with_a_good_signature(world: World) -> None:
    await plan_of(world)
    assert world.memory.seen == {("shop", VERSION): (RELEASE.tag_object, COMMIT)}
    world.code.tags[VERSION] = signed_tag(tag_object="b" * 40)
    assert failing(await prepared(world)) == ["tag.moved"]
    assert world.memory.seen == {("shop", VERSION): (RELEASE.tag_object, COMMIT)}


async def test_a_tag_with_a_bad_signature_is_not_remembered(world: World) -> None:
    world.signatures.check = SignatureCheck(False, code="unknown_key", reason="no configured signer has this key")
    assert failing(await prepared(world)) == ["tag.unknown_key"]
    assert world.memory.seen == {}


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        (Tag(VERSION, COMMIT, None), "tag.lightweight"),
        (replace(signed_tag(), signature=None), "tag.unsigned"),
        (replace(signed_tag(), payload=signed_tag("v1.3.0-rc.1").payload), "tag.payload_mismatch"),
    ],
)
async def test_a_tag_that_is_lightweight_unsigned_or_signed_for_another_is_refused(
    world: World, tag: Tag, code: str
) -> None:
    world.code.tags[VERSION] = tag
    assert failing(await prepared(world)) == [code]


async def test_a_version_that_is_no_candidate_is_refused_with_the_nearest_that_exist(world: World) -> None:
    result = await prepared(world, "v1.4.0")
    assert failing(result) == ["version.not_a_candidate"]
    assert VERSION in result.verdicts[0].remedy


async def test_a_wrong_name_is_refused_also_while_github_is_away(world: World) -> None:
    world.code.error = Temporary("github", "unreachable", "no answer")
    assert failing(await prepared(world, "main")) == ["version.not_a_candidate"]


async def test_a_missing_tag_is_refused_with_the_nearest(world: World) -> None:
    result = await prepared(world, "v1.4.0-rc.9")
    assert failing(result) == ["tag.missing"]
    assert any(VERSION in v.remedy for v in result.verdicts)


async def test_every_obstacle_is_told_at_once(world: World) -> None:
    world.code.tags[VERSION] = replace(signed_tag(), signature=None)
    world.images.digests = {}
    how = setting(service=replace(SERVICE, smoke=(SmokeRequest(name="open", path="/"),)))
    assert failing(await prepared(world, how=how)) == [
        "service.no_transaction", "tag.unsigned", "image.missing", "image.missing",
    ]  # fmt: skip


async def test_a_service_without_an_authenticated_transaction_is_refused_with_the_remedy(world: World) -> None:
    result = await prepared(world, how=setting(service=replace(SERVICE, smoke=())))
    assert failing(result) == ["service.no_transaction"]
    assert "services.shop.smoke" in next(v.remedy for v in result.verdicts if v.code == "service.no_transaction")


async def test_an_unknown_service_is_answered_with_the_nearest_one(world: World) -> None:
    result = await prepared(world, service="shopp")
    assert failing(result) == ["service.unknown"]
    assert result.verdicts[0].remedy == "Did you mean shop?"


@pytest.mark.parametrize(
    "error", [Temporary("github", "unreachable", "no answer"), Permanent("github", "forbidden", "403")]
)
async def test_an_outside_system_that_does_not_answer_is_no_refusal(world: World, error: ForgeError) -> None:
    world.code.error = error
    with pytest.raises(type(error)):
        await prepared(world)


async def test_a_registry_that_does_not_answer_is_no_refusal(world: World) -> None:
    world.images.error = Temporary("registry", "timeout", "no answer")
    with pytest.raises(Temporary):
        await prepared(world)


async def test_a_good_candidate_passes_every_step_of_the_plan(world: World) -> None:
    world.metrics.answers = {"request_rate": 5000.0, "error_rate": 1.0, "histogram_quantile": 0.1}
    facts: dict[str, Any] = {}
    for step in (await plan_of(world)).steps():
        if isinstance(step, Work):
            result = await world.finish(step.perform(world.scene(facts)))
            assert result.outcome is Outcome.PASS, (step.title, result)
            facts.update(result.facts)
    assert round((world.clock.now() - NOON).total_seconds()) == 1800
    assert [name for name, _, _ in world.cluster.writes] == ["web", "worker"]


FACTS = {"previous": {"web": {"app": "web@old"}, "worker": {"app": "worker@old"}}}


async def test_the_way_back_returns_the_workloads_in_reverse_and_attempts_everything(world: World) -> None:
    back = return_to_previous(await plan_of(world), FACTS)
    assert back is not None
    steps = list(back.steps())
    assert [s.kind for s in steps] == [
        "return_workload",
        "return_workload",
        "smoke_test",
        "record_decision",
        "announce",
    ]
    assert [(s.workload, s.images) for s in steps if isinstance(s, ReturnWorkload)] == [
        ("worker", (("app", "worker@old"),)),
        ("web", (("app", "web@old"),)),
    ]
    assert {s.on_fail for s in steps} == {CONTINUE}
    assert [s.result for s in steps if isinstance(s, RecordDecision)] == ["no_go"]
    assert parse(canonical(back)) == back


async def test_a_way_back_without_remembered_images_has_nothing_to_do(world: World) -> None:
    assert return_to_previous(await plan_of(world), {}) is None


async def test_only_what_was_remembered_is_returned(world: World) -> None:
    back = return_to_previous(await plan_of(world), {"previous": {"web": {"app": "web@old"}}})
    assert back is not None
    assert [s.workload for s in back.steps() if isinstance(s, ReturnWorkload)] == ["web"]


async def test_every_procedure_that_a_plan_names_exists(world: World) -> None:
    plan = await plan_of(world)
    named = {s.on_fail.removeprefix("procedure:") for s in plan.steps() if s.on_fail.startswith("procedure:")}
    named |= {span.on_breach for _, _, span in plan.spans()}
    assert named <= CONTINUATIONS.keys()


def test_staging_is_offered_and_production_is_not_yet() -> None:
    assert "staging" in PROCEDURES
    assert "prod" not in PROCEDURES


async def test_the_gate_asks_again_what_the_plan_was_made_with(world: World) -> None:
    gate = next(step for step in (await plan_of(world)).steps() if isinstance(step, Gate))
    world.images.digests["registry.example/acme/web"] = digest("9")
    result = await gate.perform(world.scene())
    assert [v.code for v in result.verdicts] == ["ok", "image.digest_changed"]

"""Runbook: Staging Deployment, as a plan; and the way back from it."""

from dataclasses import replace
from typing import Any

import pytest

from runbook.criteria import DEFAULT_CRITERIA, Weight
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.jobs import SuiteKind
from runbook.plan import BEGUN, CONTINUE, STOP, Plan, Step, Work, canonical, hash_of, parse
from runbook.policy import Policy, Setting, SmokeRequest, StagingPolicy
from runbook.ports import SignatureCheck, Tag
from runbook.procedures import CONTINUATIONS, PROCEDURES, Prepared, Request
from runbook.procedures.return_to_previous import return_to_previous
from runbook.steps import (
    Approval,
    DeployWorkload,
    Gate,
    JobWork,
    LeftToPeople,
    MeasurePerformance,
    Migrate,
    Observe,
    RecordDecision,
    RememberImages,
    ReturnWorkload,
    RunsHere,
    RunSuite,
    SmokeTest,
)
from runbook.values import Environment, Role
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON
from tests.runbook.fakes import (
    BUSY_ROLLOUT,
    COMMIT,
    GOOD_METRICS,
    RELEASE,
    RELEASE_FILE,
    SERVICE,
    VERSION,
    World,
    digest,
    setting,
    signed_tag,
)

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
        ("run_suite", "API integration tests: api"),
        ("run_suite", "End-to-end tests: journeys"),
        ("run_suite", "Migration checks: schema"),
        ("run_suite", "Backward compatibility: previous"),
        ("measure_performance", "Performance baseline"),
        ("observe", "Observe key metrics and health"),
        ("gate", "Staging promotion gate"),
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
    world.code.files[SERVICE.release_file] = RELEASE_FILE
    world.metrics.answers = GOOD_METRICS
    facts: dict[str, Any] = {}
    for step in (await plan_of(world)).steps():
        if isinstance(step, Work):
            result = await world.finish(step.perform(world.scene(facts)))
            assert result.outcome is Outcome.PASS, (step.title, result)
            facts.update(result.facts)
    assert 1800 <= (world.clock.now() - NOON).total_seconds() < 1900
    assert [name for name, _, _ in world.cluster.writes] == ["web", "worker"]


FACTS = {"previous": {"web": {"app": "web@old"}, "worker": {"app": "worker@old"}}}


def left_at(plan: Plan, title: str) -> dict[str, Any]:
    """The facts of a run that was left at this step."""
    return {**FACTS, BEGUN: list(range([step.title for step in plan.steps()].index(title) + 1))}


async def back_from(world: World, title: str) -> list[Step]:
    """The steps of the way back from a release with migrations, left at this step."""
    world.code.files[SERVICE.release_file] = RELEASE_FILE
    plan = await plan_of(world)
    back = return_to_previous(plan, left_at(plan, title))
    assert back is not None
    assert parse(canonical(back)) == back
    assert {step.on_fail for step in back.steps()} == {CONTINUE}
    return list(back.steps())


def titles(steps: list[Step]) -> list[str]:
    return [step.title for step in steps]


END = ["Smoke tests of the previous version", "Record the result", "Announce the return"]


async def test_the_way_back_stops_the_jobs_and_returns_the_workloads_in_reverse(world: World) -> None:
    plan = await plan_of(world)
    back = return_to_previous(plan, left_at(plan, "Performance baseline"))
    assert back is not None
    steps = list(back.steps())
    assert titles(steps) == [
        "Stop the Jobs of this run", "Return worker to its previous image", "Return web to its previous image", *END,
    ]  # fmt: skip
    assert [(s.workload, s.images) for s in steps if isinstance(s, ReturnWorkload)] == [
        ("worker", (("app", "worker@old"),)),
        ("web", (("app", "web@old"),)),
    ]
    assert [s.result for s in steps if isinstance(s, RecordDecision)] == ["no_go"]


async def test_what_was_not_begun_is_left_alone(world: World) -> None:
    plan = await plan_of(world)
    assert return_to_previous(plan, {**FACTS, BEGUN: [0, 1, 2, 3, 4]}) is None
    back = return_to_previous(plan, left_at(plan, "Deploy web"))
    assert back is not None
    assert titles(list(back.steps())) == ["Return web to its previous image", *END]


async def test_a_migration_that_is_not_backward_compatible_is_taken_back_and_the_other_kept(world: World) -> None:
    assert titles(await back_from(world, "Deploy worker")) == [
        "Stop the Jobs of this run", "Return worker to its previous image", "Return web to its previous image",
        "Take back migration 0008-rename-total", "Verify the data after the way back", *END,
    ]  # fmt: skip


async def test_only_a_migration_that_was_begun_is_taken_back(world: World) -> None:
    assert titles(await back_from(world, "Expand migration 0007-currency")) == ["Stop the Jobs of this run", *END]
    steps = await back_from(world, "Expand migration 0008-rename-total")
    assert titles(steps) == [
        "Stop the Jobs of this run", "Take back migration 0008-rename-total", "Verify the data after the way back", *END,
    ]  # fmt: skip
    down = steps[1]
    assert isinstance(down, Migrate)
    assert (down.direction, down.template.args) == ("down", ("migrate", "down", "0008"))
    assert down.image == RELEASE.images[0].reference


async def test_a_migration_whose_container_never_ran_is_not_taken_back(world: World) -> None:
    world.code.files[SERVICE.release_file] = RELEASE_FILE
    plan = await plan_of(world)
    facts = left_at(plan, "Expand migration 0008-rename-total")
    back = return_to_previous(plan, {**facts, "migration:0008-rename-total": {"state": "failed", "started": False}})
    assert back is not None
    assert titles(list(back.steps())) == ["Stop the Jobs of this run", *END]


async def test_a_contract_migration_without_a_way_back_is_left_to_people(world: World) -> None:
    world.code.files[SERVICE.release_file] = RELEASE_FILE
    world.memory.go = RELEASE
    plan = (await contracted(world)).plan
    assert plan is not None
    back = return_to_previous(plan, left_at(plan, "Contract migration 0009-drop-price"))
    assert back is not None
    step = next(step for step in back.steps() if isinstance(step, LeftToPeople))
    result = await step.perform(world.scene())
    assert [(v.outcome, v.code) for v in result.verdicts] == [(Outcome.FAIL, "migration.no_way_back")]
    assert [s.result for s in back.steps() if isinstance(s, RecordDecision)] == ["not_contracted"]


async def test_a_way_back_without_remembered_images_has_nothing_to_return(world: World) -> None:
    plan = await plan_of(world)
    assert return_to_previous(plan, {BEGUN: [5]}) is None


async def test_only_what_was_remembered_is_returned(world: World) -> None:
    back = return_to_previous(await plan_of(world), {"previous": {"web": {"app": "web@old"}}})
    assert back is not None
    assert [s.workload for s in back.steps() if isinstance(s, ReturnWorkload)] == ["web"]


# --- migrations -------------------------------------------------------------------------------------------------------


async def test_expand_migrations_come_before_the_code_and_their_verification_after_them(world: World) -> None:
    world.code.files[SERVICE.release_file] = RELEASE_FILE
    order = titles(list((await plan_of(world)).steps()))
    begin = order.index("Remember the images that run now") + 1
    assert order[begin : begin + 4] == [
        "Expand migration 0007-currency", "Expand migration 0008-rename-total", "Verify the data", "Deploy web",
    ]  # fmt: skip
    assert not any("0009" in title for title in order)


async def test_every_job_runs_an_image_by_digest_or_the_one_that_ran_before(world: World) -> None:
    world.code.files[SERVICE.release_file] = RELEASE_FILE
    jobs = {s.title: s for s in (await plan_of(world)).steps() if isinstance(s, JobWork)}
    assert jobs["Expand migration 0007-currency"].image == RELEASE.images[0].reference
    assert jobs["API integration tests: api"].image == f"registry.example/acme/tests@{digest('7')}"
    previous = jobs["Backward compatibility: previous"]
    assert (previous.image, previous.previous_of) == ("", "web/app")


async def test_an_image_of_a_job_that_does_not_exist_refuses_the_release(world: World) -> None:
    del world.images.digests["registry.example/acme/load"]
    assert failing(await prepared(world)) == ["image.missing"]


async def test_a_changed_schema_needs_its_verification_and_both_suites(world: World) -> None:
    world.code.files[SERVICE.release_file] = RELEASE_FILE.replace("verification", "# verification")
    suites = tuple(s for s in SERVICE.suites if s.kind not in (SuiteKind.MIGRATION, SuiteKind.COMPATIBILITY))
    result = await prepared(world, how=setting(service=replace(SERVICE, suites=suites)))
    assert failing(result) == ["service.no_suites", "migration.no_verification"]


async def test_what_the_promotion_table_requires_must_be_configured(world: World) -> None:
    bare = replace(SERVICE, suites=(), performance=None)
    result = await prepared(world, how=setting(service=bare))
    assert failing(result) == ["service.no_suites", "service.no_performance"]
    assert all("policy.criteria" in v.remedy for v in result.verdicts if v.outcome is Outcome.FAIL)
    rows = tuple(replace(row, to_prod=Weight.OPTIONAL) for row in DEFAULT_CRITERIA)
    relaxed = replace(setting(service=bare), policy=Policy(criteria=rows))
    assert (await prepared(world, how=relaxed)).plan is not None


async def test_what_is_not_required_fails_without_consequence(world: World) -> None:
    rows = tuple(replace(row, to_prod=Weight.RECOMMENDED) for row in DEFAULT_CRITERIA)
    plan = await plan_of(world, replace(setting(), policy=Policy(criteria=rows)))
    steps = [step for step in plan.steps() if isinstance(step, RunSuite | MeasurePerformance)]
    assert {step.on_fail for step in steps} == {CONTINUE}


# --- contract migrations ----------------------------------------------------------------------------------------------


async def contracted(world: World) -> Prepared:
    request = Request(service="shop", environment=Environment.STAGING, version=VERSION)
    return await PROCEDURES["contract"](request, setting(), world.ports)


async def test_contract_migrations_are_a_run_of_their_own_that_the_database_owner_approves(world: World) -> None:
    world.code.files[SERVICE.release_file] = RELEASE_FILE
    world.memory.go = RELEASE
    plan = (await contracted(world)).plan
    assert plan is not None
    assert parse(canonical(plan)) == plan
    assert titles(list(plan.steps())) == [
        "Release", "The version runs here", "Contract migrations", "Nothing else runs here",
        "Contract migration 0009-drop-price", "Verify the data", "Smoke tests", "Record the result", "Announce the result",
    ]  # fmt: skip
    approval = next(step for step in plan.steps() if isinstance(step, Approval))
    assert approval.roles == (Role.DATABASE_OWNER,)


async def test_only_the_release_that_got_its_go_may_contract(world: World) -> None:
    world.code.files[SERVICE.release_file] = RELEASE_FILE
    assert failing(await contracted(world)) == ["contract.no_go"]
    world.memory.go = replace(RELEASE, version="v1.4.0-rc.1")
    assert failing(await contracted(world)) == ["contract.no_go"]


async def test_a_release_without_contract_migrations_has_nothing_to_contract(world: World) -> None:
    world.memory.go = RELEASE
    assert failing(await contracted(world)) == ["contract.nothing"]


async def test_nothing_is_taken_away_while_another_version_runs(world: World) -> None:
    gate = Gate(title="The version runs here", checks=(RunsHere(RELEASE.images),))
    result = await gate.perform(world.scene())
    assert [v.code for v in result.verdicts] == ["running.other", "running.other"]
    for image in RELEASE.images:
        await world.cluster.set_images(image.workload, {"app": image.reference}, {})
    assert (await gate.perform(world.scene())).outcome is Outcome.PASS
    world.cluster.rollouts = lambda _: BUSY_ROLLOUT
    result = await gate.perform(world.scene())
    assert {v.code for v in result.verdicts} == {"running.incomplete"}


async def test_every_procedure_that_a_plan_names_exists(world: World) -> None:
    plan = await plan_of(world)
    named = {s.on_fail.removeprefix("procedure:") for s in plan.steps() if s.on_fail.startswith("procedure:")}
    named |= {span.on_breach for _, _, span in plan.spans()}
    assert named <= CONTINUATIONS.keys()


def test_every_environment_is_offered() -> None:
    assert PROCEDURES.keys() >= set(Environment)


async def test_the_gate_asks_again_what_the_plan_was_made_with(world: World) -> None:
    gate = next(step for step in (await plan_of(world)).steps() if isinstance(step, Gate))
    world.images.digests["registry.example/acme/web"] = digest("9")
    result = await gate.perform(world.scene())
    assert [v.code for v in result.verdicts if v.outcome is not Outcome.PASS] == ["image.digest_changed"]

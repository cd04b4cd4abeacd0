"""Runbook: Development Deployment, as a plan, and played to its end: in order, failing, unknown, and back again."""

from dataclasses import replace
from datetime import timedelta

import pytest

from runbook.criteria import Weight
from runbook.errors import ForgeError, Permanent, Temporary
from runbook.plan import CONTINUE, HOLD, STOP, canonical, parse
from runbook.policy import DevPolicy, Policy
from runbook.ports import CiCheck, HttpAnswer
from runbook.procedures import CONTINUATIONS
from runbook.procedures.base import Prepared
from runbook.steps import Approval, DeployWorkload, Gate, MarkValidated, Observe, RecordDecision, ReturnWorkload
from runbook.values import Environment
from runbook.verdicts import Outcome
from tests.fakes.clock import NOON
from tests.runbook.dev_stories import DEV_SERVICE, SHORT, DevWorld, dev_setting, play, way_back, weighing
from tests.runbook.fake_jobs import JobLife
from tests.runbook.fakes import BUSY_ROLLOUT, COMMIT, GOOD_METRICS, RELEASE, RELEASE_FILE, SERVICE, digest

BACK = "procedure:return_to_previous"


@pytest.fixture
def world() -> DevWorld:
    return DevWorld()


def refused(found: Prepared) -> dict[str, str]:
    """Reason and remedy by code."""
    assert found.plan is None
    return {v.code: f"{v.reason}. {v.remedy}" for v in found.verdicts if v.outcome is not Outcome.PASS}


# --- the plan ---------------------------------------------------------------------------------------------------------


async def test_the_plan_has_the_runbooks_steps_in_the_runbooks_order(world: DevWorld) -> None:
    plan = await world.plan()
    assert [(step.kind, step.title) for step in plan.steps()] == [
        ("gate", "CI green"),
        ("gate", "Workloads deployable"),
        ("remember_images", "Remember the images that run now"),
        ("deploy_workload", "Deploy web"),
        ("deploy_workload", "Deploy worker"),
        ("smoke_test", "Smoke tests"),
        ("observe", "Observe logs, error rate and health"),
        ("gate", "Dev validation gate"),
        ("mark_validated", "Mark as dev-validated"),
        ("record_decision", "Record the result"),
        ("announce", "Announce the result"),
    ]
    assert parse(canonical(plan)) == plan


async def test_nobody_approves_and_no_guard_pages_anybody(world: DevWorld) -> None:
    plan = await world.plan()
    assert not list(plan.spans())
    assert not [step for step in plan.steps() if isinstance(step, Approval)]


async def test_before_the_first_effect_a_failure_stops_and_afterwards_it_returns(world: DevWorld) -> None:
    steps = list((await world.plan()).steps())
    first = next(place for place, step in enumerate(steps) if step.effect)
    marked = next(place for place, step in enumerate(steps) if isinstance(step, MarkValidated))
    assert {step.on_fail for step in steps[:first]} == {STOP}
    assert {step.on_fail for step in steps[first:marked]} == {BACK}
    assert [step.on_fail for step in steps[marked:]] == [CONTINUE, HOLD, CONTINUE]
    assert BACK.removeprefix("procedure:") in CONTINUATIONS


async def test_what_runs_is_the_commit_with_its_images_by_digest(world: DevWorld) -> None:
    plan = await world.plan()
    assert (plan.version, plan.environment) == (SHORT, Environment.DEV)
    assert plan.about["release"]["commit"] == COMMIT
    images = [step.image for step in plan.steps() if isinstance(step, DeployWorkload)]
    assert [image.reference for image in images] == [
        f"registry.example/acme/web@{digest('1')}",
        f"registry.example/acme/worker@{digest('2')}",
    ]
    assert {tag for _, tag in world.images.asked} == {"sha-ccccccc"}


async def test_the_numbers_are_the_policys(world: DevWorld) -> None:
    policy = Policy(dev=DevPolicy(observation_s=1800.0, ci_wait_s=60.0, traffic_wait_s=120.0))
    steps = list((await world.plan(how=dev_setting(policy=policy))).steps())
    gates = {step.title: step for step in steps if isinstance(step, Gate)}
    assert gates["CI green"].patience_s == 60.0
    assert gates["Dev validation gate"].patience_s == 120.0
    assert next(step for step in steps if isinstance(step, Observe)).duration_s == 1800.0


async def test_expand_migrations_come_before_the_code_and_contracting_ones_never(world: DevWorld) -> None:
    world.code.files[SERVICE.release_file] = RELEASE_FILE
    titles = [step.title for step in (await world.plan()).steps()]
    at = titles.index("Expand migration 0007-currency")
    assert titles[at : at + 4] == [
        "Expand migration 0007-currency", "Expand migration 0008-rename-total", "Verify the data", "Deploy web",
    ]  # fmt: skip
    assert not [title for title in titles if "0009" in title]


async def test_suites_run_in_dev_where_they_are_named_and_decide_nothing(world: DevWorld) -> None:
    plan = await world.plan(how=dev_setting(replace(DEV_SERVICE, dev_suites=("api",))))
    steps = {step.title: step for step in plan.steps()}
    assert "End-to-end tests: journeys" not in steps
    assert steps["API integration tests: api"].on_fail == CONTINUE


async def test_suites_and_load_run_in_dev_where_the_table_requires_them(world: DevWorld) -> None:
    rows = tuple(replace(row, to_staging=Weight.REQUIRED) for row in Policy().criteria)
    plan = await world.plan(how=dev_setting(policy=Policy(criteria=rows)))
    steps = {step.title: step for step in plan.steps()}
    assert {steps[t].on_fail for t in ("API integration tests: api", "End-to-end tests: journeys", "Performance baseline")} == {BACK}  # fmt: skip
    tags = dict(world.images.asked)
    assert tags["registry.example/acme/tests"] == tags["registry.example/acme/load"] == "sha-ccccccc"


async def test_the_changes_are_those_since_the_last_validated_commit(world: DevWorld) -> None:
    world.memory.go = replace(RELEASE, commit="b" * 40)
    plan = await world.plan()
    assert plan.about["changes_url"] == f"https://github.example/acme/shop/compare/{'b' * 40}...{COMMIT}"


# --- which commit -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["", "main", COMMIT, COMMIT[:7], SHORT, SHORT.upper()])
async def test_a_commit_may_be_named_as_people_name_it(world: DevWorld, version: str) -> None:
    assert (await world.plan(version)).version == SHORT


async def test_without_a_name_it_is_the_newest_on_the_branch(world: DevWorld) -> None:
    world.source.push("d" * 40, branch="develop")
    service = replace(DEV_SERVICE, branch="develop")
    assert (await world.plan(how=dev_setting(service))).version == "d" * 12


async def test_a_commit_that_is_not_on_the_branch_is_refused_with_the_remedy(world: DevWorld) -> None:
    world.source.push("e" * 40, branch="wild-idea")
    told = refused(await world.prepared("e" * 12))
    assert told == {
        "commit.not_on_branch": f"{'e' * 12} is not on main: dev runs what was merged. Merge it into main first. "
        f"The newest on main: {SHORT} and {'b' * 12}"
    }


async def test_a_commit_that_nobody_knows_is_refused_with_those_that_are_there(world: DevWorld) -> None:
    told = refused(await world.prepared("abcdef1"))
    assert "no commit abcdef1, or more than one that begins so" in told["commit.unknown"]
    assert SHORT in told["commit.unknown"]


@pytest.mark.parametrize("version", ["v1.4.0-rc.2", "abc", "wild-idea", "c" * 41, "; rm -rf"])
async def test_what_is_no_commit_is_refused(world: DevWorld, version: str) -> None:
    assert list(refused(await world.prepared(version))) == ["commit.not_a_commit"]
    assert world.source.asked == []


async def test_an_empty_branch_is_refused(world: DevWorld) -> None:
    world.source.branches.clear()
    assert "services.shop.branch" in refused(await world.prepared())["commit.no_branch"]


async def test_without_a_source_nothing_is_deployed(world: DevWorld) -> None:
    world.ports = replace(world.ports, source=None)
    assert list(refused(await world.prepared())) == ["commit.no_source"]


async def test_a_missing_image_says_which_tag_was_looked_for(world: DevWorld) -> None:
    del world.images.digests["registry.example/acme/web"]
    told = refused(await world.prepared())["image.missing"]
    assert "registry.example/acme/web:sha-ccccccc" in told
    assert "services.shop.image_tag (sha-{short})" in told


async def test_every_obstacle_is_told_at_once(world: DevWorld) -> None:
    world.images.digests.clear()
    service = replace(DEV_SERVICE, smoke=(), urls={})
    told = refused(await world.prepared(how=dev_setting(service)))
    assert {"service.no_url", "service.no_transaction", "image.missing"} <= told.keys()
    assert "service.unknown" in refused(await world.prepared(service="shpo"))


@pytest.mark.parametrize(("method", "version"), [("commits", ""), ("commit", SHORT), ("contains", SHORT)])
@pytest.mark.parametrize(
    "error",
    [Temporary("github", "rate_limited", "later", retry_after_s=60.0), Permanent("github", "garbage", "no JSON")],
)
async def test_a_github_that_gives_no_answer_is_an_error_and_no_refusal(
    world: DevWorld, method: str, version: str, error: ForgeError
) -> None:
    world.source.errors[method] = error
    with pytest.raises(ForgeError, match=error.cause):
        await world.prepared(version)


# --- played -----------------------------------------------------------------------------------------------------------


async def test_a_good_commit_is_deployed_observed_and_marked(world: DevWorld) -> None:
    plan = await world.plan()
    told = await play(world, plan)
    assert (told.ended, told.last) == ("completed", "Announce the result")
    assert (world.clock.now() - world.probes.sent[0][0]).total_seconds() >= 900
    assert [workload for workload, _, _ in world.cluster.writes] == ["web", "worker"]
    assert {request.url.split("/")[2] for _, request in world.probes.sent} == {"shop.dev"}
    assert world.source.newest_mark(COMMIT, "forge/dev-validated") is not None
    gates = {verdict.gate for verdict in told.results["Dev validation gate"].verdicts}
    assert gates == {
        "CI green", "smoke tests", "pod logs: web", "pod logs: worker", "error rate over the observation",
    }  # fmt: skip


async def test_the_smoke_tests_are_health_and_an_authenticated_transaction(world: DevWorld) -> None:
    await play(world, await world.plan())
    paths = {request.url.removeprefix("http://shop.dev"): request.token for _, request in world.probes.sent}
    assert {"/health/live", "/health/ready"} <= paths.keys()
    assert paths["/api/orders"] == "shop-token"


async def test_red_ci_changes_nothing(world: DevWorld) -> None:
    world.code.ci = [CiCheck("unit", "failure")]
    told = await play(world, await world.plan())
    assert (told.ended, told.last) == ("stopped", "CI green")
    assert not world.cluster.writes
    assert not way_back(await world.plan(), told)


async def test_ci_that_never_ends_holds_after_its_time(world: DevWorld) -> None:
    world.code.ci = [CiCheck("unit", "pending")]
    told = await play(world, await world.plan())
    assert (told.ended, told.last) == ("held", "CI green")
    assert world.clock.now() - NOON == timedelta(minutes=30)
    assert told.codes("CI green") == ["ci.pending"]


@pytest.mark.parametrize(
    ("spoilt", "step", "code"),
    [
        ("rollout", "Deploy web", "rollout.not_in_time"),
        ("smoke", "Smoke tests", "smoke.status"),
        ("health", "Observe logs, error rate and health", ""),
        ("logs", "Dev validation gate", "logs.matched"),
        ("errors", "Dev validation gate", "steady.error_ratio"),
        ("ci", "Dev validation gate", "ci.red"),
    ],
)
async def test_whatever_fails_dev_goes_back_to_what_ran_before(
    world: DevWorld, spoilt: str, step: str, code: str
) -> None:
    plan = await world.plan()
    spoil(world, spoilt)
    told = await play(world, plan)
    assert (told.ended, told.last) == ("return_to_previous", step)
    assert not code or code.split(".")[0] in {each.split(".")[0] for each in told.codes(step)}
    back = way_back(plan, told)
    returned = {step.workload: dict(step.images) for step in back if isinstance(step, ReturnWorkload)}
    assert returned["web"] == {"app": "registry.example/acme/old@sha256:0"}
    assert [step.result for step in back if isinstance(step, RecordDecision)] == ["not_validated"]
    assert not world.source.marks


def spoil(world: DevWorld, what: str) -> None:
    after_deploy = 300.0
    match what:
        case "rollout":
            world.cluster.rollouts = lambda _: BUSY_ROLLOUT
        case "smoke":
            world.probes.respond = lambda request, at_s: HttpAnswer(500, 0.01, "")
        case "health":
            world.probes.respond = lambda request, at_s: HttpAnswer(200 if at_s < after_deploy else 503, 0.01, '{"ok": true}')  # fmt: skip
        case "logs":
            world.cluster.logs["web-1", False] = "started\nFATAL: no database\n"
        case "errors":
            world.metrics.answers = {**GOOD_METRICS, "error_rate": 400.0}
        case "ci":
            original = world.code.checks

            async def checks(repository: str, commit: str) -> tuple[CiCheck, ...]:
                red = (world.clock.now() - world.probes.sent[0][0]).total_seconds() > 60 if world.probes.sent else False
                return (CiCheck("unit", "failure"),) if red else await original(repository, commit)

            world.code.checks = checks  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        ("no_logs", "logs.unread"),
        ("no_traffic", "metrics.too_few_requests"),
        ("no_series", ""),
        ("github_away", ""),
        ("kubernetes_forbids", ""),
    ],
)
async def test_what_nobody_knows_holds_and_neither_passes_nor_returns(world: DevWorld, spoilt: str, code: str) -> None:
    plan = await world.plan()
    match spoilt:
        case "no_logs":
            world.cluster.logs["web-1", False] = None
        case "no_traffic":
            world.metrics.answers = {**GOOD_METRICS, "request_rate": 3.0}
        case "no_series":
            world.metrics.answers = {"latency": 0.1}
        case "github_away":
            gate = next(step for step in plan.steps() if step.title == "Dev validation gate")
            assert isinstance(gate, Gate)
            facts = (await play(world, replace(plan, nodes=plan.nodes[1:7]))).facts
            world.code.error = Temporary("github", "unreachable", "GitHub can't be reached")
            result = await world.finish(gate.perform(world.scene(facts)))
            assert result.outcome is Outcome.ERROR
            return
        case "kubernetes_forbids":
            world.cluster.logs["web-1", False] = Permanent("kubernetes", "forbidden", "no right to read logs")
    told = await play(world, plan)
    assert (told.ended, told.last) == ("held", "Dev validation gate")
    assert not code or code in told.codes("Dev validation gate")
    assert not world.source.marks


async def test_a_suite_that_fails_in_dev_is_shown_and_decides_nothing(world: DevWorld) -> None:
    service = replace(DEV_SERVICE, dev_suites=("api",))
    world.cluster.lives = lambda order: JobLife(exit_code=1)
    told = await play(world, await world.plan(how=dev_setting(service)))
    assert told.ended == "completed"
    shown = [v for v in told.results["Dev validation gate"].verdicts if v.gate == "automated tests"]
    assert [(v.outcome, v.binding) for v in shown] == [(Outcome.FAIL, False)]


async def test_a_required_suite_that_fails_in_dev_returns_it(world: DevWorld) -> None:
    world.cluster.lives = lambda order: JobLife(exit_code=1)
    rows = weighing("suites", Weight.REQUIRED, to_staging=True)
    told = await play(world, await world.plan(how=dev_setting(policy=Policy(criteria=rows))))
    assert (told.ended, told.last) == ("return_to_previous", "API integration tests: api")


async def test_migrations_that_the_previous_code_cant_work_with_are_taken_back(world: DevWorld) -> None:
    world.code.files[SERVICE.release_file] = RELEASE_FILE
    plan = await world.plan()
    world.probes.respond = lambda request, at_s: HttpAnswer(500, 0.01, "")
    told = await play(world, plan)
    assert [step.title for step in way_back(plan, told)] == [
        "Stop the Jobs of this run", "Return worker to its previous image", "Return web to its previous image",
        "Take back migration 0008-rename-total", "Verify the data after the way back",
        "Smoke tests of the previous version", "Record the result", "Announce the return",
    ]  # fmt: skip

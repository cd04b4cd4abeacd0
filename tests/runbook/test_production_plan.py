"""Runbook: Production Deployment and Rollback Procedure, as plans: what runs in which order, what watches it, and what comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runbook.plan import AUTO, BEGUN, PROMPT, Node, Plan, Span, canonical, hash_of, parse
from runbook.policy import Policy, ProdPolicy, TriggersPolicy
from runbook.procedures import CONTINUATIONS, PROCEDURES
from runbook.procedures.base import Request
from runbook.procedures.contract import contract
from runbook.procedures.production import production
from runbook.procedures.rollback import DOWN, KEEP, RESTORE, WAYS, rollback
from runbook.rules.completion import LAG
from runbook.steps import (
    Approval,
    Checklist,
    Choice,
    Gate,
    LeftToPeople,
    Migrate,
    RemoveCanary,
    ReturnTraffic,
    ReturnWorkload,
    ShiftTraffic,
    SmokeTest,
    StopJobs,
    TakeOver,
    VerifyMigrations,
)
from runbook.values import Environment, Role
from tests.runbook.fakes import RELEASE, RELEASE_FILE, SERVICE, setting
from tests.runbook.test_promoting import Stage

COMPATIBLE = RELEASE_FILE[: RELEASE_FILE.index("  - name: 0008")] + "verification: {workload: web, args: [verify]}\n"


async def planned(policy: Policy | None = None, release_file: str = "") -> Plan:
    stage = Stage()
    if release_file:
        stage.code.files[SERVICE.release_file] = release_file
    request = Request(service="shop", environment=Environment.PROD, version="v1.4.0")
    prepared = await production(request, setting(policy, stage.service), stage.ports)
    assert prepared.plan is not None, [v.reason for v in prepared.verdicts]
    return prepared.plan


def titles(plan: Plan) -> list[str]:
    return [step.title for step in plan.steps()]


def without_down(node: Node) -> Node:
    if not isinstance(node, Span):
        return node
    steps = (replace(step, down=None) if isinstance(step, Migrate) else step for step in node.steps)
    return replace(node, steps=tuple(steps))


def begun_until(plan: Plan, title: str) -> dict[str, Any]:
    """Facts of a run that was left at this step."""
    names = titles(plan)
    previous = {image.workload: {image.container: f"{image.repository}@sha256:{'0' * 64}"} for image in RELEASE.images}
    return {
        BEGUN: list(range(names.index(title) + 1)),
        "previous": previous,
        "before_effects_at": "2026-03-02T12:00:00+00:00",
    }


def after(plan: Plan | None) -> list[str]:
    assert plan is not None
    return titles(plan)


async def test_the_plan_is_the_runbooks_production_deployment_in_its_order() -> None:
    names = titles(await planned())
    order = [
        "Artifact",
        "Ready for production",
        "Ship to production",
        "Pre-deployment checklist",
        "Change window, no incident",
        "Announce the start",
        "Remember the images that run now",
        "Start the canary",
        "Shift 5 % of the traffic",
        "Observe 5 %",
        "Canary gate (5 %)",
        "Shift 25 % of the traffic",
        "Ramp gate (25 %)",
        "Shift 100 % of the traffic",
        "Full rollout gate (100 %)",
        "Elevated watch",
        "Completion criteria",
        "Make it stable",
        "Record the release",
        "Confirm the release",
        "Post-deployment checklist",
    ]
    places = [names.index(title) for title in order]
    assert places == sorted(places), [n for n in names if n in order]


async def test_equal_facts_give_equal_bytes_and_the_plan_reads_back() -> None:
    one, other = await planned(release_file=RELEASE_FILE), await planned(release_file=RELEASE_FILE)
    text = canonical(one)
    assert text == canonical(other)
    assert hash_of(canonical(parse(text))) == hash_of(text)


async def test_the_service_owner_and_product_or_operations_approve() -> None:
    [approval] = [step for step in (await planned()).steps() if isinstance(step, Approval)]
    assert approval.slots == ((Role.SERVICE_OWNER,), (Role.PRODUCT, Role.OPERATIONS))


async def test_expand_migrations_run_before_any_traffic_and_contract_ones_not_at_all() -> None:
    plan = await planned(release_file=RELEASE_FILE)
    names = titles(plan)
    migrations = [step.migration for step in plan.steps() if isinstance(step, Migrate)]
    assert migrations == ["0007-currency", "0008-rename-total"]
    assert names.index("Verify the data") < names.index("Start the canary")


async def test_every_rollback_trigger_is_watched_while_the_canary_has_traffic() -> None:
    plan = await planned(release_file=RELEASE_FILE)
    spans = [node for node in plan.nodes if isinstance(node, Span)]
    at_five = next(span for span in spans if any("Shift 5 %" in step.title for step in span.steps))
    assert {guard.trigger for guard in at_five.guards} == {
        "critical_alert",
        "core_transactions",
        "migration_regression",
    }
    assert {guard.track for guard in at_five.guards} == {"stable", "canary"}
    assert [ratio.trigger for ratio in at_five.ratios] == ["canary_ratio"]
    assert len({guard.name for guard in at_five.guards}) == len(at_five.guards)
    assert all(span.on_breach == "rollback" for span in spans)


async def test_what_is_critical_of_the_database_is_watched_all_the_while_where_somebody_measures_it() -> None:
    spans = [node for node in (await planned()).nodes if isinstance(node, Span)]
    for span in spans:
        (lag,) = (guard for guard in span.guards if guard.name == "PostgreSQL replication lag")
        assert (lag.limit, lag.for_s, lag.above, lag.optional, lag.trigger) == (
            60.0,
            300.0,
            True,
            True,
            "critical_alert",
        )
    named = Policy(critical=(replace(LAG, limit=10.0),))
    lags = [
        g for node in (await planned(named)).nodes if isinstance(node, Span) for g in node.guards if "lag" in g.name
    ]
    assert {(guard.limit, guard.track, guard.optional) for guard in lags} == {(10.0, "stable", True)}


async def test_at_full_weight_stable_has_no_traffic_and_is_not_watched_for_it() -> None:
    spans = [node for node in (await planned()).nodes if isinstance(node, Span)]
    full = next(span for span in spans if any("Shift 100 %" in step.title for step in span.steps))
    assert all(guard.track == "canary" or guard.optional for guard in full.guards)


async def test_a_trigger_on_what_the_service_does_not_have_is_not_watched() -> None:
    stage = Stage()
    stage.service = replace(stage.service, without=("core_transaction_success_ratio",))
    request = Request(service="shop", environment=Environment.PROD, version="v1.4.0")
    prepared = await production(request, setting(service=stage.service), stage.ports)
    assert prepared.plan is not None
    guards = [guard for node in prepared.plan.nodes if isinstance(node, Span) for guard in node.guards]
    assert "core_transactions" not in {guard.trigger for guard in guards}


async def test_an_oom_restart_loop_of_the_canary_is_a_trigger() -> None:
    spans = [node for node in (await planned()).nodes if isinstance(node, Span)]
    at_five = next(span for span in spans if any("Shift 5 %" in step.title for step in span.steps))
    [loop] = [guard for guard in at_five.guards if "OOM" in guard.name]
    assert (loop.limit, loop.for_s, loop.track, loop.trigger) == (3.0, 0.0, "canary", "critical_alert")
    assert loop.metric == "sum_over_time(forge:oom_kills:1m[10m:1m])"


async def test_both_tracks_are_watched_while_stable_takes_over_and_neither_is_missed_without_traffic() -> None:
    spans = [node for node in (await planned()).nodes if isinstance(node, Span)]
    last = spans[-1]
    assert any(isinstance(step, TakeOver) for step in last.steps)
    assert {guard.track for guard in last.guards} == {"stable", "canary"}
    assert all(guard.optional for guard in last.guards)


async def test_a_migrations_regression_asks_first_and_policy_may_say_otherwise() -> None:
    plan = await planned(release_file=RELEASE_FILE)
    [verify] = [step for step in plan.steps() if isinstance(step, VerifyMigrations)]
    assert verify.on_fail == PROMPT
    triggers = TriggersPolicy(migration_regression="auto", critical_alerts="prompt")
    other = await planned(Policy(prod=ProdPolicy(triggers=triggers)), RELEASE_FILE)
    [verify] = [step for step in other.steps() if isinstance(step, VerifyMigrations)]
    assert verify.on_fail == "procedure:rollback"
    guards = [guard for node in other.nodes if isinstance(node, Span) for guard in node.guards]
    assert {guard.action for guard in guards if guard.trigger == "critical_alert"} == {PROMPT}
    assert {guard.action for guard in guards if guard.trigger == "migration_regression"} == {AUTO}


async def test_the_weights_of_the_policy_are_the_plans() -> None:
    plan = await planned(Policy(prod=ProdPolicy(weights=(10, 50, 100))))
    assert [step.weight for step in plan.steps() if isinstance(step, ShiftTraffic)] == [10, 50, 100]


async def test_only_what_proves_the_artifact_ends_the_run_and_the_rest_holds_it() -> None:
    gates = {step.title: step.on_fail for step in (await planned()).steps() if isinstance(step, Gate)}
    assert gates["Artifact"] == "stop"
    assert (
        gates["Ready for production"] == gates["Change window, no incident"] == gates["Completion criteria"] == "hold"
    )
    assert gates["Canary gate (5 %)"] == "procedure:rollback"


# --- the way back -----------------------------------------------------------------------------------------------------


async def test_traffic_goes_back_first_then_the_canary_goes_and_it_is_validated_and_told() -> None:
    plan = await planned()
    back = rollback(plan, begun_until(plan, "Canary gate (5 %)"))
    assert after(back) == [
        "Freeze the roll-out and open an incident",
        "Shift traffic back to the last known good version",
        "Remove the canary",
        "Health endpoints and user journeys",
        "Record the rollback",
        "Update the incident",
        "Announce the rollback",
        "Post-incident checklist",
    ]
    assert back is not None
    [traffic] = [step for step in back.steps() if isinstance(step, ReturnTraffic)]
    assert [target.workload for target in traffic.targets] == ["worker", "web"], "the reverse of their order"
    assert all(step.on_fail == "continue" for step in back.steps())


async def test_a_backward_compatible_schema_stays() -> None:
    plan = await planned(release_file=COMPATIBLE)
    back = rollback(plan, begun_until(plan, "Canary gate (5 %)"))
    assert back is not None
    assert not [step for step in back.steps() if isinstance(step, Migrate | Choice)]
    assert any(isinstance(step, StopJobs) for step in back.steps())


async def test_before_the_canary_had_traffic_none_is_shifted() -> None:
    plan = await planned()
    back = rollback(plan, begun_until(plan, "Start the canary"))
    assert back is not None
    assert not [step for step in back.steps() if isinstance(step, ReturnTraffic)]
    assert [step for step in back.steps() if isinstance(step, RemoveCanary)]


async def test_with_nothing_begun_there_is_nothing_to_go_back_from() -> None:
    plan = await planned()
    assert rollback(plan, begun_until(plan, "Remember how many replicas run")) is None


async def test_while_stable_takes_over_its_image_comes_back_before_its_traffic() -> None:
    plan = await planned()
    back = rollback(plan, begun_until(plan, "Make it stable"))
    assert back is not None
    kinds = [type(step) for step in back.steps() if isinstance(step, ReturnTraffic | ReturnWorkload | RemoveCanary)]
    assert kinds == [ReturnTraffic, ReturnWorkload, ReturnWorkload, ReturnTraffic, RemoveCanary]


@pytest.mark.parametrize(("way_back", "answers"), [(True, {KEEP, DOWN, RESTORE}), (False, {KEEP, RESTORE})])
async def test_an_irreversible_migration_asks_the_database_owner_before_anything_moves(
    way_back: bool, answers: set[str]
) -> None:
    plan = await planned(release_file=RELEASE_FILE)
    if not way_back:
        plan = replace(plan, nodes=tuple(without_down(node) for node in plan.nodes))
    back = rollback(plan, begun_until(plan, "Canary gate (5 %)"))
    assert back is not None
    assert after(back) == [
        "Freeze the roll-out and open an incident",
        "Stop the Jobs of this run",
        "What becomes of the schema",
    ]
    [choice] = [step for step in back.steps() if isinstance(step, Choice)]
    assert choice.role == Role.DATABASE_OWNER
    assert {option.procedure for option in choice.options} == answers == set(back.about[WAYS])
    assert not choice.default, "nobody else decides it, no timer either"
    assert next(o for o in choice.options if o.name == RESTORE).since, "the minutes at stake can be told"


async def test_each_answer_goes_on_with_what_was_shown() -> None:
    plan = await planned(release_file=RELEASE_FILE)
    facts = begun_until(plan, "Canary gate (5 %)")
    asked = rollback(plan, facts)
    assert asked is not None
    asked = parse(canonical(asked))
    ways = {name: CONTINUATIONS[name](asked, facts) for name in (KEEP, DOWN, RESTORE)}
    for name, way in ways.items():
        assert way is not None
        assert way.procedure == name
        assert after(way)[:2] == ["Shift traffic back to the last known good version", "Remove the canary"]
        assert after(way)[-1] == "Post-incident checklist"
        assert WAYS not in way.about
    down, restored = ways[DOWN], ways[RESTORE]
    assert down is not None
    assert restored is not None
    downs = [step for step in down.steps() if isinstance(step, Migrate)]
    assert [(step.migration, step.direction) for step in downs] == [("0008-rename-total", "down")]
    assert "Verify the data after the way back" in after(down)
    assert [step for step in restored.steps() if isinstance(step, LeftToPeople)]


async def test_every_procedure_that_an_option_names_exists() -> None:
    plan = await planned(release_file=RELEASE_FILE)
    back = rollback(plan, begun_until(plan, "Canary gate (5 %)"))
    assert back is not None
    [choice] = [step for step in back.steps() if isinstance(step, Choice)]
    assert {option.procedure for option in choice.options} <= set(CONTINUATIONS)
    assert {"prod", "rollback"} <= set(PROCEDURES)


async def test_the_checklists_are_the_runbooks() -> None:
    plan = await planned(Policy(prod=ProdPolicy(checklist=("Tell support",))))
    lists = {step.which: step for step in plan.steps() if isinstance(step, Checklist)}
    assert [item.text for item in lists["pre_deployment"].items] == [
        "CI green and artifact immutable",
        "Release notes and rollback plan prepared",
        "Backup recency and restore test status verified",
        "On-call and approvers available",
        "Tell support",
    ]
    assert not lists["post_deployment"].waits


async def test_journeys_are_asked_at_every_weight_and_at_the_end() -> None:
    smokes = [step.title for step in (await planned()).steps() if isinstance(step, SmokeTest)]
    assert len(smokes) == 4
    assert len([step for step in (await planned()).steps() if isinstance(step, TakeOver)]) == 1


async def test_journeys_go_to_the_canarys_own_address_too_until_stable_is_the_release() -> None:
    stage = Stage()
    stage.service = replace(stage.service, canary_urls={Environment.PROD: "http://canary.shop"})
    request = Request(service="shop", environment=Environment.PROD, version="v1.4.0")
    plan = (await production(request, setting(service=stage.service), stage.ports)).plan
    assert plan is not None
    smokes = [step for step in plan.steps() if isinstance(step, SmokeTest)]
    assert [smoke.canary_url for smoke in smokes] == [*["http://canary.shop"] * 3, ""]
    back = rollback(plan, {BEGUN: list(range(len(list(plan.steps()))))})
    assert back is not None
    [smoke] = [step for step in back.steps() if isinstance(step, SmokeTest)]
    assert smoke.canary_url == ""


async def test_without_an_address_of_the_canary_plans_are_the_bytes_that_they_were() -> None:
    assert "canary_url" not in canonical(await planned())


# --- contract migrations, after it ------------------------------------------------------------------------------------


async def test_contract_migrations_of_production_are_a_run_of_their_own_after_the_release() -> None:
    stage = Stage()
    stage.code.files[SERVICE.release_file] = RELEASE_FILE
    request = Request(service="shop", environment=Environment.PROD, version="v1.4.0")
    before = await contract(request, setting(service=stage.service), stage.ports)
    assert before.plan is None
    assert "contract.no_go" in {verdict.code for verdict in before.verdicts}

    found, _ = await stage.look()
    assert found is not None
    stage.memory.last = found.release
    prepared = await contract(request, setting(service=stage.service), stage.ports)

    assert prepared.plan is not None, [v.reason for v in prepared.verdicts]
    names = titles(prepared.plan)
    assert names.index("Change window, no incident, backup") < names.index("Contract migration 0009-drop-price")
    [approval] = [step for step in prepared.plan.steps() if isinstance(step, Approval)]
    assert approval.roles == (Role.DATABASE_OWNER,)
    assert not [step for step in prepared.plan.steps() if isinstance(step, ShiftTraffic | TakeOver)]

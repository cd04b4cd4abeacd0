"""The numbers of production's traffic: pods for a share, the largest safe step back, and what a share's verdict is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.ports import Deployment, Rollout, Share, TrafficTarget
from runbook.rules.traffic import (
    REPLICAS,
    ROUTE,
    SMALL,
    Beginning,
    Numbers,
    Pods,
    by_hand,
    canary_replicas,
    check_canary_ready_to_begin,
    judge_share,
    next_replicas,
    next_weight_back,
    pods_ratio,
    replicas_for,
    share_words,
    usable,
)
from runbook.verdicts import Outcome
from tests.runbook.fakes import deployment

WEB = TrafficTarget("web", "web-canary", ROUTE, 4, "web", "web", "web-canary")
WORKER = TrafficTarget("worker", "worker-canary", REPLICAS, 3)
PLACES = (("/spec/rules/0/backendRefs/0/weight", "/spec/rules/0/backendRefs/1/weight"),)
KUBECTL = "kubectl --context prod -n shop"

sizes = st.integers(1, 200)
weights = st.integers(0, 100)
counts = st.integers(0, 250)


# --- pods -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "size", "pods"),
    [(5, 1, 1), (5, 3, 1), (5, 20, 1), (5, 21, 2), (25, 3, 1), (25, 10, 3), (100, 3, 3), (100, 1, 1)],
)
def test_a_canary_by_weights_has_pods_for_its_share_and_never_none(weight: int, size: int, pods: int) -> None:
    assert canary_replicas(ROUTE, weight, size) == pods


@pytest.mark.parametrize(
    ("weight", "size", "stable", "canary"),
    [
        (0, 3, 3, 0), (5, 1, 1, 1), (5, 3, 3, 1), (5, 10, 10, 1), (5, 100, 100, 5), (25, 3, 3, 1), (25, 10, 10, 3),
        (50, 4, 4, 4), (75, 3, 1, 3), (100, 3, 0, 3), (100, 1, 0, 1),
    ],
)  # fmt: skip
def test_a_share_by_pods_comes_on_top_of_a_whole_stable(weight: int, size: int, stable: int, canary: int) -> None:
    assert replicas_for(weight, size) == Numbers(stable, canary)


@pytest.mark.parametrize(("size", "share"), [(3, 0.25), (10, 1 / 11)])
def test_five_percent_by_pods_is_a_quarter_of_three_and_a_tenth_of_ten(size: int, share: float) -> None:
    numbers = replicas_for(5, size)
    assert pods_ratio(numbers.stable, numbers.canary) == pytest.approx(share)


@given(weight=weights, size=sizes)
def test_the_true_share_exceeds_the_weight_only_by_the_one_pod_that_there_must_be(weight: int, size: int) -> None:
    numbers = replicas_for(weight, size)
    assert numbers.canary == 1 or numbers.canary * 100 <= weight * (numbers.stable + numbers.canary)
    assert numbers.stable + numbers.canary >= size


@given(weight=weights, size=sizes, stable=st.tuples(counts, counts), canary=st.tuples(counts, counts))
def test_pods_go_only_when_the_others_are_available(
    weight: int, size: int, stable: tuple[int, int], canary: tuple[int, int]
) -> None:
    has_stable, has_canary = Pods(max(stable), min(stable)), Pods(max(canary), min(canary))
    now = next_replicas(weight, size, has_stable, has_canary)
    if now.stable < has_stable.wanted:
        assert has_canary.available >= replicas_for(weight, size).canary
    if now.canary < has_canary.wanted:
        whole = has_stable.available + now.canary >= size
        small = has_canary.wanted * 100 <= SMALL * (has_canary.wanted + has_stable.available)
        assert whole or (small and has_stable.available)


@given(weight=weights, size=sizes, stable=counts, canary=counts)
def test_the_rounds_end_at_the_numbers_that_were_asked_for(weight: int, size: int, stable: int, canary: int) -> None:
    now = Numbers(stable, canary)
    for _ in range(3):
        now = next_replicas(weight, size, Pods(now.stable, now.stable), Pods(now.canary, now.canary))
    goal = replicas_for(weight, size)
    assert now.canary == goal.canary
    assert now.stable == (max(goal.stable, stable) if goal.stable >= size else goal.stable)


def test_a_stable_that_an_autoscaler_made_larger_is_not_shrunk_by_a_small_share() -> None:
    assert next_replicas(25, 3, Pods(6, 6), Pods(0, 0)) == Numbers(6, 1)


# --- weights on the way back ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("available", "size", "current", "weight"),
    [
        (4, 4, 100, 0), (4, 4, 25, 0), (6, 4, 100, 0), (1, 4, 100, 75), (2, 4, 100, 50), (3, 4, 100, 25), (0, 4, 100, 100),
        (0, 4, 5, 5), (1, 4, 5, 0), (3, 4, 10, 0), (2, 4, 25, 25), (3, 4, 30, 25), (9, 10, 25, 10), (1, 3, 100, 67), (1, 4, 0, 0),
    ],
)  # fmt: skip
def test_as_much_traffic_returns_as_stable_can_take(available: int, size: int, current: int, weight: int) -> None:
    assert next_weight_back(available, size, current) == weight


@given(available=counts, size=sizes, current=weights)
def test_stable_never_gets_more_than_its_available_pods_carry(available: int, size: int, current: int) -> None:
    weight = next_weight_back(available, size, current)
    assert 0 <= weight <= current
    if weight != current and current > SMALL:
        assert 100 - weight <= 100 * available / size or available >= size
    if not available:
        assert weight == current


@given(available=counts, more=counts, size=sizes, current=weights)
def test_more_pods_never_bring_less_traffic_back(available: int, more: int, size: int, current: int) -> None:
    assert next_weight_back(available + more, size, current) <= next_weight_back(available, size, current)


def test_pods_of_another_version_are_not_counted_on() -> None:
    rolling = Rollout(generation=3, observed=True, desired=4, updated=1, available=4, total=5)
    assert usable(rolling) == 0
    assert usable(replace(rolling, updated=5)) == 4
    assert usable(replace(rolling, updated=5, observed=False)) == 0
    assert usable(None) == 0


# --- verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "outcome", "code"),
    [
        (Share(5, 0.05, True), Outcome.PASS, "ok"),
        (Share(5, 0.05, False, "Accepted is False: NoMatchingParent"), Outcome.NO_DATA, "traffic.not_accepted"),
        (Share(25, 0.25, True), Outcome.FAIL, "traffic.foreign_weights"),
        (Share(None, 1 / 3, True), Outcome.FAIL, "traffic.foreign_weights"),
        (Share(None, 0, False, "no backend", "no_backend", "add it"), Outcome.FAIL, "traffic.no_backend"),
        (None, Outcome.FAIL, "traffic.no_route"),
    ],
)
def test_a_share_is_what_was_asked_for_or_not_yet_or_somebody_elses(
    share: Share | None, outcome: Outcome, code: str
) -> None:
    verdict = judge_share(share, 5, WEB)
    assert (verdict.outcome, verdict.code) == (outcome, code)


def test_what_the_router_says_is_quoted() -> None:
    verdict = judge_share(Share(5, 0.05, False, "Accepted is False: NoMatchingParent"), 5, WEB)
    assert "NoMatchingParent" in verdict.reason


def test_pods_that_are_on_their_way_are_nobody_elses_numbers() -> None:
    assert judge_share(Share(None, 0.1, False, "pods are on their way"), 25, WORKER).code == "traffic.not_accepted"


def test_the_true_share_is_shown_beside_a_weight_that_is_another_number() -> None:
    assert share_words(Share(5, 0.25, True)) == "25 % (weight 5 %)"
    assert share_words(Share(25, 0.25, True)) == "25 %"
    assert share_words(Share(None, 1 / 3, True)) == "33.33 %"


# --- before anything is changed ---------------------------------------------------------------------------------------


SELECTORS = ({"app": "web", "forge/track": "stable"}, {"app": "web", "forge/track": "canary"})
AT_REST = Share(0, 0.0, True, places=PLACES)


def beginning(target: TrafficTarget = WEB, share: Share | None = AT_REST, **changes: object) -> Beginning:
    found = Beginning(target, deployment("web"), None, share, "forge", "prod-7", KUBECTL, SELECTORS)
    return replace(found, **changes)  # type: ignore[arg-type]


def codes(found: Beginning) -> list[str]:
    return [verdict.code for verdict in check_canary_ready_to_begin(found)]


def test_what_is_as_it_must_be_may_begin() -> None:
    assert codes(beginning()) == ["ok"]


def test_by_pods_the_smallest_true_share_is_said_before() -> None:
    (verdict,) = check_canary_ready_to_begin(beginning(WORKER, None))
    assert verdict.outcome is Outcome.PASS
    assert "25 %" in verdict.reason


def test_a_stable_without_its_track_is_refused_with_the_commands() -> None:
    bare: Deployment = deployment("web", labels={}, selector={"app": "web"})
    (verdict,) = check_canary_ready_to_begin(beginning(stable=bare))
    assert (verdict.outcome, verdict.code) == (Outcome.FAIL, "traffic.no_track")
    assert f"{KUBECTL} patch deployment/web" in verdict.remedy
    assert f"{KUBECTL} delete deployment/web --cascade=orphan" in verdict.remedy


def test_a_selector_without_the_track_would_catch_the_canarys_pods() -> None:
    labelled = deployment("web", selector={"app": "web"})
    (verdict,) = check_canary_ready_to_begin(beginning(stable=labelled))
    assert verdict.code == "traffic.no_track"
    assert "selector" in verdict.reason
    assert "patch" not in verdict.remedy


def test_a_canary_of_another_run_is_named_and_one_of_this_run_is_none() -> None:
    other = deployment("web-canary", marks={"forge/run": "prod-3"})
    (verdict,) = check_canary_ready_to_begin(beginning(canary=other))
    assert verdict.code == "traffic.canary_exists"
    assert "prod-3" in verdict.reason
    assert f"{KUBECTL} delete deployment/web-canary" in verdict.remedy
    assert codes(beginning(canary=replace(other, marks={"forge/run": "prod-7"}))) == ["ok"]
    assert codes(beginning(canary=replace(other, marks={}))) == ["traffic.canary_exists"]


def test_a_route_that_gives_the_canary_something_already_is_put_to_rest_by_one_command() -> None:
    (verdict,) = check_canary_ready_to_begin(beginning(share=Share(50, 0.5, True, places=PLACES)))
    assert verdict.code == "traffic.not_at_rest"
    assert by_hand(KUBECTL, WEB, 0, PLACES) in verdict.remedy


def test_a_service_that_chooses_both_tracks_would_make_the_weights_lie() -> None:
    (verdict,) = check_canary_ready_to_begin(beginning(selectors=({"app": "web"}, SELECTORS[1])))
    assert verdict.code == "traffic.service_without_track"
    assert verdict.remedy == (
        f'`{KUBECTL} patch service web -p \'{{"spec":{{"selector":{{"forge/track":"stable"}}}}}}\'`'
    )
    assert codes(beginning(selectors=(SELECTORS[0], None))) == ["traffic.no_service"]
    assert codes(beginning(WORKER, None, selectors=(None, None))) == ["ok"]


def test_every_obstacle_is_told_at_once() -> None:
    other = deployment("web-canary", marks={})
    found = beginning(stable=deployment("web", replicas=0, labels={}), canary=other, share=None)
    assert codes(found) == ["workload.no_replicas", "traffic.no_track", "traffic.canary_exists", "traffic.no_route"]
    assert codes(replace(found, stable=None))[0] == "workload.missing"


def test_a_route_that_is_not_accepted_yet_is_waited_for() -> None:
    (verdict,) = check_canary_ready_to_begin(beginning(share=Share(0, 0.0, False, "no controller has answered")))
    assert verdict.outcome is Outcome.NO_DATA


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_the_command_sets_both_weights_in_every_rule() -> None:
    places = (*PLACES, ("/spec/rules/2/backendRefs/1/weight", "/spec/rules/2/backendRefs/0/weight"))
    assert by_hand(KUBECTL, WEB, 0, places) == (
        f"{KUBECTL} patch httproute web --type json -p "
        '\'[{"op":"add","path":"/spec/rules/0/backendRefs/0/weight","value":100},'
        '{"op":"add","path":"/spec/rules/0/backendRefs/1/weight","value":0},'
        '{"op":"add","path":"/spec/rules/2/backendRefs/1/weight","value":100},'
        '{"op":"add","path":"/spec/rules/2/backendRefs/0/weight","value":0}]\''
    )


def test_without_places_the_route_is_edited() -> None:
    assert by_hand(KUBECTL, WEB, 0) == f"{KUBECTL} edit httproute web  # weight 100 for web, 0 for web-canary"


def test_pods_are_scaled_by_hand_stable_first() -> None:
    assert by_hand(KUBECTL, WORKER, 0) == (
        f"{KUBECTL} scale deployment/worker --replicas=3 && {KUBECTL} scale deployment/worker-canary --replicas=0"
    )

"""What a voided approval's card says has changed. Scenario 9 at the level of the domain."""

from dataclasses import replace

from runbook.describe import what_changed
from runbook.plan import Plan
from runbook.policy import HealthPolicy, Policy, Service, StagingPolicy, Threshold, Workload
from runbook.procedures.preparing import Candidate
from runbook.procedures.staging import staging_plan
from runbook.values import FrozenImage, Release, Role
from tests.runbook.fakes import RELEASE, SERVICE, TOOLS, VERSION, digest


def plan(policy: Policy | None = None, service: Service = SERVICE, release: Release = RELEASE) -> Plan:
    return staging_plan(Candidate(service, release, digests=TOOLS), policy or Policy())


def test_equal_plans_have_no_differences() -> None:
    assert what_changed(plan(), plan()) == ()


def test_a_moved_tag_is_told_with_both_objects_and_commits_once() -> None:
    moved = replace(RELEASE, tag_object="b" * 40, commit="d" * 40)
    assert what_changed(plan(), plan(release=moved)) == (
        f"tag object: {'a' * 40} → {'b' * 40}",
        f"commit: {'c' * 40} → {'d' * 40}",
    )


def test_a_changed_digest_is_told_with_its_workload() -> None:
    images = (replace(RELEASE.images[0], digest=digest("9")), RELEASE.images[1])
    (sentence,) = what_changed(plan(), plan(release=replace(RELEASE, images=images)))
    assert sentence.startswith("image of web/app: registry.example/acme/web@sha256:111")
    assert "→ registry.example/acme/web@sha256:999" in sentence


def test_numbers_of_the_policy_are_told_with_their_units() -> None:
    policy = Policy(
        staging=StagingPolicy(observation_s=600, max_error_ratio=0.02, go_approvers=(Role.PRODUCT,)),
        health=HealthPolicy(p95_s=0.5),
    )
    changes = what_changed(plan(), plan(policy))
    assert "Observe key metrics and health, length of the observation: 30 min → 10 min" in changes
    assert "Observe key metrics and health, p95: 250 ms → 500 ms" in changes
    assert "Staging promotion gate, max error ratio: 1 % → 2 %" in changes
    assert "Go or no-go, roles: product and service owner → product" in changes


def test_guards_are_told() -> None:
    policy = Policy(critical=(Threshold("error rate", "error_ratio", True, 0.05, 300),))
    assert what_changed(plan(), plan(policy)) == (
        "guard removed: API p95 latency",
        "guard error rate, limit: 3 % → 5 %",
        "guard removed: readiness success",
    )


def test_a_further_workload_is_told_as_a_step() -> None:
    service = replace(SERVICE, workloads=(*SERVICE.workloads, Workload("mail", "app", "r/mail")))
    images = (*RELEASE.images, FrozenImage("mail", "app", "r/mail", VERSION, digest("3")))
    changes = what_changed(plan(), plan(service=service, release=replace(RELEASE, images=images)))
    assert "step added: Deploy mail" in changes
    assert any(change.startswith("image of mail/app: none → r/mail@sha256:333") for change in changes)


def test_any_difference_has_at_least_one_sentence() -> None:
    assert what_changed(plan(), replace(plan(), about={**plan().about, "repository": "acme/other"})) != ()


def test_a_changed_image_of_a_suite_is_told_with_the_suite() -> None:
    other = staging_plan(
        Candidate(SERVICE, RELEASE, digests={**TOOLS, "registry.example/acme/load": digest("9")}), Policy()
    )
    (sentence,) = what_changed(plan(), other)
    assert sentence.startswith("Performance baseline, image: registry.example/acme/load@sha256:888")
